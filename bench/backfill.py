"""A backfill and a replay of one agreement while others get live records: how fast, what the others notice, and whether all is whole.

Routers, load and readers share one process and its node two cores: the ratios say something, the milliseconds little.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import fastavro
from aiokafka.structs import TopicPartition

from adapters.synthetic import people
from bench.population import SOURCE, document, nis_of, publish, set_up
from broker.cli.installation import Installation
from broker.cli.router import collect_rarely, lane_maker
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.dev_signing import bring_into_force
from broker.control.enforcement import Enforcement
from broker.control.replays import Replays
from broker.model import topics
from broker.model.keyed import delivery_id, delivery_key, lane_key, lane_of
from broker.model.record import Headers, SourceEnvelope, header, traceparent, wire_header
from broker.model.registered import Organisation, Product
from broker.routing.counts import Counts
from broker.routing.lane import Lane
from broker.routing.router import Router
from broker.schema.avro import Schema
from broker.testing import wait_until

_OTHERS, _RATE, _QUIET_S = 20, 500, 15.0
_PATIENCE_S = 1800.0
_EVERYBODY = "meting-iedereen"
Progress = Callable[[str], None]
Value = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds from a record's acknowledgement by the source topic to its delivery's arrival at a reader."""

    deliveries: int
    p50: float
    p99: float

    @classmethod
    def of(cls, taken: list[float]) -> "Latency":
        """From seconds."""
        ordered = sorted(taken)
        place = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.99)]
        return cls(len(ordered), round(place[0], 1), round(place[1], 1))


@dataclass(frozen=True, slots=True)
class Figures:
    """`whole`: subjects whose last state in the stream is the source's; all of them, or the run is refused."""

    subjects: int
    alone: Latency
    backfill_s: float
    beside_backfill: Latency
    replay_s: float
    beside_replay: Latency
    whole: int

    def as_json(self) -> Mapping[str, Any]:
        """Rates per second, and p99 beside ÷ alone."""
        shown = {
            "subjects": self.subjects,
            "backfill_s": round(self.backfill_s, 1),
            "backfill_per_s": round(self.subjects / self.backfill_s),
            "replay_s": round(self.replay_s, 1),
            "replay_per_s": round(self.subjects / self.replay_s),
            "whole": self.whole,
        }
        for name in ("alone", "beside_backfill", "beside_replay"):
            latency: Latency = getattr(self, name)
            shown |= {f"{name}_p50_ms": latency.p50, f"{name}_p99_ms": latency.p99}
        shown["p99_ratio_backfill"] = round(self.beside_backfill.p99 / self.alone.p99, 2)
        shown["p99_ratio_replay"] = round(self.beside_replay.p99 / self.alone.p99, 2)
        return shown


async def measure(here: Site, *, subjects: int, progress: Progress) -> Figures:
    """Route `subjects`; then live records alone, beside a backfill of one more agreement, and beside its replay."""
    installation = Installation.of(here)
    cases = Agreements(
        here.control, Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes)), fictional=True
    )
    product, schema = await set_up(installation, cases, _OTHERS)
    crowd = Crowd.of(schema, product, subjects, here.keys.ensure(keys.LANE), here.lanes)
    progress(f"publishing and routing {subjects} subjects")
    await publish(here.clients, crowd.topic, ((*crowd.row(number), crowd.headers) for number in range(subjects)))
    make = await lane_maker(here)
    lanes = [make(number) for number in range(here.lanes)]
    await asyncio.gather(*(lane.open() for lane in lanes))
    collect_rarely()
    async with _routing(lanes), _watching(here) as seen, _load(here, crowd, seen):
        await wait_until(lambda: sum(lane._next[crowd.topic] for lane in lanes) >= subjects, timeout=_PATIENCE_S)  # noqa: SLF001 - measured
        progress("live records alone")
        seen.phase("alone")
        await asyncio.sleep(_QUIET_S)
        progress("beside a backfill")
        seen.phase("backfill")
        held = {**document(0), "id": _EVERYBODY, "agency": "afnemer-iedereen"}
        held["population"] = {
            "where": {"path": "verblijfplaats.gemeente.nis", "in": [nis_of(n) for n in range(_OTHERS)]}
        }
        await installation.organisations.register(Organisation("afnemer-iedereen", "Afnemer"), by="operator")
        began = time.perf_counter()
        await bring_into_force(cases, held, datetime.now(UTC))
        await _told(here, lanes)
        backfill_s = time.perf_counter() - began
        progress("beside a replay")
        seen.phase("replay")
        began = time.perf_counter()
        await Replays(here.control, here.lanes).request(_EVERYBODY, since=None, now=datetime.now(UTC), by="operator")
        await _told(here, lanes)
        replay_s = time.perf_counter() - began
        seen.phase("")
        crowd.stopped.set()
        await wait_until(lambda: not seen.started, timeout=_PATIENCE_S)
    progress("comparing the stream with the source")
    whole = await _whole(here, crowd)
    if whole != subjects:
        raise RuntimeError(f"{subjects - whole} of {subjects} subjects are not as the source has them")
    taken = {name: Latency.of(found) for name, found in seen.taken.items()}
    return Figures(subjects, taken["alone"], backfill_s, taken["backfill"], replay_s, taken["replay"], whole)


@dataclass(slots=True)
class Crowd:
    """People, by number: their municipality never changes, their house number with every record."""

    topic: str
    rows: list[tuple[int, bytes, Value]]
    frame: bytes
    parsed: Any
    headers: Headers
    moved: dict[int, str] = field(default_factory=dict)
    stopped: asyncio.Event = field(default_factory=asyncio.Event)

    @classmethod
    def of(cls, schema: Schema, product: Product, subjects: int, k_lane: bytes, lanes: int) -> "Crowd":
        """So many synthetic persons."""
        rows = []
        for number, person in enumerate(people(random.Random(7), subjects, on=date(2026, 1, 1))):  # noqa: S311 - the same in every run
            place = {**person["verblijfplaats"], "gemeente": {"nis": nis_of(number % _OTHERS), "naam": "Gent"}}
            key = lane_key(k_lane, person["insz"].encode())
            rows.append((lane_of(key, lanes), key, {**person, "verblijfplaats": place}))
        trace = traceparent(b"\1" * 16, b"\1" * 8)
        envelope = SourceEnvelope(
            "0" * 32, f"/organisations/{SOURCE}", product.id, "changed", "2026-01-01T00:00:00Z", trace
        )
        parsed = fastavro.parse_schema(json.loads(schema.text))
        topic = topics.source(product.source, product.id)
        return cls(topic, rows, wire_header(product.schema_id), parsed, envelope.headers())

    def house(self, number: int) -> str:
        """House number in the last record of a person."""
        return self.moved.get(number) or str(self.rows[number][2]["verblijfplaats"]["huisnummer"])

    def row(self, number: int) -> tuple[int, bytes, bytes]:
        """Lane, key and value of a person's record as of now."""
        lane, key, person = self.rows[number]
        body = BytesIO()
        body.write(self.frame)
        place = {**person["verblijfplaats"], "huisnummer": self.house(number)}
        fastavro.schemaless_writer(body, self.parsed, {**person, "verblijfplaats": place})
        return lane, key, body.getvalue()


@dataclass(slots=True)
class _Seen:
    """Deliveries that are awaited, by delivery id, and how long the others took, by phase."""

    started: dict[bytes, tuple[float, str]] = field(default_factory=dict)
    taken: dict[str, list[float]] = field(default_factory=dict)
    now: str = ""

    def phase(self, name: str) -> None:
        self.now = name

    def arrived(self, identifier: bytes, at: float) -> None:
        began, phase = self.started.pop(identifier, (0.0, ""))
        if phase:
            self.taken.setdefault(phase, []).append(at - began)


@asynccontextmanager
async def _routing(lanes: list[Lane]) -> AsyncIterator[None]:
    stopped = asyncio.Event()

    async def keep(lane: Lane) -> None:
        router = Router(lane, Counts())
        while not stopped.is_set():
            await router.step()

    tasks = [asyncio.create_task(keep(lane)) for lane in lanes]
    try:
        yield
    finally:
        stopped.set()
        await asyncio.gather(*tasks)
        for lane in lanes:
            await lane.close()


@asynccontextmanager
async def _watching(here: Site) -> AsyncIterator[_Seen]:
    """A reader of what the other agreements deliver."""
    seen = _Seen()
    async with here.clients.consumer() as consumer:
        names = [topics.delivery(f"afnemer-{number}", f"meting-{number}") for number in range(_OTHERS)]
        targets = [TopicPartition(name, 0) for name in names]
        consumer.assign(targets)
        await consumer.seek_to_end(*targets)

        async def read() -> None:
            while True:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    at = time.perf_counter()
                    for record in records:
                        seen.arrived(bytes.fromhex((header(record.headers, "ce_id") or b"").decode()), at)

        reading = asyncio.create_task(read())
        try:
            yield seen
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


@asynccontextmanager
async def _load(here: Site, crowd: Crowd, seen: _Seen) -> AsyncIterator[None]:
    """Some hundreds of changes a second, of anybody."""
    k_agreement = [here.keys.get(keys.agreement_key(f"meting-{number}")) for number in range(_OTHERS)]
    rng, waiting = random.Random(3), set[asyncio.Task[None]]()  # noqa: S311 - as above

    async def change(producer: Any, number: int) -> None:
        lane, key, value = crowd.row(number)
        sent = await producer.send(crowd.topic, value, key=key, partition=lane, headers=list(crowd.headers))
        found = await sent
        identifier = delivery_id(k_agreement[number % _OTHERS], crowd.topic, lane, found.offset)
        seen.started[identifier] = time.perf_counter(), seen.now

    async def run() -> None:
        async with here.clients.producer() as producer:
            began = time.perf_counter()
            count = 0
            while not crowd.stopped.is_set():
                due = int((time.perf_counter() - began) * _RATE)
                for _ in range(count, due):
                    number = rng.randrange(len(crowd.rows))
                    crowd.moved[number] = str(int(crowd.moved.get(number, "1000")) + 1)
                    task = asyncio.create_task(change(producer, number))
                    waiting.add(task)
                    task.add_done_callback(waiting.discard)
                count = due
                await asyncio.sleep(0.01)
            await asyncio.gather(*waiting)

    running = asyncio.create_task(run())
    try:
        yield
    finally:
        crowd.stopped.set()
        await running


async def _told(here: Site, lanes: list[Lane]) -> None:
    """Return once every lane has read again what it had to, by now."""
    epoch = here.control.state.epoch
    await wait_until(lambda: all(lane.has_told(epoch) for lane in lanes), timeout=_PATIENCE_S)


async def _whole(here: Site, crowd: Crowd) -> int:
    """Subjects whose last delivery is as the source has them, and whose first one was `initial`."""
    topic = topics.delivery("afnemer-iedereen", _EVERYBODY)
    target, end = TopicPartition(topic, 0), (await here.admin.end_offsets(topic))[0]
    last: dict[bytes, bytes] = {}
    async with here.clients.consumer() as consumer:
        consumer.assign([target])
        await consumer.seek_to_beginning(target)
        while await consumer.position(target) < end:
            for record in (await consumer.getmany(target, timeout_ms=500)).get(target, ()):
                kind = header(record.headers, "ce_kind")
                if kind is None:
                    continue
                if record.key not in last and kind != b"initial":
                    raise RuntimeError("a subject's first delivery is not its whole state")
                last[record.key] = record.value
    entry = here.control.state.agreements[_EVERYBODY]
    egress = fastavro.parse_schema(json.loads(here.control.state.schemas[entry.egress_schema_id or 0].text))
    k_agreement = here.keys.get(keys.agreement_key(_EVERYBODY))
    whole = 0
    for number, (_, key, _person) in enumerate(crowd.rows):
        value = last.get(delivery_key(k_agreement, key), b"")
        found: Any = fastavro.schemaless_reader(BytesIO(value[5:]), egress, None) if value else None
        whole += found is not None and found["verblijfplaats"]["huisnummer"] == crowd.house(number)
    return whole
