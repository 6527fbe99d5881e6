"""Looks at topics without showing a value: what a delivery topic holds, where its readers stand, how far a source was decided."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.notice import LIFE_CYCLE_KEYS
from broker.stopping import stop_quietly

_KAFKA_S = 10.0
_SCAN_S = 20.0
_AT_ONCE = 5000
_STEPS_BACK = (64, 4096, 1 << 40)


class Clients(Protocol):
    """Makes Kafka clients; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None = None) -> Any:
        """Consumer that is read_committed; unstarted."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a delivery topic holds of subjects: records and distinct keys, all of them and those since an instant.

    `removed`: offsets below the oldest retained one, of records that were there once. `whole` is false where more was
    there than could be counted in 20 s: all numbers are too low then.
    """

    records: int
    subjects: int
    records_since: int
    subjects_since: int
    removed: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Ends:
    """Where a delivery topic begins and ends, the position committed by its group, and when its last delivery was made."""

    first: int
    end: int
    committed: int | None
    last_delivery_ms: int | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a source topic was decided: the instant of the oldest record that was not (None: all were), and of the last one.

    `unserved` are lanes that no router holds. `positions` are the committed offset of each lane, and what goes with it.
    """

    undecided_since_ms: int | None
    last_record_ms: int | None
    unserved: tuple[int, ...]
    positions: Mapping[int, tuple[int, str]] = field(default_factory=dict)


class Looks:
    """Over consumers of its own, one per look; every method raises `KafkaUnavailable`.

    `served` gives the lanes that a router holds now.
    """

    def __init__(self, clients: Clients, lanes: int, served: Callable[[], Awaitable[Iterable[int]]]) -> None:
        self._clients = clients
        self._lanes = lanes
        self._served = served

    async def held(self, topic: str, since_ms: int) -> Held:
        """Count what is retained, and what of it was delivered since (whole seconds, as deliveries state them)."""
        target, keys, since_keys = TopicPartition(topic, 0), set(), set()
        records = since = 0
        async with self._consumer(None, _SCAN_S + _KAFKA_S) as consumer:
            consumer.assign([target])
            first = (await consumer.beginning_offsets([target]))[target]
            end = (await consumer.end_offsets([target]))[target]
            consumer.seek(target, first)
            deadline = time.monotonic() + _SCAN_S
            while (at := await consumer.position(target)) < end and time.monotonic() < deadline:
                polled = await consumer.getmany(target, timeout_ms=250, max_records=_AT_ONCE)
                for record in _about_subjects(polled.get(target, ())):
                    keys.add(record.key)
                    records += 1
                    if record.timestamp >= since_ms - since_ms % 1000:
                        since_keys.add(record.key)
                        since += 1
        return Held(records, len(keys), since, len(since_keys), first, at >= end)

    async def ends(self, topic: str) -> Ends:
        """Where it begins and ends, where its group stands, and when it last delivered."""
        target = TopicPartition(topic, 0)
        async with self._consumer(topic) as consumer:
            consumer.assign([target])
            committed = await consumer.committed(target)
            first = (await consumer.beginning_offsets([target]))[target]
            end = (await consumer.end_offsets([target]))[target]
            last = await _last(consumer, [target], {target: first}, {target: end})
        return Ends(first, end, committed, last)

    async def progress(self, topic: str) -> Progress:
        """How far the routers have come with a source topic."""
        targets = [TopicPartition(topic, lane) for lane in range(self._lanes)]
        async with self._consumer(topics.ROUTER_GROUP) as consumer:
            consumer.assign(targets)
            firsts, ends = await consumer.beginning_offsets(targets), await consumer.end_offsets(targets)
            held = await consumer._coordinator.fetch_committed_offsets(targets)  # noqa: SLF001 - metadata
            positions = {target.partition: (each.offset, each.metadata) for target, each in held.items()}
            waiting = []
            for target in targets:
                committed = max(0, positions.get(target.partition, (0, ""))[0])
                if committed < ends[target]:
                    waiting.append(await _first_after(consumer, target, max(committed, firsts[target]), ends[target]))
            last = await _last(consumer, targets, firsts, ends)
        served = set(await self._served())
        unserved = tuple(lane for lane in range(self._lanes) if lane not in served)
        return Progress(min((at for at in waiting if at is not None), default=None), last, unserved, positions)

    @asynccontextmanager
    async def _consumer(self, group: str | None, longest_s: float = _KAFKA_S) -> AsyncIterator[Any]:
        consumer = self._clients.consumer(group)
        try:
            async with asyncio.timeout(longest_s):
                await consumer.start()
                yield consumer
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("the state of a stream cannot be read now", operator=type(error).__name__) from error
        finally:
            await stop_quietly(consumer)


async def _first_after(consumer: Any, target: TopicPartition, position: int, end: int) -> int | None:
    """When the first record from `position` on was written; None where only markers are."""
    consumer.seek(target, position)
    while await consumer.position(target) < end:
        polled = await consumer.getmany(target, timeout_ms=250, max_records=1)
        for record in polled.get(target, ()):
            return int(record.timestamp)
    return None


async def _last(consumer: Any, targets: list[TopicPartition], firsts: Any, ends: Any) -> int | None:
    """When the last record about a subject was written, in any of these partitions; looks back further step by step."""
    for back in _STEPS_BACK:
        starts = {target: max(firsts[target], ends[target] - back) for target in targets}
        for target, start in starts.items():
            consumer.seek(target, start)
        found: list[int] = []
        while behind := [target for target in targets if await consumer.position(target) < ends[target]]:
            polled = await consumer.getmany(*behind, timeout_ms=250, max_records=_AT_ONCE)
            found += [int(record.timestamp) for records in polled.values() for record in _about_subjects(records)]
        if found:
            return max(found)
        if all(start == firsts[target] for target, start in starts.items()):
            break
    return None


def _about_subjects(records: Iterable[Any]) -> Iterable[Any]:
    return (record for record in records if record.key is not None and not record.key.startswith(LIFE_CYCLE_KEYS))
