"""Whom a product has a record of now: the keys of its source topic, read to the head whenever somebody asks.

Only keys are looked at, so a subject of whom there is nothing but a quarantined record counts as known. The first
question about a topic reads all of it; who cannot wait for that is told how far it is.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from typing import Any, TypeVar

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable, NotYetKnown
from broker.routing.key_index import KeyIndex, Reached
from broker.stopping import stop_quietly

_PATIENCE_S = 5.0
"""How long a question waits for the reading; nearly always milliseconds."""

_LONGEST_PAUSE_S = 60
_SILENCE_S = 10.0
_POLL_MS = 250
_CHUNK = 2_000
"""Records taken at once: meanwhile the process answers nobody."""

_WRITTEN_AT_ONCE = 50_000
_DELETIONS_STAY_S = 7 * 24 * 3600
"""A null value stays this long in a source topic for whoever reads it (delete.retention.ms): later one may be missed."""

_NOTED_S = 3600.0
_T = TypeVar("_T")


class KnownSubjects:
    """Answers from a file in `folder`; `new_consumer` makes an unstarted read_committed consumer without a group."""

    def __init__(
        self,
        new_consumer: Callable[[], Any],
        lanes: int,
        folder: Path,
        *,
        patience_s: float = _PATIENCE_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._new_consumer, self._lanes, self._folder = new_consumer, lanes, folder
        self._patience_s, self._now_s = patience_s, now_s
        self._index: KeyIndex | None = None
        self._opening = asyncio.Lock()
        self._readings: dict[str, _Reading] = {}

    async def close(self) -> None:
        """Give up the consumers and the file."""
        for reading in self._readings.values():
            await reading.close()
        if self._index is not None:
            await asyncio.to_thread(self._index.close)
            self._index = None

    async def among(self, topic: str, keys: Collection[bytes]) -> frozenset[bytes]:
        """Those of `keys` that have a record in `topic` at this moment.

        Raises `NotYetKnown` where that takes more than some seconds to find out (reading goes on meanwhile, and its
        `after_s` is when to ask again), and `KafkaUnavailable`.
        """
        reading: _Reading | None = None
        try:
            index = await self._opened()
            reading = self._reading(topic, index)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._patience_s):
                    await reading.to_head()
                    return await asyncio.to_thread(index.among, topic, keys)
        except sqlite3.Error as error:
            if reading is not None and reading is self._readings.get(topic):
                await self._start_again(index)
            raise _not_yet("starts again to read", operator=type(error).__name__) from error
        raise _not_yet(f"is still reading ({reading.part:.0%} done)", after_s=min(reading.left_s(), _LONGEST_PAUSE_S))

    async def _opened(self) -> KeyIndex:
        async with self._opening:
            if self._index is None:
                self._index = await asyncio.to_thread(KeyIndex, self._folder)
        return self._index

    def _reading(self, topic: str, index: KeyIndex) -> "_Reading":
        reading = self._readings.get(topic)
        if reading is None:
            targets = [TopicPartition(topic, lane) for lane in range(self._lanes)]
            reading = self._readings[topic] = _Reading(self._new_consumer, index, targets, self._now_s)
        return reading

    async def _start_again(self, index: KeyIndex) -> None:
        """Throw the damaged file away; what is read into it stops first."""
        stopped = list(self._readings.values())
        self._readings.clear()
        for reading in stopped:
            await reading.close()
        await asyncio.to_thread(index.start_again)


@dataclass(slots=True)
class _Reading:
    """One topic into the index. Whoever asks waits for a reading that began after the question; they share it."""

    new_consumer: Callable[[], Any]
    index: KeyIndex
    targets: list[TopicPartition]
    now_s: Callable[[], float]
    part: float = 0.0
    """How much of the reading under way is done."""

    _consumer: Any = None
    _probe: Any = None
    _since: float = 0.0
    _began: float = 0.0
    _begun: int = 0
    _done: int = 0
    _task: "asyncio.Task[None] | None" = None
    _silence: asyncio.Timeout = field(init=False)

    @property
    def topic(self) -> str:
        """Name of the topic."""
        return str(self.targets[0].topic)

    async def to_head(self) -> None:
        """Return once everything that was there at the call is in the index; cut short, the reading goes on."""
        asked = self._begun
        while self._done <= asked:
            if self._task is None or self._task.done():
                self._begun += 1
                self._task = asyncio.create_task(self._read(self._begun), name=f"known-{self.topic}")
                self._task.add_done_callback(_noted)
            task = self._task
            await asyncio.wait({task})
            if task.cancelled():
                raise _not_yet("starts again to read")
            task.result()

    def left_s(self) -> int:
        """Seconds that the reading under way may still take."""
        took = time.monotonic() - self._began
        return max(1, ceil(took * (1 - self.part) / max(self.part, 0.01)))

    async def close(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self._stop()

    async def _read(self, number: int) -> None:
        self._began, self.part = time.monotonic(), 0.0
        try:
            async with asyncio.timeout(_SILENCE_S) as self._silence:
                ends = await self._ends()
                if self._consumer is None or self.now_s() - self._since > _DELETIONS_STAY_S:
                    await self._begin(ends)
                await self._take(ends)
            self._done = number
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable(f"{self.topic} cannot be read now", operator=type(error).__name__) from error
        finally:
            if self._done < number:
                await self._stop()  # the consumer may be ahead of the index

    async def _ends(self) -> Mapping[TopicPartition, int]:
        """Where the topic ends, asked on a connection of its own: behind a waiting fetch the answer would take as long."""
        if self._probe is None:
            self._probe = self.new_consumer()
            await self._probe.start()
        ends: Mapping[TopicPartition, int] = await self._probe.end_offsets(self.targets)
        return ends

    async def _begin(self, ends: Mapping[TopicPartition, int]) -> None:
        """Go to where the index is; to the beginning where it may have missed something, or is of another topic."""
        if self._consumer is None:
            self._consumer = self.new_consumer()
            await self._consumer.start()
            self._consumer.assign(self.targets)
            self._consumer.pause(*self.targets)
        reached, now = await self._on_disk(self.index.reached, self.topic), self.now_s()
        if reached is not None:
            other = any(reached.next.get(target.partition, 0) > ends[target] for target in self.targets)
            reached = None if other or now - reached.since > _DELETIONS_STAY_S else reached
        if reached is None:
            reached = await self._on_disk(self.index.begin, self.topic, int(now))
        first = await self._probe.beginning_offsets(self.targets)
        for target in self.targets:
            self._consumer.seek(target, max(reached.next.get(target.partition, 0), first[target]))
        self._since = reached.since

    async def _take(self, ends: Mapping[TopicPartition, int]) -> None:
        """Read up to `ends`, and note it."""
        changes, total, now = dict[bytes, bool](), 0, self.now_s()
        try:
            while behind := await self._behind(ends):
                left = sum(behind.values())
                total = total or left
                self.part = 1 - left / total
                self._consumer.resume(*behind)
                polled = await self._consumer.getmany(*behind, timeout_ms=_POLL_MS, max_records=_CHUNK)
                for records in polled.values():
                    changes |= {record.key: record.value is not None for record in records if record.key is not None}
                if len(changes) >= _WRITTEN_AT_ONCE:
                    await self._write(changes)
                    changes = {}
                if polled:
                    self._heard()
                await asyncio.sleep(0)  # the client hands out what it holds without a pause
        finally:
            self._consumer.pause(*self.targets)
        if total or now - self._since > _NOTED_S:
            self._since = now
            await self._write(changes)

    async def _behind(self, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """How many offsets are still to be read, by lane where there are any."""
        left = {target: end - await self._consumer.position(target) for target, end in ends.items()}
        return {target: number for target, number in left.items() if number > 0}

    async def _write(self, changes: Mapping[bytes, bool]) -> None:
        positions = {target.partition: await self._consumer.position(target) for target in self.targets}
        await self._on_disk(self.index.write, self.topic, changes, Reached(positions, int(self._since)))

    async def _on_disk(self, work: Callable[..., _T], *given: Any) -> _T:
        """Do file work in a thread; however long it takes, Kafka is not silent meanwhile."""
        self._silence.reschedule(None)
        done = await asyncio.to_thread(work, *given)
        self._heard()
        return done

    def _heard(self) -> None:
        self._silence.reschedule(asyncio.get_running_loop().time() + _SILENCE_S)

    async def _stop(self) -> None:
        for client in filter(None, (self._consumer, self._probe)):
            await stop_quietly(client)
        self._consumer = self._probe = None


def _not_yet(does: str, *, operator: str = "", after_s: float = 1) -> NotYetKnown:
    text = f"the broker {does} whom the source has records of: ask again, or register without asking (unknown=register)"
    return NotYetKnown(text, operator=operator, after_s=after_s)


def _noted(task: "asyncio.Task[None]") -> None:
    """Nobody may be waiting for its failure any more."""
    if not task.cancelled():
        task.exception()
