"""Many records of one topic at once, by the native core: what is alike is decided once, for all of it.

    admit ▸ tell subjects apart ▸ follow each from what the lane knew ▸ decide every group once ▸ pack

The twin is `Router._route`, record by record. It takes what is left over: records that are not surely right, and all
records of a subject of which one is, or that has papers. So in every stream the order of one subject is the log's.
"""

from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from broker.batches import MAX_BATCH_BYTES
from broker.model import topics
from broker.model.decision import RECORD_KINDS, Decision, Kind, Release
from broker.model.keyed import coordinates
from broker.model.record import header
from broker.native.admission import Admitted, Columns, Door, Verdict, admit, door
from broker.native.following import Followed, Group, Row, Told, follow, subjects
from broker.native.library import NONE, Core
from broker.native.packing import Frame, Recipes, pack
from broker.policy.compiler import paths_asked
from broker.policy.engine import Previous
from broker.routing.backfill import Reach
from broker.routing.checkpoint import Checkpoint
from broker.routing.counts import Counts
from broker.routing.lane_state import unpacked_values
from broker.routing.outlet import Instant, Source
from broker.routing.plans import TopicPlan

FEWEST = 200
"""From so many records on, this takes less than one by one."""

_KEY_CHARACTERS, _TRACE_CHARACTERS = 32, 55
_NO_KEY, _NO_TRACE = b"0" * _KEY_CHARACTERS, b" " * _TRACE_CHARACTERS
_ENDED = RECORD_KINDS.index(Kind.ENDED)

Decided = Sequence[tuple[int, Decision]]


class Remembered(NamedTuple):
    """What the lane knows: what it keeps of subjects, by packed keys; how far it told them; who has papers."""

    known: Callable[[Sequence[bytes]], Sequence[Row]]
    reach: Reach
    touched: Callable[[set[bytes]], Collection[bytes]]


@dataclass(frozen=True, slots=True)
class Routed:
    """What was routed at once: what the lane must remember of it, and the records that are left over."""

    rows: Sequence[Row]
    rest: Sequence[Any]


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
        self,
        records: Sequence[Any],
        remembered: Remembered,
        at: Instant,
        frame: Frame,
        work: Checkpoint,
        counts: Counts,
    ) -> Routed:
        """Decide and pack all that is surely right and has no papers."""
        batch = _columns(records, remembered.touched)
        admitted = admit(self.core, self._door, batch)
        whom = subjects(self.core, batch, admitted)
        followed = follow(
            self.core,
            self._door,
            batch,
            admitted,
            whom,
            remembered.known(whom.keys),
            self._instants,
            _told(remembered.reach),
            at.at_ms,
            ended=_ENDED,
        )
        decided = self._decide(batch, admitted, followed.groups, at, counts)
        self._pack(batch, admitted, followed, decided, records, at, frame, work)
        rest = [record for record, said in zip(records, batch.verdicts, strict=True) if said == Verdict.ASK]
        return Routed(followed.rows, rest)

    def _decide(
        self, batch: Columns, admitted: Admitted, groups: Sequence[Group], at: Instant, counts: Counts
    ) -> Sequence[Decided]:
        """One decision for every group, counted for all of it."""
        plan, found = self.plan, []
        values = {first: plan.select(batch.value(first), admitted.offsets(first)) for first in admitted.first_records}
        decisions = plan.engine.batch(at.at_ms)
        for group in groups:
            known = unpacked_values(group.before) if group.before else values.get(group.before_record)
            before = None if known is None else Previous(known, group.at)
            decided = decisions.decide(before, values.get(group.after), _kind(group), times=group.records)
            for _, decision in decided:
                counts.decided(decision, group.records)
            found.append(decided)
        counts.routed(plan, decisions.counts())
        return found

    def _pack(
        self,
        batch: Columns,
        admitted: Admitted,
        followed: Followed,
        decided: Sequence[Decided],
        records: Sequence[Any],
        at: Instant,
        frame: Frame,
        work: Checkpoint,
    ) -> None:
        of_groups = [
            [self._recipe(index, decision, _kind(group)) for index, decision in each]
            for group, each in zip(followed.groups, decided, strict=True)
        ]
        traces = b"".join(map(_traceparent, records))
        for packed in pack(
            self.core, batch, admitted, followed, self._recipes, of_groups, traces, frame, MAX_BATCH_BYTES
        ):
            topic, partition = (topics.RECEIPTS, self.lane) if packed.topic is None else (packed.topic, 0)
            work.output(topic, partition).extend(packed.room, packed.records)
        self._by_hand(batch, admitted, followed, decided, at, frame, work)

    def _recipe(self, index: int, decision: Decision, kind: Kind) -> int:
        told = (decision.kind, decision.departure) if isinstance(decision, Release) else (decision.reason, kind)
        name = (index, *told)
        number = self._recipes.known(name)
        return number if number is not None else self._recipes.add(name, self.plan.outlets[index].told(decision, kind))

    def _by_hand(
        self,
        batch: Columns,
        admitted: Admitted,
        followed: Followed,
        decided: Sequence[Decided],
        at: Instant,
        frame: Frame,
        work: Checkpoint,
    ) -> None:
        """Deliver, one by one, what the core cannot cut: all that goes into one stream is made here, or nothing of it."""
        if not self._uncut:
            return
        outlets = self.plan.outlets
        asked = [
            [(index, each) for index, each in found if index in self._uncut and isinstance(each, Release)]
            for found in decided
        ]
        for record, group in enumerate(memoryview(followed.of).cast("I")):
            for index, decision in () if group == NONE else asked[group]:
                offset, key = (
                    batch.offsets[record],
                    batch.keys[record * _KEY_CHARACTERS : (record + 1) * _KEY_CHARACTERS],
                )
                place = coordinates(frame.topic, frame.lane, offset, frame.run)
                value = batch.value(record)
                offsets = admitted.offsets(record) if value else ()
                row, _leaf = outlets[index].deliver(decision, Source(place, key, value, offsets), at)
                work.output(outlets[index].topic, 0).append(row)


def _columns(records: Sequence[Any], touched: Callable[[set[bytes]], Collection[bytes]]) -> Columns:
    keys = [record.key for record in records]
    values = [record.value for record in records]
    verdicts = bytearray(value is None for value in values)
    for place, key in enumerate(keys):
        if key is None or len(key) != _KEY_CHARACTERS:
            keys[place], verdicts[place] = _NO_KEY, Verdict.ASK
    papers = touched(set(keys))
    if papers:
        for place, key in enumerate(keys):
            if key in papers:
                verdicts[place] = Verdict.ASK
    values = [value or b"" for value in values]
    return Columns(
        keys=b"".join(keys),
        values=b"".join(values),
        ends=array("Q", accumulate(map(len, values))),
        verdicts=verdicts,
        offsets=array("q", [record.offset for record in records]),
    )


def _kind(group: Group) -> Kind:
    return RECORD_KINDS[group.kind]


def _told(reach: Reach) -> Told:
    return Told(reach.next, reach.at_ms, reach.whole, reach.whole_ms)


def _traceparent(record: Any) -> bytes:
    found = header(record.headers, "traceparent")
    return found if found is not None and len(found) == _TRACE_CHARACTERS else _NO_TRACE
