"""The router of one lane: the whole flow from source records to deliveries, top-down (design §2).

    fetch ▸ read control log and subjects to their heads ▸ reconsider whom papers or the day concern
    ▸ read again what agreements that came into force, or replays, have not been told ▸ admit ▸ match before and after ▸ decide ▸ cut ▸ receipt ▸ commit

One commit is one transaction. Nothing here awaits, logs, spans or validates per record.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, TypeVar

from broker.batches import Row
from broker.errors import PoisonRecord
from broker.model import receipt, topics
from broker.model.decision import Kind, Release
from broker.model.keyed import coordinates, subject_references
from broker.model.notice import NoticeReason
from broker.model.quarantine_book import Outcome
from broker.model.record import Headers, header, trace_id_of
from broker.native.library import core
from broker.native.packing import Frame
from broker.policy.engine import Previous
from broker.policy.papers import NO_PAPERS
from broker.routing.backfill import Slice
from broker.routing.bulk import FEWEST, Bulk, Remembered
from broker.routing.checkpoint import Checkpoint
from broker.routing.counts import Counts
from broker.routing.door import door
from broker.routing.faultpoints import FaultPoint, fault_point
from broker.routing.fetched import Fetched
from broker.routing.fetching import Batch
from broker.routing.knowledge import Knowledge
from broker.routing.lane import Lane
from broker.routing.lane_state import Routed
from broker.routing.looks import Look
from broker.routing.observed import observe
from broker.routing.outlet import Source
from broker.routing.plans import TopicPlan
from broker.routing.quarantine import closed, quarantined
from broker.routing.retelling import notices, retelling
from broker.routing.retrying import Retried

Changes = dict[bytes, Previous | None]
"""By lane key, what a lane must remember of a subject; None where it was deleted."""

_AT_ONCE = 200
"""Records and causes decided one by one before anything else of the process has its turn: its heartbeats must keep flowing (R6)."""

_T = TypeVar("_T")
_NO_TRACE = bytes(16)
_RECEIPT_HEADERS: Headers = []


class Router:
    """Routes one open lane, batch by batch."""

    def __init__(self, lane: Lane, counts: Counts) -> None:
        self._lane = lane
        self._counts = counts
        self._bulks: dict[str, Bulk] = {}

    async def step(self) -> int:
        """Route and commit what the lane has to offer now; returns the number of source records committed."""
        fetched = await self._lane.fetch()
        fault_point(FaultPoint.FETCHED)
        async with self._lane.fetching.filled(fetched) as batch:
            return await self._commit(batch)

    async def _commit(self, batch: Batch) -> int:
        """Route a batch until it is committed."""
        committed = False
        while not committed:
            knowledge = await self._lane.refresh()
            waits = knowledge.more or knowledge.retried is not None
            part = Batch({}) if waits else batch
            if not part.records and self._lane.idle(knowledge):
                return 0
            counts, changes = Counts(), dict[str, Changes]()
            work = self._lane.checkpoint(knowledge)
            async for looks in _in_pieces(knowledge.looks):
                for look in looks:
                    self._reconsider(look, knowledge, work, counts)
            if knowledge.slice is not None:
                self._read_again(knowledge.slice, knowledge, work, counts)
            if knowledge.retried is not None:
                changes[knowledge.retried.topic] = self._retry(knowledge.retried, knowledge, work, counts)
            routed = await self._route_batch(part, knowledge, work, counts, changes)
            for barrier in knowledge.barriers:
                work.output(barrier.topic, 0).append(barrier.row)
            fault_point(FaultPoint.DECIDED)
            if await self._lane.commit(work, part, knowledge, counts.agreements()):
                self._lane.absorb(part, changes, routed, knowledge)
                self._counts.add(counts)
                committed = not waits
        observe(batch, lane=self._lane.number, decided_ms=knowledge.instant.at_ms, committed_ms=self._lane.clock_ms())
        return batch.size

    async def _route_batch(
        self, batch: Batch, knowledge: Knowledge, work: Checkpoint, counts: Counts, changes: dict[str, Changes]
    ) -> Mapping[str, Routed]:
        """Decide all source records: what is alike at once, and what is left over one by one."""
        routed = {}
        for topic, records in batch.records.items():
            plan, changed = knowledge.plans[topic], changes.setdefault(topic, {})
            routed[topic] = await self._route_alike(plan, records, knowledge, work, counts)
            async for rest in _in_pieces(routed[topic].rest):
                self._route(plan, rest, knowledge, work, counts, changed)
        return routed

    def _reconsider(self, look: Look, knowledge: Knowledge, work: Checkpoint, counts: Counts) -> None:
        """Tell one agency what papers or the day made of one subject, under one agreement."""
        lane, at, key = self._lane, knowledge.instant, look.cause.place.subject
        batch = look.topic.engine.batch(at.at_ms)
        decision = batch.reconsider(look.plan, look.known, look.told, look.papers, aging=look.cause.aging)
        if decision is None:
            return
        outlet = look.topic.outlets[look.plan.index]
        if isinstance(decision, Release):
            offsets, root = look.topic.walk(look.value), knowledge.subjects.root(key, look.topic.product)
            place = coordinates(look.cause.source, lane.number, look.cause.offset)
            source = Source(place, key, look.value, offsets, root)
            row, leaf = outlet.deliver(decision, source, at)
            work.output(outlet.topic, 0).append(row)
        else:
            leaf = outlet.withhold_leaves[decision.reason, Kind.CHANGED]
        counts.decided(decision)
        write = _receipts(knowledge, look.cause.topic, lane.number)
        work.output(topics.RECEIPTS, lane.number).append(write(look.cause.offset, key, _NO_TRACE, [leaf]))

    def _read_again(self, slice_: Slice, knowledge: Knowledge, work: Checkpoint, counts: Counts) -> None:
        """Tell agreements that came into force, or one that asked for it, of subjects that are there by their last records."""
        lane, at, plan = self._lane, knowledge.instant, knowledge.plans[slice_.topic]
        receipts, write = work.output(topics.RECEIPTS, lane.number), _receipts(knowledge, plan.topic, lane.number)
        known = lane.previous(plan, {record.key for record in slice_.records if record.key}, slice_.before)
        tells, batch = retelling(plan, slice_), plan.engine.batch(at.at_ms)
        for told in notices(plan, slice_, lane.number, NoticeReason.REPLAY_BEGINS):
            work.output(told.topic, 0).append(told.row)
        for record in slice_.records:
            key, previous = record.key, known.get(record.key)
            if previous is None or previous.offset != record.offset:
                continue  # a newer record brings, or has brought, the subject's state
            found = tells(batch, previous, knowledge.subjects.of(key), record.timestamp)
            if not found:
                continue
            root, offsets = knowledge.subjects.root(key, plan.product), plan.walk(record.value)
            leaves = []
            for index, decision in found:
                outlet = plan.outlets[index]
                place = coordinates(plan.topic, lane.number, record.offset, slice_.run or outlet.run)
                row, leaf = outlet.deliver(decision, Source(place, key, record.value, offsets, root), at)
                work.output(outlet.topic, 0).append(row)
                leaves.append(leaf)
                counts.told_again(outlet.agreement)
            receipts.append(write(record.offset, key, _trace(record), leaves))
        for told in notices(plan, slice_, lane.number, NoticeReason.REPLAY_ENDS):
            work.output(told.topic, 0).append(told.row)

    def _retry(self, retried: Retried, knowledge: Knowledge, work: Checkpoint, counts: Counts) -> Changes:
        """Look at a quarantined record again, in its place; returns what the lane must remember."""
        plan, run = knowledge.plans[retried.topic], retried.retry.epoch
        records = [] if retried.record is None else [retried.record]
        changes: Changes = {}
        self._route(plan, records, knowledge, work, counts, changes, run)
        outcome = Outcome.SUPERSEDED if not records else Outcome.ROUTED if changes else None
        if outcome is not None:
            note = closed(retried.retry, outcome, at=knowledge.instant.time.decode())
            work.output(plan.quarantine, 0).append(note)
        return changes

    async def _route_alike(
        self, plan: TopicPlan, records: Fetched, knowledge: Knowledge, work: Checkpoint, counts: Counts
    ) -> Routed:
        """What the native core can take of a large batch; all is left over where there is no such core."""
        native, lane, topic = core(), self._lane, plan.topic
        if native is None or len(records) < FEWEST or not plan.outlets:
            return Routed((), list(records))
        bulk = self._bulks.get(topic)
        if bulk is None or bulk.plan is not plan:
            bulk = self._bulks[topic] = Bulk(native, plan, lane.number, lane.lanes, knowledge.keys.lane)
        reach, state = lane.reach(topic, knowledge.progress.get(topic)), lane.state
        remembered = Remembered(lambda keys: state.rows(topic, keys), reach, knowledge.subjects.touched)
        head = _receipt_head(knowledge, topic, lane.number)
        frame = Frame(topic, lane.number, 0, knowledge.instant.header, head, knowledge.keys.ledger)
        # In a thread: the core lets others work meanwhile.
        return await asyncio.to_thread(bulk.route, records, remembered, knowledge.instant, frame, work, counts)

    def _route(
        self,
        plan: TopicPlan,
        records: Sequence[Any],
        knowledge: Knowledge,
        work: Checkpoint,
        counts: Counts,
        changes: Changes,
        run: int = 0,
    ) -> None:
        """Decide every record of one topic in order; `changes`: what the lane must remember once this is committed."""
        lane, at, keys, subjects = self._lane, knowledge.instant, knowledge.keys, knowledge.subjects
        receipts, write = work.output(topics.RECEIPTS, lane.number), _receipts(knowledge, plan.topic, lane.number, run)
        admit, batch = door(plan, lanes=lane.lanes, k_lane=keys.lane), plan.engine.batch(at.at_ms)
        present = {record.key for record in records if record.key}
        known, touched = lane.previous(plan, present, knowledge.progress.get(plan.topic)), subjects.touched(present)
        for record in records:
            try:
                offsets = admit(record)
            except PoisonRecord as poison:
                note = quarantined(record, poison, k_ledger=keys.ledger, at=at.time.decode(), run=run)
                work.output(plan.quarantine, 0).append(note)
                counts.quarantined(plan.topic, poison.reason)
                continue
            key, value, papers, root = record.key, record.value or b"", NO_PAPERS, None
            if key in touched:
                papers, root = subjects.of(key), subjects.root(key, plan.product)
            after, kind = (None, Kind.ENDED) if offsets is None else (plan.select(value, offsets), plan.kind(value))
            before = changes[key] if key in changes else known.get(key)
            decided = batch.decide(before, after, kind, papers, record.timestamp)
            changes[key] = None if after is None else Previous(after, at.at_ms, record.offset)
            if not decided:
                continue
            source = Source(coordinates(plan.topic, lane.number, record.offset, run), key, value, offsets or (), root)
            leaves = []
            for index, decision in decided:
                outlet = plan.outlets[index]
                if isinstance(decision, Release):
                    row, leaf = outlet.deliver(decision, source, at)
                    work.output(outlet.topic, 0).append(row)
                else:
                    leaf = outlet.withhold_leaves[decision.reason, kind]
                leaves.append(leaf)
                counts.decided(decision)
            receipts.append(write(record.offset, key, _trace(record), leaves))
        counts.routed(plan, batch.counts())


def _receipts(knowledge: Knowledge, topic: str, lane: int, run: int = 0) -> Callable[..., Row]:
    """Function of offset, lane key, trace id and leaves to the row of a receipt, for one batch of one source topic."""
    head = _receipt_head(knowledge, topic, lane, run)
    refer = subject_references(knowledge.keys.ledger)

    def write(offset: int, key: bytes, trace: bytes, leaves: Sequence[bytes]) -> Row:
        reference = refer(key)
        return reference.hex().encode(), receipt.receipt(head, offset, reference, trace, leaves), _RECEIPT_HEADERS

    return write


async def _in_pieces(waiting: Sequence[_T]) -> AsyncIterator[Sequence[_T]]:
    """All of it, with a pause behind every piece."""
    for at in range(0, len(waiting), _AT_ONCE):
        yield waiting[at : at + _AT_ONCE]
        await asyncio.sleep(0)


def _receipt_head(knowledge: Knowledge, topic: str, lane: int, run: int = 0) -> bytes:
    return receipt.prefix(knowledge.receipt_frame, knowledge.coordinates(topic, lane, run))


def _trace(record: Any) -> bytes:
    return trace_id_of(header(record.headers, "traceparent")) or _NO_TRACE
