"""The canonical form and its digest: equal for equal deliveries, and nothing without the key."""

import json
import math
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery.digest import canonical, delivery_digest, digest_key
from broker.delivery.formats import AVRO, FORMS, Page, rendered
from broker.errors import Invalid

KEY = digest_key(b"k" * 32)
ITEM = {
    "id": "00" * 16, "type": "be.vlaanderen.datanuts.persoon.v1", "kind": "changed", "time": "2026-11-26T06:00:00Z",
    "key": "11" * 16, "cursor": "x", "agreementVersion": 3, "traceparent": "y", "data": {"naam": "Peeters"},
}  # fmt: skip


def test_the_digest_is_fixed_for_whoever_computes_it_elsewhere() -> None:
    assert canonical(ITEM | {"data": {"b": 1.0, "a": ["\u20ac", None, True]}}) == (
        b'{"agreementVersion":3,"data":{"a":["\xe2\x82\xac",null,true],"b":1},"id":"00000000000000000000000000000000",'
        b'"key":"11111111111111111111111111111111","kind":"changed","time":"2026-11-26T06:00:00Z",'
        b'"type":"be.vlaanderen.datanuts.persoon.v1"}'
    )
    assert delivery_digest(KEY, ITEM) == delivery_digest(KEY, dict(reversed(ITEM.items())))


@pytest.mark.parametrize("name", [name for name in ITEM if name not in {"cursor", "traceparent"}])
def test_every_member_counts(name: str) -> None:
    assert delivery_digest(KEY, ITEM | {name: "other"}) != delivery_digest(KEY, ITEM)
    assert delivery_digest(KEY, ITEM | {name: None}) != delivery_digest(KEY, ITEM)


def test_what_belongs_to_the_exit_does_not_count() -> None:
    assert delivery_digest(KEY, ITEM | {"cursor": "z", "traceparent": "w", "reason": None}) == delivery_digest(
        KEY, ITEM
    )


def test_a_value_cannot_be_guessed_without_the_agreements_key() -> None:
    other = digest_key(b"l" * 32)
    assert len({KEY, other, b"k" * 32}) == 3
    assert delivery_digest(other, ITEM) != delivery_digest(KEY, ITEM)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1.0, "1"), (-1.5, "-1.5"), (1e21, "1e+21"), (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"), (1e-6, "0.000001"), (1e-7, "1e-7"), (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"), (0.1 + 0.2, "0.30000000000000004"), (333333333.33333329, "333333333.3333333"),
        (2.5e-8, "2.5e-8"), (9007199254740993, "9007199254740993"), (-(2**63), "-9223372036854775808"), (True, "true"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_ecmascript_writes_them_and_integers_in_full(number: float, text: str) -> None:
    assert canonical({"data": number}) == b'{"data":%s}' % text.encode()


def test_members_are_ordered_by_utf_16_as_rfc_8785_has_it() -> None:
    names = ["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\x80", "\u00f6"]
    shown = canonical({"data": dict.fromkeys(names, 0)}).decode()
    assert list(json.loads(shown)["data"]) == ["\r", "1", "\x80", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    assert '"\\r"' in shown


@pytest.mark.parametrize("value", [math.nan, math.inf, {1, 2}, object()])
def test_what_json_cannot_hold_has_no_digest(value: Any) -> None:
    with pytest.raises(Invalid):
        canonical({"data": {"x": [value]}})


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=10,
)  # fmt: skip


@given(_VALUES.filter(lambda value: value is not None))
def test_the_form_survives_json_and_is_its_own_canonical_form(value: Any) -> None:
    once = canonical({"data": value})
    assert canonical(json.loads(json.dumps({"data": value}))) == once
    assert canonical(json.loads(once)) == once


def test_json_and_avro_give_the_same_digests(mixed: Page) -> None:
    own = [delivery_digest(KEY, item) for item in mixed.items()]
    file = rendered(mixed, FORMS[AVRO])[0]
    assert [delivery_digest(KEY, row) for row in fastavro.reader(BytesIO(file))] == own
    assert len(set(own)) == len(own)
