"""Twenty agencies on one installation, and what the well-behaved ones notice when others are slow, hasty or read everything again.

Router, HTTP interface and webhooks are processes of their own, as in an installation; load and readers share this one.
"""

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import fastavro
import httpx

from adapters.synthetic import people
from bench.backfill import Crowd, Latency
from bench.isolation_agencies import EXITS, HANGING, HASTY, REPEATING, SLOW, WATCHED, Agency, Receivers, Seen
from bench.population import nis_of, publish, set_up
from bench.processes import memory_mb
from broker.cli import figures
from broker.cli.installation import Installation
from broker.cli.processes import HOST, Supervised
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.enforcement import Enforcement
from broker.model.keyed import delivery_id, lane_key, lane_of
from broker.model.record import Headers
from broker.model.roles import AGENCY
from broker.settings import variable
from broker.testing import wait_until

_LIVE, _SLOW_BACKLOG = 1000, 5000
_WARM = 50
_MOST_S = 3600.0
_PATIENCE_S = 120.0
Progress = Callable[[str], None]


@dataclass(slots=True)
class Figures:
    """Of the sixteen with whom nothing is wrong: latencies by phase and exit (`all`: together).

    Also resident MB of each process before and after a phase, what was refused (by phase, agency and status), how the flood was
    answered, and how much the repeating agency read in how many seconds.
    """

    load: Mapping[str, float]
    phases: dict[str, dict[str, Latency]] = field(default_factory=dict)
    memory_mb: dict[str, dict[str, tuple[float, float]]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    flooded: dict[str, int] = field(default_factory=dict)
    again: dict[str, float] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, str, int, float, float, float, float]]:
        """Phase, exit, deliveries, p50, p99, and both ÷ those of the first phase."""
        first = next(iter(self.phases.values()))
        for phase, exits in self.phases.items():
            for name, had in exits.items():
                ratios = (round(had.p50 / first[name].p50, 2), round(had.p99 / first[name].p99, 2))
                yield phase, name, had.deliveries, had.p50, had.p99, *ratios

    def as_json(self) -> Mapping[str, Any]:
        """Everything, milliseconds and megabytes."""
        names = ("deliveries", "p50_ms", "p99_ms", "p50_ratio", "p99_ratio")
        phases: dict[str, dict[str, Any]] = {}
        for phase, by_exit, *numbers in self.rows():
            phases.setdefault(phase, {})[by_exit] = dict(zip(names, numbers, strict=True))
        return {
            "load": self.load,
            "phases": phases,
            "memory_mb": self.memory_mb,
            "refused": self.refused,
            "flooded": self.flooded,
            "again": self.again,
        }


async def measure(here: Site, *, replayed: int, seconds: float, rate: int, progress: Progress) -> Figures:
    """Phases `well`, `misbehaving` and `again` of at least so many seconds, with `rate` live records a second over all agencies.

    `replayed` subjects are in the stream of the agency that reads everything again. Raises `RuntimeError` if a delivery to one of
    the others never came.
    """
    load = {"replayed": replayed, "seconds": seconds, "per_second": rate, "load_average": os.getloadavg()[0]}
    found, seen = Figures(load), Seen()
    async with AsyncExitStack() as held:
        progress("starting the installation")
        stack = await _Stack.started(here, held)
        installation = Installation.of(here)
        cases = Agreements(
            here.control, Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes)), fictional=True
        )
        product, schema = await set_up(installation, cases, len(EXITS))
        crowd = Crowd.of(schema, product, _LIVE, here.keys.ensure(keys.LANE), here.lanes)
        client = await held.enter_async_context(httpx.AsyncClient(timeout=60, limits=httpx.Limits()))
        agencies = [
            Agency(number, await installation.credential(f"afnemer-{number}", (AGENCY,)), stack.api, client)
            for number in range(len(EXITS))
        ]
        progress(f"publishing and routing {replayed} subjects of one agency")
        await publish(here.clients, crowd.topic, _subjects(here, crowd, replayed))
        await wait_until(
            lambda: figures.collected(here.home)["records"] >= _LIVE + _SLOW_BACKLOG + replayed, timeout=_MOST_S
        )
        receivers = await held.enter_async_context(Receivers(seen).listening())
        reading = [
            _reading(agency, by_exit, here, seen)
            for agency, by_exit in zip(agencies, EXITS, strict=True)
            if by_exit != "webhook" and agency.number != SLOW
        ]
        await held.enter_async_context(_beside(*reading))
        for number, by_exit in enumerate(EXITS):
            if by_exit == "webhook":
                await agencies[number].webhook(receivers)
        await held.enter_async_context(_beside(_load(here, crowd, seen, rate)))
        run = _Run(found, seen, stack, seconds, progress)
        await run.warm()
        async with run.phase("well"):
            pass
        receivers.hanging.add(b"/%d" % HANGING)
        statuses: Counter[int] = Counter()
        bad = (agencies[HASTY].flood(statuses), agencies[SLOW].crawl())
        async with run.phase("misbehaving"), _beside(*bad):
            await asyncio.sleep(seconds)
        receivers.hanging.clear()
        found.flooded = {f"flood_{status}": number for status, number in statuses.items()}
        async with run.phase("again"):
            again, lanes = agencies[REPEATING], here.lanes
            await again.ask_for_a_replay()
            told = await asyncio.gather(again.everything_by_pull(lanes), again.everything_by_kafka(here.clients, lanes))
            for name, (items, took) in zip(("pull", "kafka"), told, strict=True):
                found.again |= {f"{name}_items": items, f"{name}_s": round(took, 1)}
        seen.now = ""
    found.refused = seen.refused
    for phase in found.memory_mb:
        taken = {name: seen.taken[phase, name] for name in dict.fromkeys(EXITS)}
        together = {"all": [each for some in taken.values() for each in some]}
        found.phases[phase] = {name: Latency.of(some) for name, some in (together | taken).items()}
    return found


@dataclass(slots=True)
class _Stack:
    """The installation's processes, by what they are."""

    api: str
    processes: Mapping[str, Supervised]

    @classmethod
    async def started(cls, here: Site, held: AsyncExitStack) -> "_Stack":
        os.environ[variable("webhook_allow")] = HOST  # the children's: the agencies' receivers are on this machine
        figures.forget(here.home)
        processes = {"api": ("api", "--port", "0", "--json"), "router": ("router",), "webhooks": ("webhooks",)}
        made = {}
        for name, arguments in processes.items():
            command = [sys.executable, "-m", "broker.cli.main", *arguments, "--data-dir", str(here.home.root)]
            made[name] = await held.enter_async_context(Supervised(command, here.home.logs / f"{name}.log"))
        return cls(await wait_until(lambda: _url(here.home.logs / "api.log"), timeout=_PATIENCE_S), made)

    def memory_mb(self) -> dict[str, float]:
        """Resident now; nothing where the system does not tell."""
        told = {name: memory_mb(process.pid) for name, process in self.processes.items()}
        return {name: mb["resident"] for name, mb in told.items() if mb}


@dataclass(slots=True)
class _Run:
    found: Figures
    seen: Seen
    stack: _Stack
    seconds: float
    progress: Progress

    async def warm(self) -> None:
        """Return once every exit delivers, and nobody has old deliveries left to read."""
        self.progress("waiting until every exit delivers")
        self.seen.now = "warm"
        taken, names = self.seen.taken, set(EXITS)
        await wait_until(lambda: REPEATING in self.seen.at_the_end, timeout=_MOST_S)
        await wait_until(
            lambda: all(len(taken.get(("warm", name), ())) >= _WARM for name in names), timeout=_PATIENCE_S
        )

    @asynccontextmanager
    async def phase(self, name: str) -> AsyncIterator[None]:
        """As long as the block takes, at least so many seconds, and until what was acknowledged in it has arrived."""
        self.progress(f"phase {name}")
        before, began = self.stack.memory_mb(), time.perf_counter()
        self.seen.now = name
        yield
        await asyncio.sleep(max(0.0, began + self.seconds - time.perf_counter()))
        self.seen.now = ""
        try:
            await wait_until(
                lambda: not any(phase == name for _, phase, _ in self.seen.started.values()), timeout=_PATIENCE_S
            )
        except TimeoutError:
            missing = Counter(by_exit for _, phase, by_exit in self.seen.started.values() if phase == name)
            raise RuntimeError(f"deliveries that never came in phase {name}: {dict(missing)}") from None
        after = self.stack.memory_mb()
        self.found.memory_mb[name] = {process: (before[process], after[process]) for process in after}


def _subjects(here: Site, crowd: Crowd, replayed: int) -> Iterator[tuple[int, bytes, bytes, Headers]]:
    """Everybody who changes later, and those whom only the slow and the repeating agency know, who never do."""
    yield from ((*crowd.row(number), crowd.headers) for number in range(len(crowd.rows)))
    k_lane = here.keys.ensure(keys.LANE)
    taken = {key for _, key, _ in crowd.rows}
    places = (
        ("gemeente", {"nis": nis_of(SLOW), "naam": "Gent"}),
        ("gemeente", {"nis": nis_of(REPEATING), "naam": "Gent"}),
    )
    count = 0
    for person in people(random.Random(11), 2 * (replayed + _SLOW_BACKLOG), on=date(2026, 1, 1)):  # noqa: S311 - the same in every run
        key = lane_key(k_lane, person["insz"].encode())
        if key in taken:
            continue
        taken.add(key)
        place = dict([*person["verblijfplaats"].items(), places[count >= _SLOW_BACKLOG]])
        body = BytesIO()
        body.write(crowd.frame)
        fastavro.schemaless_writer(body, crowd.parsed, {**person, "verblijfplaats": place})
        yield lane_of(key, here.lanes), key, body.getvalue(), crowd.headers
        count += 1
        if count == _SLOW_BACKLOG + replayed:
            return
    raise RuntimeError("not enough different people")


async def _load(here: Site, crowd: Crowd, seen: Seen, rate: int) -> None:
    """Changes at a steady rate, of every agency's people in turn, until cancelled."""
    k_agreement = [here.keys.get(keys.agreement_key(f"meting-{number}")) for number in range(len(EXITS))]

    async def change(producer: Any, number: int) -> None:
        lane, key, value = crowd.row(number)
        found = await (await producer.send(crowd.topic, value, key=key, partition=lane, headers=list(crowd.headers)))
        agency = number % len(EXITS)
        if agency in WATCHED:
            identifier = delivery_id(k_agreement[agency], crowd.topic, lane, found.offset)
            seen.acknowledged(identifier.hex(), EXITS[agency])

    async with here.clients.producer() as producer, asyncio.TaskGroup() as waiting:
        began, count = time.perf_counter(), 0
        while True:
            due = int((time.perf_counter() - began) * rate)
            for each in range(count, due):
                number = each % len(crowd.rows)
                crowd.moved[number] = str(int(crowd.moved.get(number, "1000")) + 1)
                waiting.create_task(change(producer, number))
            count = due
            await asyncio.sleep(0.01)


async def _reading(agency: Agency, by_exit: str, here: Site, seen: Seen) -> None:
    if by_exit == "kafka":
        await agency.kafka(here.clients, seen)
    await (agency.pull(seen) if by_exit == "pull" else agency.events(seen))


@asynccontextmanager
async def _beside(*endless: Any) -> AsyncIterator[None]:
    """Run these during the block; what ends one of them ends the block."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in endless]
        yield
        for task in tasks:
            task.cancel()


def _url(log: Path) -> str:
    """Where the HTTP interface says it listens; empty until it does."""
    lines: Iterable[str] = log.read_text(encoding="utf-8").splitlines()
    said = next((line for line in lines if line.startswith('{"api":')), None)
    return "" if said is None else str(json.loads(said)["api"])
