"""Downloads over a real connection: whole, up to an end fixed before, resumable, and cut where the right to them ends."""

import json
from collections.abc import AsyncIterator, Callable
from io import BytesIO
from itertools import count
from typing import Any

import fastavro
import httpx
import pytest

from broker.api import delivery_files
from broker.cli.processes import served
from broker.model.facts import FactType
from tests.unit.api.conftest import World, bearer
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture

PATH = "/v1/deliveries/parkeren/file"


@pytest.fixture
async def http(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    monkeypatch.setattr(delivery_files, "_PIECE", 2)
    async with (
        served(world.http._transport.app) as url,
        httpx.AsyncClient(base_url=url, headers=bearer("agency"), timeout=20, trust_env=False) as client,
    ):
        yield client


def names(lines: bytes) -> list[str]:
    return [json.loads(line)["data"]["achternaam"] for line in lines.splitlines()]


async def test_a_file_holds_everything_up_to_the_moment_of_the_request(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abcde")
    late = iter("fghijkl")
    world.deliveries.meanwhile = lambda: world.deliver(next(late))
    answer = await http.get(PATH)
    world.deliveries.meanwhile = None
    assert names(answer.content) == list("abcde")
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="parkeren-10.ndjson"'
    assert "content-length" not in answer.headers
    following = await http.get(answer.links["next"]["url"])
    assert names(following.content)[:2] == ["f", "g"]


async def test_an_interrupted_download_goes_on_after_its_last_whole_item(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abcde")
    lines = (await http.get(PATH)).content.splitlines()
    cursor = json.loads(lines[2])["cursor"]
    assert names((await http.get(PATH, params={"after": cursor})).content) == ["d", "e"]


async def test_an_avro_file_of_many_pieces_is_one_file_and_its_parts_join(
    world: World, http: httpx.AsyncClient
) -> None:
    world.deliver(*"abcde")
    query = {"format": "avro"}
    whole = (await http.get(PATH, params=query)).content
    rows = list(fastavro.reader(BytesIO(whole)))
    assert [row["data"]["achternaam"] for row in rows] == list("abcde")
    rest = (await http.get(PATH, params=query | {"after": rows[1]["cursor"]})).content
    none = (await http.get(PATH, params=query | {"after": rows[4]["cursor"]})).content
    assert list(fastavro.reader(BytesIO(none))) == []
    assert rest.startswith(none)
    first = whole[: whole.index(rest[len(none) :])]
    assert first + rest[len(none) :] == whole


async def test_an_avro_file_ends_before_another_schema(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abc")
    message = world.deliveries.messages.pop()
    other = world.entry("jeugd").egress_schema_id or 0
    value = message.value[:4] + bytes([other]) + message.value[5:]
    world.deliveries.messages.append(type(message)(message.offset, message.key, value, message.headers))
    parts, query = [], {"format": "avro"}
    while rows := list(fastavro.reader(BytesIO((await http.get(PATH, params=query)).content))):
        parts.append([list(row["data"]) for row in rows])
        query["after"] = rows[-1]["cursor"]
    assert parts == [[["achternaam"], ["achternaam"]], [["geboortejaar"]]]


async def test_a_file_since_an_instant(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abc")
    asked: dict[str, Any] = {"since": "1970-01-01T00:00:00.002Z"}
    assert names((await http.get(PATH, params=asked)).content) == ["b", "c"]
    assert names((await http.get(PATH, params={"since": "2026-11-26T07:00:00+01:00"})).content) == []
    for wrong in (asked | {"after": "x"}, {"since": "2026-11-26T07:00:00"}, {"since": "gisteren"}, {"format": "csv"}):
        assert (await http.get(PATH, params=wrong)).status_code == 400


def at_second_read(world: World, happens: Callable[[], object]) -> None:
    """Have something happen while the second piece is read."""
    reads = count(1)

    def meanwhile() -> None:
        if next(reads) == 2:
            happens()

    world.deliveries.meanwhile = meanwhile


async def read_until_cut(http: httpx.AsyncClient) -> bytes:
    """What came of a download before it broke off."""
    got = []

    async def read() -> None:
        async with http.stream("GET", PATH) as response:
            async for piece in response.aiter_raw():
                got.append(piece)  # noqa: PERF401 - what came before the cut counts

    with pytest.raises(httpx.RemoteProtocolError):
        await read()
    return b"".join(got)


async def test_a_revocation_cuts_a_download_that_is_under_way(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abcdef")
    at_second_read(world, lambda: world.move("parkeren", FactType.AGREEMENT_REVOKED))
    assert names(await read_until_cut(http)) == ["a", "b"]
    world.barrier()
    rest = (await http.get(PATH)).content.splitlines()
    assert [json.loads(line)["kind"] for line in rest] == ["life-cycle"]


async def test_a_lost_control_log_cuts_it_too(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abcdef")
    at_second_read(world, lambda: setattr(world.control, "is_fresh", False))
    assert names(await read_until_cut(http)) == ["a", "b"]
    assert (await http.get(PATH)).json()["code"] == "POLICY_STALE"


async def test_a_withdrawn_credential_cuts_it_too(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"abcdef")
    at_second_read(world, lambda: world.control.state.credentials.pop("c1"))
    assert names(await read_until_cut(http)) == ["a", "b"]
    assert (await http.get(PATH)).status_code == 401


async def test_what_cannot_be_shown_is_refused_before_the_file_begins(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"ab")
    place = (await http.get("/v1/deliveries/parkeren?limit=1")).json()["next"]
    world.deliveries.first = 2
    expired = await http.get(PATH, params={"after": place})
    assert (expired.status_code, expired.json()["code"]) == (410, "POSITION_EXPIRED")
    assert (await http.get(PATH, headers=bearer("foreign"))).status_code == 404
    assert (await http.get("/v1/deliveries/wachtend/file")).status_code == 409
