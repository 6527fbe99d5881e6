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


def case(*subjects: tuple[str, str], more: str = "", number: str = "7") -> str:
    listed = "".join(
        f"<Subject><Rol>Raadpleger</Rol><Type>{kind}</Type><Sleutel>{key}</Sleutel></Subject>" for kind, key in subjects
    )
    return f"""<DossierMutatie><Identificatie><Bron>STL</Bron><Dossiernummer>{number}</Dossiernummer></Identificatie>{more}
      <Periode><Begin><Datum>2018-01-01</Datum><Tijd>09:00:00</Tijd></Begin></Periode>
      <Status><Code>Ingediend</Code><Fase>Samenstelling</Fase><Actie><ActieNodig>1</ActieNodig></Actie></Status>
      <Subjecten>{listed}</Subjecten></DossierMutatie>"""


def cases(*mutations: str) -> str:
    return answer(f"<Dossiers><Dossier><DossierMutaties>{''.join(mutations)}</DossierMutaties></Dossier></Dossiers>")


async def test_a_file_is_in_the_record_of_each_person_and_never_of_an_enterprise(
    read: Read, roundtrip: Roundtrip
) -> None:
    marks = "<Eigenschappen><Vertrouwelijk>0</Vertrouwelijk><Publiek>1</Publiek></Eigenschappen>"
    shared = case(("PERS", ANN), ("OND", KBO), ("PERS", BOB), more=marks)
    found = await read("GeefDossiers", cases(shared, case(("OND", KBO), number="8")))
    assert len({item.source_id for item in found}) == 2
    for item, own, other in zip(found, (ANN, BOB), (BOB, ANN), strict=True):
        value = roundtrip(item)
        assert (item.product, value["insz"]) == ("dossier.v1", own)
        [file] = value["dossiers"]
        assert file["rol"] == "Raadpleger"
        assert file["andereBetrokkenen"] == [{"insz": other, "rol": "Raadpleger"}]
        assert (file["vertrouwelijk"], file["publiek"], file["nietRaadpleegbaar"]) == (False, True, None)
        assert file["status"]["actieNodig"] is True
        assert file["periode"] == {"begin": "2018-01-01T09:00:00", "einde": None}
    [only] = await read("GeefDossiers", cases(case(("OND", KBO))))
    assert only == Ignored(only.source_id, "SUBJECT_NOT_A_PERSON")


async def test_a_person_has_each_file_once_in_its_latest_state(read: Read, roundtrip: Roundtrip) -> None:
    def state(number: str, code: str, moment: str, insz: str = ANN) -> str:
        stated = f"<Status><DatumModificatie>{moment}</DatumModificatie><Code>{code}</Code>"
        return case(("PERS", insz), number=number).replace("<Status><Code>Ingediend</Code>", stated)

    found = await read(
        "GeefDossiers",
        cases(
            state("7", "Beslist", "2018-03-01T09:00:00"),
            state("8", "Betaald", "2018-02-01T09:00:00"),
            state("7", "Ingediend", "2018-01-01T09:00:00"),
            state("9", "Ingediend", "2018-01-01T09:00:00"),
            state("9", "Ingetrokken", "2018-01-01T09:00:00", BOB),
        ),
    )
    ann, bob = [roundtrip(item) for item in found]
    assert ann["insz"] == ANN
    assert [(file["identificatie"]["dossiernummer"], file["status"]["code"]) for file in ann["dossiers"]] == [
        ("7", "Beslist"),
        ("8", "Betaald"),
    ]
    assert [file["status"]["code"] for file in bob["dossiers"]] == ["Ingetrokken"], "of one moment the later counts"


async def test_files_that_are_not_wholly_named_are_not_taken_for_one(read: Read) -> None:
    nameless = case(("PERS", ANN)).replace("<Bron>STL</Bron>", "")
    broken, good = await read("GeefDossiers", cases(case(("PERS", ANN)), nameless, case(("PERS", BOB), number="8")))
    assert broken == Broken(broken.source_id, "FIELD_MISSING", "dossiers.identificatie.bron", "dossier.v1")
    assert good.value["insz"] == BOB


PROOF = f"""<Bewijs><BewijsrefertesLed><Bewijsreferte>r-1</Bewijsreferte></BewijsrefertesLed>
  <BewijsstatusLed><Code>1</Code><DatumModificatie><Datum>19.01.2012</Datum><Tijd>05:23:24</Tijd></DatumModificatie></BewijsstatusLed>
  <PersoonUitgereikt><INSZ>{ANN}</INSZ></PersoonUitgereikt><Basis><VolledigeNaam>Licentiaat Sociologie</VolledigeNaam>
  <Bewijstype><Naam>Diploma</Naam></Bewijstype><Onderwerp><Naam>Sociologie</Naam></Onderwerp>
  <Uitreikingsdatum><Jaar>2001</Jaar><Maand>6</Maand></Uitreikingsdatum>
  <UrenVolwassenenonderwijs>40</UrenVolwassenenonderwijs></Basis>
  <Afgeleid><ISCEDNiveau><Code>5A</Code></ISCEDNiveau></Afgeleid></Bewijs>"""


async def test_a_person_has_all_proofs_of_learning_in_one_record(read: Read, roundtrip: Roundtrip) -> None:
    second, of_bob = PROOF.replace(">r-1<", ">r-2<"), PROOF.replace(ANN, BOB)
    found = await read("GeefBewijs", answer(f"<Bewijzen>{PROOF}{of_bob}{second}</Bewijzen>"))
    assert len({item.source_id for item in found}) == 2
    ann, bob = [roundtrip(item) for item in found]
    assert (ann["insz"], [proof["referte"] for proof in ann["bewijzen"]]) == (ANN, ["r-1", "r-2"])
    assert (bob["insz"], [proof["referte"] for proof in bob["bewijzen"]]) == (BOB, ["r-1"])
    first = ann["bewijzen"][0]
    assert first["naam"] == "Licentiaat Sociologie"
    assert first["uitreikingsdatum"] == "2001-06-00"
    assert first["gewijzigd"] == "2012-01-19T05:23:24"
    assert first["urenVolwassenenonderwijs"] == 40
    assert first["onderwerp"] == {"code": None, "naam": "Sociologie"}
    assert first["iscedNiveau"] == {"code": "5A", "naam": None}


async def test_a_record_that_would_lack_something_is_not_published_and_takes_no_other_with_it(read: Read) -> None:
    wrong, of_bob = PROOF.replace(">40<", ">veertig<"), PROOF.replace(ANN, BOB)
    broken, good = await read("GeefBewijs", answer(f"<Bewijzen>{PROOF}{of_bob}{wrong}</Bewijzen>"))
    assert broken == Broken(broken.source_id, "NUMBER_INVALID", "bewijzen.urenVolwassenenonderwijs", "diploma.v1")
    assert good.value["insz"] == BOB


@pytest.mark.parametrize(("number", "reason"), [("", "FIELD_MISSING"), ("90722501083", "INSZ_INVALID")])
async def test_what_could_be_anyones_keeps_the_whole_answer_back(read: Read, number: str, reason: str) -> None:
    whose = PROOF.replace(ANN, number)
    [broken] = await read("GeefBewijs", answer(f"<Bewijzen>{PROOF}{whose}</Bewijzen>"))
    assert broken == Broken(broken.source_id, reason, "insz", "diploma.v1")


@pytest.mark.parametrize(
    ("product", "array"), [("diploma.v1", "bewijzen"), ("dossier.v1", "dossiers"), ("steunmaatregel.v1", "maatregelen")]
)
def test_a_person_who_has_none_left_is_a_record(product: str, array: str, roundtrip: Roundtrip) -> None:
    head = {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": "2026-07-01T08:21:40Z",
        "corrects": None,
    }
    value = {**head, "insz": ANN, array: []}
    assert roundtrip(Change("a", product, value)) == value


async def test_a_person_has_all_rights_to_measures_in_one_record(read: Read, roundtrip: Roundtrip) -> None:
    right = f"""<StatusRechtOndersteuning><INSZ>{ANN}</INSZ>
      <Maatregel><Code>VOP</Code></Maatregel><Status><Code>TG</Code><Omschrijving>Toegekend</Omschrijving></Status>
      <Periode><Begin>2014-01-01</Begin></Periode></StatusRechtOndersteuning>"""
    both = f"<StatusRechtOndersteuningen>{right}{right.replace('VOP', 'LDE')}</StatusRechtOndersteuningen>"
    [item] = await read("GeefStatusRechtOndersteuningen", answer(both))
    value = roundtrip(item)
    assert (item.product, value["insz"]) == ("steunmaatregel.v1", ANN)
    assert [each["maatregel"]["code"] for each in value["maatregelen"]] == ["VOP", "LDE"]
    assert value["maatregelen"][0]["status"] == {"code": "TG", "omschrijving": "Toegekend"}
    assert value["maatregelen"][0]["periode"] == {"begin": "2014-01-01", "einde": None}


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


async def test_of_a_parcel_in_several_states_the_last_one_counts(read: Read) -> None:
    ended = parcel("<Letterexponent>F</Letterexponent>")
    lasting = ended.replace("<JaarEinde>2015</JaarEinde>", "<JaarBegin>2015</JaarBegin>")
    for states in ((ended, lasting), (lasting, ended)):
        content = f"<Eigendom><Eigendomstoestanden>{''.join(states)}</Eigendomstoestanden></Eigendom>"
        found = await read("ZoekEigendomstoestanden", answer(content))
        assert [item.value["status"] for item in found if isinstance(item, Change)] == ["gerealiseerd"]
        assert [item.reason for item in found if isinstance(item, Ignored)] == ["VERSION_SUPERSEDED"]


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
