"""What a value becomes: fastavro's bytes where it fits, the field's path where it does not."""

import json
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import PoisonRecord
from broker.schema.avro import load_schema
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.reference import decode, encode
from tests.unit.schema.conftest import field, product

FRAME = b"\x00\x00\x00\x00\xff"
HEAD = {"kind": "added", "recordedAt": "2026-01-01T00:00:00Z", "insz": "84621512345"}
RECORDS = 40


def of(type_: Any, *, nested: bool = False) -> tuple[Any, Any]:
    """Encoder and schema text of a product whose field `f` is of this type, or `r.f` if nested."""
    tested = field("f", type_)
    if nested:
        inner = {"type": "record", "name": "R", "iri": "https://data.example/ns#R", "doc": "R.", "fields": [tested]}
        tested = field("r", {"type": "array", "items": inner}, None)
    principal = field("insz", "string", "national-number", subject="principal")
    members = [principal, tested]
    for head in (text := product(members))["fields"]:
        if isinstance(head["type"], list):
            head["default"] = None
    schema = load_schema(json.dumps(text))
    return compile_encode(schema), schema


@given(seed=st.integers(0, 2**64 - 1), size=st.integers(1, 9))
@settings(deadline=None, max_examples=2 * settings.default.max_examples)
def test_a_value_that_fits_becomes_what_fastavro_writes_and_the_guard_admits(dice, seed, size) -> None:
    drawn = dice(seed, size)
    schema = drawn.schema()
    ours, walker, document = compile_encode(schema), compile_walk(schema), json.loads(schema.text)
    for _ in range(RECORDS):
        record = drawn.record(document)
        value = ours(record)
        assert value == encode(schema.text, record)
        walker.walk(FRAME + value)


def refused(type_: Any, value: Any, *, nested: bool = False) -> str:
    ours, _ = of(type_, nested=nested)
    stated = {"r": [{"f": value}]} if nested else {"f": value}
    with pytest.raises(PoisonRecord) as poison:
        ours({**HEAD, **stated})
    assert poison.value.reason == "SCHEMA_MISMATCH"
    assert poison.value.__context__ is None, "an encoder's own error would quote the value"
    return poison.value.path


ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
FIXED = {"type": "fixed", "name": "F", "size": 2}
DATE, INSTANT = {"type": "int", "logicalType": "date"}, {"type": "long", "logicalType": "timestamp-millis"}
STRINGS = {"type": "array", "items": "string"}


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        (STRINGS, "Jan"),
        (STRINGS, {"Jan": 1}),
        (STRINGS, [1]),
        (STRINGS, None),
        ("string", 1),
        ("string", b"x"),
        ("string", None),
        ("string", "\ud800"),
        ("boolean", "false"),
        ("boolean", 0),
        ("boolean", None),
        ("int", 2**31),
        ("int", True),
        ("int", 1.0),
        ("long", -(2**63) - 1),
        ("float", 1e300),
        ("double", 10**400),
        ("double", float("nan")),
        ("double", float("inf")),
        ("double", True),
        ("double", "1"),
        ("bytes", "x"),
        (FIXED, b"x"),
        (ENUM, "C"),
        (ENUM, 0),
        (ENUM, ["A"]),
        (DATE, "2026-01-01"),
        (DATE, datetime(2026, 1, 1, tzinfo=UTC)),
        (INSTANT, datetime(2026, 1, 1)),  # noqa: DTZ001 - that is the case
        (["null", "string"], 1),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_path(type_: Any, value: Any) -> None:
    assert refused(type_, value) == "f"
    assert refused(type_, value, nested=True) == "r.f"


@pytest.mark.parametrize(
    ("type_", "value", "stored"),
    [
        (DATE, date(2008, 5, 17), date(2008, 5, 17)),
        (DATE, -1, date(1969, 12, 31)),
        (INSTANT, datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), datetime(2026, 1, 1, tzinfo=UTC)),
        (STRINGS, ("a", "b"), ["a", "b"]),
        ("double", 2, 2.0),
    ],
)
def test_a_value_in_pythons_own_terms_is_taken(type_: Any, value: Any, stored: Any) -> None:
    ours, schema = of(type_)
    assert decode(schema.text, ours({**HEAD, "f": value}))["f"] == stored


def test_a_field_may_be_left_out_only_where_null_is_its_default() -> None:
    ours, schema = of("string")
    assert decode(schema.text, ours({**HEAD, "f": "x"}))["validFrom"] is None
    with pytest.raises(PoisonRecord) as missing:
        ours(HEAD)
    assert missing.value.path == "f"


def test_a_field_too_many_is_refused_without_its_name() -> None:
    ours, _ = of("string")
    for extra in ({"Jan Janssens": 1}, {"f ": "x"}):
        with pytest.raises(PoisonRecord) as poison:
            ours({**HEAD, "f": "x", **extra})
        assert (poison.value.reason, poison.value.path) == ("SCHEMA_MISMATCH", "")


def test_what_is_no_record_at_all_is_refused() -> None:
    ours, _ = of("string", nested=True)
    for value, path in (([], ""), ({**HEAD, "r": [None]}, "r"), ({**HEAD, "r": [{}]}, "r.f")):
        with pytest.raises(PoisonRecord) as poison:
            ours(value)
        assert poison.value.path == path
