"""What one router that owns every lane holds in memory: many agreements, dossiers and subjects, in its own process."""

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from aiokafka.structs import TopicPartition

from bench.bulk import cases_of, set_up_many
from bench.cold_start import topics_that_fit
from bench.contenders import lived, reading, router_process
from bench.dossiers import filed, load, openings, register_of
from bench.load import rows_of
from bench.population import publish
from bench.processes import memory_mb
from broker.cli.site import Site
from broker.control import keys
from broker.control.dev_signing import bring_into_force
from broker.model import topics
from broker.policy.engine import Previous
from broker.routing.lane_state import Absorbed, LaneState
from broker.routing.plans import Plans
from broker.testing import wait_until

_PEOPLE = 20_000
_LONGEST_S = 1800.0
_BATCH = 10_000
_VALUE = b"\x02\x0a10000"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """MB of the router's process, `resident` then and at its `most` until then."""

    agreements: int
    topics: int
    dossiers: int
    subjects: int
    opened: Mapping[str, float]
    routed: Mapping[str, float]
    empty: Mapping[str, float]

    def as_json(self) -> Mapping[str, Any]:
        """As it was when all lanes were open, after routing, and of a router with one agreement and nothing else."""
        return {
            "agreements": self.agreements,
            "topics": self.topics,
            "dossiers": self.dossiers,
            "subjects": self.subjects,
            "empty_mb": self.empty,
            "opened_mb": self.opened,
            "routed_mb": self.routed,
            "ratio": round(self.routed["resident"] / self.empty["resident"], 2) if self.empty else None,
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(
    here: Site, small: Site, *, agreements: int, dossiers: int, subjects: int, progress: Progress
) -> Figures:
    """A router on `here`, which is filled first, and one on `small`, which gets one agreement only."""
    empty, _ = await _router(small, 1, 1, progress)
    live = topics_that_fit(agreements)
    product, _ = await set_up_many(here, agreements, with_topics=live, progress=progress)
    await bring_into_force(cases_of(here), filed(), datetime.now(UTC))
    progress(f"loading {dossiers} dossiers")
    register = register_of(here)
    await register.start()
    await load(register, openings(dossiers))
    await register.close()
    progress(f"a state of {subjects} subjects")
    _state(here, topics.source(product.source, product.id), subjects)
    routed, opened = await _router(here, 0, live, progress)
    return Figures(agreements, live, dossiers, subjects, opened, routed, empty)


async def _router(
    here: Site, to_make: int, live: int, progress: Progress
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Memory of a router after it has routed, and before; `to_make` agreements are made first."""
    if to_make:
        await set_up_many(here, to_make, progress=progress)
    (product,) = here.control.state.products.values()
    schema = (
        Plans(here.keys, here.settings.wall()).at(here.control.state)[topics.source(product.source, product.id)].schema
    )
    rows = rows_of(schema, product, _PEOPLE, live, here.lanes, here.keys.ensure(keys.LANE))
    streams = [topics.delivery(f"afnemer-{number}", f"meting-{number}") for number in range(live)]
    progress("starting a router")
    async with AsyncExitStack() as held:
        arrivals, ends, taken = await reading(held, here, "memory", streams), list[int](), 0
        log = here.home.logs / "router.log"
        process = await held.enter_async_context(router_process(here, ends))
        await wait_until(lambda: log.read_text().count('"lane.opened"') >= here.lanes, timeout=_LONGEST_S)
        await _told(here)
        opened = memory_mb(process.pid)
        await publish(here.clients, topics.source(product.source, product.id), iter(rows))

        def all_there() -> bool:
            nonlocal taken
            taken += len(arrivals.new())
            return taken >= len(rows)

        await wait_until(all_there, timeout=_LONGEST_S)
        lived(here, ends)
        return memory_mb(process.pid), opened


async def _told(here: Site) -> None:
    """Return once no lane has anything to tell of its dossiers: until then it holds what waits, too."""
    ends = await here.admin.end_offsets(topics.DOSSIERS)
    targets = [TopicPartition(topics.DOSSIERS, lane) for lane in range(here.lanes)]
    async with here.clients.consumer(topics.ROUTER_GROUP) as positions:
        positions.assign(targets)
        positions.pause(*targets)

        async def all_told() -> bool:
            committed: list[int | None] = await asyncio.gather(*(positions.committed(target) for target in targets))
            return all(at is not None and int(at) >= ends[lane] for lane, at in enumerate(committed))

        if any(ends.values()):
            probe = cast(
                "Callable[[], bool]", all_told
            )  # an awaited answer, which the checker cannot tell from its type
            await wait_until(probe, timeout=_LONGEST_S, every=0.5)


def _state(here: Site, source: str, subjects: int) -> None:
    """The lanes' own files, as if so many subjects of whom nobody asked had been routed."""
    paths = Plans(here.keys, here.settings.wall()).at(here.control.state)[source].engine.paths
    values = tuple(_VALUE for _ in paths)
    for lane in range(here.lanes):
        state = LaneState(here.home.root / "lanes" / f"{lane}.mdb")
        numbers = iter(range(lane, subjects, here.lanes))
        while part := list(itertools.islice(numbers, _BATCH)):
            changes = {b"%032x" % (number * 2_654_435_761 % 2**64): Previous(values, 1, number) for number in part}
            state.write({source: changes}, [Absorbed(source, 0, paths)])
        state.close()
