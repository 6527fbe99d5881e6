"""The runner as it is against the same without seals and without counting fields, in turns, in one process, on one node.

Its adapter hands over people that were made before, so that what is measured is the runner alone: with any real source
beside it the share of seals is smaller.
"""

import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from statistics import median
from typing import Any

from adapters.sdk import Change, Item
from adapters.synthetic_people import people
from bench.copy import Run
from broker.cli.publishing import runner_over
from broker.cli.router import collect_rarely
from broker.cli.site import Site

_PRODUCT, _SOURCE = "persoon.v1", "rijksregister"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """Hands over what was made, under a name of its own: nothing is a duplicate of another turn's."""

    items: Sequence[Change]
    name: str
    sources: Mapping[str, str] = field(default_factory=lambda: {_PRODUCT: _SOURCE})

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """All of it, from the start only."""
        del cursor
        for number, item in enumerate(self.items, 1):
            yield item, str(number)


@dataclass(frozen=True, slots=True)
class Turns:
    """What the turns of both gave; rates are of the median turn."""

    bare: Sequence[Run]
    whole: Sequence[Run]

    def as_json(self) -> Mapping[str, Any]:
        """Rates of both, in records, and whole ÷ bare by wall clock and per CPU second of the process."""
        rates = {name: _rates(runs) for name, runs in (("whole", self.whole), ("bare", self.bare))}
        names = (("ratio", "records_per_s"), ("ratio_per_cpu", "records_per_cpu_s"))
        ratios = {name: round(rates["whole"][rate] / rates["bare"][rate], 3) for name, rate in names}
        return {"records": self.whole[0].records, "turns": len(self.whole), **rates, **ratios}


async def measure(here: Site, *, number: int, turns: int, progress: Progress) -> Turns:
    """Publish `number` people in each turn, `turns` times each way."""
    made = people(random.Random(1), number, on=date(2026, 1, 1))  # noqa: S311 - reproducible data, not a secret
    items = [Change(f"persoon/{person['insz']}", _PRODUCT, person) for person in made]
    collect_rarely()
    found: dict[bool, list[Run]] = {True: [], False: []}
    await _turn(here, items[: number // 10], "bench-first", whole=True)  # topics are made, code is warm
    for turn in range(turns):
        for whole in (True, False) if turn % 2 else (False, True):
            name = f"bench-{'whole' if whole else 'bare'}-{turn}"
            progress(name)
            found[whole].append(await _turn(here, items, name, whole=whole))
    return Turns(found[False], found[True])


async def _turn(here: Site, items: Sequence[Change], name: str, *, whole: bool) -> Run:
    runner = await runner_over(here, Made(items, name))
    if not whole:
        runner.signer = None
        for publication in runner.publications.values():
            publication.mask = _nothing
    wall, cpu = time.perf_counter(), time.process_time()
    summary = await runner.run(once=True)
    return Run(summary.published, time.perf_counter() - wall, time.process_time() - cpu)


def _nothing(_value: Mapping[str, Any]) -> int:
    return 0


def _rates(runs: Sequence[Run]) -> dict[str, float]:
    return {
        "records_per_s": round(median(run.per_second for run in runs)),
        "records_per_cpu_s": round(median(run.per_cpu_second for run in runs)),
    }
