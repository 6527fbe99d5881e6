"""A register of many dossiers: loading, rebuilding, memory, and what it costs a router, in one run on one node.

The router routes the same records three times: with no dossier, with dossiers on others only, and with a tenth of the
people in the records on file too. Ratios of these runs mean something; the rates alone are this machine's.
"""

import asyncio
import itertools
import os
import random
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from aiokafka.structs import TopicPartition

from adapters.synthetic import people
from bench.copy import Run
from bench.population import document, publish, records, set_up
from bench.processes import memory_mb
from broker.cli.installation import Installation
from broker.cli.router import collect_rarely, lane_maker
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.dev_signing import bring_into_force
from broker.control.dossiers import Dossiers
from broker.control.enforcement import Enforcement
from broker.control.registrations import Opening
from broker.model import topics
from broker.model.identifiers import make_test_insz
from broker.routing.counts import Counts
from broker.routing.router import Router

Progress = Callable[[str], None]

_AGREEMENT, _AGENCY = "dossiers", "afnemer-0"
_OTHERS = 10
"""Agreements without dossiers on the same product."""

_PEOPLE, _ON_FILE = 20_000, 2_000
_ROWS = 5_000
_SERIALS = 997
_FIRST_BIRTH = date(1930, 1, 1)


@dataclass(frozen=True, slots=True)
class Figures:
    """What was measured; times in seconds, memory in MB (None where the system does not tell)."""

    entries: int
    loaded: Run
    again: Run
    rebuilt: Run
    memory: float | None
    told: Run
    without: Run
    beside: Run
    on_file: Run
    delivered: int

    def as_json(self) -> Mapping[str, Any]:
        """Rates, memory, and the router's rate per CPU second with dossiers ÷ without."""
        return {
            "entries": self.entries,
            "load": _rate(self.loaded),
            "load_again": _rate(self.again),
            "rebuild": _rate(self.rebuilt),
            "memory_mb": None if self.memory is None else round(self.memory),
            "told": _rate(self.told),
            "router": {
                "without": _rate(self.without),
                "others_on_file": _rate(self.beside),
                "tenth_on_file": _rate(self.on_file),
                "delivered": self.delivered,
            },
            "ratio_others": round(self.beside.per_cpu_second / self.without.per_cpu_second, 3),
            "ratio_tenth": round(self.on_file.per_cpu_second / self.without.per_cpu_second, 3),
        }


async def measure(here: Site, *, entries: int, number: int, progress: Progress) -> Figures:
    """Set an empty installation up with one agreement on dossiers, load `entries`, and route `number` records thrice."""
    installation = Installation.of(here)
    enforcement = Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes))
    cases = Agreements(here.control, enforcement, fictional=True)
    product, schema = await set_up(installation, cases, _OTHERS)
    await bring_into_force(cases, filed(), datetime.now(UTC))
    source, k_lane = topics.source(product.source, product.id), here.keys.ensure(keys.LANE)

    async def routed(counts: Counts) -> Run:
        await publish(here.clients, source, records(schema, product, number, _OTHERS, here.lanes, k_lane))
        return await _route(here, number, counts)

    progress("routing without dossiers")
    await routed(Counts())  # everybody is new to the lanes the first time
    without = await routed(Counts())
    register = register_of(here)
    await register.start()
    progress(f"loading {entries} dossiers")
    loaded = await load(register, openings(entries))
    again = await load(register, openings(min(entries, 50_000)))
    progress(f"{loaded.per_second:.0f} a second, {again.per_second:.0f} that were there; rebuilding the register")
    before, started = memory_mb(os.getpid()), time.perf_counter()
    rebuilt = register_of(here)
    cpu = time.process_time()
    await rebuilt.start()
    rebuild = Run(entries, time.perf_counter() - started, time.process_time() - cpu)
    memory = memory_mb(os.getpid())["resident"] - before["resident"] if before else None
    await rebuilt.close()
    del rebuilt
    progress(f"{rebuild.per_second:.0f} a second; lanes tell what changed")
    told = await _tell(here, entries)
    progress(f"{told.per_second:.0f} a second; routing with dossiers")
    beside = await routed(Counts())
    await load(register, _known())
    await register.close()
    await _tell(here, _ON_FILE)
    counts = Counts()
    on_file = await routed(counts)
    return Figures(
        entries, loaded, again, rebuild, memory, told, without, beside, on_file, counts.delivered[_AGREEMENT]
    )


def filed() -> Mapping[str, Any]:
    """The agreement whose population are files."""
    return {**document(0), "id": _AGREEMENT, "population": {"dossiers": True}}


def register_of(here: Site) -> Dossiers:
    """The register of files, not started."""
    return Dossiers(here.clients, here.control, here.keys, here.settings.wall(), here.lanes)


async def load(register: Dossiers, rows: Iterator[Opening]) -> Run:
    """Open these files."""
    number, wall, cpu = 0, time.perf_counter(), time.process_time()
    while part := list(itertools.islice(rows, _ROWS)):
        await register.add_many(_AGREEMENT, _AGENCY, part)
        number += len(part)
    return Run(number, time.perf_counter() - wall, time.process_time() - cpu)


def openings(number: int) -> Iterator[Opening]:
    """Files on people who are in no record: these were born on other days."""
    for index in range(number):
        born = _FIRST_BIRTH + timedelta(days=index // _SERIALS)
        yield Opening(make_test_insz(born, index % _SERIALS + 1), f"M-{index}", "schuldeiser")


def _known() -> Iterator[Opening]:
    """Files on a tenth of the people in the records."""
    rng = random.Random(7)  # noqa: S311 - those of bench.population
    for index, person in enumerate(itertools.islice(people(rng, _PEOPLE, on=date(2026, 1, 1)), _ON_FILE)):
        yield Opening(person["insz"], f"K-{index}", "schuldeiser")


async def _route(here: Site, number: int, counts: Counts) -> Run:
    """Route `number` records with lanes that are open already."""

    async def until_done(router: Router) -> None:
        while counts.records < number:
            await router.step()

    return await _with_lanes(here, counts, number, until_done)


async def _tell(here: Site, number: int) -> Run:
    """Step until every lane has told what its dossiers change."""
    ends = await here.admin.end_offsets(topics.DOSSIERS)
    async with here.clients.consumer(topics.ROUTER_GROUP) as positions:
        targets = [TopicPartition(topics.DOSSIERS, lane) for lane in range(here.lanes)]
        positions.assign(targets)
        positions.pause(*targets)

        async def until_told(router: Router, lane: int) -> None:
            while (await positions.committed(targets[lane]) or 0) < ends[lane]:
                await router.step()

        lanes = itertools.count()
        return await _with_lanes(here, Counts(), number, lambda router: until_told(router, next(lanes)))


async def _with_lanes(
    here: Site, counts: Counts, number: int, work: Callable[[Router], Coroutine[Any, Any, None]]
) -> Run:
    """How long `work` takes on all lanes together, once they are open."""
    open_lane = await lane_maker(here)
    lanes = [open_lane(lane) for lane in range(here.lanes)]
    for lane in lanes:
        await lane.open()
    collect_rarely()
    wall, cpu = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for lane in lanes:
            group.create_task(work(Router(lane, counts)))
    run = Run(number, time.perf_counter() - wall, time.process_time() - cpu)
    for lane in lanes:
        await lane.close()
    return run


def _rate(run: Run) -> Mapping[str, float]:
    return {
        "per_s": round(run.per_second),
        "per_cpu_s": round(run.per_cpu_second),
        "wall_s": round(run.wall_s, 2),
        "cpu_s": round(run.cpu_s, 2),
    }
