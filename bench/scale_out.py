"""One router process with all lanes against several that share them: the same records, in turns, on one node.

The records of a turn are published in one transaction while the routers are idle, so that all of them become readable
at once: what is measured begins there, and ends when the routers' committed positions have passed the last record.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition

from bench.awaited import Spread
from bench.bulk import set_up_many
from bench.fleet import fleet
from bench.load import Row4, rows_of
from broker.batches import Row, send_rows
from broker.cli.site import Site
from broker.control import keys
from broker.model import topics

_PEOPLE = 20_000
_PUBLISHING_MS = 60_000
_AT_ONCE = 5_000
_LONGEST_S = 600.0
_LOOK_S = 0.05
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Turn:
    """One backlog: seconds until it was routed, and the CPU seconds that each process took for it."""

    records: int
    wall_s: float
    cpu_s: Sequence[float]

    @property
    def per_second(self) -> float:
        """Source records per second."""
        return self.records / self.wall_s

    @property
    def per_cpu_second(self) -> float:
        """Source records per CPU second of all router processes."""
        return self.records / sum(self.cpu_s)


@dataclass(frozen=True, slots=True)
class Figures:
    """Turns of one process and of `routers` of them, in pairs."""

    routers: int
    agreements: int
    alone: Sequence[Turn]
    shared: Sequence[Turn]

    def as_json(self) -> Mapping[str, Any]:
        """Rates over the turns; ratios are several ÷ one, turn by turn."""
        pairs = list(zip(self.shared, self.alone, strict=True))
        return {
            "routers": self.routers,
            "agreements": self.agreements,
            "records": self.alone[0].records,
            "one": _rates(self.alone),
            "several": _rates(self.shared),
            "ratio": Spread.of([many.per_second / one.per_second for many, one in pairs]).as_json(),
            "ratio_per_cpu": Spread.of([many.per_cpu_second / one.per_cpu_second for many, one in pairs]).as_json(),
            "load_average": round(os.getloadavg()[0], 2),
        }


async def measure(
    here: Site, *, routers: int, agreements: int, records: int, turns: int, progress: Progress
) -> Figures:
    """Set an empty installation up and route `records` in each turn of either; raises `TimeoutError` where they are not."""
    product, schema = await set_up_many(here, agreements, progress=progress)
    rows = rows_of(schema, product, _PEOPLE, agreements, here.lanes, here.keys.ensure(keys.LANE))
    source = topics.source(product.source, product.id)
    progress("one turn for practice: every subject is met for the first time")
    await _turn(here, 1, source, rows, len(rows))
    alone: list[Turn] = []
    shared: list[Turn] = []
    for number in range(turns):
        progress(f"turn {number + 1} of {turns}")
        for held, processes in ((alone, 1), (shared, routers)):
            held.append(await _turn(here, processes, source, rows, records))
    return Figures(routers, agreements, alone, shared)


async def _turn(here: Site, processes: int, source: str, rows: Sequence[Row4], records: int) -> Turn:
    async with fleet(here) as held:
        await held.join(processes)
        async with (
            here.clients.transactional_producer("bench-scale-out", timeout_ms=_PUBLISHING_MS) as producer,
            here.clients.consumer(topics.ROUTER_GROUP) as positions,
        ):
            await producer.begin_transaction()
            ends = await _publish(producer, source, (rows[number % len(rows)] for number in range(records)))
            before = [member.cpu_s for member in held.members]
            began = time.perf_counter()
            await producer.commit_transaction()

            async with asyncio.timeout(_LONGEST_S):
                while not await _routed(positions, source, ends):
                    held.require_alive()
                    await asyncio.sleep(_LOOK_S)
            wall = time.perf_counter() - began
            spent = [member.cpu_s - had for member, had in zip(held.members, before, strict=True)]
    return Turn(records, wall, spent)


async def _routed(positions: Any, source: str, ends: Mapping[int, int]) -> bool:
    reached = [await positions.committed(TopicPartition(source, lane)) or 0 for lane in ends]
    return all(at >= end for at, end in zip(reached, ends.values(), strict=True))


async def _publish(producer: Any, source: str, rows: Iterable[Row4]) -> Mapping[int, int]:
    """Send them in their order; returns the offset after the last one of each lane.

    Nobody else writes there meanwhile: nothing but them lies between first and last.
    """
    sent: dict[int, list[asyncio.Future[Any]]] = {}
    waiting: dict[int, list[Row]] = {}
    numbers: Counter[int] = Counter()
    for lane, key, value, headers in rows:
        numbers[lane] += 1
        held = waiting.setdefault(lane, [])
        held.append((key, value, headers))
        if len(held) >= _AT_ONCE:
            sent.setdefault(lane, []).extend(await send_rows(producer, source, lane, waiting.pop(lane), timestamp_ms=0))
    for lane, held in waiting.items():
        sent.setdefault(lane, []).extend(await send_rows(producer, source, lane, held, timestamp_ms=0))
    # An answer tells where its batch begins.
    return {lane: min([(await answer).offset for answer in answers]) + numbers[lane] for lane, answers in sent.items()}


def _rates(turns: Sequence[Turn]) -> Mapping[str, Any]:
    return {
        "records_per_s": Spread.of([turn.per_second for turn in turns]).as_json(),
        "records_per_cpu_s": Spread.of([turn.per_cpu_second for turn in turns]).as_json(),
        "cpu_s": [[round(spent, 2) for spent in turn.cpu_s] for turn in turns],
    }
