"""MAGDA's services beside persons and enterprises: what each of them becomes, or why it becomes nothing."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import magda
from adapters.sdk import Broken, Change, Ignored
from broker.model.identifiers import make_test_insz
from tests.unit.adapters.test_magda import KBO, answer, reply

ANN, BOB, KIM = (
    make_test_insz(birth, serial) for birth, serial in (("1980-05-17", 12), ("1979-01-02", 13), ("2009-07-08", 14))
)
SITE, OTHER_SITE = "2000000042", "2000000141"

Read = Callable[..., Awaitable[list[Any]]]
Roundtrip = Callable[[Change], dict[str, Any]]


@pytest.fixture
def read(drain: Callable[..., Any], tmp_path: Path) -> Read:
    async def items(service: str, answers: str, version: str = "02.00.0000") -> list[Any]:
        (tmp_path / "a.xml").write_text(reply(service, answers, version=version))
        return [item for item, _ in await drain(magda.build(str(tmp_path)))]

    return items


def member(insz: str, position: str, more: str = "") -> str:
    number = f"<INSZ>{insz}</INSZ>" if insz else ""
    return f"""<Gezinslid DatumBegin="2001-02-00">{number}<Geslacht><Code>2</Code></Geslacht>
      <Geboortedatum>1980-05-17</Geboortedatum><Positie><Code>{position}</Code></Positie>{more}</Gezinslid>"""


HOME = """<Adressen><Hoofdverblijfplaats><Straatnaam><String>Nevelhertenpad</String></Straatnaam>
  <Gemeentenaam><String>Gent</String></Gemeentenaam><NISCodeGemeente>44021</NISCodeGemeente></Hoofdverblijfplaats></Adressen>"""


async def test_a_household_is_stated_once_for_each_member_with_a_number(read: Read, roundtrip: Roundtrip) -> None:
    household = member(BOB, "02") + member(ANN, "01", HOME) + member("", "03") + member(KIM, "03")
    gone = member(make_test_insz("1975-03-03", 15), "05").replace("<Gezinslid ", '<Gezinslid DatumEinde="2020-01-01" ')
    found = await read("GeefGezinssamenstelling", answer(f"<Gezinsleden>{household}{gone}</Gezinsleden>"), "02.02.0000")
    values = [roundtrip(item) for item in found]
    assert [value["insz"] for value in values] == [BOB, ANN, KIM]
    assert len({item.source_id for item in found}) == 3
    for value in values:
        assert value["gezinshoofd"] == {"insz": ANN}
        assert [each["insz"] for each in value["gezinsleden"]] == [BOB, ANN, None, KIM]
        assert value["gezinsleden"][0]["begin"] == "2001-02-00"
        assert (value["gezinsadres"]["straatnaam"], value["gezinsadres"]["gemeente"]["nis"]) == (
            "Nevelhertenpad",
            "44021",
        )


async def test_a_household_of_the_older_version_is_the_same(read: Read, roundtrip: Roundtrip) -> None:
    person = f"""<Persoon><INSZ>{ANN}</INSZ><Geboorte><Datum>1980-05-17</Datum></Geboorte><Adressen>
      <Hoofdverblijfplaats DatumBegin="2010-01-01"><Straat><Naam>Nevelhertenpad</Naam></Straat><Huisnummer>7</Huisnummer>
      <Gemeente><PostCode>9000</PostCode><NISCode>44021</NISCode><Naam>Gent</Naam></Gemeente>
      <Land><ISOCode>BEL</ISOCode></Land></Hoofdverblijfplaats></Adressen></Persoon>"""
    lid = f"""<Gezinslid DatumCreatie="1983-04-06"><Bron><Code>RR</Code></Bron>
      <Positie><Code>01</Code></Positie>{person}</Gezinslid>"""
    [item] = await read("GeefGezinssamenstelling", answer(f"<Gezinsleden>{lid}</Gezinsleden>"))
    value = roundtrip(item)
    [only] = value["gezinsleden"]
    assert (only["insz"], only["geboortedatum"], only["bron"], only["begin"]) == (ANN, "1980-05-17", "RR", "1983-04-06")
    home = value["gezinsadres"]
    assert (home["straatnaam"], home["huisnummer"], home["postcode"]) == ("Nevelhertenpad", "7", "9000")
    assert (home["land"]["iso"], home["begin"]) == ("BEL", "2010-01-01")


def case(*subjects: tuple[str, str], more: str = "") -> str:
    listed = "".join(
        f"<Subject><Rol>Raadpleger</Rol><Type>{kind}</Type><Sleutel>{key}</Sleutel></Subject>" for kind, key in subjects
    )
    return f"""<DossierMutatie><Identificatie><Bron>STL</Bron><Dossiernummer>7</Dossiernummer></Identificatie>{more}
      <Periode><Begin><Datum>2018-01-01</Datum><Tijd>09:00:00</Tijd></Begin></Periode>
      <Status><Code>Ingediend</Code><Fase>Samenstelling</Fase><Actie><ActieNodig>1</ActieNodig></Actie></Status>
      <Subjecten>{listed}</Subjecten></DossierMutatie>"""


def cases(*mutations: str) -> str:
    return answer(f"<Dossiers><Dossier><DossierMutaties>{''.join(mutations)}</DossierMutaties></Dossier></Dossiers>")


async def test_a_file_is_stated_once_for_each_person_and_never_for_an_enterprise(
    read: Read, roundtrip: Roundtrip
) -> None:
    marks = "<Eigenschappen><Vertrouwelijk>0</Vertrouwelijk><Publiek>1</Publiek></Eigenschappen>"
    shared = case(("PERS", ANN), ("OND", KBO), ("PERS", BOB), more=marks)
    first, second, third = await read("GeefDossiers", cases(shared, case(("OND", KBO))))
    assert third == Ignored(third.source_id, "SUBJECT_NOT_A_PERSON")
    for item, own, other in ((first, ANN, BOB), (second, BOB, ANN)):
        value = roundtrip(item)
        assert (item.product, value["insz"]) == ("dossier.v1", own)
        assert value["andereBetrokkenen"] == [{"insz": other, "rol": "Raadpleger"}]
        assert (value["vertrouwelijk"], value["publiek"], value["nietRaadpleegbaar"]) == (False, True, None)
        assert value["status"]["actieNodig"] is True
        assert value["periode"] == {"begin": "2018-01-01T09:00:00", "einde": None}


PROOF = f"""<Bewijs><BewijsrefertesLed><Bewijsreferte>r-1</Bewijsreferte></BewijsrefertesLed>
  <BewijsstatusLed><Code>1</Code><DatumModificatie><Datum>19.01.2012</Datum><Tijd>05:23:24</Tijd></DatumModificatie></BewijsstatusLed>
  <PersoonUitgereikt><INSZ>{ANN}</INSZ></PersoonUitgereikt><Basis><VolledigeNaam>Licentiaat Sociologie</VolledigeNaam>
  <Bewijstype><Naam>Diploma</Naam></Bewijstype><Onderwerp><Naam>Sociologie</Naam></Onderwerp>
  <Uitreikingsdatum><Jaar>2001</Jaar><Maand>6</Maand></Uitreikingsdatum>
  <UrenVolwassenenonderwijs>40</UrenVolwassenenonderwijs></Basis>
  <Afgeleid><ISCEDNiveau><Code>5A</Code></ISCEDNiveau></Afgeleid></Bewijs>"""


async def test_a_proof_of_learning(read: Read, roundtrip: Roundtrip) -> None:
    """One that is broken does not take the next one with it."""
    good, broken = await read("GeefBewijs", answer(f"<Bewijzen>{PROOF}{PROOF.replace('>40<', '>veertig<')}</Bewijzen>"))
    value = roundtrip(good)
    assert (value["insz"], value["referte"], value["naam"]) == (ANN, "r-1", "Licentiaat Sociologie")
    assert value["uitreikingsdatum"] == "2001-06-00"
    assert value["gewijzigd"] == "2012-01-19T05:23:24"
    assert value["urenVolwassenenonderwijs"] == 40
    assert value["onderwerp"] == {"code": None, "naam": "Sociologie"}
    assert value["iscedNiveau"] == {"code": "5A", "naam": None}
    assert broken == Broken(broken.source_id, "NUMBER_INVALID", "urenVolwassenenonderwijs", "diploma.v1")


async def test_a_right_to_a_measure(read: Read, roundtrip: Roundtrip) -> None:
    right = f"""<StatusRechtOndersteuningen><StatusRechtOndersteuning><INSZ>{ANN}</INSZ>
      <Maatregel><Code>VOP</Code></Maatregel><Status><Code>TG</Code><Omschrijving>Toegekend</Omschrijving></Status>
      <Periode><Begin>2014-01-01</Begin></Periode></StatusRechtOndersteuning></StatusRechtOndersteuningen>"""
    [item] = await read("GeefStatusRechtOndersteuningen", answer(right))
    value = roundtrip(item)
    assert (item.product, value["insz"], value["maatregel"]["code"]) == ("steunmaatregel.v1", ANN, "VOP")
    assert value["status"] == {"code": "TG", "omschrijving": "Toegekend"}
    assert value["periode"] == {"begin": "2014-01-01", "einde": None}


def parcel(more: str = "", *, section: str = "B", part: str = "P0000") -> str:
    return f"""<Eigendomstoestand><Perceel><Identificatie><KadastraleAfdeling><Code>44802</Code></KadastraleAfdeling>
      <Sectie>{section}</Sectie><Grondnummer>272</Grondnummer>{more}<Partitie>{part}</Partitie></Identificatie>
      <AlgemeneInformaties><AlgemeneInformatie><Gemeente><NISCode>44021</NISCode><Naam>Gent</Naam></Gemeente>
      <Oppervlakte><Belast>231</Belast></Oppervlakte></AlgemeneInformatie></AlgemeneInformaties>
      <AardKadastraalPerceel><Code>200</Code><Omschrijving>HUIS</Omschrijving></AardKadastraalPerceel>
      <PeriodeGeldigheidPerceel>{"<JaarEinde>2015</JaarEinde>" if more else ""}</PeriodeGeldigheidPerceel></Perceel></Eigendomstoestand>"""


async def test_a_parcel_is_published_without_its_owners(read: Read, roundtrip: Roundtrip) -> None:
    owner = f"<Partijen><Personen><Persoon><INSZ>{ANN}</INSZ></Persoon></Personen></Partijen>"
    numbered = "<Bisnummer>2</Bisnummer><Letterexponent>F</Letterexponent><Cijferexponent>3</Cijferexponent>"
    states = parcel() + parcel(numbered) + parcel(part="P0005") + parcel(section="??")
    content = f"<Eigendom>{owner}<Eigendomstoestanden>{states}</Eigendomstoestanden></Eigendom>"
    plain, old, part, wrong = await read("ZoekEigendomstoestanden", answer(content))
    assert ANN not in repr((plain, old))
    assert roundtrip(plain)["identificator"] == "https://data.vlaanderen.be/id/perceel/44802B0272-00_000"
    assert roundtrip(old)["capakey"] == "44802B0272/02F003"
    assert (plain.value["status"], old.value["status"]) == ("gerealiseerd", "gehistoreerd")
    assert plain.value["oppervlakte"] == 231
    assert part == Ignored(part.source_id, "PART_OF_A_PARCEL")
    assert wrong == Broken(wrong.source_id, "CAPAKEY_INVALID", "capakey", "perceel.v1")


async def test_places_of_business_are_records_of_their_own(read: Read, roundtrip: Roundtrip) -> None:
    name = "<Namen><MaatschappelijkeNamen><MaatschappelijkeNaam><Naam>Bakkerij</Naam></MaatschappelijkeNaam></MaatschappelijkeNamen></Namen>"
    sites = "".join(
        f"""<Vestiging DatumBegin="2010-01-01"><Vestigingsnummer>{number}</Vestigingsnummer>
        <StatusKBO><Code>AC</Code></StatusKBO><Adressen><Adres><Straat><Naam>Nevelhertenpad</Naam></Straat>
        <Land><ISOCode>BEL</ISOCode></Land></Adres></Adressen></Vestiging>"""
        for number in (SITE, OTHER_SITE)
    )
    content = f"<Onderneming><Ondernemingsnummer>{KBO}</Ondernemingsnummer>{name}<Vestigingen>{sites}</Vestigingen></Onderneming>"
    enterprise, *found = await read("GeefOnderneming", answer(content))
    assert enterprise.product == "organisatie.v1"
    values = [roundtrip(item) for item in found]
    assert [value["vestigingsnummer"] for value in values] == [SITE, OTHER_SITE]
    for value in values:
        assert value["onderneming"] == {"kbonummer": KBO}
        assert (value["contact"]["adres"]["straatnaam"], value["contact"]["adres"]["land"]["iso"]) == (
            "Nevelhertenpad",
            "BEL",
        )


def refused(number: str, origin: str = "MAGDA", kind: str = "FOUT") -> str:
    return f"""<Uitzonderingen><Uitzondering><Identificatie>{number}</Identificatie><Oorsprong>{origin}</Oorsprong>
      <Type>{kind}</Type><Diagnose>over {ANN}</Diagnose></Uitzondering></Uitzonderingen>"""


@pytest.mark.parametrize(
    ("number", "origin", "reason"),
    [
        ("30001", "RR", "NO_DATA"),
        ("40000", "LED", "NO_DATA"),
        ("40000", "MAGDA", "QUESTION_INVALID"),
        ("15021", "MAGDA", "FILTERED"),
        ("30003", "KSZ", "SUBJECT_UNKNOWN"),
        ("40003", "MAGDA", "ACCESS_REFUSED"),
        ("20002", "MAGDA", "QUESTION_INVALID"),
        ("60009", "MAGDA", "SOURCE_FAILED"),
        ("99996", "MAGDA", "SOURCE_FAILED"),
        ("zeven", "MAGDA", "SOURCE_FAILED"),
    ],
)
async def test_a_refusal_is_told_by_its_class(read: Read, number: str, origin: str, reason: str) -> None:
    inside = f"<Antwoorden><Antwoord><Inhoud/>{refused(number, origin)}</Antwoord></Antwoorden>"
    for answers in (refused(number, origin), inside):
        for service in ("GeefBewijs", "GeefWerkrelaties"):
            [item] = await read(service, answers)
            assert (type(item), item.reason) == (Ignored, reason)


async def test_a_warning_beside_the_content_changes_nothing(read: Read) -> None:
    [item] = await read("GeefBewijs", answer(f"<Bewijzen>{PROOF}</Bewijzen>", refused("70001", "KSZ", "WAARSCHUWING")))
    assert isinstance(item, Change)
    [item] = await read("GeefWerkrelaties", answer("<Contracten/>", refused("70001", "KSZ", "WAARSCHUWING")))
    assert item.reason == "NO_TYPE_WORK"


@pytest.mark.parametrize(
    ("service", "reason"),
    [
        ("GeefAanslagbiljetPersonenbelasting", "NO_TYPE_INCOME"),
        ("GeefSociaalStatuut", "NO_TYPE_SOCIAL_STATUS"),
        ("GeefHistoriekInschrijving", "NO_TYPE_EDUCATION"),
        ("GeefDossierHandicap", "NO_TYPE_HANDICAP"),
        ("GeefHistoriekPersoon", "HISTORY"),
        ("ZoekPersoonOpNaam", "SEARCH_RESULT"),
        ("GeefPersoonMutatiesNotificaties", "NOTIFICATION"),
        ("RegistreerInschrijving", "CONFIRMATION"),
    ],
)
async def test_a_service_that_no_type_is_about_says_so(read: Read, service: str, reason: str) -> None:
    [item] = await read(service, answer("<Iets/>"))
    assert (type(item), item.reason) == (Ignored, reason)
