"""The door for a whole batch: which of its records are surely right."""

from array import array
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from broker.model.keyed import DIGEST_BYTES
from broker.model.wall import SubjectWall
from broker.native.library import Admission, Core, Numbers, filled, frame_of, key_of
from broker.native.program import program
from broker.native.unpacking import Columns
from broker.schema.avro import Schema
from broker.schema.guard import Offsets, Walker

_WALLS = {"synthetic": 1, "real": 2}


class Verdict(IntEnum):
    """What a record is: a value or a deletion that is surely right, or to be asked about at the door in Python."""

    VALUE = 0
    DELETION = 1
    ASK = 2


@dataclass(frozen=True, slots=True)
class Door:
    """What a topic's records must be like (`routing.door` is the twin).

    `selected`: slots of the values that are kept; `asked`: which of these decisions look at, `asked_slots`: their slots.
    """

    frame: bytes
    words: Numbers
    points_each: int
    principal: int
    nullable: bool
    wall: int
    selected: Numbers
    asked: Numbers
    asked_slots: Numbers
    lane: int
    lanes: int
    k_lane: bytes = field(repr=False)


def door(
    schema: Schema,
    walker: Walker,
    frame: bytes,
    wall: SubjectWall | None,
    paths: Sequence[str],
    asked: Collection[str],
    *,
    lane: int,
    lanes: int,
    k_lane: bytes,
) -> Door:
    """The door of one source topic in one lane: `paths` are selected, and decisions look at those of them in `asked`."""
    selected = array("I", [walker.span(path)[0] for path in paths])
    looked_at = array("I", [place for place, path in enumerate(paths) if path in asked])
    return Door(
        frame=frame,
        words=program(schema.root),
        points_each=len(walker.slots) + 1,
        principal=walker.span(schema.principal)[0],
        nullable=schema.fields[schema.principal].nullable,
        wall=0 if wall is None else _WALLS[wall.persons],
        selected=selected,
        asked=looked_at,
        asked_slots=array("I", [selected[place] for place in looked_at]),
        lane=lane,
        lanes=lanes,
        k_lane=k_lane,
    )


@dataclass(frozen=True, slots=True)
class Admitted:
    """Cut points and packed key of each record, and a first record of each combination of what decisions look at."""

    structure: Admission
    packed_keys: bytearray
    firsts: bytearray
    combinations: int
    points: bytearray
    points_each: int

    @property
    def first_records(self) -> Sequence[int]:
        """A record of each combination."""
        return memoryview(self.firsts).cast("I")[: self.combinations]

    def offsets(self, record: int) -> Offsets:
        """Cut points of an admitted value."""
        size = 4 * self.points_each
        return tuple(memoryview(self.points)[record * size : (record + 1) * size].cast("I"))


def admit(core: Core, through: Door, batch: Columns) -> Admitted:
    """Make the verdict `ASK` of what is not surely right, and find where the rest is to be cut."""
    records = batch.records
    points, packed, firsts = (bytearray(records * size) for size in (4 * through.points_each, DIGEST_BYTES, 4))
    structure = filled(
        Admission,
        records=records,
        keys=batch.keys,
        data=batch.data,
        begins=batch.begins,
        ends=batch.ends,
        verdicts=batch.verdicts,
        frame=frame_of(through.frame),
        program=through.words,
        program_words=len(through.words),
        points_each=through.points_each,
        k_lane=key_of(through.k_lane),
        lane=through.lane,
        lanes=through.lanes,
        principal=through.principal,
        principal_nullable=through.nullable,
        wall=through.wall,
        asked=through.asked_slots,
        asked_count=len(through.asked_slots),
        points=points,
        packed_keys=packed,
        combinations=bytearray(4 * records),
        firsts=firsts,
    )
    return Admitted(structure, packed, firsts, core.admit(structure), points, through.points_each)
