"""The HTTP interface dies by SIGKILL again and again while agencies follow a stream: they lose nothing and keep the order.

A reader of its own makes may see an item twice, where the connection broke before it knew how far it came: then it is the
same item, with the same id. The client library hands over every delivery once.
"""

import asyncio
import json
import random
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain, repeat
from typing import Any

import httpx
import pytest

from adapters.synthetic import GENT
from broker.client import MemoryPositions, Patience, Subscription
from broker.model.record import header
from broker.testing import wait_until
from tests.faults.crowd import TOPIC, Crowd, Value, feed, living_in
from tests.listening import listening
from tests.stage import Router, Stage

pytestmark = pytest.mark.timeout(1800)

_AGAIN_S = 0.05
_LONGEST_LIFE_S = 0.6
_PIECE = 10
_PATIENCE = Patience(first_s=0.05, longest_s=0.5)

Item = Mapping[str, Any]


@dataclass
class Reader:
    """One agency's end: what it got, in order, repetitions included, and how often an answer under way was cut."""

    name: str
    read: Callable[["Reader"], Awaitable[None]]
    got: list[Item] = field(default_factory=list)
    cut: int = 0

    @property
    def once(self) -> dict[str, Item]:
        """The first of each item by its cursor, in order; raises unless what came again is the same, id and all."""
        first: dict[str, Item] = {}
        for item in self.got:
            assert first.setdefault(item["cursor"], item) == item, f"{self.name}: another item at the same place"
        return first

    @property
    def ids(self) -> list[str]:
        return [item["id"] for item in self.once.values() if item["kind"] != "life-cycle"]


@dataclass(frozen=True)
class Followed:
    """A stream, and the address at which whichever process lives shows it."""

    stage: Stage
    agreement: str
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def path(self) -> str:
        return f"/v1/deliveries/{self.agreement}"

    @property
    def token(self) -> str:
        return self.stage.stack.home.credential_of("stad-gent").token

    @asynccontextmanager
    async def http(self) -> AsyncIterator[httpx.AsyncClient]:
        headers = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.url, headers=headers, timeout=40, trust_env=False) as http:
            yield http

    async def poll(self, reader: Reader) -> None:
        """Long polls, each from the last answer that came whole."""
        query: dict[str, Any] = {"wait": 10, "limit": 50}
        async with self.http() as http:
            while True:
                try:
                    answer = (await http.get(self.path, params=query)).raise_for_status().json()
                except (httpx.HTTPError, json.JSONDecodeError) as error:
                    reader.cut += is_cut(error)
                    await asyncio.sleep(_AGAIN_S)
                    continue
                reader.got += answer["items"]
                query["after"] = answer["next"]

    async def listen(self, reader: Reader) -> None:
        """Server-sent events, each time from the last id heard."""
        last = ""
        async with self.http() as http:
            while True:
                try:
                    async with listening(
                        http, f"{self.path}/events", **({"Last-Event-ID": last} if last else {})
                    ) as heard:
                        while (event := await heard.next()) is not None:
                            reader.got.append(event[1])
                            last = event[1]["cursor"]
                except httpx.HTTPError as error:
                    reader.cut += is_cut(error)
                await asyncio.sleep(_AGAIN_S)

    async def subscribe(self, reader: Reader) -> None:
        """The client library."""
        subscription = Subscription(
            self.agreement, url=self.url, token=self.token, positions=MemoryPositions(), patience=_PATIENCE, page=50
        )
        async with subscription as deliveries:
            async for each in deliveries:
                reader.got.append({"id": each.id, "kind": each.kind, "cursor": each.cursor})

    async def ids(self) -> list[str]:
        """What the topic holds, in order."""
        records = await self.stage.read(self.stage.delivery_topic(self.agreement))
        return [found.decode() for record in records if (found := header(record.headers, "ce_id"))]


def is_cut(error: Exception) -> bool:
    """Whether the process went away below a request, rather than before one."""
    return isinstance(error, httpx.ReadError | httpx.RemoteProtocolError | json.JSONDecodeError)


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


async def killed(api: Router, readers: list[Reader], rng: random.Random) -> None:
    """Let it serve a while, to a reader picked at random at least, and kill it."""
    someone = rng.choice(readers)
    before = len(someone.got)
    await wait_until(lambda: len(someone.got) > before, timeout=60)
    await asyncio.sleep(rng.uniform(0, _LONGEST_LIFE_S))
    api.send(signal.SIGKILL)
    assert await api.ended() == -signal.SIGKILL


def inhabitants(crowd: Crowd) -> Iterator[Value]:
    """New inhabitants of Gent, without end."""
    return chain.from_iterable(living_in(GENT, crowd.people(_PIECE)) for _ in repeat(None))


@pytest.mark.long
@pytest.mark.parametrize("kills", [50])
async def test_readers_of_an_interface_that_is_killed_lose_nothing(stage: Stage, crowd: Crowd, kills: int) -> None:
    rng, over, began = random.Random(kills), asyncio.Event(), time.monotonic()
    followed = Followed(stage, await stage.agreement("inwoners-gent"), free_port())
    readers = [
        Reader("long poll", followed.poll),
        Reader("server-sent events", followed.listen),
        Reader("client library", followed.subscribe),
    ]
    tasks = [asyncio.create_task(reader.read(reader)) for reader in readers]
    environment = {"DATANUTS_API_PORT": str(followed.port)}
    async with stage.router():
        feeding = asyncio.create_task(feed(stage, inhabitants(crowd), until=over.is_set, piece=_PIECE, pause_s=0.1))
        for _ in range(kills):
            async with stage.router(command="api", **environment) as api:
                await killed(api, readers, rng)
        async with stage.router(command="api", **environment):
            over.set()
            await feeding
            await stage.drained(TOPIC)
            expected = await followed.ids()
            assert len(set(expected)) == len(expected) >= kills
            try:
                await wait_until(
                    lambda: (
                        any(task.done() for task in tasks) or all(len(each.ids) >= len(expected) for each in readers)
                    ),
                    timeout=90,
                    every=0.5,
                )
            finally:
                for task in tasks:
                    task.cancel()
                ended = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended
    for reader in readers:
        missing = len(set(expected) - set(reader.ids))
        assert reader.ids == expected, (
            f"{reader.name}: {missing} of {len(expected)} are missing, or the order is another"
        )
    poll, events, library = readers
    assert min(poll.cut, events.cut) >= kills // 5, "hardly any kill came below a request"
    assert len(library.got) == len(expected), "the client library handed a delivery over twice"
    again = {reader.name: len(reader.got) - len(reader.once) for reader in readers}
    cut = f"cut below a long poll {poll.cut} times, below a stream of events {events.cut}"
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {len(expected)} deliveries, {cut}, again: {again}")  # noqa: T201 - a figure, shown with -s
