import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from rdflib import Graph

from adapters import ldes
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, Retriable
from tests.unit.adapters.conftest import values
from tests.unit.adapters.loopback import Answers, Asked, Reply, serving

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


TYPES = {"ttl": "text/turtle", "nq": "application/n-quads", "jsonld": "application/ld+json"}


def node(*numbers: int, to: tuple[str, ...] = (), more: str = "", **headers: str) -> Reply:
    """A page with these members that leads to these addresses."""
    links = "".join(f"<> tree:relation [ a tree:Relation ; tree:node <{link}> ] .\n" for link in to)
    text = PREFIXES + "".join(member(number) for number in numbers) + links + more
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(text.encode(), headers={"content-type": "text/turtle; charset=utf-8"} | named)


def site(pages: dict[str, Reply]) -> Answers:
    """Pages by target, with ETags where they have one."""

    def answer(asked: Asked) -> Reply:
        found = pages.get(asked.target, Reply(status=404))
        etag = found.headers.get("etag")
        return replace(found, status=304) if etag and asked.headers.get("if-none-match") == etag else found

    return answer


def ids(found: list[tuple[Any, str]]) -> list[str]:
    return [item.source_id.removeprefix(BASE).split("/")[1] for item, _ in found if isinstance(item, Change)]


async def test_a_tree_of_any_shape_is_read_once_and_a_loop_ends(drain) -> None:
    value = 'tree:path prov:generatedAtTime ; tree:value "%s"^^<http://www.w3.org/2001/XMLSchema#dateTime>'
    years = "".join(
        f"<> tree:relation [ a tree:{kind} ; tree:node </{page}> ; {value % year} ] .\n"
        for kind, page, year in (
            ("GreaterThanOrEqualToRelation", "a", "2026-02-01T00:00:00Z"),
            ("LessThanRelation", "a", "2027-01-01T00:00:00Z"),
            ("GreaterThanOrEqualToRelation", "z", "2026-01-01T00:00:00Z"),
            ("PrefixRelation", "q", "2026-01-01T00:00:00Z"),
        )
    )
    pages = {
        "/": node(more=f"<{BASE}> tree:view </wortel> ."),
        "/wortel": node(more=years),
        "/a": node(3, 4, to=("/", "/z", "/a", "deeper/1")),
        "/deeper/1": node(5, to=("../a", "2")),
        "/deeper/2": node(6),
        "/z": node(1, 2, to=("/wortel",)),
        "/q": node(7),
    }
    async with serving(site(pages)) as server:
        found = await drain(ldes.build(server.origin + "/"))
        assert ids(found) == ["7", "1", "2", "3", "4", "5", "6"], "in time where a relation says so, then deepest first"
        assert len(server.asked) == len(pages), "each page once"


async def test_the_open_page_is_polled_and_an_immutable_one_never(drain) -> None:
    pages = {
        "/1": node(1, to=("/2",), cache_control="public, max-age=604800, immutable"),
        "/2": node(2, cache_control="max-age=10", etag='"a"'),
    }
    async with serving(site(pages)) as server:
        reader = ldes.build(server.origin + "/1")
        cursor = (await drain(reader))[-1][1]
        server.asked.clear()
        assert await drain(reader, cursor) == []
        assert [(asked.target, asked.headers["if-none-match"]) for asked in server.asked] == [("/2", '"a"')]
        pages["/2"] = node(2, 3, to=("/3",), cache_control="max-age=10", etag='"b"')
        pages["/3"] = node(4)
        found = await drain(reader, cursor)
        assert ids(found) == ["2", "3", "4"]
        server.asked.clear()
        await drain(reader, found[-1][1])
        assert sorted(asked.target for asked in server.asked) == ["/2", "/3"], "what can still change"


async def test_a_root_that_is_asked_again_leads_to_new_pages_only(drain) -> None:
    pages = {"/": node(to=("/1",)), "/1": node(1, to=("/2",)), "/2": node(2, more="<> ldes:immutable true .")}
    pages["/2"] = replace(pages["/2"], body=b"@prefix ldes: <https://w3id.org/ldes#> .\n" + pages["/2"].bytes())
    async with serving(site(pages)) as server:
        reader = ldes.build(server.origin + "/")
        cursor = (await drain(reader))[-1][1]
        pages["/"] = node(to=("/1", "/9"))
        pages["/9"] = node(9)
        server.asked.clear()
        assert ids(await drain(reader, cursor)) == ["9"]
        assert [asked.target for asked in server.asked] == ["/", "/9"]


@pytest.mark.parametrize("status", [404, 410])
async def test_pages_that_the_stream_keeps_no_more_are_told(drain, status) -> None:
    pages = {"/": node(1, to=("/2", "/3")), "/2": Reply(status=status), "/3": node(3)}
    async with serving(site(pages)) as server:
        found = await drain(ldes.build(server.origin + "/"))
    assert [getattr(item, "reason", "") for item, _ in found] == ["", "PAGE_EXPIRED", ""]
    assert ids(found) == ["1", "3"]


async def test_a_stream_that_is_not_there_is_refused(drain) -> None:
    async with serving(lambda _: Reply(status=410)) as server:
        with pytest.raises(Invalid, match="410"):
            await drain(ldes.build(server.origin + "/"))


async def test_a_page_that_cannot_be_read_is_told_and_asked_for_again(drain) -> None:
    pages = {"/": node(1, to=("/2",)), "/2": Reply(b"<a", headers={"content-type": "text/turtle"})}
    async with serving(site(pages)) as server:
        reader = ldes.build(server.origin + "/")
        found = await drain(reader)
        assert found[-1][0].reason == "RDF_MALFORMED"
        pages["/2"] = node(2)
        assert ids(await drain(reader, found[-1][1])) == ["2"]


async def test_a_member_on_two_pages_and_an_older_version_on_a_later_page(drain) -> None:
    newer, older = member(1, "2", "2026-03-01T00:00:00Z"), member(1, "1", "2026-02-01T00:00:00Z")
    pages = {"/": node(to=("/2", "/3")), "/2": node(more=newer), "/3": node(more=newer + older)}
    async with serving(site(pages)) as server:
        found = await drain(ldes.build(server.origin + "/"))
    assert [(item.source_id.removeprefix(BASE), getattr(item, "reason", "")) for item, _ in found] == [
        ("/1/2", ""),
        ("/1/1", "VERSION_SUPERSEDED"),
        ("/1/2", "MEMBER_REPEATED"),
    ]


async def test_a_version_of_class_delete_is_a_deletion(drain) -> None:
    gone = f"""<{BASE}/1/9> a <https://www.w3.org/ns/activitystreams#Delete> ; dct:isVersionOf <{BASE}/1> ;
      prov:generatedAtTime "2026-05-01T00:00:00Z" ."""
    pages = {"/": node(1, more=gone)}
    async with serving(site(pages)) as server:
        found = [item for item, _ in await drain(ldes.build(server.origin + "/"))]
    assert (found[1].value, found[1].subject) == (None, f"{BASE}/1")


@pytest.mark.parametrize("form", TYPES)
async def test_each_form_is_read_by_its_media_type(drain, form) -> None:
    graph = Graph().parse(data=PREFIXES + member(1), format="turtle")
    text = graph.serialize(format={"ttl": "turtle", "nq": "nt", "jsonld": "json-ld"}[form])
    async with serving(lambda _: Reply(text.encode(), headers={"content-type": TYPES[form]})) as server:
        assert ids(await drain(ldes.build(server.origin + "/"))) == ["1"]


async def test_a_page_leads_to_no_other_host_however_it_is_written(drain) -> None:
    async with serving(site({})) as other:
        elsewhere = (other.origin + "/x", other.origin.replace("http://", "//") + "/x", "file:///etc/passwd", "urn:x:y")
        async with serving(site({"/": node(1, to=elsewhere)})) as server:
            assert ids(await drain(ldes.build(server.origin + "/"))) == ["1"]
    assert other.asked == []


async def test_no_cursor_holds_an_address_that_tells_who(drain) -> None:
    pages = {"/": node(1, to=("/?insz=85.07.30-033.28",)), "/?insz=85.07.30-033.28": node(2, 3)}
    async with serving(site(pages)) as server:
        found = await drain(ldes.build(server.origin + "/"))
    assert ids(found) == ["1", "2", "3"]
    assert {cursor for _, cursor in found[:2]} == {""}, "the start: what is known is recognised"


async def test_a_server_without_end_is_left_and_a_failing_one_tried_again(drain, monkeypatch) -> None:
    monkeypatch.setattr("adapters.ldes_pages._MOST_PAGES", 20)

    def endless(asked: Asked) -> Reply:
        return node(int(asked.target.strip("/")), to=(f"/{int(asked.target.strip('/')) + 1}",))

    async with serving(endless) as server:
        with pytest.raises(Retriable, match="pages"):
            await drain(ldes.build(server.origin + "/1"))
        assert len(server.asked) == 20
        server.answers = lambda _: Reply(status=503, headers={"retry-after": "9"})
        with pytest.raises(Retriable) as busy:
            await drain(ldes.build(server.origin + "/1"))
        assert busy.value.after_s == 9


async def test_from_any_cursor_the_rest_is_read(drain) -> None:
    pages = {f"/{number}": node(2 * number, 2 * number + 1, to=(f"/{number + 1}",)) for number in range(6)}
    pages["/6"] = node(12)
    async with serving(site(pages)) as server:
        reader = ldes.build(server.origin + "/0")
        whole = await drain(reader)
        for number, (_, cursor) in enumerate(whole, 1):
            rest = {item.source_id for item, _ in whole[number:]}
            assert rest <= {item.source_id for item, _ in await drain(reader, cursor)}


async def test_a_credential_of_the_environment_goes_to_the_stream_over_https_only(drain, monkeypatch) -> None:
    monkeypatch.setenv("LDES_AUTHORIZATION", "Bearer s3cret")
    async with serving(site({"/": node(1)})) as server:
        await drain(ldes.build(server.origin + "/"))
    assert server.asked[0].headers["authorization"] == "Bearer s3cret"
    with pytest.raises(Invalid, match="https"):
        await drain(ldes.build("http://gipod.example/"))


async def test_a_stream_says_itself_what_tells_versions_apart_and_a_cursor_remembers(drain) -> None:
    names = {
        "version": "https://eigen.example/van",
        "at": "https://eigen.example/op",
        "order": "https://eigen.example/rang",
    }
    stream = f"""<{BASE}> a <https://w3id.org/ldes#EventStream> ; <https://w3id.org/ldes#timestampPath> <{names["at"]}> ;
      <https://w3id.org/ldes#versionOfPath> <{names["version"]}> ; <https://w3id.org/ldes#sequencePath> <{names["order"]}> .\n"""

    def version(name: str, order: int) -> str:
        return f"""<{BASE}/1/{name}> a m:Mobiliteitshinder ; <{names["version"]}> <{BASE}/1> ; <{names["order"]}> {order} ;
          <{names["at"]}> "2026-03-01T00:00:00Z" .\n"""

    pages = {
        "/": node(to=("/2",), more=stream, cache_control="immutable"),
        "/2": node(more=version("a", 10) + version("b", 9), to=("/3",)),
        "/3": node(more=version("c", 8) + version("d", 11)),
    }
    async with serving(site(pages)) as server:
        reader = ldes.build(server.origin + "/")
        found = await drain(reader)
        expected = [("b", ""), ("a", ""), ("c", "VERSION_SUPERSEDED"), ("d", "")]
        assert [(item.source_id[-1], getattr(item, "reason", "")) for item, _ in found] == expected
        assert [item.source_id[-1] for item, _ in await drain(reader, found[1][1])] == ["c", "d"]
