"""Bytes that hang, crash or fool a decoder, and what the guard says of them."""

import json
import struct
import time
from collections.abc import Callable
from typing import Any

import pytest

from broker.errors import Invalid, PoisonRecord
from broker.model.agreement import FieldClass
from broker.schema.avro import Schema, load_schema, varint
from broker.schema.guard import Walker, compile_select, compile_walk, walker_of
from broker.schema.inspection import MAX_RECORD
from broker.schema.lint import parse_structure
from broker.schema.reference import encode

FRAME = b"\x00\x00\x00\x01\x90"

ALL_TYPES = {
    "flag": "boolean",
    "small": "int",
    "big": "long",
    "ratio": "float",
    "exact": "double",
    "name": "string",
    "raw": "bytes",
    "mark": {"type": "fixed", "name": "Mark", "size": 4},
    "choice": {"type": "enum", "name": "Choice", "symbols": ["A", "B", "C"]},
    "perhaps": ["null", "string"],
    "day": {"type": "int", "logicalType": "date"},
    "names": {"type": "array", "items": "string"},
    "end": "string",
}
# The value of each field as bytes; one is replaced per case.
GOOD = {
    "flag": b"\x01",
    "small": b"\x02",
    "big": b"\x02",
    "ratio": struct.pack("<f", 1.5),
    "exact": struct.pack("<d", 1.5),
    "name": b"\x04Jo",
    "raw": b"\x04\xff\x80",
    "mark": b"\xff\xff\xff\xff",
    "choice": b"\x04",
    "perhaps": b"\x02\x04\xc3\xa9",
    "day": b"\x00",
    "names": b"\x04\x02a\x02b\x00",
    "end": b"\x00",
}


@pytest.fixture(scope="module")
def walker() -> Walker:
    fields = [{"name": name, "type": type_} for name, type_ in ALL_TYPES.items()]
    return walker_of(parse_structure(json.dumps({"type": "record", "name": "All", "fields": fields}))[0])


def value_with(**replaced: bytes) -> bytes:
    return FRAME + b"".join((GOOD | replaced).values())


def refusal(walker: Walker, value: bytes) -> tuple[str, str]:
    with pytest.raises(PoisonRecord) as caught:
        walker.walk(value)
    return caught.value.reason, caught.value.path


def test_a_canonical_record_is_cut_at_its_fields(walker: Walker) -> None:
    value = value_with()
    offsets = walker.walk(value)
    assert [value[offsets[i] : offsets[j]] for i, j in map(walker.span, ALL_TYPES)] == list(GOOD.values())


@pytest.mark.parametrize(
    ("field", "encoded", "reason"),
    [
        ("flag", b"\x07", "BOOLEAN_RANGE"),
        ("flag", b"\x02", "BOOLEAN_RANGE"),
        ("small", b"\x82\x00", "VARINT_MALFORMED"),  # one, in two bytes
        ("small", b"\x80\x80\x80\x80\x10", "NUMBER_RANGE"),  # 2^31
        ("small", b"\xff" * 20, "VARINT_MALFORMED"),
        ("big", b"\xff" * 9 + b"\x02", "VARINT_MALFORMED"),  # 65 bits, wraps silently in fastavro
        ("big", b"\x80" * 9 + b"\x00", "VARINT_MALFORMED"),
        ("ratio", struct.pack("<f", float("nan")), "NUMBER_NOT_FINITE"),
        ("ratio", struct.pack("<f", float("-inf")), "NUMBER_NOT_FINITE"),
        ("exact", struct.pack("<d", float("inf")), "NUMBER_NOT_FINITE"),
        ("exact", struct.pack("<d", float("nan")), "NUMBER_NOT_FINITE"),
        ("name", b"\x01", "LENGTH_RANGE"),  # -1
        ("name", b"\xff\x7f", "LENGTH_RANGE"),
        ("name", b"\x84\x00Jo", "VARINT_MALFORMED"),
        ("name", varint(1 << 40), "TRUNCATED"),
        ("name", varint((1 << 63) - 1), "TRUNCATED"),
        ("name", b"\x02\xc3", "UTF8_INVALID"),  # cut short: the next field may not complete it
        ("name", b"\x02\xa9", "UTF8_INVALID"),
        ("name", b"\x06\xed\xa0\x80", "UTF8_INVALID"),  # a surrogate
        ("name", b"\x04\xc0\x80", "UTF8_INVALID"),  # over-long NUL
        ("name", varint(70) + b"\xff" * 70, "UTF8_INVALID"),
        ("raw", b"\x03", "LENGTH_RANGE"),
        ("choice", b"\x06", "ENUM_RANGE"),
        ("choice", b"\x01", "ENUM_RANGE"),  # -1, which fastavro takes for the last symbol
        ("choice", b"\x80\x01", "ENUM_RANGE"),
        ("perhaps", b"\x01", "UNION_RANGE"),  # -1, which fastavro takes for the last branch
        ("perhaps", b"\x04", "UNION_RANGE"),
        ("perhaps", b"\x82\x00\x00", "VARINT_MALFORMED"),
        ("day", varint(2_932_897), "NUMBER_RANGE"),  # the year 10000
        ("names", varint(1 << 40), "ARRAY_COUNT"),
        ("names", b"\xfe\xff\xff\xff\x0f", "ARRAY_COUNT"),
        ("names", b"\x01\x02\x02a\x00", "ARRAY_BLOCKS"),  # negative count: a block with its size
        ("names", b"\x02\x02a\x02\x02b\x00", "ARRAY_BLOCKS"),  # two blocks
        ("names", b"\x02\x02\xff\x00", "UTF8_INVALID"),
        ("names", b"\x02\x01\x00", "LENGTH_RANGE"),
        ("end", b"", "TRUNCATED"),
        ("end", b"\x00\x00", "TRAILING_BYTES"),
        ("end", b"\x02", "TRUNCATED"),
    ],
)
def test_hostile_values_are_refused_with_reason_and_place(
    walker: Walker, field: str, encoded: bytes, reason: str
) -> None:
    path = "" if reason == "TRAILING_BYTES" else field
    assert refusal(walker, value_with(**{field: encoded})) == (reason, path)


def test_a_text_torn_over_a_long_length_is_no_utf8(walker: Walker) -> None:
    # 0xC3 and the first byte of the next length would read as one character.
    assert refusal(walker, value_with(name=b"\x02\xc3", raw=b"\x80\x01" + bytes(64))) == ("UTF8_INVALID", "name")


@pytest.mark.parametrize("field", [name for name in ALL_TYPES if name != "flag"])
def test_a_record_cut_short_anywhere_is_refused(walker: Walker, field: str) -> None:
    value = value_with()
    cut = walker.walk(value)[walker.span(field)[0]]
    assert refusal(walker, value[:cut]) == ("TRUNCATED", field)


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00\x00\x00\x01", b"\x01\x00\x00\x01\x90\x00"])
def test_a_value_without_frame_is_refused(walker: Walker, value: bytes) -> None:
    assert refusal(walker, value) == ("FRAME_MALFORMED", "")


def test_a_record_above_the_size_limit_is_refused_and_one_at_the_limit_passes(walker: Walker) -> None:
    room = MAX_RECORD - len(value_with()) + 1
    size = room - len(varint(room))
    value = value_with(end=varint(size) + b"e" * size)
    assert len(value) == MAX_RECORD
    assert walker.walk(value)[-1] == MAX_RECORD
    value = value_with(end=varint(size + 1) + b"e" * (size + 1))
    assert refusal(walker, value) == ("TOO_LARGE", "")


def test_hostile_content_at_the_size_limit_takes_bounded_time(as_product: Callable[..., Any], member: Any) -> None:
    item = {"type": "record", "name": "Item", "fields": [member("a", "boolean"), member("b", ["null", "int"])]}
    members = [member("iri", "string", subject="principal"), member("items", {"type": "array", "items": item}, None)]
    schema = load_schema(json.dumps(as_product(members)))
    body = encode(schema.text, {"kind": "added", "recordedAt": "", "iri": "", "items": []})[:-1]
    count = (MAX_RECORD - 5 - len(body) - 5) // 2
    value = FRAME + body + varint(count) + b"\x00\x00" * count + b"\x01"
    started = time.process_time()
    assert refusal(compile_walk(schema), value) == ("ARRAY_BLOCKS", "items")
    assert time.process_time() - started < 10


def test_a_refusal_holds_no_byte_of_the_record(person_schema: Schema, someone: Any) -> None:
    walker = compile_walk(person_schema)
    value = FRAME + encode(person_schema.text, someone)
    torn = value.replace(b"Ana\xc3\xafs", b"Ana\xc3is\xff")
    with pytest.raises(PoisonRecord) as caught:
        walker.walk(torn)
    assert str(caught.value) == "UTF8_INVALID at naam.voornamen"
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None


def test_leaves_below_a_null_are_empty_and_a_null_leaf_is_its_branch(person_schema: Schema, someone: Any) -> None:
    walker = compile_walk(person_schema)
    value = FRAME + encode(person_schema.text, {**someone, "verblijfplaats": None})
    offsets = walker.walk(value)
    select = compile_select(walker, ["verblijfplaats.nis", "geboorte.plaats", "geboorte.datum"])
    assert select(value, offsets) == (b"", b"\x00", b"\x02\x142008-05-17")
    texts = [walker.text(value, offsets, path) for path in ("verblijfplaats.nis", "geboorte.plaats", "geboorte.datum")]
    assert texts == [b"", b"", b"2008-05-17"]
    assert compile_select(walker, [])(value, offsets) == ()
    assert compile_select(walker, ["insz"])(value, offsets) == (b"\x1608651712329",)


@pytest.mark.parametrize("path", ["nationaliteiten.code", "nationaliteiten", "geboorte", "nergens", ""])
def test_what_has_no_place_of_its_own_cannot_be_selected(person_schema: Schema, path: str) -> None:
    with pytest.raises(Invalid):
        compile_select(compile_walk(person_schema), [path])


def test_the_principal_and_its_class_say_whether_a_schema_is_about_a_person(
    person_schema: Schema, as_product: Callable[..., Any], member: Any
) -> None:
    assert (person_schema.principal, person_schema.about_person) == ("insz", True)
    road = load_schema(json.dumps(as_product([member("iri", "string", subject="principal")])))
    assert (road.principal, road.about_person) == ("iri", False)
    assert road.fields["iri"].field_class is FieldClass.PUBLIC
