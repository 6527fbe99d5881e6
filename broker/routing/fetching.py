"""What a lane fetches, and how much of it makes one transaction: little while live, much under backlog (design §7)."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from aiokafka.errors import KafkaError, NoOffsetForPartitionError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from broker.errors import PositionLost
from broker.routing.fetched import Fetched, RecordBatch

FEWEST, MOST = 1_000, 100_000
"""Bounds of the adaptive transaction size in records."""

MOST_AT_ONCE = 2
"""Lanes of a process with a large transaction at a time: each takes some 150 MB at its most; one commits while another cuts."""

FIRST = 16_000
"""Size of the first transaction: whoever starts finds a backlog, and some 100 ms of it are no long turn."""

LONGEST_TURN_MS = 800
"""What deciding one batch may take: a stop of an agreement waits for it, or fences the lane (R6)."""

IDLE_MS = 250
"""How long an idle lane waits for records before it looks whether a barrier is due."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records fetched from one lane, by source topic and in order."""

    records: Mapping[str, Fetched]

    @property
    def size(self) -> int:
        """Number of records."""
        return sum(map(len, self.records.values()))

    @property
    def reached(self) -> dict[str, int]:
        """By source topic, the offset behind its records."""
        return {topic: records.next for topic, records in self.records.items()}

    def followed_by(self, polled: Mapping[TopicPartition, Sequence[RecordBatch]]) -> "Batch":
        """It, with what was polled after it."""
        more = {target.topic: Fetched(batches) for target, batches in polled.items() if batches}
        both = {topic: self.records[topic] + more[topic] for topic in self.records.keys() & more.keys()}
        return Batch({**self.records, **more, **both})


@dataclass(slots=True)
class Fetching:
    """The records of lane `number`, through a started consumer that hands out whole batches.

    `large` is of the process: a lane with a large transaction holds it.
    """

    consumer: Any
    number: int
    large: asyncio.Semaphore
    size: int = FIRST
    """Records of a transaction at most."""
    _read: dict[str, int] = field(default_factory=dict)
    """By source topic the next offset, at or ahead of the committed one."""
    _polling: "asyncio.Task[Mapping[TopicPartition, Sequence[RecordBatch]]] | None" = None

    @property
    def waiting(self) -> bool:
        """Whether it waits for records: there was nothing to fetch."""
        return self._polling is not None

    async def assign(self, positions: Mapping[str, int]) -> None:
        """Fetch exactly these source topics: one that is new from its position on, another from where it was."""
        await self._give_up()
        self._read = {topic: self._read.get(topic, position) for topic, position in positions.items()}
        targets = {TopicPartition(topic, self.number): position for topic, position in self._read.items()}
        self.consumer.assign(list(targets))
        for target, position in targets.items():
            self.consumer.seek(target, position)

    async def begin_anew(self) -> None:
        """Forget what was fetched: the next `assign` gives all positions. Less at once: a transaction may have been too large."""
        await self._give_up()
        self._read.clear()
        self.size = max(FEWEST, self.size // 4)

    async def next(self, changed: "asyncio.Task[bool]", *, wait: bool) -> Batch:
        """Next records of every source topic; nothing where there are none before something `changed`, or not yet.

        Raises `PositionLost` where a position is no longer in the log.
        """
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll(self.size))
        await asyncio.wait({self._polling, changed}, timeout=None if wait else 0, return_when=asyncio.FIRST_COMPLETED)
        if not self._polling.done():
            return Batch({})
        polled, self._polling = self._polling, None
        return self._noted(Batch({}).followed_by(polled.result()))

    @asynccontextmanager
    async def filled(self, batch: Batch) -> AsyncIterator[Batch]:
        """The batch to be committed: as fetched, or under backlog as much as one transaction takes, in its turn.

        Every topic that a transaction touches costs the same, however many records it gets.
        """
        if batch.size >= self.size or not self._behind(batch.reached.items()):
            yield batch
            return
        async with self.large:
            more = True
            while more and batch.size < self.size and self._behind(batch.reached.items()):
                polled = await self._poll(self.size - batch.size)
                batch, more = self._noted(batch.followed_by(polled)), bool(polled)
            yield batch

    def resize(self, records: int, took_ms: int) -> None:
        """As many records a transaction as a turn takes, by the turn that ended: of full ones and of long ones."""
        if records >= self.size or took_ms > LONGEST_TURN_MS:
            fitting = records * LONGEST_TURN_MS // max(1, took_ms)
            self.size = max(FEWEST, min(fitting, self.size * 4, MOST))

    async def _poll(self, most: int) -> Mapping[TopicPartition, Sequence[RecordBatch]]:
        """One answer of a node, or none."""
        try:
            polled: Mapping[TopicPartition, Sequence[RecordBatch]] = await self.consumer.getmany(
                timeout_ms=IDLE_MS, max_records=most
            )
        except (OffsetOutOfRangeError, NoOffsetForPartitionError) as error:
            raise PositionLost(f"lane {self.number}: a committed position is no longer in the log") from error
        return polled

    def _noted(self, batch: Batch) -> Batch:
        self._read.update(batch.reached)
        return batch

    def _behind(self, reached: Iterable[tuple[str, int]]) -> bool:
        """Whether much is left in the log of what was fetched, by its last answer; its tail may be markers only."""
        stable = self.consumer.last_stable_offset
        ends = ((stable(TopicPartition(topic, self.number)), next_) for topic, next_ in reached)
        return any(end is not None and end - next_ > FEWEST for end, next_ in ends)

    async def _give_up(self) -> None:
        if self._polling is not None:
            self._polling.cancel()
            with suppress(asyncio.CancelledError, KafkaError, PositionLost):
                await self._polling
            self._polling = None
