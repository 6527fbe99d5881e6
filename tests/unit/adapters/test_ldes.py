import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters import ldes
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Retriable
from tests.unit.adapters.conftest import values

PREFIXES = """@prefix m: <https://data.vlaanderen.be/ns/mobiliteit#> . @prefix prov: <http://www.w3.org/ns/prov#> .
@prefix dct: <http://purl.org/dc/terms/> . @prefix adms: <http://www.w3.org/ns/adms#> .
@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix tree: <https://w3id.org/tree#> .
@prefix gipod: <https://gipod.vlaanderen.be/ns/gipod#> . @prefix locn: <http://www.w3.org/ns/locn#> .
@prefix geo: <http://www.opengis.net/ont/geosparql#> . @prefix m8g: <http://data.europa.eu/m8g/> .
"""
BASE = "https://gipod.example/id"


def member(number: int, version: str = "1", at: str = "2026-01-01T10:00:00.123+01:00", more: str = "") -> str:
    return f"""<{BASE}/{number}/{version}> a m:Mobiliteitshinder ; dct:isVersionOf <{BASE}/{number}> ;
      prov:generatedAtTime "{at}" {more} .\n"""


def write(folder: Path, **pages: str) -> Path:
    for name, text in pages.items():
        (folder / f"{name}.ttl").write_text(PREFIXES + text)
    return folder


async def read(drain, folder: Path) -> list[Any]:
    return [item for item, _ in await drain(ldes.build(str(folder)))]


async def test_a_member_becomes_a_hindrance(drain, tmp_path, roundtrip) -> None:
    more = f"""; adms:versionNotes "MobilityHindranceWasRegistered" ; dct:description "Werken in de Nevelhertendreef" ;
      gipod:gipodId "17" ; <{"https://data.vlaanderen.be/ns/mobiliteit#Inname.status"}> <{BASE}/status/vergund> ;
      m:beheerder [ dct:isVersionOf <{BASE}/organisatie/1> ; skos:prefLabel "Stad Gent" ] ;
      m:periode [ m8g:startTime "2026-03-01" ; m8g:endTime "2026-03-02" ] , [ m8g:startTime "2026-02-01" ] ;
      m:zone <{BASE}/zone/1>"""
    zone = f"""<{BASE}/zone/1> <https://data.vlaanderen.be/ns/mobiliteit#Zone.type> <{BASE}/type/hinder> ;
      locn:geometry [ geo:asWKT "POINT (1 2)" ] ; m:gevolg <{BASE}/gevolg/1> .
      <{BASE}/gevolg/1> skos:prefLabel "Geen doorgang" . <{BASE}/status/vergund> skos:prefLabel "Vergund" .
      <{BASE}/werk/1> a m:Werk ; <https://data.vlaanderen.be/ns/mobiliteit#Inname.heeftGevolg> <{BASE}/1/1> ."""
    [item] = await read(drain, write(tmp_path, a=member(1, more=more) + zone))
    value = roundtrip(item)
    assert (item.source_id, value["identificator"], value["versie"]) == (f"{BASE}/1/1", f"{BASE}/1", f"{BASE}/1/1")
    assert (value["kind"], value["gebeurtenis"]) == ("added", "MobilityHindranceWasRegistered")
    assert value["recordedAt"] == "2026-01-01T09:00:00Z", "UTC, whole seconds"
    assert value["status"] == {"iri": f"{BASE}/status/vergund", "omschrijving": "Vergund"}
    assert value["beheerder"] == {"iri": f"{BASE}/organisatie/1", "naam": "Stad Gent"}
    assert [period["begin"] for period in value["perioden"]] == ["2026-02-01", "2026-03-01"]
    assert value["zones"] == [
        {
            "iri": f"{BASE}/zone/1",
            "type": f"{BASE}/type/hinder",
            "geometrie": "POINT (1 2)",
            "gevolgen": [{"iri": f"{BASE}/gevolg/1", "omschrijving": "Geen doorgang"}],
        }
    ]
    assert value["oorzaken"][0]["iri"] == f"{BASE}/werk/1"
    assert value["locatie"] is None, "there is no address in the stream, and none is made up"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ("MobilityHindranceWasImportedFromLegacy", "snapshot"),
        ("MobilityHindranceWasRemoved", "cancelled"),
        ("MobilityHindranceZoneWasChanged", "changed"),
        (None, "snapshot"),
    ],
)
async def test_the_kind_follows_the_event(drain, tmp_path, event, kind) -> None:
    more = f'; adms:versionNotes "{event}"' if event else ""
    [item] = await read(drain, write(tmp_path, a=member(1, more=more)))
    assert item.value["kind"] == kind


async def test_members_come_in_the_order_in_which_they_were_generated(drain, tmp_path) -> None:
    folder = write(
        tmp_path,
        a=member(1, "10", "2026-01-03T00:00:00Z") + member(1, "9", "2026-01-03T00:00:00Z"),
        b=member(2, "1", "2026-01-02T23:00:00-02:00") + member(3, "1", "2026-01-02T00:00:00Z"),
    )
    found = [value["versie"] for value in values(await drain(ldes.build(str(folder))))]
    assert [version.removeprefix(BASE) for version in found] == ["/3/1", "/1/9", "/1/10", "/2/1"]


async def test_where_pages_repeat_a_member_the_first_reading_stands(drain, tmp_path) -> None:
    described = [member(1, more=f'; dct:description "{text}"') for text in "ab"]
    found = await read(drain, write(tmp_path, a=described[0], b=described[1]))
    assert [item.value["omschrijving"] for item in found] == ["a", "a"]
    assert len({item.source_id for item in found}) == 1


LDS = "https://context.example/gipod.jsonld"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        (
            "a.ttl",
            f"<{BASE}/1/1> a <{ldes._MOBILITY.Mobiliteitshinder}> .",
            (Broken, "MEMBER_INCOMPLETE", "identificator"),
        ),
        (
            "a.ttl",
            f"<{BASE}/1/1> a <{ldes._MOBILITY.Mobiliteitshinder}> ; <http://purl.org/dc/terms/isVersionOf> <{BASE}/1> .",
            (Broken, "MEMBER_INCOMPLETE", "recordedAt"),
        ),
        ("a.ttl", PREFIXES + member(1, at="gisteren"), (Broken, "TIME_INVALID", "recordedAt")),
        ("a.ttl", "<a", (Broken, "RDF_MALFORMED", "")),
        ("a.jsonld", "{", (Broken, "RDF_MALFORMED", "")),
        ("a.jsonld", json.dumps({"@context": LDS, "@id": f"{BASE}/1"}), (Broken, "CONTEXT_UNKNOWN", "")),
        ("a.jsonld", json.dumps({"@context": {"@import": LDS}}), (Broken, "CONTEXT_UNKNOWN", "")),
        ("a.ttl", "", (Ignored, "EMPTY_DOCUMENT", "")),
        ("a.ttl", f"<{BASE}/1> a <{BASE}/Iets> .", (Ignored, "NOT_A_MEMBER", "")),
    ],
)
async def test_what_is_not_published_says_why(drain, tmp_path, name, text, expected) -> None:
    (tmp_path / name).write_text(text)
    [item] = await read(drain, tmp_path)
    assert (type(item), item.reason, getattr(item, "path", "")) == expected


async def test_a_context_comes_from_the_package_and_never_from_the_network(drain, tmp_path, web) -> None:
    context = {"hinder": str(ldes._MOBILITY.Mobiliteitshinder)}
    (tmp_path / "a.jsonld").write_text(json.dumps({"@context": LDS, "@id": f"{BASE}/1/1", "@type": "hinder"}))
    adapter = ldes.LdesAdapter(str(tmp_path), contexts={LDS: context})
    [(item, _)] = await drain(adapter)
    assert item.reason == "MEMBER_INCOMPLETE", "it was recognised as a member"
    assert web[1] == []


def page(url: str, text: str, following: str | None = None) -> httpx.Response:
    link = f"<{url}> tree:relation [ tree:node <{following}> ] ." if following else ""
    return httpx.Response(200, text=PREFIXES + text + link, headers={"content-type": "text/turtle"})


async def test_a_feed_is_followed_within_its_origin_and_resumed_at_its_last_page(drain, web) -> None:
    answers, asked = web
    first, second = "https://gipod.example/feed?page=1", "https://gipod.example/feed?page=2"
    answers[first] = page(first, member(1) + member(2), second)
    answers[second] = page(second, member(3), "http://169.254.169.254/latest")
    found = await drain(ldes.build(first))
    assert [(item.source_id.removeprefix(BASE), cursor) for item, cursor in found] == [
        ("/1/1", first),
        ("/2/1", second),
        ("/3/1", second),
    ]
    asked.clear()
    again = await drain(ldes.build(first), second)
    assert [item.source_id for item, _ in again] == [f"{BASE}/3/1"]
    assert asked == [second], "a page that is complete is not read again, and another host is never called"


async def test_a_feed_that_cannot_be_reached_is_tried_again_by_the_runner(drain, web) -> None:  # noqa: ARG001 - no network
    with pytest.raises(Retriable):
        await drain(ldes.build("https://gipod.example/feed"))


async def test_all_real_hindrances_are_read_and_fit_their_schema(drain, shared_data, roundtrip) -> None:
    found = await read(drain, shared_data / "gipod_ldes" / "mobility-hindrances.members.ttl")
    assert {type(item) for item in found} == {Change}
    assert len({roundtrip(item)["identificator"] for item in found}) == len(found) == 125
