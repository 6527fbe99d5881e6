"""Long at a share of what the router can: whether its memory grows, and whether deliveries come later and later.

The load is open, and the publisher shares the machine with what it measures: how late it was itself is told and tested
like the deliveries, so that a machine that became slower is not taken for a router that did.
"""

import asyncio
import os
from array import array
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.awaited import SHARES, Spread, percentile
from bench.contenders import Stage, lived, now, stage
from bench.drift import Drift, Line
from bench.population import publish
from bench.processes import memory_mb
from broker.cli.site import Site
from broker.testing import wait_until

_BACKLOG, _BACKLOGS, _WARM_S = 60_000, 3, 5.0
_READ = 30
"""Streams that are read: what reads and what publishes shares the machine with what it measures, and is to be the smaller part."""

_EVERY_S = 0.005
_LOOK_S = 0.2
"""Looking takes the publisher's time: often, so that each time is short beside a p99."""

_MINUTE, _NS = 60.0, 1e9
_MEMORIES, _WINDOWS = 180, 30
"""A run has at least so many samples of memory and so many windows, however short it is."""

_MEMORY_EVERY_S, _WINDOW_S = 10.0, 60.0
_LONGEST_S = 300.0
_ABOUT = 1_000
"""Samples of which a line of progress is made."""

Progress = Callable[[str], None]


@dataclass(slots=True)
class Windows:
    """Times by when they were due, in so many equal windows; in µs and arrays, because a long run has tens of millions."""

    began: int
    seconds: float
    number: int
    held: dict[int, "array[int]"] = field(default_factory=dict)

    def add(self, due: int, took: int) -> None:
        """Something was due at that instant and took so long, both in ns."""
        number = min(max(0, int((due - self.began) / _NS // self.seconds)), self.number - 1)
        window = self.held.get(number)
        if window is None:
            window = self.held[number] = array("I")
        window.append(min(took // 1000, 2**32 - 1))

    def about(self) -> float | None:
        """Roughly the p99 in ms of the last window that is over."""
        whole = self.held.get(max(self.held, default=0) - 1)
        return None if not whole else percentile(sorted(whole[:: len(whole) // _ABOUT or 1]), SHARES["p99"]) / 1e3

    def ms(self) -> Sequence[tuple[float, Mapping[str, float]]]:
        """Of each window its begin in minutes and its percentiles by the names of `SHARES`."""
        return [
            (
                number * self.seconds / _MINUTE,
                {name: percentile(ordered, share) / 1e3 for name, share in SHARES.items()},
            )
            for number, ordered in ((number, sorted(self.held[number])) for number in sorted(self.held))
        ]


@dataclass(frozen=True, slots=True)
class Figures:
    """Memory as (minutes, resident MB, MB without mapped files); percentiles of each window; how late the publisher was."""

    capacity: float
    rate: float
    minutes: int
    agreements: int
    memory: Sequence[tuple[float, float, float]]
    windows: Sequence[tuple[float, Mapping[str, float]]]
    late: Sequence[tuple[float, Mapping[str, float]]]

    def as_json(self) -> Mapping[str, Any]:
        """With slopes over all and over the second half, when what fills up at first has filled up, and what drifted."""
        p99 = [told["p99"] for _, told in self.windows]
        return {
            "capacity_per_s": round(self.capacity),
            "rate": round(self.rate),
            "minutes": self.minutes,
            "agreements": self.agreements,
            "latency": {name: Spread.of([told[name] for _, told in self.windows]).as_json() for name in SHARES},
            "p99_drift": _drift(p99),
            "sent_late": {"p99": Spread.of([told["p99"] for _, told in self.late]).as_json()},
            "sent_late_drift": _drift([told["p99"] for _, told in self.late]),
            "own_mb_per_hour": _per_hour([(x, own) for x, _, own in self.memory]),
            "resident_mb_per_hour": _per_hour([(x, resident) for x, resident, _ in self.memory]),
            "memory_mb": [[round(x, 2), resident, own] for x, resident, own in self.memory],
            "p99_ms": [[round(x, 2), round(told["p99"], 2)] for x, told in self.windows],
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(
    here: Site, *, minutes: int, share: float, most: float | None, agreements: int, progress: Progress
) -> Figures:
    """Find what the router can with backlogs, then load it so long at a share of that; at most `most` records a second, if told."""
    async with stage(here, agreements, most_read=_READ, progress=progress) as on:
        await on.router.load(on.producer, on.rows, 500, _WARM_S)
        capacity = max([await _capacity(on) for _ in range(_BACKLOGS)])
        rate = share * capacity if most is None else min(share * capacity, most)
        progress(f"{capacity:.0f} records/s at most; {minutes} minutes at {rate:.0f}")
        seconds = minutes * _MINUTE
        windows = max(_WINDOWS, round(seconds / _WINDOW_S))
        watch = _Watch(on, Windows(int(now() * _NS), seconds / windows, windows), minutes, progress)
        watch.take(await _watched(watch, on.router.load(on.producer, on.rows, rate, seconds, every_s=_EVERY_S)))
        lived(here, on.ends)
        late = Windows(0, seconds / windows, windows)
        for number, took in enumerate(on.router.late):
            late.add(round(number * _NS / rate), took)
        return Figures(capacity, rate, minutes, agreements, watch.memory, watch.windows.ms(), late.ms())


async def _capacity(on: Stage) -> float:
    """Records a second of a backlog, from the first arrival to the last: reader and router share the machine."""
    on.router.arrivals.new()
    rows = [on.rows[index % len(on.rows)] for index in range(_BACKLOG)]
    awaited = sum(on.router.identify(key, lane, 0) is not None for lane, key, _, _ in rows)
    await publish(on.here.clients, on.router.source, iter(rows))
    found: list[int] = []

    def all_there() -> bool:
        found.extend(at for _, at in on.router.arrivals.new())
        return len(found) >= awaited

    await wait_until(all_there, timeout=_LONGEST_S, every=0.1)
    return _BACKLOG / ((max(found) - min(found)) / _NS)


async def _watched(watch: "_Watch", load: Coroutine[Any, Any, Sequence[tuple[int, int]]]) -> Sequence[tuple[int, int]]:
    """What the load gives; raises at once what ends the watch."""
    loading, watching = asyncio.create_task(load), asyncio.create_task(watch.run())
    try:
        await asyncio.wait((loading, watching), return_when=asyncio.FIRST_COMPLETED)
        if watching.done():
            await watching
        return await loading
    finally:
        loading.cancel()
        watching.cancel()
        await asyncio.gather(loading, watching, return_exceptions=True)


@dataclass(slots=True)
class _Watch:
    """Takes note of deliveries and memory during a load, tells about them each minute, and raises once a router has ended."""

    on: Stage
    windows: Windows
    minutes: int
    progress: Progress
    memory: list[tuple[float, float, float]] = field(default_factory=list)

    async def run(self) -> None:
        began, told = now(), 0
        every = min(_MEMORY_EVERY_S, self.minutes * _MINUTE / _MEMORIES)
        while True:
            lived(self.on.here, self.on.ends)
            self.on.router.look()
            self.take(self.on.router.awaited.taken)
            self.on.router.awaited.taken.clear()
            passed = now() - began
            if passed >= len(self.memory) * every and (mb := memory_mb(self.on.router.pid())):
                self.memory.append((passed / _MINUTE, mb["resident"], mb["own"]))
            if passed >= (told + 1) * _MINUTE:
                told += 1
                self._tell(told)
            await asyncio.sleep(_LOOK_S)

    def take(self, taken: Sequence[tuple[int, int]]) -> None:
        for due, took in taken:
            self.windows.add(due, took)

    def _tell(self, minute: int) -> None:
        p99, memory = self.windows.about(), self.memory[-1:]
        said = ["" if p99 is None else f", p99 about {p99:.0f} ms", *(f", {own} MB of its own" for _, _, own in memory)]
        self.progress(f"minute {minute} of {self.minutes}{''.join(said)}")


def _per_hour(points: Sequence[tuple[float, float]]) -> Mapping[str, Any]:
    """Growth an hour over all and over the second half; None where there are too few points."""
    halves = {"whole": points, "second_half": points[len(points) // 2 :]}
    return {name: Line.through(some).per_hour() if len(some) > 1 else None for name, some in halves.items()}


def _drift(series: Sequence[float]) -> Mapping[str, Any] | None:
    found = Drift.of(series)
    return None if found is None else found.as_json()
