"""Which optional fields an encoded record has, without decoding it."""

from collections.abc import Callable
from dataclasses import dataclass

from broker.schema.guard import Offsets, Walker
from broker.schema.types import Array, Nullable, SlotKind, Type, unwrapped

_EMPTY_ARRAY = b"\x00"


@dataclass(frozen=True, slots=True)
class Presence:
    """`present(value, offsets)` has bit i set where the record has something at `paths[i]`."""

    paths: tuple[str, ...]
    present: Callable[[bytes, Offsets], int]


def presence_of(walker: Walker) -> Presence:
    """Of the records that a walker admits. A list is one field, there where it is not empty; what is in it is not told apart.

    A field is optional where it is a list, is nullable itself, or lies in a record that is.
    """
    places = tuple(
        (number, slot.path, isinstance(slot.type, Nullable), isinstance(unwrapped(slot.type), Array))
        for number, slot in enumerate(walker.slots)
        if slot.kind is not SlotKind.BRANCH and _optional(walker, slot.path, slot.type)
    )

    def present(value: bytes, offsets: Offsets) -> int:
        found = 0
        for bit, (number, _path, nullable, several) in enumerate(places):
            start, end = offsets[number], offsets[number + 1]
            if nullable:
                if start == end or not value[start]:
                    continue
                start += 1
            if start < end and not (several and value[start:end] == _EMPTY_ARRAY):
                found |= 1 << bit
        return found

    return Presence(tuple(path for _, path, _, _ in places), present)


def _optional(walker: Walker, path: str, type_: Type) -> bool:
    above = (slot.path for slot in walker.slots if slot.kind is SlotKind.BRANCH)
    return (
        isinstance(type_, Nullable)
        or isinstance(unwrapped(type_), Array)
        or any(path.startswith(f"{branch}.") for branch in above)
    )
