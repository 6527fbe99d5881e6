"""How long a router takes from the start of its process until its first lane is open and its first record is delivered.

The control log with many agreements in force is there before, and so is a record in every lane.
"""

import os
import resource
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from bench.awaited import Spread
from bench.bulk import set_up_many
from bench.contenders import PATIENCE_S, lived, now, reading, router_process
from bench.load import rows_of
from bench.population import publish
from bench.processes import cpu_s, memory_mb
from broker.cli.site import Site
from broker.control import keys
from broker.model import topics
from broker.testing import wait_until

_LOOK_S = 0.005
_LONGEST_S = 300.0
_HANDLES_PER_TOPIC, _SPARE_HANDLES = 4, 2_000
_PEOPLE = 2_000
_OPENED = '"lane.opened"'
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Start:
    """One start: seconds from before the process was spawned, CPU seconds it had taken by then, and its memory."""

    opened_s: float
    delivered_s: float
    cpu_s: float
    memory_mb: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Figures:
    """All starts, over one control log."""

    agreements: int
    topics: int
    facts: int
    starts: Sequence[Start]

    def as_json(self) -> Mapping[str, Any]:
        """Seconds and MB, each over the starts."""
        memory = [start.memory_mb["most"] for start in self.starts if start.memory_mb]
        return {
            "agreements": self.agreements,
            "topics": self.topics,
            "facts": self.facts,
            "lane_opened_s": Spread.of([start.opened_s for start in self.starts]).as_json(),
            "first_delivered_s": Spread.of([start.delivered_s for start in self.starts]).as_json(),
            "cpu_s": Spread.of([start.cpu_s for start in self.starts]).as_json(),
            "memory_most_mb": Spread.of(memory).as_json() if memory else None,
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(here: Site, *, agreements: int, starts: int, progress: Progress) -> Figures:
    """Start and stop one router so often; raises `TimeoutError` where one delivers nothing."""
    live = topics_that_fit(agreements)
    if live < agreements:
        progress(f"this machine's limit of open files admits {live} delivery topics: the other agreements have none")
    product, schema = await set_up_many(here, agreements, with_topics=live, progress=progress)
    rows = rows_of(schema, product, max(_PEOPLE, live), live, here.lanes, here.keys.ensure(keys.LANE))
    source = topics.source(product.source, product.id)
    found = []
    for number in range(starts):
        progress(f"start {number + 1} of {starts}")
        async with AsyncExitStack() as held:
            streams = [topics.delivery(f"afnemer-{each}", f"meting-{each}") for each in range(live)]
            arrivals = await reading(held, here, f"start-{number}", streams)
            await publish(here.clients, source, iter(rows[:_PEOPLE]))
            log = here.home.logs / "router.log"
            log.unlink(missing_ok=True)
            ends: list[int] = []
            began = now()
            process = await held.enter_async_context(router_process(here, ends))
            await wait_until(partial(_says, log, _OPENED), timeout=_LONGEST_S, every=_LOOK_S)
            opened = now() - began
            first = await wait_until(arrivals.new, timeout=_LONGEST_S, every=_LOOK_S)
            delivered = first[0][1] / 1e9 - began
            found.append(Start(opened, delivered, cpu_s(process.pid), memory_mb(process.pid)))
            lived(here, ends)
            taken = len(first)

            def all_there(arrivals: Any = arrivals) -> bool:
                nonlocal taken
                taken += len(arrivals.new())
                return taken >= _PEOPLE

            await wait_until(all_there, timeout=PATIENCE_S)
    return Figures(agreements, live, here.control.state.epoch + 1, found)


def _says(log: Path, what: str) -> bool:
    return log.exists() and what in log.read_text()


def topics_that_fit(number: int) -> int:
    """How many of so many delivery topics the embedded node can hold open here."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        number if soft == resource.RLIM_INFINITY else max(1, min(number, (soft - _SPARE_HANDLES) // _HANDLES_PER_TOPIC))
    )
