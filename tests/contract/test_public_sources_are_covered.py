"""Whatever the collected samples of public sources hold is in a type, or is known to be left out: nothing by oversight.

The samples are no part of the repository: where they are absent, this says so and checks nothing.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import pytest
from defusedxml import ElementTree

from adapters.rdf import graph_of, in_our_terms
from adapters.sources import Document
from broker.policy.yamltext import load
from broker.schema.oslo import OnUnknown, vocabulary
from tests.unit.schema.published_types import ROOT, TYPES

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"{DATA} is absent: NO public source was compared with the types"
)
TERMS = vocabulary(load((ROOT / "schemas" / "aliases.yaml").read_text()), TYPES.values())
MU, EXT = "http://mu.semte.ch/vocabularies/core/", "http://mu.semte.ch/vocabularies/ext/"
IPDC = "https://productencatalogus.data.vlaanderen.be/ns/ipdc-lpdc#"


@pytest.mark.parametrize(
    ("files", "left_out"),
    [
        # Bookkeeping of the application.
        ("lblod_mandatarissen/*.ttl", {f"{MU}uuid", f"{EXT}generatedFrom", "http://purl.org/dc/terms/PeriodOfTime"}),
        # A concept beside the instances, and what it is listed in.
        ("ipdc_lpdc/instance-data/*.ttl", {f"{IPDC}ConceptualPublicServiceSnapshot", "http://publications.europa.eu/resource/authority/language"}),
    ],
)  # fmt: skip
def test_every_property_of_a_linked_source_is_a_term_of_ours(files: str, left_out: set[str]) -> None:
    unknown: set[str] = set()
    read = 0
    for path in DATA.glob(files):
        graph = graph_of(Document(path.name, "text/turtle", path.read_bytes(), datetime.now(UTC)))
        read += len(graph)
        unknown |= {found.iri for found in in_our_terms(graph, TERMS, OnUnknown.WARN)[1]}
    assert read > 100
    assert unknown == left_out


# Path below the repeated element of an answer of MAGDA: the leaf that it becomes, or None where it is left out.
Wire = Mapping[str, str | None]
CODE_AND_NAME = ("Code", "Naam")
STEUN: Wire = {
    "INSZ": "insz", "DatumBeslissing": "datumBeslissing", "Periode/Begin": "periode.begin", "Periode/Einde": "periode.einde",
    "Maatregel/Code": "maatregel.code", "Maatregel/Omschrijving": "maatregel.omschrijving",
    "Status/Code": "status.code", "Status/Omschrijving": "status.omschrijving",
}  # fmt: skip
DOSSIER: Wire = {
    "Identificatie/Bron": "identificatie.bron", "Identificatie/Dossiernummer": "identificatie.dossiernummer", "Naam": "naam",
    "DatumModificatie": "gewijzigd", "Type": "soort", "Producten/Product": "producten", "Doorverwijzing": "doorverwijzing",
    "Subjecten/Subject/Rol": "rol", "Subjecten/Subject/Sleutel": "insz", "Subjecten/Subject/Type": None,  # persons only
    "Eigenschappen/Vertrouwelijk": "vertrouwelijk", "Eigenschappen/Publiek": "publiek",
    "Eigenschappen/IsNietRaadpleegbaar": "nietRaadpleegbaar",
    "Periode/Begin/Datum": "periode.begin", "Periode/Begin/Tijd": "periode.begin",
    "Status/Code": "status.code", "Status/Fase": "status.fase", "Status/DatumModificatie": "status.gewijzigd",
    "Status/Details/Detail": "status.details", "Status/Actie/ActieNodig": "status.actieNodig",
    "Status/Actie/Omschrijving": "status.actie",
    "Beheerder/Contact/Naam": "beheerder.naam", "Beheerder/Contact/Dienst/Omschrijving": "beheerder.dienst",
    "Beheerder/Contact/Email": "beheerder.email", "Beheerder/Contact/Telefoon": "beheerder.telefoon",
    "Beheerder/Contact/Website": "beheerder.website",
    # The office of a public body is in organisatie.v1.
    **{f"Beheerder/Adres/{name}": None for name in ("Gemeente/NISCode", "Gemeente/Naam", "Gemeente/Postcode", "Huisnummer", "Straat/Naam")},
}  # fmt: skip
DIPLOMA: Wire = {
    "PersoonUitgereikt/INSZ": "insz", "BewijsrefertesLed/Bewijsreferte": "referte", "Leverancier/Naam": "leverancier",
    "BewijsstatusLed/Code": "status", "BewijsstatusLed/DatumModificatie/Datum": "gewijzigd",
    "BewijsstatusLed/DatumModificatie/Tijd": "gewijzigd",
    "Basis/VolledigeNaam": "naam", "Basis/Bewijstype/Naam": "bewijstype", "Basis/Bewijsstaat/Naam": "bewijsstaat",
    "Basis/Categorie/Naam": "categorie", "Basis/Graad/Naam": "graad", "Basis/Onderwijsvorm/Naam": "onderwijsvorm",
    "Basis/Schooltype/Naam": "schooltype", "Basis/Instantie/Naam": "instantie", "Basis/Instelling/Naam": "instelling.naam",
    "Basis/Instelling/Nummer": "instelling.nummer", "Basis/Land/Code": "land", "Basis/Taal/Code": "taal",
    "Basis/Authenticiteit/Naam": "authenticiteit", "Basis/UrenVolwassenenonderwijs": "urenVolwassenenonderwijs",
    **{f"Basis/Uitreikingsdatum/{part}": "uitreikingsdatum" for part in ("Jaar", "Maand", "Dag")},
    **{f"Basis/{one}/{part}": f"{one.lower()}.{part.lower()}" for one in ("Onderwerp", "Studierichting", "Specialisatie") for part in CODE_AND_NAME},
    **{
        f"Afgeleid/{wire}/{part}": f"{ours}.{part.lower()}"
        for wire, ours in {
            "ISCEDNiveau": "iscedNiveau", "ISCEDStudiegebied": "iscedStudiegebied",
            "VKSNiveauBeroepskwalificatie": "vksNiveauBeroepskwalificatie",
            "VKSNiveauOnderwijskwalificatie": "vksNiveauOnderwijskwalificatie",
        }.items()
        for part in CODE_AND_NAME
    },
    # References of the supplier, and free text that repeats the name.
    "BewijsrefertesLed/Bewijsmutatiereferte": None, "Leverancier/Bewijsreferte": None, "Basis/DetailOnderwerp/Naam": None,
    "Basis/BijkomendeInformaties/BijkomendeInformatie/Naam": None,
    "Basis/BijkomendeInformaties/BijkomendeInformatie/Inhoud": None,
}  # fmt: skip
ADRES = "contact.adres"
VESTIGING: Wire = {
    "Vestigingsnummer": "vestigingsnummer", "@DatumBegin": "bestaansperiode.begin", "@DatumEinde": "bestaansperiode.einde",
    "StatusKBO/Code": "status.code", "StatusKBO/Omschrijving": "status.omschrijving",
    "Adressen/Adres/Straat/Naam": f"{ADRES}.straatnaam", "Adressen/Adres/Huisnummer": f"{ADRES}.huisnummer",
    "Adressen/Adres/Busnummer": f"{ADRES}.busnummer", "Adressen/Adres/Gemeente/PostCode": f"{ADRES}.postcode",
    "Adressen/Adres/Gemeente/NISCode": f"{ADRES}.gemeente.nis", "Adressen/Adres/Gemeente/Naam": f"{ADRES}.gemeente.naam",
    "Adressen/Adres/Land/NISCode": f"{ADRES}.land.nis", "Adressen/Adres/Land/ISOCode": f"{ADRES}.land.iso",
    "Adressen/Adres/Land/Naam": f"{ADRES}.land.naam", "Adressen/Adres@DatumBegin": f"{ADRES}.begin",
    # Addresses that hold no more; street codes of the KBO, regions, kinds of address; the address again, as it was written.
    "Adressen/Adres@DatumEinde": None, "Adressen/Adres/Straat/Code": None, "Adressen/Adres/Staat": None,
    "Adressen/Adres/Type/": None, "Adressen/Adres/Doorhalingen/": None, "Adressen/Adres/Descripties/": None,
}  # fmt: skip
LID, HIER, WOON = "gezinsleden", "Persoon/Adressen/Hoofdverblijfplaats", "gezinsadres"
ONLY_OF_THE_PERSON = (
    "Beheerder/", "Beheerder@", "BurgerlijkeStaten/", "Nationaliteiten/", "Geboorte/Plaats/",
    "Adressen/VerblijfplaatsBuitenland/", "Adressen/VerblijfplaatsBuitenland@",
)  # fmt: skip
GEZIN: Wire = {
    "Persoon/INSZ": f"{LID}.insz", "Persoon/Naam/Achternamen/Achternaam": f"{LID}.achternaam",
    "Persoon/Naam/Voornamen/Voornaam": f"{LID}.voornamen", "Persoon/Geslacht/Code": f"{LID}.geslacht",
    "Persoon/Geboorte/Datum": f"{LID}.geboortedatum", "Positie/Code": f"{LID}.positie",
    "Positie/Omschrijving": f"{LID}.positieOmschrijving", "@DatumCreatie": f"{LID}.begin", "Bron/Code": f"{LID}.bron",
    f"{HIER}/Straat/Naam": f"{WOON}.straatnaam", f"{HIER}/Huisnummer": f"{WOON}.huisnummer",
    f"{HIER}/Gemeente/PostCode": f"{WOON}.postcode", f"{HIER}/Gemeente/NISCode": f"{WOON}.gemeente.nis",
    f"{HIER}/Gemeente/Naam": f"{WOON}.gemeente.naam", f"{HIER}/Land/NISCode": f"{WOON}.land.nis",
    f"{HIER}/Land/ISOCode": f"{WOON}.land.iso", f"{HIER}/Land/Naam": f"{WOON}.land.naam", f"{HIER}@DatumBegin": f"{WOON}.begin",
    f"{HIER}/Straat/Code": None, "Persoon/Naam@DatumBegin": None, "Bron/Code@Beschrijving": None,
    "Persoon/Geslacht/Code@Beschrijving": None, "Positie/Omschrijving@": None,
    # Each member's own record, persoon.v1, has these.
    **{f"Persoon/{name}": None for name in ONLY_OF_THE_PERSON},
}  # fmt: skip
ONE_OF_SEVERAL = {"steunmaatregel.v1": "maatregelen", "dossier.v1": "dossiers", "diploma.v1": "bewijzen"}
"""Type → the array of a person's record whose items the repeated element becomes; only the person is outside it."""
SOURCES = [
    ("steunmaatregel.v1", "SocEcon/GeefStatusRechtOndersteuningen*", "StatusRechtOndersteuning", STEUN),
    ("dossier.v1", "Dossier/GeefDossiers*", "DossierMutatie", DOSSIER),
    ("diploma.v1", "LED/GeefBewijs*", "Bewijs", DIPLOMA),
    ("vestiging.v1", "Onderneming/GeefOnderneming-*", "Vestiging", VESTIGING),
    ("gezin.v1", "Persoon/GeefGezinssamenstelling-02.00*", "Gezinslid", GEZIN),
]


def local(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]


def leaves(element: Element, path: str = "") -> Iterator[str]:
    """Paths of the texts and attributes below an element."""
    yield from (f"{path}@{name}" for name in element.attrib)
    if not len(element) and (element.text or "").strip():
        yield path
    for child in element:
        yield from leaves(child, f"{path}/{local(child)}".lstrip("/"))


@pytest.mark.parametrize(("product", "folder", "repeated", "wire"), SOURCES, ids=[source[0] for source in SOURCES])
def test_every_element_of_an_answer_is_in_the_type_or_left_out_on_purpose(
    product: str, folder: str, repeated: str, wire: Wire
) -> None:
    found: set[str] = set()
    for path in (DATA / "magda").glob(f"{folder}/*.xml"):
        try:
            document = ElementTree.fromstring(path.read_bytes())
        except ParseError:
            continue  # templates and deliberate negatives
        found |= {leaf for element in document.iter() if local(element) == repeated for leaf in leaves(element)}
    whole = tuple(name for name in wire if name.endswith(("/", "@")))
    assert found
    assert {leaf for leaf in found if leaf not in wire and not leaf.startswith(whole)} == set()
    assert {name for name in wire if not any(leaf == name or leaf.startswith(name) for leaf in found)} == set()
    array = ONE_OF_SEVERAL.get(product)
    ours = {
        ours if array is None or ours == "insz" else f"{array}.{ours}" for ours in wire.values() if ours is not None
    }
    assert ours <= set(TYPES[product].fields)
