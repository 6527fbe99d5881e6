"""What agencies notice when a router is killed, joins or leaves under steady load: silence per lane, and nothing else.

The load is open. A reader in another process notes when each delivery became readable; the silence of a lane is the
longest time between two of its deliveries from just before the event on. Every delivery must come, and once.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from bench.arrivals import Arrivals
from bench.awaited import Spread
from bench.bulk import set_up_many
from bench.contenders import reading
from bench.fleet import Fleet, fleet
from bench.load import Row4, publish_at, rows_of
from broker.cli.site import Site
from broker.control import keys
from broker.model import topics
from broker.model.keyed import delivery_id
from broker.testing import wait_until

_PEOPLE = 20_000
_BEFORE_S, _AFTER_S = 3.0, 15.0
_PATIENCE_S = 60.0
_NS_PER_MS = 1e6
Progress = Callable[[str], None]


@dataclass(slots=True)
class Watch:
    """Deliveries that must come, by lane, and when each was seen."""

    by_row: Mapping[bytes, bytes]
    """Key behind the agreement's envelope, by lane key."""
    source: str
    arrivals: Arrivals
    lanes: dict[str, int] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    came: dict[int, list[int]] = field(default_factory=dict)
    _early: list[tuple[str, int]] = field(default_factory=list)

    def sent(self, key: bytes, lane: int, offset: int, _due: int) -> None:
        """Acknowledged to the source."""
        self.lanes[delivery_id(self.by_row[key], self.source, lane, offset).hex()] = lane

    def look(self) -> None:
        """Take note of what has arrived; what the source was not told of yet waits."""
        self._early, early = [], [*self._early, *self.arrivals.new()]
        for identifier, at in early:
            lane = self.lanes.get(identifier)
            if lane is None:
                self._early.append((identifier, at))
                continue
            self.seen[identifier] += 1
            self.came.setdefault(lane, []).append(at)

    @property
    def missing(self) -> int:
        """Deliveries that have not come."""
        return len(self.lanes) - len(self.seen)

    @property
    def doubled(self) -> int:
        """Deliveries that came more than once, or of records that nobody sent."""
        return sum(number - 1 for number in self.seen.values()) + len(self._early)

    def silence_ms(self, lane: int, since: int) -> float:
        """Longest time between two deliveries of the lane, of which the second came after `since` (monotonic ns)."""
        spans = [b - a for a, b in pairwise(sorted(self.came.get(lane, ()))) if b >= since]
        return max(spans, default=0) / _NS_PER_MS


@dataclass(frozen=True, slots=True)
class Change:
    """One kill, join or leaving. Silences by lane in ms: of lanes that another router has now, and of those that stayed."""

    kind: str
    moved: Sequence[float]
    stayed: Sequence[float]
    reopened: int
    """Lanes that stayed, and were closed and opened again all the same."""
    detected_ms: float | None
    """Until the coordinator gave the lanes out again."""
    opened_ms: float | None
    """From then until the last lane was open."""


@dataclass(frozen=True, slots=True)
class Figures:
    """All changes of a run."""

    rate: int
    changes: Sequence[Change]
    deliveries: int
    missing: int
    doubled: int

    def as_json(self) -> Mapping[str, Any]:
        """Over the changes of each kind: the longest silence among its lanes, and its parts."""
        kinds = {kind: [each for each in self.changes if each.kind == kind] for kind in ("killed", "joined", "left")}
        return {
            "rate": self.rate,
            "deliveries": self.deliveries,
            "missing": self.missing,
            "doubled": self.doubled,
            **{kind: _told(found) for kind, found in kinds.items() if found},
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(here: Site, *, rate: int, kills: int, rounds: int, agreements: int, progress: Progress) -> Figures:
    """Two routers, of which one is killed `kills` times; then `rounds` in which a third joins and one leaves.

    Raises `TimeoutError` where a delivery never comes.
    """
    product, schema = await set_up_many(here, agreements, progress=progress)
    rows = rows_of(schema, product, _PEOPLE, agreements, here.lanes, here.keys.ensure(keys.LANE))
    k_agreement = [here.keys.get(keys.agreement_key(f"meting-{number}")) for number in range(agreements)]
    by_row = {key: k_agreement[index % agreements] for index, (_, key, _, _) in enumerate(rows)}
    streams = [topics.delivery(f"afnemer-{number}", f"meting-{number}") for number in range(agreements)]
    source, changes = topics.source(product.source, product.id), []
    async with AsyncExitStack() as held:
        watch = Watch(by_row, source, await reading(held, here, "takeover", streams))
        routers = await held.enter_async_context(fleet(here))
        producer = await held.enter_async_context(here.clients.producer())
        await routers.join(2)
        under = _Load(watch, producer, rows, rate)
        for number in range(kills):
            progress(f"kill {number + 1} of {kills}")
            victim = routers.members[0]
            changes.append(await under.change("killed", routers, lambda victim=victim: routers.kill(victim)))  # type: ignore[misc]
            await routers.join()
        for number in range(rounds):
            progress(f"join and leave {number + 1} of {rounds}")
            changes.append(await under.change("joined", routers, routers.join))
            leaving = routers.members[0]
            changes.append(await under.change("left", routers, lambda leaving=leaving: routers.leave(leaving)))  # type: ignore[misc]
        await wait_until(watch_done(watch), timeout=_PATIENCE_S, every=0.1)
    return Figures(rate, changes, len(watch.lanes), watch.missing, watch.doubled)


def watch_done(watch: Watch) -> Callable[[], bool]:
    """Whether everything sent has come."""

    def done() -> bool:
        watch.look()
        return not watch.missing

    return done


@dataclass(slots=True)
class _Load:
    watch: Watch
    producer: Any
    rows: Sequence[Row4]
    rate: int

    async def change(self, kind: str, routers: Fleet, event: Callable[[], Awaitable[None]]) -> Change:
        """Let something happen to the routers under load, and look on until all is well again."""
        before = routers.owners()
        lasting = asyncio.create_task(
            publish_at(self.producer, self.watch.source, self.rows, self.rate, _BEFORE_S + _AFTER_S, self.watch.sent)
        )
        await asyncio.sleep(_BEFORE_S)
        began, wall = time.monotonic_ns(), time.time_ns()
        await event()
        await routers.settled()
        await lasting
        await wait_until(watch_done(self.watch), timeout=_PATIENCE_S, every=0.1)
        after, opened, assigned = routers.owners(), routers.opened_since(wall), routers.assigned_since(wall)
        silences = {lane: self.watch.silence_ms(lane, began) for lane in after}
        moved = {lane for lane in after if before[lane] is not after[lane]}
        last = max((opened[lane] for lane in moved if lane in opened), default=None)
        return Change(
            kind,
            [silences[lane] for lane in after if lane in moved],
            [silences[lane] for lane in after if lane not in moved],
            len(opened.keys() - moved),
            None if assigned is None else (assigned - wall) / _NS_PER_MS,
            None if assigned is None or last is None else (last - assigned) / _NS_PER_MS,
        )


def _told(found: Sequence[Change]) -> Mapping[str, Any]:
    parts: Mapping[str, Sequence[float]] = {
        "silence_moved_ms": [max(each.moved) for each in found if each.moved],
        "silence_stayed_ms": [max(each.stayed) for each in found if each.stayed],
        "detected_ms": [each.detected_ms for each in found if each.detected_ms is not None],
        "opened_ms": [each.opened_ms for each in found if each.opened_ms is not None],
        "lanes_moved": [len(each.moved) for each in found],
        "lanes_reopened_needlessly": [each.reopened for each in found],
    }
    return {name: Spread.of(values).as_json() for name, values in parts.items() if values}
