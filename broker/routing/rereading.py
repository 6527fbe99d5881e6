"""Reads a lane's part of source topics again, slice by slice between live records: backfills first, then replays."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import TopicPartition

from broker.model.registered import Replay
from broker.routing.backfill import Progress, Slice
from broker.routing.plans import TopicPlan
from broker.stopping import stop_quietly

_RECORDS, _BESIDE = 2_000, 250
"""Records of a slice, alone and beside live ones: these wait for it, some 10 ms at most."""

_IDLE_MS = 50


@dataclass(slots=True)
class Rereading:
    """What one lane has to read again, and its reader, whose consumer lives as long as there is something to tell.

    `progress` is how far it came, by topic, as committed.
    """

    new_consumer: Callable[[], Any]
    lane: int
    progress: dict[str, Progress] = field(default_factory=dict)
    _slice: Slice | None = None  # read, but not committed
    _consumer: Any = None
    _at: tuple[TopicPartition, int] | None = None

    @property
    def under_way(self) -> bool:
        """Whether something is being read again."""
        return any(known.under_way for known in self.progress.values())

    async def next_slice(
        self,
        plans: Mapping[str, TopicPlan],
        replays: Mapping[str, Replay],
        positions: Mapping[str, int],
        now_ms: int,
        *,
        wait: bool,
    ) -> Slice | None:
        """What is to be told next, or None while it is on its way (waits a little for it if asked to) or there is nothing.

        `positions`: up to where the lane has routed each topic; what lies after that is told live. The same slice until
        it is settled.
        """
        if self._slice is None:
            self._begin(plans, positions, now_ms)
            self._give_up(plans, replays, now_ms)
            due = next(self._due(plans, replays, positions), None)
            if due is None:
                await self._let_go()
            else:
                self._slice = await self._read_slice(*due, wait=wait)
        return self._slice

    def settle(self, progress: Mapping[str, Progress]) -> None:
        """Take note that the slice was told and its progress committed."""
        self.progress, self._slice = dict(progress), None

    def note(self, progress: Mapping[str, Progress]) -> None:
        """Take note of committed progress that is no slice's."""
        self.progress = dict(progress)

    async def close(self) -> None:
        """Forget everything that is not committed, and stop reading."""
        self.progress, self._slice = {}, None
        await self._let_go()

    def _begin(self, plans: Mapping[str, TopicPlan], positions: Mapping[str, int], now_ms: int) -> None:
        """Start backfills for agreements that came into force since the latest."""
        for topic, plan in plans.items():
            known = self.progress.get(topic, Progress())
            if plan.engine.newest > known.reach.at_ms and not known.reach.under_way:
                self.progress[topic] = known._replace(reach=known.reach.begun(positions[topic], now_ms))

    def _give_up(self, plans: Mapping[str, TopicPlan], replays: Mapping[str, Replay], now_ms: int) -> None:
        """End replays without saying so, where the agency must not take them for whole: it asked anew, or may be told nothing now."""
        asked = {each.epoch: each.agreement for each in replays.values()}
        for topic, known in self.progress.items():
            if not known.replayed.under_way:
                continue
            agreement = asked.get(known.replayed.epoch)
            index = None if agreement is None or topic not in plans else plans[topic].index_of(agreement)
            if index is None or plans[topic].engine.plans[index].obstacle(now_ms) is not None:
                self.progress[topic] = known._replace(replayed=known.replayed.given_up())

    def _due(
        self, plans: Mapping[str, TopicPlan], replays: Mapping[str, Replay], positions: Mapping[str, int]
    ) -> Iterator[tuple[str, Progress, Replay | None]]:
        """Topics to go on with, in order."""
        yield from ((topic, known, None) for topic, known in self.progress.items() if known.reach.under_way)
        for replay in sorted(replays.values(), key=lambda each: each.epoch):
            for topic in (topic for topic, plan in plans.items() if plan.index_of(replay.agreement) is not None):
                known = self.progress.get(topic, Progress())
                if replay.epoch <= known.replayed.done:
                    continue
                if replay.epoch != known.replayed.epoch:
                    known = known._replace(replayed=known.replayed.begun(replay.epoch, positions[topic]))
                    self.progress[topic] = known
                yield topic, known, replay

    async def _read_slice(self, topic: str, before: Progress, replay: Replay | None, *, wait: bool) -> Slice | None:
        under_way = before.reach if replay is None else before.replayed
        found = await self._read(topic, under_way.next, under_way.end, wait=wait)
        if found is None:
            return None
        records, next_ = found
        if replay is None:
            return Slice(topic, records, before, before._replace(reach=before.reach.advanced(next_)))
        return Slice(topic, records, before, before._replace(replayed=before.replayed.advanced(next_)), replay)

    async def _read(self, topic: str, next_: int, end: int, *, wait: bool) -> tuple[Sequence[Any], int] | None:
        if next_ >= end:
            return (), end
        target = TopicPartition(topic, self.lane)
        if self._consumer is None:
            consumer = self.new_consumer()
            try:
                await consumer.start()
            except BaseException:
                await stop_quietly(consumer)
                raise
            self._consumer = consumer
        consumer = self._consumer
        if self._at != (target, next_):
            consumer.assign([target])
            first = (await consumer.beginning_offsets([target]))[target]
            consumer.seek(target, max(first, next_))
        most, timeout_ms = (_RECORDS, _IDLE_MS) if wait else (min(_BESIDE, _RECORDS), 0)
        polled = await consumer.getmany(target, timeout_ms=timeout_ms, max_records=most)
        records = [record for record in polled.get(target, ()) if record.offset < end]
        reached = await consumer.position(target)
        self._at = target, reached
        return (records, min(reached, end)) if reached > next_ else None

    async def _let_go(self) -> None:
        consumer, self._consumer, self._at = self._consumer, None, None
        if consumer is not None:
            await stop_quietly(consumer)
