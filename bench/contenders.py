"""What may be loaded in one installation, each in a process of its own: the router as users run it, and the raw hop."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiokafka.structs import TopicPartition

from bench.arrivals import Arrivals
from bench.awaited import Awaited
from bench.bulk import set_up_many
from bench.child import part
from bench.hop import identifier, row_as_json
from bench.load import Row4, publish_at, rows_of
from broker.cli.processes import Supervised
from broker.cli.site import Site
from broker.control import keys
from broker.model import topics, topology
from broker.model.keyed import delivery_id
from broker.model.topology import TopicSpec
from broker.testing import wait_until

PATIENCE_S = 120.0
_LOOK_S = 0.1
_PEOPLE = 20_000
_HOP_SOURCE, _HOP_RECEIPTS = "bench-hop-source", "bench-hop-receipts"
_INDEX = {"segment.index.bytes": "131072"}
Progress = Callable[[str], None]


@dataclass(slots=True)
class Contender:
    """One path from a source topic to readers: where to publish, which ids come out, and what its reader has seen."""

    source: str
    identify: Callable[[bytes, int, int], str | None]
    """Delivery id from key, lane and offset; None where nobody reads the stream."""
    pid: Callable[[], int | None]
    arrivals: Arrivals
    awaited: Awaited = field(default_factory=Awaited)
    late: Sequence[int] = ()

    async def load(
        self, producer: Any, rows: Sequence[Row4], rate: float, seconds: float, *, every_s: float = 0.0
    ) -> Sequence[tuple[int, int]]:
        """Publish so long at such a rate (`publish_at`); returns (instant due, latency), in ns, of every delivery that is read.

        Raises `RuntimeError` where one never came.
        """
        self.look()
        self.awaited.forget()
        self.late = await publish_at(producer, self.source, rows, rate, seconds, self._sent, every_s=every_s)
        await self.settled()
        return list(self.awaited.taken)

    async def settled(self) -> None:
        """Return once everything that was acknowledged has arrived; raises `RuntimeError` where it does not."""

        def all_there() -> bool:
            self.look()
            return not self.awaited.missing

        try:
            await wait_until(all_there, timeout=PATIENCE_S, every=_LOOK_S)
        except TimeoutError:
            raise RuntimeError(f"{self.awaited.missing} deliveries never came from {self.source}") from None

    def look(self) -> None:
        """Take note of what has arrived."""
        for each, at in self.arrivals.new():
            self.awaited.arrived(each, at)

    def _sent(self, key: bytes, lane: int, offset: int, due: int) -> None:
        delivery = self.identify(key, lane, offset)
        if delivery is not None:
            self.awaited.due(delivery, due)


@dataclass(slots=True)
class Stage:
    """An installation with live agreements, a router in a process of its own, a reader of streams, and a publisher."""

    here: Site
    rows: Sequence[Row4]
    agreements: int
    producer: Any
    router: Contender
    ends: list[int]
    """Exit codes of routers that ended and were started again: there should be none."""


@asynccontextmanager
async def stage(
    here: Site, agreements: int, *, most_read: int | None = None, progress: Progress
) -> AsyncIterator[Stage]:
    """Set an empty installation up and start its router; at most so many streams are read (None: all)."""
    product, schema = await set_up_many(here, agreements, progress=progress)
    rows = rows_of(schema, product, _PEOPLE, agreements, here.lanes, here.keys.ensure(keys.LANE))
    source = topics.source(product.source, product.id)
    read = agreements if most_read is None else min(most_read, agreements)
    k_agreement = [here.keys.get(keys.agreement_key(f"meting-{number}")) for number in range(read)]
    by_key = {
        key: k_agreement[number] for index, (_, key, _, _) in enumerate(rows) if (number := index % agreements) < read
    }
    streams = [topics.delivery(f"afnemer-{number}", f"meting-{number}") for number in range(read)]

    def identify(key: bytes, lane: int, offset: int) -> str | None:
        k_delivery = by_key.get(key)
        return None if k_delivery is None else delivery_id(k_delivery, source, lane, offset).hex()

    ends: list[int] = []
    async with AsyncExitStack() as held:
        arrivals = await reading(held, here, "router", streams)
        process = await held.enter_async_context(router_process(here, ends))
        producer = await held.enter_async_context(here.clients.producer())
        router = Contender(source, identify, lambda: process.pid, arrivals)
        yield Stage(here, rows, agreements, producer, router, ends)


def router_process(here: Site, ends: list[int]) -> Supervised:
    """`datanuts router` on this installation; `ends` gets the exit code of each end that nobody asked for."""
    command = [sys.executable, "-m", "broker.cli.main", "router", "--data-dir", str(here.home.root)]
    return Supervised(command, here.home.logs / "router.log", report=ends.append)


def lived(here: Site, ends: Sequence[int]) -> None:
    """Raise `RuntimeError`, with what it said last, where a router ended while it was measured."""
    if ends:
        said = (here.home.logs / "router.log").read_text(encoding="utf-8", errors="replace").splitlines()
        last = next((line for line in reversed(said) if line.startswith("datanuts:")), said[-1] if said else "")
        raise RuntimeError(f"the router ended with {ends}: {last}")


async def reading(held: AsyncExitStack, here: Site, name: str, streams: Sequence[str]) -> Arrivals:
    """A reader of these streams, in a process of its own, from now on."""
    path = here.home.root / f"arrivals-{name}"
    told = {"topics": list(streams), "path": str(path)}
    await held.enter_async_context(part("arrivals", here.access, told, here.home.logs / f"arrivals-{name}.log"))
    return Arrivals(path)


@asynccontextmanager
async def raw_hop(on: Stage) -> AsyncIterator[Contender]:
    """The hop beside the router, with a source and as many streams of its own; the router must have delivered something."""
    here = on.here
    source = TopicSpec(_HOP_SOURCE, here.lanes, topology.source("x", "x.v1", here.lanes).config)
    targets = [f"bench-hop-{number}" for number in range(on.agreements)]
    streams = (TopicSpec(name, config=_INDEX) for name in targets)
    await here.admin.ensure_topics([source, TopicSpec(_HOP_RECEIPTS, here.lanes, _INDEX), *streams])
    delivered = [topics.delivery(f"afnemer-{number}", f"meting-{number}") for number in range(on.agreements)]
    told = {
        "source": _HOP_SOURCE,
        "lanes": here.lanes,
        "targets": targets,
        "receipts": _HOP_RECEIPTS,
        "delivery": await _one_of(here, delivered, [0]),
        "receipt": await _one_of(here, [topics.RECEIPTS], list(range(here.lanes))),
    }
    async with AsyncExitStack() as held:
        arrivals = await reading(held, here, "hop", targets)
        log: Path = here.home.logs / "hop.log"
        pid = await held.enter_async_context(part("hop", here.access, told, log))
        yield Contender(_HOP_SOURCE, lambda _key, lane, offset: identifier(lane, offset), lambda: pid, arrivals)


async def _one_of(here: Site, names: Sequence[str], partitions: Sequence[int]) -> Mapping[str, Any]:
    async with here.clients.consumer() as consumer:
        consumer.assign([TopicPartition(name, partition) for name in names for partition in partitions])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(PATIENCE_S):
            return row_as_json(await consumer.getone())


def now() -> float:
    """Seconds of the monotonic clock."""
    return time.monotonic()
