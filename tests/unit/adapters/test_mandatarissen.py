from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import mandatarissen
from adapters.sdk import Broken, Change, Ignored

ID = "http://data.example/id/mandatarissen/1"
PREFIXES = """
@prefix mandaat: <http://data.vlaanderen.be/ns/mandaat#> .
@prefix org: <http://www.w3.org/ns/org#> .
@prefix foaf: <http://xmlns.com/foaf/0.1/> .
@prefix xsd: <http://www.w3.org/2001/XMLSchema#> .
@prefix status: <http://data.vlaanderen.be/id/concept/MandatarisStatusCode/> .
@prefix : <http://data.example/id/> .
"""


async def only(drain: Callable[..., Any], folder: Path, text: str) -> Any:
    (folder / "a.ttl").write_text(PREFIXES + text)
    [(item, cursor)] = await drain(mandatarissen.build(str(folder)))
    assert cursor == ""
    return item


async def test_a_holder_of_a_mandate(
    drain: Callable[..., Any], tmp_path: Path, roundtrip: Callable[[Change], dict[str, Any]]
) -> None:
    item = await only(
        drain,
        tmp_path,
        f"""<{ID}> a mandaat:Mandataris ; mandaat:isBestuurlijkeAliasVan :ann ; org:holds :schepen ;
            mandaat:start "2019-08-08"^^xsd:date ; mandaat:einde "2022-03-31"^^xsd:date ; mandaat:rangorde "Eerste schepen" ;
            mandaat:status status:e1ca6edd-55e1-4288-92a5-53f4cf71946a ; mandaat:beleidsdomein :jeugd, :cultuur ;
            org:hasMembership :fractielid .
            :ann foaf:familyName "Maanbeemden" . :schepen org:role :functie . :college org:hasPost :schepen .""",
    )
    value = roundtrip(item)
    assert (item.source_id, value["identificator"], value["kind"]) == (ID, ID, "snapshot")
    assert value["persoon"]["iri"] == "http://data.example/id/ann"
    assert (value["persoon"]["achternaam"], value["persoon"]["gebruikteVoornaam"]) == ("Maanbeemden", None)
    assert value["mandaat"] == {
        "iri": "http://data.example/id/schepen",
        "functie": "http://data.example/id/functie",
        "orgaan": "http://data.example/id/college",
    }
    assert (value["start"], value["einde"], value["status"]) == ("2019-08-08", "2022-03-31", "waarnemend")
    assert value["beleidsdomeinen"] == ["http://data.example/id/cultuur", "http://data.example/id/jeugd"]
    assert (value["rangorde"], value["lidmaatschap"]) == ("Eerste schepen", "http://data.example/id/fractielid")


@pytest.mark.parametrize("end", ["0001-01-01", "0001-01-01T00:00:00Z"])
async def test_an_end_in_the_year_1_is_none(drain: Callable[..., Any], tmp_path: Path, end: str) -> None:
    item = await only(drain, tmp_path, f'<{ID}> a mandaat:Mandataris ; mandaat:einde "{end}" .')
    assert item.value["einde"] is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"<{ID}> a mandaat:Mandataris ; mandaat:status status:onbekend .", (Broken, "CONCEPT_UNKNOWN", "status")),
        (f"<{ID}> a mandaat:Mandataris ; org:holds [ org:role :functie ] .", (Broken, "FIELD_MISSING", "mandaat.iri")),
        (":ann foaf:familyName 'Maanbeemden' .", (Ignored, "NOT_A_HOLDER", "")),
        ("", (Ignored, "EMPTY_DOCUMENT", "")),
        ("<", (Broken, "RDF_MALFORMED", "")),
    ],
)
async def test_what_is_not_published_says_why(
    drain: Callable[..., Any], tmp_path: Path, text: str, expected: tuple[type, str, str]
) -> None:
    item = await only(drain, tmp_path, text)
    assert (type(item), item.reason, getattr(item, "path", "")) == expected
