"""Values as canonical Avro: the bytes that the guard admits, or a refusal that names the field.

Stricter than fastavro, its oracle in tests, which takes "Jan" for ["J", "a", "n"] and any text for a boolean: what
somebody else's program hands over is published as stated, or not at all.
"""

import math
import struct
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NoReturn

from broker.errors import PoisonRecord
from broker.schema.avro import Schema, varint
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, Type

Write = Callable[[Any, bytearray], None]

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_BITS = {"int": 32, "long": 64}
_FLOATS = {"float": "<f", "double": "<d"}
_COUNTED = 256
_COUNTS = tuple(varint(number) for number in range(_COUNTED))
_ABSENT = object()


def compile_encode(schema: Schema) -> Callable[[Mapping[str, Any]], bytes]:
    """Function of a product's value to its encoding, without a frame.

    Takes `str`, `bytes`, `bool`, `int`, `float` (or `int`), `date`, an aware `datetime`, lists, tuples and mappings; a
    field may be left out where its default is null. Raises `PoisonRecord` SCHEMA_MISMATCH with the path of what does not
    fit; the path is that of the record where it holds a field too many.
    """
    write = _record(schema.root, "")

    def encode(value: Mapping[str, Any]) -> bytes:
        out = bytearray()
        write(value, out)
        return bytes(out)

    return encode


def _write(type_: Type, path: str) -> Write:
    match type_:
        case Record():
            return _record(type_, path)
        case Array(items=items):
            return _array(_write(items, path), path)
        case Nullable(inner=inner):
            return _nullable(_write(inner, path))
        case Enumeration(symbols=symbols):
            return _enum({symbol: varint(index) for index, symbol in enumerate(symbols)}, path)
        case Fixed(size=size):
            return _bytes(path, size)
        case Primitive():
            return _primitive(type_, path)


def _record(record: Record, path: str) -> Write:
    members = []
    for field in record.fields:
        below = f"{path}.{field.name}" if path else field.name
        members.append((field.name, _write(field.type, below), "default" in field.attributes, below))

    def write(value: Any, out: bytearray) -> None:
        if type(value) is not dict and not isinstance(value, Mapping):
            _refuse(path)
        left_out = 0
        for name, member, optional, below in members:
            given = value.get(name, _ABSENT)
            if given is not _ABSENT:
                member(given, out)
            elif optional:
                left_out += 1
                out.append(0)
            else:
                _refuse(below)
        if len(value) + left_out != len(members):
            _refuse(path)

    return write


def _array(item: Write, path: str) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, list | tuple):
            _refuse(path)
        if value:
            out += _count(len(value))
            for each in value:
                item(each, out)
        out.append(0)

    return write


def _nullable(inner: Write) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if value is None:
            out.append(0)
        else:
            out.append(2)
            inner(value, out)

    return write


def _enum(symbols: Mapping[str, bytes], path: str) -> Write:
    def write(value: Any, out: bytearray) -> None:
        index = symbols.get(value) if isinstance(value, str) else None
        out += _refuse(path) if index is None else index

    return write


def _primitive(type_: Primitive, path: str) -> Write:
    match type_.logical or type_.name:
        case "string":
            return _string(path)
        case "bytes":
            return _bytes(path, None)
        case "boolean":
            return _boolean(path)
        case "float" | "double":
            return _float(_FLOATS[type_.name], path)
        case logical:
            return _integer(_BITS[type_.name], _NUMBERS.get(logical, _number), path)


def _string(path: str) -> Write:
    def write(value: Any, out: bytearray) -> None:
        raw = None
        if isinstance(value, str):
            try:
                raw = value.encode()
            except UnicodeEncodeError:  # half of a surrogate pair; refused outside the handler, whose text quotes it
                raw = None
        if raw is None:
            _refuse(path)
        size = len(raw)
        out += _COUNTS[size] if size < _COUNTED else varint(size)
        out += raw

    return write


def _bytes(path: str, size: int | None) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, bytes) or size not in (None, len(value)):
            _refuse(path)
        if size is None:
            out += _count(len(value))
        out += value

    return write


def _boolean(path: str) -> Write:
    def write(value: Any, out: bytearray) -> None:
        if not isinstance(value, bool):
            _refuse(path)
        out.append(value)

    return write


def _float(layout: str, path: str) -> Write:
    def write(value: Any, out: bytearray) -> None:
        try:
            number = float(value) if type(value) in (int, float) else math.nan
            raw = struct.pack(layout, number)
        except OverflowError:
            number, raw = math.nan, b""
        if not math.isfinite(number):
            _refuse(path)
        out += raw

    return write


def _integer(bits: int, number_of: Callable[[Any], int | None], path: str) -> Write:
    half = 1 << (bits - 1)

    def write(value: Any, out: bytearray) -> None:
        number = number_of(value)
        if number is None or not -half <= number < half:
            _refuse(path)
        out += varint(number)

    return write


def _number(value: Any) -> int | None:
    return value if type(value) is int else None


def _day(value: Any) -> int | None:
    return value.toordinal() - _EPOCH_DAY if type(value) is date else _number(value)


def _instant(value: Any) -> int | None:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return (value - _EPOCH) // _MILLISECOND
    return _number(value)


_NUMBERS = {"date": _day, "timestamp-millis": _instant}


def _count(number: int) -> bytes:
    return _COUNTS[number] if number < _COUNTED else varint(number)


def _refuse(path: str) -> NoReturn:
    raise PoisonRecord("SCHEMA_MISMATCH", path)
