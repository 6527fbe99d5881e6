"""Percentiles, spreads and slopes as told, and latencies that leave nothing out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.awaited import Awaited, Latencies, Spread, percentile


@given(st.lists(st.integers(0, 10**9), min_size=1), st.floats(0.001, 1.0))
def test_a_percentile_is_a_sample_that_so_large_a_share_does_not_exceed(samples: list[int], share: float) -> None:
    ordered = sorted(samples)
    found = percentile(ordered, share)
    assert found in samples
    assert sum(each <= found for each in samples) >= share * len(samples)
    smaller = [each for each in samples if each < found]
    assert len(smaller) < share * len(samples)


def test_percentiles_of_a_thousand() -> None:
    told = Latencies.of([each * 1_000_000 for each in range(1, 1001)])
    assert told.as_json() == {"samples": 1000, "p50_ms": 500, "p99_ms": 990, "p999_ms": 999, "max_ms": 1000}


@pytest.mark.parametrize("empty", [lambda: percentile([], 0.5), lambda: Latencies.of([]), lambda: Spread.of([])])
def test_there_is_no_figure_of_nothing(empty: object) -> None:
    with pytest.raises(ValueError, match="no "):
        empty()  # type: ignore[operator]


def test_a_stall_counts_for_every_record_that_was_due_in_it() -> None:
    awaited = Awaited()
    # One a millisecond was due; nothing could be sent for 100 ms, then all were there at once.
    for number in range(100):
        awaited.due(str(number), number * 1_000_000)
    for number in range(100):
        awaited.arrived(str(number), 100_000_000)
    told = Latencies.of([latency for _, latency in awaited.taken])
    assert (told.samples, told.ms["p50"], told.ms["max"]) == (100, 50, 100)


def test_what_arrives_before_its_acknowledgement_counts_as_much() -> None:
    awaited = Awaited()
    awaited.arrived("a", 30)
    assert (awaited.missing, awaited.taken) == (0, [])
    awaited.due("a", 10)
    awaited.due("b", 20)
    assert (awaited.missing, awaited.taken) == (1, [(10, 20)])


def test_only_the_first_arrival_counts() -> None:
    awaited = Awaited()
    awaited.due("a", 10)
    awaited.arrived("a", 15)
    awaited.arrived("a", 500)
    assert awaited.taken == [(10, 5)]


def test_what_was_forgotten_counts_for_nothing() -> None:
    awaited = Awaited()
    awaited.due("a", 10)
    awaited.arrived("b", 10)
    awaited.forget()
    awaited.arrived("a", 15)
    awaited.due("b", 11)
    assert (awaited.missing, awaited.taken) == (1, [])


def test_a_spread_goes_from_the_least_to_the_most() -> None:
    assert Spread.of([3, 1, 2]).as_json() == {"runs": 3, "median": 2, "min": 1, "max": 3}
