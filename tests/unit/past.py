"""Topics in memory, as a consumer without a group reads them: compacted at will, and nothing can be written through it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import OffsetAndTimestamp, TopicPartition


@dataclass
class Kept:
    """One record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


@dataclass
class Topics:
    """Records by topic and partition; `forget` is what compaction does."""

    logs: dict[tuple[str, int], list[Kept]] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def append(self, topic: str, partition: int, key: bytes | None, value: bytes | None, at_ms: int) -> Kept:
        place = topic, partition
        offset = self.ends.get(place, 0)
        self.ends[place] = offset + 1
        record = Kept(topic, partition, offset, at_ms, key, value)
        self.logs.setdefault(place, []).append(record)
        return record

    def forget(self, record: Kept) -> None:
        self.logs[record.topic, record.partition].remove(record)

    def consumer(self) -> Any:
        return _Consumer(self)


class _Consumer:
    """What of a consumer's interface readers of the past use."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def assign(self, targets: Sequence[TopicPartition]) -> None:
        self._positions = dict.fromkeys(targets, 0)

    async def beginning_offsets(self, targets: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(targets, 0)

    async def end_offsets(self, targets: Sequence[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {target: self._topics.ends.get((target.topic, target.partition), 0) for target in targets}

    async def offsets_for_times(
        self, asked: Mapping[TopicPartition, int]
    ) -> Mapping[TopicPartition, OffsetAndTimestamp | None]:
        return {target: self._since(target, at) for target, at in asked.items()}

    def _since(self, target: TopicPartition, at: int) -> OffsetAndTimestamp | None:
        later = (record for record in self._log(target) if record.timestamp >= at)
        return next((OffsetAndTimestamp(record.offset, record.timestamp) for record in later), None)

    def seek(self, target: TopicPartition, offset: int) -> None:
        self._positions[target] = offset

    async def position(self, target: TopicPartition) -> int:
        return self._positions[target]

    async def getmany(
        self, *targets: TopicPartition, timeout_ms: int, max_records: int = 500
    ) -> Mapping[TopicPartition, Sequence[Kept]]:
        del timeout_ms
        (target,) = targets
        found = [record for record in self._log(target) if record.offset >= self._positions[target]][:max_records]
        end = self._topics.ends.get((target.topic, target.partition), 0)
        self._positions[target] = found[-1].offset + 1 if len(found) == max_records else end
        return {target: found}

    def _log(self, target: TopicPartition) -> Sequence[Kept]:
        return self._topics.logs.get((target.topic, target.partition), [])
