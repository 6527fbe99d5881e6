import os
from pathlib import Path

import httpx
import pytest

from adapters import bestuurseenheden
from adapters.sdk import Broken, Change, Ignored

UNIT = "http://data.lblod.example/id/bestuurseenheden/1"
KBO, OVO, SITE = "1999999943", "OVO000001", "2999999964"
PREFIXES = """@prefix b: <http://data.vlaanderen.be/ns/besluit#> . @prefix dct: <http://purl.org/dc/terms/> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix ext: <http://mu.semte.ch/vocabularies/ext/> .
@prefix org: <http://www.w3.org/ns/org#> . @prefix prov: <http://www.w3.org/ns/prov#> .
"""


def unit(more: str = "", iri: str = UNIT, label: str = 'skos:prefLabel "Gent" ;') -> str:
    return f"<{iri}> a b:Bestuurseenheid ; {label} {more} .\n"


@pytest.fixture
def read(drain, tmp_path: Path):  # noqa: ANN201 - a closure over the folder
    async def of(*units: str) -> list:
        (tmp_path / "a.ttl").write_text(PREFIXES + "".join(units))
        return [item for item, _ in await drain(bestuurseenheden.build(str(tmp_path)))]

    return of


async def test_a_unit_becomes_an_organisation(read, roundtrip) -> None:
    more = f"""skos:altLabel "Stad Gent" , "Gand" ; ext:kbonummer "{KBO[:4]}.{KBO[4:7]}.{KBO[7:]}" ;
      dct:identifier "{KBO}" , "{OVO}" ; b:classificatie <http://x.example/gemeente> ; b:werkingsgebied <http://x.example/gent> ;
      ext:inProvincie <http://x.example/ov> ; org:hasSubOrganization <http://x.example/2> ; prov:wasDerivedFrom <http://x.example/0>"""
    [item] = await read(unit(more))
    value = roundtrip(item)
    assert item.source_id == value["iri"] == UNIT
    assert (value["identificator"], value["kbonummer"], value["ovocode"]) == (KBO, KBO, OVO)
    assert (value["kind"], value["naam"]) == ("snapshot", "Gent")
    assert [(name["soort"], name["naam"]) for name in value["namen"]] == [
        ("voorkeur", "Gent"),
        ("alternatief", "Gand"),
        ("alternatief", "Stad Gent"),
    ]
    assert value["classificatie"] == "http://x.example/gemeente"
    assert (value["suborganisaties"], value["afgeleidVan"]) == (["http://x.example/2"], ["http://x.example/0"])


@pytest.mark.parametrize(
    ("more", "subject"),
    [
        (f'ext:kbonummer "{KBO}" ; dct:identifier "{OVO}"', KBO),
        (f'dct:identifier "{OVO}" , "iets anders"', OVO),
        ("", UNIT),
        (f'ext:kbonummer "{SITE}"', UNIT),
    ],
)
async def test_the_subject_is_the_best_known_identifier(read, more, subject) -> None:
    [item] = await read(unit(more))
    assert item.value["identificator"] == subject
    assert item.value["vestigingsnummer"] == (SITE if SITE in more else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (unit('ext:kbonummer "0123456789"'), (Broken, "KBO_INVALID", "kbonummer")),
        (unit('skos:note "x"', label=""), (Broken, "FIELD_MISSING", "naam")),
        ("<a", (Broken, "RDF_MALFORMED", "")),
        ("", (Ignored, "EMPTY_DOCUMENT", "")),
        ('<http://x.example/1> skos:prefLabel "x" .', (Ignored, "NOT_A_UNIT", "")),
    ],
)
async def test_what_is_not_published_says_why(read, text, expected) -> None:
    [item] = await read(text)
    assert (type(item), item.reason, getattr(item, "path", "")) == expected


async def test_one_broken_unit_does_not_hold_back_the_others(read) -> None:
    found = await read(unit(iri=f"{UNIT}2"), unit('skos:note "x"', label="", iri=f"{UNIT}1"), unit(iri=f"{UNIT}3"))
    assert [(type(item), item.source_id) for item in found] == [
        (Broken, f"{UNIT}1"),
        (Change, f"{UNIT}2"),
        (Change, f"{UNIT}3"),
    ]


async def test_a_file_states_its_units_when_it_was_written(read, drain, tmp_path) -> None:
    await read(unit())
    os.utime(tmp_path / "a.ttl", (1_767_225_600.9, 1_767_225_600.9))
    [(item, _)] = await drain(bestuurseenheden.build(str(tmp_path)))
    assert item.value["recordedAt"] == "2026-01-01T00:00:00Z"


async def test_a_document_on_the_web_is_a_source_too(drain, web) -> None:
    answers, _ = web
    url = "https://lblod.example/eenheden.ttl"
    answers[url] = httpx.Response(
        200,
        text=PREFIXES + unit(),
        headers={"content-type": "text/turtle", "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT"},
    )
    [(item, cursor)] = await drain(bestuurseenheden.build(url))
    assert (item.value["recordedAt"], cursor) == ("2026-01-01T00:00:00Z", "")


async def test_all_real_units_are_read_and_fit_their_schema(drain, shared_data, roundtrip) -> None:
    found = [item for item, _ in await drain(bestuurseenheden.build(str(shared_data / "lblod_bestuurseenheden")))]
    assert {type(item) for item in found} == {Change}
    assert len({roundtrip(item)["identificator"] for item in found}) == len(found) == 644
