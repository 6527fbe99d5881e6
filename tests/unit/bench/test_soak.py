"""What a long run is told by."""

import pytest

from bench.awaited import Latencies
from bench.soak import Figures, by_minute

MINUTE = 60_000_000_000


def test_each_minute_has_the_p99_of_the_records_due_in_it() -> None:
    start = 7_000
    taken = [(start + minute * MINUTE + number, (minute + 1) * 1_000_000) for minute in (0, 2) for number in range(100)]
    assert by_minute(taken) == [(0.0, 1.0), (2.0, 3.0)]


def test_growth_is_told_an_hour_over_all_and_over_the_second_half() -> None:
    memory = [(minute, 100.0 + min(minute, 2)) for minute in range(10)]
    told = Figures(1000, 500, 300, memory, [(0, 5.0)], Latencies.of([1])).as_json()
    assert told["memory_mb_per_hour"]["whole"] > 0
    assert told["memory_mb_per_hour"]["second_half"] == pytest.approx(0)
    assert told["p99_ms_per_hour"] == {"whole": None, "second_half": None}
