"""One open lane: its consumer, its transactional producer, its state; opened by rule R1, never reused after doubt (R2)."""

import asyncio
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Protocol

from aiokafka.structs import OffsetAndMetadata, TopicPartition

from broker.control.log import ControlLog
from broker.errors import PositionLost, Stale
from broker.model import topics
from broker.model.announcements import halts_due, notices_due
from broker.model.barrier import Barrier, barriers_due
from broker.model.control_state import ControlState
from broker.model.notice import Notice
from broker.policy.calendar import belgian_day, day_began
from broker.policy.engine import Previous
from broker.routing.backfill import Progress, Reach
from broker.routing.causes import Cause
from broker.routing.checkpoint import Checkpoint
from broker.routing.fetching import IDLE_MS, Batch, Fetching
from broker.routing.knowledge import Knowledge, LaneKeys, instant, stamped
from broker.routing.lane_state import Absorbed, LaneState, Routed
from broker.routing.looks import LastRecords, aged, looks
from broker.routing.plans import Plans, TopicPlan
from broker.routing.replay import replay
from broker.routing.rereading import Rereading
from broker.routing.retrying import Retries
from broker.routing.subjects import Subjects
from broker.stopping import stop_quietly

_MOST_CAUSES = 1_000
"""Subjects reconsidered in one transaction at most."""

_RECOMMIT_MS = 24 * 3600 * 1000


class Clients(Protocol):
    """Makes Kafka clients for a lane; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""

    def batches(self, group: str) -> Any:
        """As `consumer`, but it hands out whole batches."""

    def reader(self) -> Any:
        """As `consumer`, for single records at known offsets."""

    def transactional_producer(self, transactional_id: str) -> Any:
        """Idempotent transactional producer, not started."""

    async def know_topics(self, producer: Any, topics: Iterable[str]) -> None:
        """Tell a started producer all the topics it will touch."""


@dataclass(slots=True)
class Lane:
    """Lane `number` of `lanes`; `open` before anything else, `close` at the end."""

    number: int
    lanes: int
    clients: Clients
    control: ControlLog
    plans: Plans
    keys: LaneKeys
    state: LaneState
    clock_ms: Callable[[], int]
    receipt_frame: bytes
    large: asyncio.Semaphore
    """Of the process: held by a lane with a large transaction, or while it reads all its papers."""
    _producer: Any = None
    _fetching: Fetching | None = None
    _subjects: Subjects | None = None
    _records: LastRecords | None = None
    _day: date | None = None
    """The last day for which subjects were looked through."""
    _next: dict[str, int] = field(default_factory=dict)  # committed
    _rereading: Rereading = field(init=False)
    _retries: Retries = field(init=False)
    _seen: int = -1  # epoch of the last refresh
    _now_ms: int = 0
    _began_ms: int = 0
    _told_ms: int = 0  # as committed when the lane was opened
    _epoch: int = -1
    _told: frozenset[str] | None = None  # topics that the producer knows
    _committed_ms: int = 0

    def __post_init__(self) -> None:
        self._rereading = Rereading(lambda: self.clients.consumer(None), self.number)
        self._retries = Retries(self.number, self.state)

    async def open(self) -> None:
        """Take the lane (R1): fence the predecessor, then read committed positions, then seek, then catch up the state."""
        predecessor, self._producer = self._producer, self.clients.transactional_producer(self._transactional_id)
        await self._producer.start()
        if predecessor is not None:
            await stop_quietly(predecessor)
        if self._fetching is None:
            consumer = self.clients.batches(topics.ROUTER_GROUP)
            await consumer.start()
            self._fetching = Fetching(consumer, self.number, self.large)
        else:
            await self._fetching.begin_anew()
        if self._records is None:
            self._records = LastRecords(self.clients.reader(), self.number)
            await self._records.consumer.start()
        await self._rereading.close()
        self._next.clear()
        self._told, self._told_ms, self._day = None, 0, None
        self._committed_ms = self.clock_ms()
        await self._follow(self.plans.at(self.control.state))
        target = TopicPartition(topics.DOSSIERS, self.number)
        committed = await self._fetching.consumer.committed(target)
        if self._subjects is not None and self._subjects.agrees(committed, self._told_ms):
            return
        if self._subjects is not None:
            await stop_quietly(self._subjects.consumer)
        self._subjects = Subjects(self.clients.consumer(None), self.number, self.keys.lane)
        async with self.large:
            await self._subjects.open(committed, self._told_ms)

    async def close(self) -> None:
        """Give up the lane's clients; the state file stays."""
        if self._fetching is not None:
            await self._fetching.begin_anew()
        await self._rereading.close()
        others = (self._fetching, self._subjects, self._records)
        for client in (self._producer, *(each.consumer for each in others if each is not None)):
            if client is not None:
                await stop_quietly(client)
        self.state.close()

    async def fetch(self) -> Batch:
        """Next records of every source topic in this lane; empty when idle or when the control log moved."""
        timeout = IDLE_MS / 1000
        if not self._next:
            await self.control.wait_for_change(self._seen, timeout=timeout)
            return Batch({})
        changed = asyncio.create_task(self.control.wait_for_change(self._seen, timeout=timeout))
        try:
            return await self.fetching.next(changed, wait=not self._rereading.under_way)
        finally:
            changed.cancel()

    async def refresh(self) -> Knowledge:
        """Read the control log and this lane's subjects to their heads (R6); raises `Stale` if that cannot be done."""
        began_ms = self.clock_ms()
        papers_end, ago_s = await self.control.read_beside(self.subjects.target)
        # When the question went out, so that no file that was there by then is missed, and none is ahead that was seen.
        asked_ms = max(began_ms, self.clock_ms() - math.ceil(ago_s * 1000))
        if not self.control.fresh():
            raise Stale("this worker's heartbeat did not come back in time")
        # The log is followed while this waits: all that is taken from it is taken here, at one epoch.
        state = self.control.state
        self._seen, policy_epoch = state.epoch, state.policy_epoch
        plans, due, outputs = self.plans.at(state), self._lines_due(state), self.plans.outputs
        await self._follow(plans)
        await self._tell_topics(outputs)
        # After every activation it knows, so that what is released now counts as released later, whatever the clocks of
        # other machines say.
        self._now_ms = max(self._now_ms, asked_ms, self.plans.activated_ms)
        causes = await self._causes(plans, papers_end, self._now_ms)
        more = len(causes) == _MOST_CAUSES
        idle = self.fetching.waiting
        slice_ = await self._rereading.next_slice(plans, state.replays, self._next, self._now_ms, wait=idle)
        slice_ = None if more else slice_
        progress = self._rereading.progress | ({} if slice_ is None else {slice_.topic: slice_.after})
        retried = None if more else await self._retries.due(plans, state, progress, self._next, self.records)
        if retried is not None:
            reached = progress.get(retried.topic, Progress())._replace(retried=retried.retry.epoch)
            progress |= {retried.topic: reached}
        return Knowledge(
            epoch=self._seen,
            policy_epoch=policy_epoch,
            subjects_offset=self.subjects.head,
            instant=instant(self._now_ms),
            plans=plans,
            subjects=self.subjects,
            causes=causes,
            looks=await looks(causes, plans, self._remembered, self.subjects, self.records),
            told=self.subjects.position(causes, self._now_ms),
            more=more,
            slice=slice_,
            retried=retried,
            progress=progress,
            barriers=due if self._next else (),
            keys=self.keys,
            receipt_frame=self.receipt_frame,
        )

    def _lines_due(self, state: ControlState) -> Sequence[Barrier | Notice]:
        """What is to be said in streams since the last commit, beside deliveries."""
        agreements, since = state.agreements, self._epoch
        # Of thousands of agreements, those on which a step was taken: looking at all of them costs milliseconds.
        stepped = {name: agreements[name] for name in sorted(state.stepped_since(since))}
        return [
            *barriers_due(stepped, lane=self.number, since_epoch=since),
            *halts_due(state.announcements, agreements, lane=self.number, since_epoch=since),
            *notices_due(state.announcements, agreements, lane=self.number, lanes=self.lanes, since_epoch=since),
        ]

    async def _causes(self, plans: Mapping[str, TopicPlan], papers_end: int, now_ms: int) -> Sequence[Cause]:
        """What papers and the day have to tell, the first of it."""
        subjects = self.subjects
        await subjects.read_to(papers_end)
        if subjects.told_ms and self._day != belgian_day(now_ms):
            # Read through in another thread: it takes seconds for a million subjects, once a day.
            places = await asyncio.to_thread(list, aged(plans, self.state, subjects.told_ms, now_ms))
            subjects.age(places, day_began(now_ms))
        self._day = belgian_day(now_ms)
        subjects.come(now_ms)
        return subjects.causes(_MOST_CAUSES)

    def previous(
        self, plan: TopicPlan, keys: Collection[bytes], progress: Progress | None = None
    ) -> Mapping[bytes, Previous]:
        """What the lane knew of these subjects before the batch, at this progress; nothing where no agreement looks."""
        return self._remembered(plan.topic, keys, progress) if plan.outlets else {}

    def _remembered(
        self, topic: str, keys: Collection[bytes], progress: Progress | None = None
    ) -> Mapping[bytes, Previous]:
        reach = self.reach(topic, progress)
        found, latest = self.state.read(topic, keys), max(reach.at_ms, reach.whole_ms)
        for key, known in found.items():
            if known.at < latest:
                found[key] = reach.told(known)
        return found

    def reach(self, topic: str, progress: Progress | None = None) -> Reach:
        """How far agreements were told of a topic's subjects otherwise than by their records."""
        return (progress or self._rereading.progress.get(topic, Progress())).reach

    def checkpoint(self, knowledge: Knowledge) -> Checkpoint:
        """A new unit of work, whose outputs carry the batch's whole second as timestamp; a turn begins with it."""
        self._began_ms = self.clock_ms()
        return Checkpoint(self._producer, timestamp_ms=knowledge.instant.at_ms // 1000 * 1000)

    async def commit(self, work: Checkpoint, batch: Batch, knowledge: Knowledge, decided: Collection[str]) -> bool:
        """Commit the batch under `knowledge`; False if the policy moved on meanwhile and it must be decided again.

        `decided`: the agreements under which it decides anything. Where others only were stopped meanwhile, it would be
        decided as it was; in a storm of revocations a lane that began anew at each of them would end no batch in time.
        """

        async def still_current() -> bool:
            await self.control.read_to_head()
            if not self.control.fresh():
                raise Stale("this worker's heartbeat did not come back in time")
            state, replay = self.control.state, knowledge.slice.replay if knowledge.slice is not None else None
            if state.policy_epoch == knowledge.policy_epoch:
                return True
            stopped = state.stopped_since(knowledge.policy_epoch)
            told = {*decided, *(() if replay is None else (replay.agreement,))}
            return stopped is not None and stopped.isdisjoint(told)

        self.fetching.resize(batch.size, self.clock_ms() - self._began_ms)
        reached = batch.reached
        # All positions, so that a quiet topic's does not expire beside a busy one.
        positions = self._next | reached | {topics.DOSSIERS: knowledge.told.offset}
        offsets = {
            TopicPartition(topic, self.number): OffsetAndMetadata(next_, knowledge.stamp(topic))
            for topic, next_ in positions.items()
        }
        if not await work.commit(offsets, still_current=still_current):
            return False
        if knowledge.slice is not None:
            self._rereading.settle(knowledge.progress)
        elif knowledge.retried is not None:
            self._rereading.note(knowledge.progress)
        self._next.update(reached)
        self._epoch = knowledge.epoch
        self._committed_ms = self.clock_ms()
        return True

    def absorb(
        self,
        batch: Batch,
        changes: Mapping[str, Mapping[bytes, Previous | None]],
        routed: Mapping[str, Routed],
        knowledge: Knowledge,
    ) -> None:
        """Remember a committed batch: what was routed at once, and the changes of what was left over.

        `changes` of a topic without records are a retry's.
        """
        self.subjects.settle(knowledge.causes, knowledge.instant.at_ms)
        if knowledge.retried is not None and knowledge.plans[knowledge.retried.topic].outlets:
            topic, epoch = knowledge.retried.topic, knowledge.retried.retry.epoch
            self.state.amend(topic, changes.get(topic, {}), retried=epoch)
        watched = [topic for topic in batch.records if knowledge.plans[topic].outlets]
        if watched:
            positions = [Absorbed(topic, self._next[topic], knowledge.plans[topic].engine.paths) for topic in watched]
            deletions = {
                topic: {record.key: record.offset for record in routed[topic].rest if record.value is None}
                for topic in watched
            }
            rows = {topic: routed[topic].rows for topic in watched}
            self.state.write({topic: changes[topic] for topic in watched}, positions, deletions, rows)

    def idle(self, knowledge: Knowledge) -> bool:
        """Whether there is nothing to commit but records; once a day the positions, so that the broker never expires them."""
        recommit = bool(self._next) and self.clock_ms() - self._committed_ms > _RECOMMIT_MS
        due = knowledge.barriers or knowledge.causes or knowledge.slice or knowledge.retried
        return not (due or recommit)

    def has_told(self, epoch: int) -> bool:
        """Whether everything is committed that was to be read again for facts up to `epoch`."""
        return self._epoch >= epoch and not self._rereading.under_way

    @property
    def subjects(self) -> Subjects:
        """Papers, once the lane is open."""
        if self._subjects is None:
            raise RuntimeError("the lane is not open")
        return self._subjects

    @property
    def fetching(self) -> Fetching:
        """What brings source records, once the lane is open."""
        if self._fetching is None:
            raise RuntimeError("the lane is not open")
        return self._fetching

    @property
    def records(self) -> LastRecords:
        """Single records, once the lane is open."""
        if self._records is None:
            raise RuntimeError("the lane is not open")
        return self._records

    @property
    def _transactional_id(self) -> str:
        return topics.lane_transactional_id(self.number)

    async def _follow(self, plans: Mapping[str, TopicPlan]) -> None:
        """Consume exactly the declared products: new ones from their committed position, with their state caught up."""
        new = [topic for topic in plans if topic not in self._next]
        if new:
            await self._assign(sorted(set(self._next) | set(plans)))
        for topic, plan in plans.items():
            if not plan.outlets:
                continue
            start = self.state.absorbed(topic, plan.engine.paths)
            committed = self._rereading.progress.get(topic, Progress()).retried
            if start < self._next[topic]:
                await replay(
                    self.clients.consumer(None),
                    plan,
                    self.state,
                    lane=self.number,
                    lanes=self.lanes,
                    end=self._next[topic],
                    k_lane=self.keys.lane,
                )
                if not start:  # read whole, with what was routed after all in its place
                    self.state.amend(topic, {}, retried=committed)
            if self.state.retried(topic) < committed:
                await self._retries.catch_up(
                    plan, self.control.state, committed, self.records, lanes=self.lanes, k_lane=self.keys.lane
                )

    async def _tell_topics(self, outputs: frozenset[str]) -> None:
        """Once for each set of topics: otherwise the client looks all metadata up again at each topic's first touch."""
        if self._told is not outputs:
            await self.clients.know_topics(self._producer, outputs)
            self._told = outputs

    async def _assign(self, names: Sequence[str]) -> None:
        targets = [TopicPartition(topic, self.number) for topic in names]
        for target in targets:
            if target.topic in self._next:
                continue
            committed = await self.fetching.consumer._coordinator.fetch_committed_offsets([target])  # noqa: SLF001 - metadata
            position = committed.get(target)
            if position is None or position.offset < 0:
                raise PositionLost(f"lane {self.number} of {target.topic} has no committed position")
            self._next[target.topic] = position.offset
            epoch, at_ms, told_ms, self._rereading.progress[target.topic] = stamped(position.metadata)
            self._epoch, self._now_ms = max(self._epoch, epoch), max(self._now_ms, at_ms)
            self._told_ms = max(self._told_ms, told_ms)
        await self.fetching.assign({topic: self._next[topic] for topic in names})
