"""What is written into the control log is read back as it was; what is no fact is refused."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model.facts import Fact, FactType, decode_fact

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=12,
)
INSTANT = datetime(2026, 1, 1, tzinfo=UTC)


@given(TEXT, TEXT, st.integers(0, 1 << 40), st.sampled_from(FactType), st.dictionaries(TEXT, JSON, max_size=4))
def test_a_fact_is_read_as_it_was_written(
    identifier: str, aggregate: str, expects: int, kind: FactType, data: dict[str, Any]
) -> None:
    fact = Fact(identifier, kind, aggregate, expects, INSTANT, "operator", data)
    assert decode_fact(fact.encode()) == fact


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"id":"\\ud800","type":"organisation.registered","aggregate":"a","expects":0,"at":"2026-01-01T00:00:00Z","by":"o","data":{}}',
        b'{"id":"1","type":"no.such","aggregate":"a","expects":0,"at":"2026-01-01T00:00:00Z","by":"o","data":{}}',
        b'{"id":"1","type":["organisation.registered"],"aggregate":"a","expects":0,"at":"2026-01-01T00:00:00Z","by":"o","data":{}}',
        b'{"id":"1","type":"organisation.registered","aggregate":"a","expects":0,"at":"2026-01-01","by":"o","data":{}}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_fact_is_refused(raw: bytes) -> None:
    with pytest.raises(Invalid):
        decode_fact(raw)
