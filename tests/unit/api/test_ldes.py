"""An agency follows its stream as linked data: every member once, from pages that never change, and nothing after a revocation."""

import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from rdflib import RDF, XSD, Graph, Literal, Namespace, URIRef
from rdflib.compare import isomorphic

from broker.delivery import tree
from broker.delivery.streams import Message
from broker.errors import Invalid
from broker.model.facts import FactType
from tests.unit.api import roadworks
from tests.unit.api.conftest import World, bearer, opened

LDES = Namespace("https://w3id.org/ldes#")
TREE = Namespace("https://w3id.org/tree#")
DCT = Namespace("http://purl.org/dc/terms/")
HERE = "http://broker.test/v1/ldes/parkeren"
STREAM = URIRef(f"{HERE}#stream")
DELIVERY = "urn:datanuts:agreement/parkeren/delivery/"
TURTLE = {"Accept": "text/turtle"}


@pytest.fixture
def followed(world: World) -> Iterator[World]:
    """The stream, which knows where it ends."""
    bounded(world)
    return world


def bounded(world: World) -> None:
    read = world.deliveries.read

    async def within(topic: str, position: int | None, **how: Any) -> Any:
        if position is not None and position > await world.deliveries.head(topic):
            raise Invalid("this position was never reached")
        return await read(topic, position, **how)

    world.deliveries.read = within


async def get(world: World, path: str = "", expect: int = 200, who: str = "agency", **headers: str) -> httpx.Response:
    answer = await world.http.get(f"/v1/ldes/parkeren{path}", headers=bearer(who) | headers)
    assert answer.status_code == expect, answer.text
    return answer


def graph(answer: httpx.Response) -> Graph:
    form = {"application/ld+json": "json-ld", "text/turtle": "turtle"}[answer.headers["content-type"].split(";")[0]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's parser warns about rdflib
        return Graph().parse(data=answer.text, format=form)


async def page(world: World, number: int, **headers: str) -> Graph:
    return graph(await get(world, f"/pages/{number}", **headers))


def members(found: Graph) -> list[str]:
    return sorted(str(member).removeprefix(DELIVERY) for member in found.objects(None, TREE.member))


def ids(*numbers: int) -> list[str]:
    return [f"{number:032x}" for number in numbers]


async def test_the_root_says_what_the_stream_is_and_where_it_begins(followed: World) -> None:
    followed.deliver("a")
    answer = await get(followed)
    found = graph(answer)
    root = URIRef(HERE)
    assert list(found.objects(STREAM, TREE.view)) == [root]
    assert list(found.objects(STREAM, LDES.timestampPath)) == [URIRef("http://www.w3.org/ns/prov#generatedAtTime")]
    assert list(found.objects(STREAM, LDES.versionOfPath)) == [DCT.isVersionOf]
    assert (STREAM, LDES.versionDeletePath, RDF.type) in found
    (policy,) = found.objects(root, LDES.retentionPolicy)
    assert (policy, LDES.fullLogDuration, Literal("P14D", datatype=XSD.duration)) in found
    (relation,) = found.objects(root, TREE.relation)
    assert list(found.objects(relation, TREE.node)) == [URIRef(f"{HERE}/pages/0")]
    (shape,) = found.objects(STREAM, TREE.shape)
    paths = {
        str(found.value(each, URIRef("http://www.w3.org/ns/shacl#path")))
        for each in found.objects(shape, URIRef("http://www.w3.org/ns/shacl#property"))
    }
    assert str(DCT.isVersionOf) in paths
    assert any(path.endswith("/achternaam") for path in paths)


async def test_following_the_relations_gives_every_member_once(followed: World) -> None:
    followed.deliver(*map(str, range(300)))
    seen, address, visited = [], f"{HERE}/pages/0", 0
    while address:
        found = await page(followed, int(address.rpartition("/")[2]))
        assert (URIRef(address), RDF.type, TREE.Node) in found
        assert list(found.objects(STREAM, TREE.view)) == [URIRef(HERE)]
        seen += members(found)
        address = next((str(node) for node in found.objects(None, TREE.node)), "")
        assert bool(address) == ((None, LDES.immutable, Literal(True)) in found)  # noqa: FBT003 - an RDF literal
        visited += 1
    assert seen == ids(*range(300))
    assert visited == 3


async def test_a_page_that_is_full_never_changes(followed: World) -> None:
    followed.deliver(*map(str, range(130)))
    before = [await get(followed, "/pages/0"), await get(followed, "/pages/0", **TURTLE)]
    followed.deliver(*map(str, range(200)))
    assert (await get(followed, "/pages/0")).content == before[0].content
    assert (await get(followed, "/pages/0", **TURTLE)).content == before[1].content


async def test_both_forms_say_the_same(followed: World) -> None:
    followed.deliver("a", 'é"\\')
    for path in ("", "/pages/0"):
        linked, turtle = await get(followed, path), await get(followed, path, **TURTLE)
        assert len(graph(linked)) > 10
        assert isomorphic(graph(linked), graph(turtle))
        assert linked.headers["vary"] == "Accept"
    await get(followed, "/pages/0", expect=406, Accept="text/csv")


async def test_a_departure_is_a_deleted_version_and_a_barrier_is_no_member(followed: World) -> None:
    followed.deliver("a")
    followed.barrier()
    headers = (
        ("ce_id", b"%032x" % 9), ("ce_type", b"be.vlaanderen.datanuts.persoon.v1"), ("ce_kind", b"left-population"),
        ("ce_time", b"2026-11-24T12:00:00Z"), ("ce_reason", b"DOSSIER_ENDED"), ("ce_agreementversion", b"1"),
    )  # fmt: skip
    followed.deliveries.messages.append(Message(4, b"%032x" % 7, None, headers))
    found = await page(followed, 0)
    assert members(found) == ids(0, 9)
    (deleted,) = found.subjects(RDF.type, URIRef("https://www.w3.org/ns/activitystreams#Delete"))
    assert deleted == URIRef(f"{DELIVERY}{9:032x}")
    entities = {str(found.value(URIRef(f"{DELIVERY}{number:032x}"), DCT.isVersionOf)) for number in (0, 9)}
    assert entities == {f"urn:datanuts:agreement/parkeren/subject/{7:032x}"}
    assert (deleted, URIRef("urn:datanuts:term/reason"), Literal("DOSSIER_ENDED")) in found


async def test_a_delivery_that_was_repeated_is_one_member(followed: World) -> None:
    followed.deliver("a", "b")
    again = followed.deliveries.messages[0]
    followed.deliveries.messages.append(Message(4, again.key, again.value, again.headers))
    found = await page(followed, 0)
    assert members(found) == ids(0, 1)
    assert len(list(found.objects(URIRef(f"{DELIVERY}{0:032x}"), URIRef("urn:datanuts:term/sequence")))) == 1


async def test_what_expired_is_gone_and_the_rest_keeps_its_page(followed: World) -> None:
    followed.deliver(*map(str, range(300)))
    followed.deliveries.first = 2 * 130  # the whole first page, and ten offsets of the second
    refused = (await get(followed, "/pages/0", expect=410)).json()
    assert refused["code"] == "POSITION_EXPIRED"
    assert "start again at the root" in refused["detail"]
    assert members(await page(followed, 1)) == ids(*range(130, 250))
    found = graph(await get(followed))
    assert [str(node) for node in found.objects(None, TREE.node)] == [f"{HERE}/pages/1"]


async def test_a_page_that_has_not_begun_is_not_there(followed: World) -> None:
    followed.deliver("a")
    await get(followed, "/pages/1", expect=404)
    await get(followed, "/pages/-1", expect=400)
    await get(followed, f"/pages/{10**13}", expect=400)


async def test_an_empty_stream_has_an_open_page(followed: World) -> None:
    found = await page(followed, 0)
    assert members(found) == []
    assert not list(found.objects(None, TREE.relation))


@pytest.mark.parametrize("path", ["", "/pages/0", f"/members/{0:032x}"])
async def test_only_the_agency_may_follow(followed: World, path: str) -> None:
    followed.deliver("Peeters")
    for who in ("foreign", "source", "operator"):
        assert "Peeters" not in (await get(followed, path, expect=404, who=who)).text
    assert (await followed.http.get(f"/v1/ldes/parkeren{path}")).status_code == 401
    assert (await followed.http.get(f"/v1/ldes/wachtend{path}", headers=bearer("agency"))).status_code == 409


@pytest.mark.parametrize("path", ["", "/pages/0", f"/members/{0:032x}"])
async def test_nothing_is_shown_while_the_control_log_cannot_be_seen(followed: World, path: str) -> None:
    followed.deliver("Peeters")
    followed.control.is_fresh = False
    assert "Peeters" not in (await get(followed, path, expect=503)).text


@pytest.mark.parametrize("path", ["", "/pages/0", "/pages/9", f"/members/{0:032x}"])
@pytest.mark.parametrize("how", [FactType.AGREEMENT_REVOKED, FactType.AGREEMENT_ENDED])
async def test_a_stream_that_is_over_is_gone(followed: World, path: str, how: FactType) -> None:
    followed.deliver("Peeters")
    followed.move("parkeren", how)
    refused = await get(followed, path, expect=410)
    assert refused.json()["code"] == "STREAM_STOPPED"


async def test_what_is_revoked_while_a_page_is_read_is_not_shown(followed: World) -> None:
    followed.deliver("Peeters")
    followed.deliveries.meanwhile = lambda: (
        None if followed.entry("parkeren").state == "revoked" else followed.move("parkeren", FactType.AGREEMENT_REVOKED)
    )
    refused = await get(followed, "/pages/0", expect=410)
    assert refused.json()["code"] == "STREAM_STOPPED"
    assert "Peeters" not in refused.text


async def test_a_member_is_found_by_the_end_of_its_iri(followed: World) -> None:
    followed.deliver(*map(str, range(300)))
    for query in ("", "?page=2"):
        found = graph(await get(followed, f"/members/{299:032x}{query}"))
        assert len(set(found.subjects(DCT.isVersionOf))) == 1
        assert set(found) <= set(await page(followed, 2))
    for path in (f"/members/{299:032x}?page=1", f"/members/{300:032x}"):
        assert (await get(followed, path, expect=410)).json()["code"] == "POSITION_EXPIRED"
    followed.deliveries.first = 10
    await get(followed, f"/members/{0:032x}", expect=410)
    await get(followed, "/members/x", expect=400)


async def test_people_are_never_left_to_a_cache(followed: World) -> None:
    followed.deliver(*map(str, range(130)))
    for path in ("", "/pages/0", "/pages/1", f"/members/{0:032x}"):
        answer = await get(followed, path)
        assert answer.headers["cache-control"] == "private, no-store"
        assert "etag" not in answer.headers


PUBLIC = "https://uitwisseling.example/data"


@asynccontextmanager
async def public_stream(public_url: str | None = PUBLIC, **population: Any) -> AsyncIterator[World]:
    async with opened(public_url=public_url) as world:
        await roadworks.agree(world.control, "hinder", **population)
        world.deliveries.messages += roadworks.deliveries(world.control, "hinder", 130)
        bounded(world)
        yield world


async def hinder(world: World, path: str, **headers: str) -> httpx.Response:
    return await world.http.get(f"/v1/ldes/hinder{path}", headers=bearer("agency") | headers)


async def test_public_data_may_be_cached_a_full_page_for_as_long_as_that_helps() -> None:
    async with public_stream() as world:
        assert (await hinder(world, "/pages/0")).headers["cache-control"] == "public, max-age=604800, immutable"
        open_page = await hinder(world, "/pages/1")
        assert open_page.headers["cache-control"] == "public, max-age=30"
        again = await hinder(world, "/pages/1", **{"If-None-Match": f'"x", W/{open_page.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        world.deliveries.messages.append(Message(260, b"%032x" % 1, None, (("ce_id", b"%032x" % 999),)))
        changed = await hinder(world, "/pages/1", **{"If-None-Match": open_page.headers["etag"]})
        assert changed.status_code == 200
        assert (await hinder(world, "/pages/1", **TURTLE)).headers["etag"] != changed.headers["etag"]
        assert f"{PUBLIC}/v1/ldes/hinder/pages/1" in (await hinder(world, "/pages/0")).text


async def test_a_page_of_which_some_has_expired_is_not_called_immutable() -> None:
    async with public_stream() as world:
        world.deliveries.first = 20
        assert (await hinder(world, "/pages/0")).headers["cache-control"] == "public, max-age=30"


async def test_an_address_that_the_caller_chose_never_enters_a_shared_cache() -> None:
    async with public_stream(public_url=None) as world:
        answer = await hinder(world, "/pages/0", Host="elders.example")
        assert answer.headers["cache-control"] == "private, no-store"
    async with public_stream() as world:
        assert "elders.example" not in (await hinder(world, "/pages/0", Host="elders.example")).text


@pytest.mark.parametrize("population", [{"dossiers": True}, {"consent": True}])
async def test_public_fields_of_subjects_that_the_agency_chose_are_private(population: dict[str, bool]) -> None:
    async with public_stream(**population) as world:
        assert (await hinder(world, "/pages/0")).headers["cache-control"] == "private, no-store"


def test_a_page_number_means_the_same_offsets_for_ever() -> None:
    assert tree.OFFSETS == 250, "pages that clients and caches hold would get other members: see the ADR"
