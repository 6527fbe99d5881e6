"""Server-sent events over a real connection: what is heard, how a stream ends, and that no reader holds up another."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from broker.api import delivery_events
from broker.api.pouring import OpenAnswers
from broker.cli import processes
from broker.cli.api import serving
from broker.cli.processes import served
from broker.model.facts import FactType
from broker.settings import load_settings
from broker.testing import wait_until
from tests.listening import listening
from tests.unit.api.conftest import World, bearer
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture

PATH = "/v1/deliveries/parkeren/events"


@pytest.fixture
async def http(world: World) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        served(world.http._transport.app) as url,
        httpx.AsyncClient(base_url=url, headers=bearer("agency"), timeout=20, trust_env=False) as client,
    ):
        yield client
        world.http._transport.app.state.open_answers.end()


def answers(world: World, **limits: Any) -> OpenAnswers:
    """Bounds of this test."""
    app = world.http._transport.app
    app.state.open_answers = OpenAnswers(**limits)
    return app.state.open_answers


async def test_events_are_the_items_of_the_pull_as_they_are_committed(world: World, http: httpx.AsyncClient) -> None:
    world.deliver("a")
    async with listening(http, PATH) as heard:
        assert heard.response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert heard.response.headers["cache-control"] == "no-store"
        first = await heard.next()
        world.deliver("b\n\u2028c")
        second = await heard.next()
    pulled = (await http.get("/v1/deliveries/parkeren")).json()["items"]
    assert [first, second] == [("delivery", item) for item in pulled]
    assert heard.last_id == pulled[-1]["cursor"]


async def test_a_reader_that_comes_back_misses_nothing_and_gets_nothing_twice(
    world: World, http: httpx.AsyncClient
) -> None:
    world.deliver(*"abc")
    async with listening(http, PATH) as heard:
        await heard.take(2)
    world.deliver("d")
    async with listening(http, PATH, **{"Last-Event-ID": heard.last_id}) as again:
        assert [item["data"]["achternaam"] for item in await again.take(2)] == ["c", "d"]
    async with listening(http, f"{PATH}?after={heard.last_id}") as other:
        assert (await other.take(1))[0]["data"]["achternaam"] == "c"


async def test_a_silent_stream_says_that_it_lives_and_moves_its_place(
    world: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_events, "HEARTBEAT_S", 0)
    monkeypatch.setattr(delivery_events, "LOOK_S", 0.02)
    world.deliver("a")
    async with listening(http, PATH) as heard:
        await heard.take(1)
        own = heard.last_id
        later = asyncio.create_task(heard.next())
        await wait_until(lambda: heard.comments > 2)
        assert heard.last_id not in {"", own}  # behind the marker after the record
        world.deliveries.first = 2
        world.deliver("b")
        assert (await later)[1]["data"]["achternaam"] == "b"


async def test_a_revocation_ends_the_stream_with_the_event_that_says_so(world: World, http: httpx.AsyncClient) -> None:
    world.deliver("a")
    async with listening(http, PATH) as heard:
        await heard.take(1)
        world.move("parkeren", FactType.AGREEMENT_REVOKED)
        world.deliver("b")  # before its lane's barrier: too late all the same
        world.barrier()
        world.deliver("c")
        assert [(name, item["kind"], item["reason"]) for name, item in await heard.rest()] == [
            ("life-cycle", "life-cycle", "REVOKED")
        ]
    async with listening(http, PATH, **{"Last-Event-ID": heard.last_id}) as again:
        assert again.response.status_code == 204  # a reader by the standard does not come back


async def test_a_late_reader_of_a_revoked_agreement_hears_why_and_no_more(
    world: World, http: httpx.AsyncClient
) -> None:
    world.deliver("a")
    world.barrier()
    world.move("parkeren", FactType.AGREEMENT_ENDED)
    async with listening(http, PATH) as heard:
        assert [name for name, _ in await heard.rest()] == ["life-cycle"]


async def test_a_withdrawn_credential_ends_the_stream(world: World, http: httpx.AsyncClient) -> None:
    world.deliver("a")
    async with listening(http, PATH) as heard:
        await heard.take(1)
        await world.control.append(FactType.CREDENTIAL_REVOKED, "credential/c1", {"id": "c1"}, by="test")
        world.deliver("b")
        assert await heard.rest() == []
    assert (await http.get(PATH)).status_code == 401


async def test_a_process_that_lost_the_control_log_releases_nothing_to_open_streams(
    world: World, http: httpx.AsyncClient
) -> None:
    world.deliver("a")
    async with listening(http, PATH) as heard:
        await heard.take(1)
        world.control.is_fresh = False
        world.deliver("b")
        assert await heard.rest() == []
    refused = await http.get(PATH)
    assert (refused.status_code, refused.json()["code"]) == (503, "POLICY_STALE")


async def test_what_cannot_be_shown_is_refused_before_the_stream_begins(world: World, http: httpx.AsyncClient) -> None:
    world.deliver(*"ab")
    place = (await http.get("/v1/deliveries/parkeren?limit=1")).json()["next"]
    world.deliveries.first = 2
    expired = await http.get(PATH, headers={"Last-Event-ID": place})
    assert (expired.status_code, expired.json()["code"]) == (410, "POSITION_EXPIRED")
    assert (await http.get(PATH, headers={"Last-Event-ID": "x"})).status_code == 400
    assert (await http.get(PATH, headers=bearer("foreign"))).status_code == 404
    assert (await http.get("/v1/deliveries/wachtend/events")).status_code == 409
    assert world.http._transport.app.state.open_answers._open == {}


async def test_one_organisation_cannot_take_every_place(world: World, http: httpx.AsyncClient) -> None:
    bounds = answers(world, most=2)
    world.deliver("a")
    async with listening(http, PATH) as one, listening(http, PATH) as two:
        await one.take(1), await two.take(1)
        refused = await http.get(PATH)
        assert (refused.status_code, refused.json()["code"]) == (429, "TOO_MANY_REQUESTS")
        assert int(refused.headers["retry-after"]) >= 1
        other = await http.get("/v1/deliveries/jeugd/file", headers=bearer("foreign"))
        assert other.status_code == 200
    await wait_until(lambda: bounds._open == {})
    async with listening(http, PATH) as again:
        assert await again.take(1)


async def test_streams_end_in_order_when_the_server_stops(world: World, tmp_path: Path) -> None:
    world.deliver("a")
    services, settings = world.http._transport.app.state.services, load_settings({}, data_dir=tmp_path)
    async with (
        httpx.AsyncClient(headers=bearer("agency"), timeout=20, trust_env=False) as client,
        AsyncExitStack() as server,
    ):
        url, _ = await server.enter_async_context(serving(services, settings, (0, 0)))
        async with listening(client, f"{url}{PATH}") as heard:
            await heard.take(1)
            stopping = asyncio.create_task(server.aclose())
            assert await heard.rest() == []  # a stream that is cut would raise here
            await stopping


def open_at(server: int, peer: int) -> bool:
    """Whether the server's end of a connection still exists."""
    rows = (line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{server:04X}") and row[2].endswith(f":{peer:04X}") for row in rows)


async def test_a_reader_that_takes_nothing_is_given_up_and_harms_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "STUCK_MS", 1000)
    bounds = answers(world, write_s=0.3)
    world.deliver(*("x" * 20_000 for _ in range(600)))
    loop = asyncio.get_running_loop()
    async with served(world.http._transport.app) as url:
        place = urlsplit(url)
        with socket.socket() as stuck:
            stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            stuck.settimeout(0)
            await loop.sock_connect(stuck, (place.hostname, place.port))
            request = f"GET {PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {bearer('agency')['Authorization']}\r\n\r\n"
            await loop.sock_sendall(stuck, request.encode())
            await wait_until(lambda: bounds._open)
            async with (
                httpx.AsyncClient(headers=bearer("agency"), timeout=20, trust_env=False) as client,
                listening(client, f"{url}{PATH}") as heard,
            ):
                assert len(await heard.take(600)) == 600
            await wait_until(lambda: bounds._open == {})
            # What one reader does not take is not read for it either: the whole is 12 MB, in twelve pieces.
            assert len(world.deliveries.reads) < 22
            await wait_until(lambda: not open_at(place.port, stuck.getsockname()[1]), timeout=20)
        bounds.end()
