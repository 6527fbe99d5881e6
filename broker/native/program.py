"""A schema's guard as a program for the native walk (`walk.zig`): the twin of what `broker.schema.guard` generates."""

from array import array
from collections.abc import Iterator

from broker.native.library import Numbers
from broker.schema.types import (
    Array,
    Enumeration,
    Fixed,
    Nullable,
    Primitive,
    Record,
    Type,
    minimum_bytes,
    slots,
    unwrapped,
)

_ARGUMENT_BITS = 8
_POINT, _FIXED, _ENUMERATION, _NULLABLE, _ARRAY = 0, 10, 11, 12, 13
_PRIMITIVES = {
    ("string", None): 1,
    ("bytes", None): 2,
    ("int", None): 3,
    ("long", None): 4,
    ("int", "date"): 5,
    ("long", "timestamp-millis"): 6,
    ("boolean", None): 7,
    ("float", None): 8,
    ("double", None): 9,
}


def program(root: Record) -> Numbers:
    """Words that walk a value behind its frame, and note its cut points as `guard.Walker` has them, the first included."""
    return array("I", [_POINT, *_record(root, points=True)])


def _record(record: Record, *, points: bool) -> Iterator[int]:
    for field in record.fields:
        inner = unwrapped(field.type)
        if not isinstance(inner, Record):
            yield from _value(field.type)
            if points:
                yield _POINT
        elif isinstance(field.type, Nullable):
            below = list(_record(inner, points=points))
            noted = 1 + sum(1 for _ in slots(inner)) if points else 0
            inside = [_POINT, *below] if points else below
            yield from (_word(_NULLABLE, len(inside)), noted, *inside)
        else:
            yield from _record(inner, points=points)


def _value(type_: Type) -> Iterator[int]:
    match type_:
        case Nullable(inner=inner):
            inside = list(_value(inner))
            yield from (_word(_NULLABLE, len(inside)), 0, *inside)
        case Record():
            yield from _record(type_, points=False)
        case Array(items=items):
            item = list(_value(items))
            yield from (_word(_ARRAY, len(item)), minimum_bytes(items), *item)
        case Fixed(size=size):
            yield _word(_FIXED, size)
        case Enumeration(symbols=symbols):
            yield _word(_ENUMERATION, len(symbols))
        case Primitive(name=name, logical=logical):
            yield _PRIMITIVES[name, logical] if (name, logical) in _PRIMITIVES else _PRIMITIVES[name, None]


def _word(code: int, argument: int) -> int:
    return code | argument << _ARGUMENT_BITS
