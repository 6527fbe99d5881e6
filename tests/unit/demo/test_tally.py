"""Counts are of what was read, and a delivery and its receipt find each other in whatever order they come."""

import pytest

from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision
from broker.demo.logs import after_last_barrier
from broker.demo.tally import Latency, Tally
from broker.model.barrier import BARRIER_TYPE

TOPIC = "source.rijksregister.persoon.v1"


def release(delivery: str, agreement: str = "a") -> TracedDecision:
    return TracedDecision(agreement, 1, "release", "changed", None, delivery)


def withhold(reason: str, agreement: str = "a") -> TracedDecision:
    return TracedDecision(agreement, 1, "withhold", "changed", reason, None)


def delivered(identifier: str, kind: str = "changed") -> Message:
    return Message(0, b"k", b"v", (("ce_id", identifier.encode()), ("ce_kind", kind.encode())))


BARRIER = Message(0, b"barrier/0", None, (("ce_type", BARRIER_TYPE.encode()),))


@pytest.mark.parametrize("receipt_first", [True, False])
def test_a_delivery_and_its_receipt_match_in_any_order(receipt_first: bool) -> None:  # noqa: FBT001
    tally = Tally()
    steps = [lambda: tally.receipt((TOPIC, 0, 1), [release("d1")]), lambda: tally.delivery("a", delivered("d1"), 10)]
    for step in steps if receipt_first else reversed(steps):
        assert tally.unmatched("a") in {(0, 0), (0, 1), (1, 0)}
        step()
    assert tally.settled(["a", "nothing"])
    assert (tally.released["a"], tally.delivered["a"]) == (1, 1)


def test_what_lacks_its_counterpart_is_told_apart() -> None:
    tally = Tally()
    tally.receipt((TOPIC, 0, 1), [release("d1"), release("d2"), withhold("REVOKED")])
    tally.delivery("a", delivered("d3"), 0)
    assert tally.unmatched("a") == (1, 2)
    assert not tally.settled(["a"])
    assert tally.withheld_under("a") == {"REVOKED": 1}


def test_departures_are_deliveries_and_barriers_are_not() -> None:
    tally = Tally()
    tally.delivery("a", delivered("d1", "left-population"), 0)
    tally.delivery("a", BARRIER, 0)
    assert (tally.delivered["a"], tally.departed["a"]) == (1, 1)


def test_latency_spans_append_to_arrival_of_what_was_appended_since() -> None:
    tally = Tally()
    for number in range(200):
        tally.source((TOPIC, 0, number), b"k", 1000 + number)
        tally.receipt((TOPIC, 0, number), [release(f"d{number}")])
        tally.delivery("a", delivered(f"d{number}"), 1000 + number + (number % 100) + 1)
    assert tally.latency() == Latency(p50=50, p99=99, deliveries=200)
    assert tally.latency(1199) == Latency(p50=100, p99=100, deliveries=1)
    assert tally.latency(5000) is None


def test_records_after_the_last_barrier_are_counted_and_none_without_a_barrier() -> None:
    one = delivered("d")
    assert after_last_barrier([one, BARRIER, one, BARRIER]) == (2, 0)
    assert after_last_barrier([BARRIER, one, one]) == (1, 2)
    assert after_last_barrier([one]) == (0, 0)
