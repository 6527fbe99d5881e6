"""Many records of one topic at once, by the native core: what is alike is decided once, for all of it.

    admit ▸ tell subjects apart ▸ follow each from what the lane knew ▸ decide every group once ▸ pack

The twin is `Router._route`, record by record. It takes what is left over: records that are not surely right, and all
records of a subject of which one is, or that has papers. So in every stream the order of one subject is the log's.
"""

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from broker.batches import MAX_BATCH_BYTES
from broker.model import topics
from broker.model.decision import RECORD_KINDS, Decision, Kind, Release
from broker.model.keyed import coordinates
from broker.native.admission import Admitted, Door, Verdict, admit, door
from broker.native.following import Followed, Group, Row, Told, follow, subjects
from broker.native.library import NONE, Core
from broker.native.packing import Frame, Recipes, pack
from broker.native.unpacking import Columns
from broker.policy.compiler import paths_asked
from broker.policy.engine import Previous
from broker.routing.backfill import Reach
from broker.routing.checkpoint import Checkpoint
from broker.routing.counts import Counts
from broker.routing.fetched import Fetched
from broker.routing.lane_state import Routed, unpacked_values
from broker.routing.outlet import Instant, Source
from broker.routing.plans import TopicPlan

FEWEST = 200
"""From so many records on, this takes less than one by one."""

_ENDED = RECORD_KINDS.index(Kind.ENDED)

Decided = Sequence[tuple[int, Decision]]


class Remembered(NamedTuple):
    """What the lane knows: what it keeps of subjects, by packed keys; how far it told them; who of some has papers."""

    known: Callable[[Sequence[bytes]], Sequence[Row]]
    reach: Reach
    touched: Callable[[set[bytes]], Collection[bytes]]


class _Batch(NamedTuple):
    """One batch on its way: its records, where they are to be cut, which are alike, and what was decided of each group."""

    columns: Columns
    admitted: Admitted
    followed: Followed
    decided: Sequence[Decided]


@dataclass(slots=True)
class Bulk:
    """One topic's plan as the core takes it, in one lane."""

    core: Core
    plan: TopicPlan
    lane: int
    lanes: int
    k_lane: bytes = field(repr=False)
    _door: Door = field(init=False)
    _instants: "array[int]" = field(init=False)
    _uncut: frozenset[int] = field(init=False)
    """Outlets whose deliveries the core cannot make."""
    _recipes: Recipes = field(init=False, default_factory=Recipes)

    def __post_init__(self) -> None:
        plan = self.plan
        self._door = door(
            plan.schema,
            plan.walker,
            plan.frame,
            plan.wall,
            plan.engine.paths,
            paths_asked(plan.engine.plans),
            lane=self.lane,
            lanes=self.lanes,
            k_lane=self.k_lane,
        )
        self._instants = array("q", plan.engine.instants())
        self._uncut = frozenset(index for index, outlet in enumerate(plan.outlets) if outlet.cut is None)

    def route(
        self, fetched: Fetched, remembered: Remembered, at: Instant, frame: Frame, work: Checkpoint, counts: Counts
    ) -> Routed:
        """Decide and pack all that is surely right and has no papers."""
        columns = fetched.columns(self.core)
        if columns is None:
            return Routed((), list(fetched))
        _leave_over(columns, remembered.touched)
        admitted = admit(self.core, self._door, columns)
        whom = subjects(self.core, columns, admitted)
        known, told = remembered.known(whom.keys), _told(remembered.reach)
        followed = follow(
            self.core, self._door, columns, admitted, whom, known, self._instants, told, at.at_ms, ended=_ENDED
        )
        decided = self._decide(columns, admitted, followed.groups, at, counts)
        batch = _Batch(columns, admitted, followed, decided)
        self._pack(batch, frame, work)
        if self._uncut:
            self._deliver_uncut(batch, at, frame, work)
        return Routed(followed.rows, fetched.at([columns.offset(record) for record in columns.saying(Verdict.ASK)]))

    def _decide(
        self, columns: Columns, admitted: Admitted, groups: Sequence[Group], at: Instant, counts: Counts
    ) -> Sequence[Decided]:
        """One decision for every group, counted for all of it."""
        plan, found = self.plan, list[Decided]()
        values = {first: plan.select(columns.value(first), admitted.offsets(first)) for first in admitted.first_records}
        batch = plan.engine.batch(at.at_ms)
        for group in groups:
            known = unpacked_values(group.before) if group.before else values.get(group.before_record)
            before = None if known is None else Previous(known, group.at)
            decided = batch.decide(before, values.get(group.after), _kind(group), times=group.records)
            for _, decision in decided:
                counts.decided(decision, group.records)
            found.append(decided)
        counts.routed(plan, batch.counts())
        return found

    def _pack(self, batch: _Batch, frame: Frame, work: Checkpoint) -> None:
        of_groups = [
            [self._recipe(index, decision, _kind(group)) for index, decision in found]
            for group, found in zip(batch.followed.groups, batch.decided, strict=True)
        ]
        packed = pack(
            self.core, batch.columns, batch.admitted, batch.followed, self._recipes, of_groups, frame, MAX_BATCH_BYTES
        )
        for topic, records, room in packed:
            output = work.output(topics.RECEIPTS, self.lane) if topic is None else work.output(topic, 0)
            output.extend(room, records)

    def _recipe(self, index: int, decision: Decision, kind: Kind) -> int:
        told = (decision.kind, decision.departure) if isinstance(decision, Release) else (decision.reason, kind)
        name = (index, *told)
        number = self._recipes.known(name)
        return number if number is not None else self._recipes.add(name, self.plan.outlets[index].told(decision, kind))

    def _deliver_uncut(self, batch: _Batch, at: Instant, frame: Frame, work: Checkpoint) -> None:
        """Deliver, one by one, what the core cannot cut: all that goes into such a stream is made here."""
        columns, outlets = batch.columns, self.plan.outlets
        asked = [
            [(index, each) for index, each in found if index in self._uncut and isinstance(each, Release)]
            for found in batch.decided
        ]
        for record, group in enumerate(memoryview(batch.followed.of).cast("I")[: columns.records]):
            for index, decision in () if group == NONE else asked[group]:
                place = coordinates(frame.topic, frame.lane, columns.offset(record), frame.run)
                value = columns.value(record)
                offsets = batch.admitted.offsets(record) if value else ()
                row, _leaf = outlets[index].deliver(decision, Source(place, columns.key(record), value, offsets), at)
                work.output(outlets[index].topic, 0).append(row)


def _leave_over(columns: Columns, touched: Callable[[set[bytes]], Collection[bytes]]) -> None:
    """Leave over whoever has papers."""
    keys = columns.each_key()
    papers = touched(set(keys))
    if papers:
        for record, key in enumerate(keys):
            if key in papers:
                columns.verdicts[record] = Verdict.ASK


def _kind(group: Group) -> Kind:
    return RECORD_KINDS[group.kind]


def _told(reach: Reach) -> Told:
    return Told(reach.next, reach.at_ms, reach.whole, reach.whole_ms)
