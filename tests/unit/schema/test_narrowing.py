"""A delivery without the fields that a subject's consent leaves out, under the schema it always has."""

from typing import Any

import pytest

from broker.errors import Invalid
from broker.model.agreement import ReleasedField, Transform
from broker.schema.avro import Schema
from broker.schema.guard import compile_walk
from broker.schema.narrowing import can_leave_out, leave_out
from broker.schema.projection import Projection, compile_projection
from broker.schema.reference import decode, encode

FRAME = b"\x00\x00\x00\x00\x07"
FIELDS = (
    *(
        ReleasedField(path, Transform.KEEP, "needed")
        for path in ("naam.achternaam", "naam.voornamen", "geboorte.datum", "nationaliteiten.omschrijving")
    ),
    ReleasedField("geboorte.datum", Transform.ADULT, "needed", "meerderjarig"),
    ReleasedField("insz", Transform.PSEUDONYM, "needed", "pseudoniem"),
)


@pytest.fixture(scope="module")
def projection(person_schema: Schema) -> Projection:
    return compile_projection(person_schema, FIELDS, pseudonym_key=bytes(32))


@pytest.fixture(scope="module")
def body(person_schema: Schema, projection: Projection, someone: dict[str, Any]) -> bytes:
    value = FRAME + encode(person_schema.text, someone)
    return projection.cut(value, compile_walk(person_schema).walk(value), "2026-11-26", None)


@pytest.mark.parametrize(
    ("keys", "changed"),
    [
        (["geboorte.datum"], {"geboorte": {"datum": None}}),
        (["meerderjarig"], {"meerderjarig": None}),
        (["nationaliteiten.omschrijving"], {"nationaliteiten": [{"omschrijving": None}, {"omschrijving": None}]}),
        (["naam.voornamen"], {"naam": {"achternaam": "Peeters", "voornamen": []}}),
        (["geboorte.datum", "meerderjarig"], {"geboorte": {"datum": None}, "meerderjarig": None}),
    ],
)
def test_what_is_left_out_is_null_and_all_else_stays(
    projection: Projection, body: bytes, keys: list[str], changed: dict[str, Any]
) -> None:
    whole, narrowed = (
        decode(projection.egress, body),
        decode(projection.egress, leave_out(projection.egress, keys)(body)),
    )
    assert narrowed == whole | changed
    if "geboorte.datum" in keys:
        assert b"2008-05-17" not in leave_out(projection.egress, keys)(body)


def test_below_a_parent_that_is_null_there_is_nothing_to_leave_out(
    person_schema: Schema, projection: Projection, someone: dict[str, Any]
) -> None:
    value = FRAME + encode(person_schema.text, someone | {"geboorte": None})
    body = projection.cut(value, compile_walk(person_schema).walk(value), "2026-11-26", None)
    assert leave_out(projection.egress, ["geboorte.datum"])(body) == body


@pytest.mark.parametrize("key", ["naam.achternaam", "pseudoniem", "geboorte", "naam", "niets", "naam.niets"])
def test_what_every_record_has_or_no_delivery_holds_cannot_be_left_out(projection: Projection, key: str) -> None:
    if key == "geboorte":  # a group that may be null as a whole
        assert can_leave_out(projection.egress, key)
        return
    assert not can_leave_out(projection.egress, key)
    with pytest.raises(Invalid, match=key):
        leave_out(projection.egress, [key])
