"""Long at a share of what the router can: whether its memory grows, and whether deliveries come later and later."""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.awaited import Latencies, slope
from bench.contenders import Stage, lived, memory_mb, now, stage
from bench.population import publish
from broker.cli.site import Site
from broker.testing import wait_until

_BACKLOG, _WARM_S = 60_000, 5.0
_MEMORY_EVERY_S = 10.0
_MINUTE = 60.0
_LONGEST_S = 300.0
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Figures:
    """Memory every 10 s as (minutes, MB), p99 of every minute as (minute, ms)."""

    capacity: float
    rate: float
    agreements: int
    memory: Sequence[tuple[float, float]]
    p99: Sequence[tuple[float, float]]
    whole: Latencies

    def as_json(self) -> Mapping[str, Any]:
        """With slopes by least squares over the second half, when what fills up at first has filled up, and over all."""
        return {
            "capacity_per_s": round(self.capacity),
            "rate": round(self.rate),
            "agreements": self.agreements,
            "latency": self.whole.as_json(),
            "memory_mb_per_hour": _per_hour(self.memory),
            "p99_ms_per_hour": _per_hour(self.p99),
            "memory_mb": [[round(x, 2), y] for x, y in self.memory],
            "p99_ms": [[x, round(y, 2)] for x, y in self.p99],
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(
    here: Site, *, minutes: int, share: float, most: float, agreements: int, progress: Progress
) -> Figures:
    """Find what the router can with a backlog, then load it so long at a share of that, at most `most` records a second."""
    async with stage(here, agreements, progress=progress) as on:
        await on.router.load(on.producer, on.rows, 500, _WARM_S)
        capacity = await _capacity(on)
        rate = min(share * capacity, most)
        progress(f"{capacity:.0f} records/s at most; {minutes} minutes at {rate:.0f}")
        began, memory = now(), list[tuple[float, float]]()
        watching = asyncio.create_task(_watch(on, began, memory))
        try:
            taken = await on.router.load(on.producer, on.rows, rate, minutes * _MINUTE)
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        lived(here, on.ends)
    return Figures(capacity, rate, agreements, memory, by_minute(taken), Latencies.of([each for _, each in taken]))


def by_minute(taken: Sequence[tuple[int, int]]) -> Sequence[tuple[float, float]]:
    """p99 in ms of the records due in each minute since the first."""
    first = min(due for due, _ in taken)
    minutes: dict[int, list[int]] = {}
    for due, latency in taken:
        minutes.setdefault(int((due - first) / 1e9 // _MINUTE), []).append(latency)
    return [(float(minute), Latencies.of(found).ms["p99"]) for minute, found in sorted(minutes.items())]


async def _capacity(on: Stage) -> float:
    """Records a second of a backlog, from the first arrival to the last: reader and router share the machine."""
    on.router.arrivals.new()
    rows = [on.rows[index % len(on.rows)] for index in range(_BACKLOG)]
    await publish(on.here.clients, on.router.source, iter(rows))
    found: list[int] = []

    def all_there() -> bool:
        found.extend(at for _, at in on.router.arrivals.new())
        return len(found) >= _BACKLOG

    await wait_until(all_there, timeout=_LONGEST_S, every=0.1)
    return _BACKLOG / ((max(found) - min(found)) / 1e9)


async def _watch(on: Stage, began: float, memory: list[tuple[float, float]]) -> None:
    while True:
        if told := memory_mb(on.router.pid()):
            memory.append(((now() - began) / _MINUTE, told["resident"]))
        on.router.look()
        await asyncio.sleep(_MEMORY_EVERY_S)


def _per_hour(points: Sequence[tuple[float, float]]) -> Mapping[str, float | None]:
    """Growth an hour over all and over the second half; None where there are too few points."""
    halves = {"whole": points, "second_half": points[len(points) // 2 :]}
    return {name: round(60 * slope(some), 3) if len(some) > 1 else None for name, some in halves.items()}
