"""The guard's specification in naive code: which bytes are a canonical encoding, and what is wrong with the others.

The generated walker of `guard` must accept the same bytes with the same cut points; a refused record is read again
here, to name the reason and the place. Reason codes: TOO_LARGE, FRAME_MALFORMED, TRUNCATED, TRAILING_BYTES,
VARINT_MALFORMED (over-long, or above 64 bits), NUMBER_RANGE, NUMBER_NOT_FINITE (JSON cannot carry it, RFC 8259),
BOOLEAN_RANGE, UNION_RANGE, ENUM_RANGE, LENGTH_RANGE, UTF8_INVALID, ARRAY_COUNT, ARRAY_BLOCKS (not one block).
"""

import math
import struct
from dataclasses import dataclass

from broker.errors import PoisonRecord
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema import varints
from broker.schema.types import (
    Array,
    Enumeration,
    Fixed,
    Nullable,
    Primitive,
    Record,
    Type,
    minimum_bytes,
    unwrapped,
)

MAX_RECORD = 1 << 20
"""Most bytes of a framed value."""

_INTEGERS = {
    ("int", None): varints.int_size,
    ("int", "date"): varints.date_size,
    ("long", None): varints.long_size,
    ("long", "timestamp-millis"): varints.millisecond_size,
}
_FLOATS = {"float": "<f", "double": "<d"}


def inspect(root: Record, value: bytes) -> tuple[int, ...]:
    """Cut points of a framed value; raises `PoisonRecord(reason, path)`."""
    if len(value) > MAX_RECORD:
        raise PoisonRecord("TOO_LARGE")
    if len(value) < WIRE_HEADER_BYTES or value[0]:
        raise PoisonRecord("FRAME_MALFORMED")
    reader = _Reader(value, WIRE_HEADER_BYTES, [WIRE_HEADER_BYTES])
    reader.record(root, "", cuts=True)
    if reader.at != len(value):
        raise PoisonRecord("TRAILING_BYTES")
    return tuple(reader.cuts)


@dataclass(slots=True)
class _Reader:
    value: bytes
    at: int
    cuts: list[int]

    def record(self, record: Record, path: str, *, cuts: bool) -> None:
        for field in record.fields:
            below = f"{path}.{field.name}" if path else field.name
            inner = unwrapped(field.type)
            if not isinstance(inner, Record):
                self.value_of(field.type, below)
                self.cut(enabled=cuts)
                continue
            absent = False
            if isinstance(field.type, Nullable):
                absent = self.branch(below)
                self.cut(enabled=cuts)
            if absent:
                self.cuts.extend([self.at] * (_cut_points(inner) if cuts else 0))
            else:
                self.record(inner, below, cuts=cuts)

    def cut(self, *, enabled: bool) -> None:
        if enabled:
            self.cuts.append(self.at)

    def value_of(self, type_: Type, path: str) -> None:
        match type_:
            case Nullable(inner=inner):
                if not self.branch(path):
                    self.value_of(inner, path)
            case Record():
                self.record(type_, path, cuts=False)
            case Array():
                self.array(type_, path)
            case Fixed(size=size):
                self.skip(size, path)
            case Enumeration(symbols=symbols):
                if not 0 <= self.integer(path) < len(symbols):
                    raise PoisonRecord("ENUM_RANGE", path)
            case Primitive():
                self.primitive(type_, path)

    def primitive(self, type_: Primitive, path: str) -> None:
        start = self.at
        match type_.name:
            case "boolean":
                self.skip(1, path)
                if self.value[start] > 1:
                    raise PoisonRecord("BOOLEAN_RANGE", path)
            case "int" | "long":
                self.integer(path)
                size = _INTEGERS[type_.name, type_.logical]
                try:
                    size(self.value, start)
                except varints.Malformed:
                    raise PoisonRecord("NUMBER_RANGE", path) from None
            case "float" | "double":
                layout = _FLOATS[type_.name]
                self.skip(struct.calcsize(layout), path)
                if not math.isfinite(struct.unpack(layout, self.value[start : self.at])[0]):
                    raise PoisonRecord("NUMBER_NOT_FINITE", path)
            case _:
                self.sized(path, text=type_.name == "string")

    def sized(self, path: str, *, text: bool) -> None:
        length = self.integer(path)
        if length < 0:
            raise PoisonRecord("LENGTH_RANGE", path)
        start = self.at
        self.skip(length, path)
        if text and not _is_utf8(self.value[start : self.at]):
            raise PoisonRecord("UTF8_INVALID", path)

    def array(self, type_: Array, path: str) -> None:
        count = self.integer(path)
        if count == 0:
            return
        if count < 0:
            raise PoisonRecord("ARRAY_BLOCKS", path)
        if count * minimum_bytes(type_.items) > len(self.value) - self.at:
            raise PoisonRecord("ARRAY_COUNT", path)
        for _ in range(count):
            self.value_of(type_.items, path)
        if self.integer(path) != 0:
            raise PoisonRecord("ARRAY_BLOCKS", path)

    def branch(self, path: str) -> bool:
        """Whether the union at hand is null."""
        branch = self.integer(path)
        if branch not in (0, 1):
            raise PoisonRecord("UNION_RANGE", path)
        return branch == 0

    def integer(self, path: str) -> int:
        try:
            number, self.at = varints.read(self.value, self.at)
        except IndexError:
            raise PoisonRecord("TRUNCATED", path) from None
        except varints.Malformed:
            raise PoisonRecord("VARINT_MALFORMED", path) from None
        return number

    def skip(self, size: int, path: str) -> None:
        if size > len(self.value) - self.at:
            raise PoisonRecord("TRUNCATED", path)
        self.at += size


def _cut_points(record: Record) -> int:
    total = 0
    for field in record.fields:
        inner = unwrapped(field.type)
        total += _cut_points(inner) + isinstance(field.type, Nullable) if isinstance(inner, Record) else 1
    return total


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True
