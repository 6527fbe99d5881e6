"""The door for a whole batch: its records as columns, and which of them are surely right."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from broker.model.keyed import DIGEST_BYTES
from broker.model.wall import SubjectWall
from broker.native.library import Admission, Core, Numbers, address, frame_of, key_of
from broker.native.program import program
from broker.schema.avro import Schema
from broker.schema.guard import Offsets, Walker

_WALLS = {"synthetic": 1, "real": 2}


class Verdict(IntEnum):
    """What a record is: a value or a deletion that is surely right, or to be asked about at the door in Python."""

    VALUE = 0
    DELETION = 1
    ASK = 2


@dataclass(frozen=True, slots=True)
class Columns:
    """A batch of one lane and topic. A key that is none is any 32 characters with the verdict `ASK`; a deletion has no value.

    `kinds`: index of each record's kind. `admit` changes `verdicts`.
    """

    keys: bytes
    values: bytes
    ends: Numbers
    verdicts: bytearray
    kinds: bytes
    offsets: Numbers

    def value(self, record: int) -> bytes:
        """Value of a record."""
        return self.values[self.ends[record - 1] if record else 0 : self.ends[record]]


@dataclass(frozen=True, slots=True)
class Door:
    """What a topic's records must be like (`routing.door` is the twin), and the slots of the values that are selected."""

    frame: bytes
    words: Numbers
    points_each: int
    principal: int
    nullable: bool
    wall: int
    selected: Numbers
    lane: int
    lanes: int
    k_lane: bytes = field(repr=False)


def door(
    schema: Schema,
    walker: Walker,
    frame: bytes,
    wall: SubjectWall | None,
    paths: Sequence[str],
    *,
    lane: int,
    lanes: int,
    k_lane: bytes,
) -> Door:
    """The door of one source topic in one lane, for records of which `paths` are selected."""
    return Door(
        frame=frame,
        words=program(schema.root),
        points_each=len(walker.slots) + 1,
        principal=walker.span(schema.principal)[0],
        nullable=schema.fields[schema.principal].nullable,
        wall=0 if wall is None else _WALLS[wall.persons],
        selected=array("I", [walker.span(path)[0] for path in paths]),
        lane=lane,
        lanes=lanes,
        k_lane=k_lane,
    )


@dataclass(frozen=True, slots=True)
class Admitted:
    """Cut points, packed keys, and the combination of selected values of each admitted record; a first one of each combination."""

    points: bytearray
    points_each: int
    packed_keys: bytearray
    combinations: bytearray
    firsts: Sequence[int]

    def offsets(self, record: int) -> Offsets:
        """Cut points of an admitted value."""
        size = 4 * self.points_each
        return tuple(memoryview(self.points)[record * size : (record + 1) * size].cast("I"))


def admit(core: Core, through: Door, batch: Columns) -> Admitted:
    """Say `ASK` of what is not surely right, and find where the rest is to be cut."""
    records = len(batch.offsets)
    points, packed = bytearray(4 * records * through.points_each), bytearray(DIGEST_BYTES * records)
    combinations, firsts = bytearray(4 * records), bytearray(4 * records)
    found = core.admit(
        Admission(
            records=records,
            keys=address(batch.keys),
            values=address(batch.values),
            ends=address(batch.ends),
            verdicts=address(batch.verdicts),
            frame=frame_of(through.frame),
            program=address(through.words),
            program_words=len(through.words),
            points_each=through.points_each,
            k_lane=key_of(through.k_lane),
            lane=through.lane,
            lanes=through.lanes,
            principal=through.principal,
            principal_nullable=through.nullable,
            wall=through.wall,
            selected_count=len(through.selected),
            selected=address(through.selected),
            points=address(points),
            packed_keys=address(packed),
            combinations=address(combinations),
            firsts=address(firsts),
        )
    )
    return Admitted(points, through.points_each, packed, combinations, memoryview(firsts).cast("I")[:found])
