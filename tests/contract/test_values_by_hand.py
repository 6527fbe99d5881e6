"""Values that a person looked up in the files of public sources, and what the adapters make of them.

The samples are no part of the repository: where they are absent, this says so and checks nothing. All persons in them
are personas of the source's own tests.
"""

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from adapters import bestuurseenheden, ipdc, ldes, magda, mandatarissen
from adapters.sdk import Adapter, Change

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason=f"{DATA} is absent: NO value was compared with its source")

BUILD: dict[str, Callable[[str], Adapter]] = {
    "magda": magda.build,
    "ipdc_lpdc": ipdc.build,
    "gipod_ldes": ldes.build,
    "lblod_bestuurseenheden": bestuurseenheden.build,
    "lblod_mandatarissen": mandatarissen.build,
}
PERSON = "magda/Persoon/GeefPersoon-02.02.0000"
HOUSEHOLD = "magda/Persoon/GeefGezinssamenstelling"
COMPANY = "magda/Onderneming/GeefOnderneming-02.00.0000"
SUPPORT = "magda/SocEcon/GeefStatusRechtOndersteuningen-02.00.0000/71690498890.xml"
CASE = "magda/Dossier/GeefDossiers-02.00.0000/31612199733.xml"
PROOF = "magda/LED/GeefBewijs-02.00.0000/67621546751.xml"
OWNED = "magda/Kadaster/ZoekEigendomstoestanden-02.00.0000/70662199318.xml"
MANDATES, HOLDER = "lblod_mandatarissen/mandatarissen_bilzen.ttl", "http://data.lblod.info/id/mandatarissen/"
UNITS = "lblod_bestuurseenheden/bestuurseenheden.ttl"
BERINGEN = "http://data.lblod.info/id/bestuurseenheden/004eac6350757ce2688115f284907f42f1ce6ca39ec6b8819e105eaaef005647"
SERVICE = "ipdc_lpdc/instance-data/instance-published.ttl"
ORDERED = "ipdc_lpdc/instance-data/instance-published-3.ttl"
HINDRANCES = "gipod_ldes/mobility-hindrances.members.ttl"
FIRST_HINDRANCE = "https://private-api.gipod.vlaanderen.be/api/v1/mobility-hindrances/10590330"

# File, product, which of its records (a subject, or None for the first), path, value as it should come out.
VALUES: list[tuple[str, str, str | None, str, Any]] = [
    (f"{PERSON}/98640966618.xml", "persoon.v1", None, "naam.achternaam", "Saidi"),
    (f"{PERSON}/98640966618.xml", "persoon.v1", None, "geslacht", "vrouwelijk"),
    (f"{PERSON}/98640966618.xml", "persoon.v1", None, "geboorte.aktenummer", "80985"),
    (f"{PERSON}/98640966618.xml", "persoon.v1", None, "verblijfplaats.busnummer", "001"),
    (f"{PERSON}/98640966618.xml", "persoon.v1", None, "verblijfplaats.begin", "2004-04-04"),
    (f"{PERSON}/73691536141.xml", "persoon.v1", None, "naam.voornamen.2", "Domitien"),
    (f"{PERSON}/73691536141.xml", "persoon.v1", None, "geboorte.plaats.naam", "Charleroi"),
    (f"{PERSON}/73691536141.xml", "persoon.v1", None, "verblijfplaats.straatnaam", "Rue du Vigneron"),
    (f"{HOUSEHOLD}-02.00.0000/57611399743.xml", "gezin.v1", None, "gezinsleden.0.voornamen.2", "Gabriel"),
    (f"{HOUSEHOLD}-02.00.0000/57611399743.xml", "gezin.v1", None, "gezinsleden.0.geboortedatum", "1957-01-13"),
    (f"{HOUSEHOLD}-02.02.0000/57611399743.xml", "gezin.v1", "62680599650", "gezinshoofd.insz", "57611399743"),
    (f"{HOUSEHOLD}-02.02.0000/57611399743.xml", "gezin.v1", "62680599650", "gezinsadres.gemeente.naam", "Den Haag"),
    (f"{COMPANY}/0200068636.xml", "organisatie.v1", None, "naam", "Farys"),
    (f"{COMPANY}/0200068636.xml", "organisatie.v1", None, "zetel.straatnaam", "Stropstraat"),
    (f"{COMPANY}/0200068636.xml", "organisatie.v1", None, "rechtsvorm.afkorting", "OPDRAVER"),
    (f"{COMPANY}/0200068636.xml", "organisatie.v1", None, "start", "1923-02-16"),
    (f"{COMPANY}/0496123722.xml", "vestiging.v1", "2378123759", "contact.adres.straatnaam", "Boterbekeweg"),
    (f"{COMPANY}/0496123722.xml", "vestiging.v1", "2378123759", "bestaansperiode.einde", "2022-11-30"),
    (SUPPORT, "steunmaatregel.v1", None, "maatregelen.0.maatregel.code", "LDE"),
    (SUPPORT, "steunmaatregel.v1", None, "maatregelen.0.periode.einde", "2015-12-31"),
    (CASE, "dossier.v1", None, "dossiers.0.status.code", "DOSSIER_ONVOLLEDIG"),
    (CASE, "dossier.v1", None, "dossiers.0.status.actieNodig", True),
    (CASE, "dossier.v1", None, "dossiers.0.producten.0", "685"),
    (PROOF, "diploma.v1", None, "bewijzen.0.naam", "Basis koken"),
    (PROOF, "diploma.v1", None, "bewijzen.0.uitreikingsdatum", "2015-06-16"),
    (PROOF, "diploma.v1", None, "bewijzen.0.gewijzigd", "2015-09-17T11:55:43.411"),
    (OWNED, "perceel.v1", None, "identificator", "https://data.vlaanderen.be/id/perceel/41056A1009-00Y000"),
    (OWNED, "perceel.v1", None, "oppervlakte", 231),
    (OWNED, "perceel.v1", None, "gemeente.naam", "Riemst"),
    (MANDATES, "mandataris.v1", f"{HOLDER}0dc90c54-a1f3-41b1-b7d1-567c2cbfe907", "einde", None),
    (MANDATES, "mandataris.v1", f"{HOLDER}b6548947-c944-42bd-9a33-e9ccb49fcd0e", "rangorde", "Zesde schepen"),
    (MANDATES, "mandataris.v1", f"{HOLDER}b6548947-c944-42bd-9a33-e9ccb49fcd0e", "status", "effectief"),
    (UNITS, "organisatie.v1", "0212239760", "ovocode", "OVO002667"),
    (UNITS, "organisatie.v1", "0212239760", "iri", BERINGEN),
    (SERVICE, "dienst.v1", None, "type", "InfrastructuurMateriaal"),
    (SERVICE, "dienst.v1", None, "einde", "2026-11-27T00:00:00Z"),
    (ORDERED, "dienst.v1", None, "kosten.1.naam", "Kost 3"),
    (HINDRANCES, "hinder.v1", FIRST_HINDRANCE, "omschrijving", "Verhuiswagen"),
    (HINDRANCES, "hinder.v1", FIRST_HINDRANCE, "perioden.0.einde", "2021-02-27T22:30:00+00:00"),
]  # fmt: skip
SUBJECTS = ("insz", "identificator", "vestigingsnummer")


@cache
def adapter_of(file: str) -> Adapter:
    return BUILD[file.partition("/")[0]](str(DATA / file))


async def changes(file: str, product: str) -> list[Mapping[str, Any]]:
    """Values of one product in one file."""
    items = [item async for item, _ in adapter_of(file).changes(None)]
    return [item.value for item in items if isinstance(item, Change) and item.product == product and item.value]


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


@pytest.mark.parametrize(("file", "product", "subject", "path", "expected"), VALUES)
async def test_a_value_is_what_its_source_says(
    file: str, product: str, subject: str | None, path: str, expected: Any
) -> None:
    found = await changes(file, product)
    if subject is not None:
        found = [value for value in found if subject in {value.get(name) for name in SUBJECTS}]
    assert at(found[0], path) == expected


def test_every_product_of_these_adapters_has_values_here() -> None:
    assert len(VALUES) >= 30
    assert {product for _, product, *_ in VALUES} == {
        product for build in BUILD.values() for product in build("http://127.0.0.1:9/").sources
    }
