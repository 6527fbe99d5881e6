"""The Avro types a schema may be made of, resolved: every reference to a named type is replaced by the type itself."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Attributes = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Primitive:
    """`boolean`, `int`, `long`, `float`, `double`, `string` or `bytes`; `logical` is `date`, `timestamp-millis` or None."""

    name: str
    logical: str | None = None


@dataclass(frozen=True, slots=True)
class Enumeration:
    """A closed list; encoded as the index in `symbols`."""

    fullname: str
    symbols: tuple[str, ...]
    attributes: Attributes
    name: str = "enum"


@dataclass(frozen=True, slots=True)
class Fixed:
    """Exactly `size` bytes (at least one)."""

    fullname: str
    size: int
    attributes: Attributes
    name: str = "fixed"


Scalar = Primitive | Enumeration | Fixed


@dataclass(frozen=True, slots=True)
class Array:
    """Any number of items; an item is not an array, and takes at least one byte."""

    items: "Scalar | Record | Nullable"


@dataclass(frozen=True, slots=True)
class RecordField:
    """One field; `attributes` are its JSON properties but name and type."""

    name: str
    type: "Type"
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Record:
    """At least one field, encoded one after another; never contains itself."""

    fullname: str
    fields: tuple[RecordField, ...]
    attributes: Attributes


@dataclass(frozen=True, slots=True)
class Nullable:
    """The union `["null", inner]`: a branch byte 00, or 02 and the inner value."""

    inner: "Scalar | Array | Record"


Type = Scalar | Array | Record | Nullable


class SlotKind(StrEnum):
    """What one stretch of an encoded record holds."""

    BRANCH = "branch"
    LEAF = "leaf"
    ITEMS = "items"


@dataclass(frozen=True, slots=True)
class Slot:
    """One stretch of an encoded record: the branch byte of a nullable record, a leaf, or an array of records."""

    path: str
    kind: SlotKind
    type: Type


def slots(record: Record, path: str = "") -> Iterator[Slot]:
    """The stretches of an encoded record in writer order; their concatenation is the record."""
    for field in record.fields:
        below = f"{path}.{field.name}" if path else field.name
        inner = unwrapped(field.type)
        if isinstance(inner, Record):
            if isinstance(field.type, Nullable):
                yield Slot(below, SlotKind.BRANCH, field.type)
            yield from slots(inner, below)
        elif isinstance(inner, Array) and isinstance(unwrapped(inner.items), Record):
            yield Slot(below, SlotKind.ITEMS, field.type)
        else:
            yield Slot(below, SlotKind.LEAF, field.type)


def unwrapped(type_: Type) -> Scalar | Array | Record:
    """The type without null."""
    return type_.inner if isinstance(type_, Nullable) else type_


_MINIMUM = {"float": 4, "double": 8}


def minimum_bytes(type_: Type) -> int:
    """Fewest bytes that a value of this type takes: bounds what an array's count may claim."""
    match type_:
        case Fixed(size=size):
            return size
        case Record(fields=fields):
            return sum(minimum_bytes(field.type) for field in fields)
        case Primitive(name=name):
            return _MINIMUM.get(name, 1)
        case _:
            return 1
