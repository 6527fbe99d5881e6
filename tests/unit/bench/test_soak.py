"""What a long run is told by."""

import pytest

from bench.gallery import soak_plots
from bench.soak import Figures, Windows

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
SLOW_START = [(minute / 6, 200.0, 100.0 + min(minute, 30)) for minute in range(180)]


def test_each_window_has_the_percentiles_of_what_was_due_in_it() -> None:
    start, windows = 7_000, Windows(7_000, 60, 3)
    for minute in (0, 2):
        for number in range(100):
            windows.add(start + minute * MINUTE + number, (minute + 1 + 10 * (number == 99)) * 1_000_000)
    assert [(minute, told["p50"], told["p99"], told["max"]) for minute, told in windows.ms()] == [
        (0.0, 1.0, 1.0, 11.0),
        (2.0, 3.0, 3.0, 13.0),
    ]


def test_what_was_due_at_either_end_makes_no_window_of_its_own() -> None:
    windows = Windows(SECOND, 60, 2)
    for due in (SECOND - 1, SECOND, SECOND + 2 * MINUTE):
        windows.add(due, 1_000_000)
    assert [(minute, told["max"]) for minute, told in windows.ms()] == [(0.0, 1.0), (1.0, 1.0)]


def test_a_line_of_progress_is_of_the_last_whole_window() -> None:
    windows = Windows(0, 1, 3)
    assert windows.about() is None
    for second in range(2):
        windows.add(second * SECOND, (second + 1) * 5_000_000)
    assert windows.about() == 5.0


def test_what_fills_up_at_first_is_no_growth_of_the_second_half() -> None:
    told = _figures([10.0] * 30).as_json()
    assert told["own_mb_per_hour"]["whole"]["slope"] > 10
    assert told["own_mb_per_hour"]["second_half"] == {"slope": 0, "low": 0, "high": 0}
    assert told["resident_mb_per_hour"]["second_half"]["slope"] == pytest.approx(0)


def test_drift_of_deliveries_is_told_beside_that_of_the_publisher() -> None:
    told = _figures([10.0 + number for number in range(30)]).as_json()
    assert told["p99_drift"]["worse"]
    assert not told["sent_late_drift"]["worse"]
    assert told["latency"]["p99"] == {"runs": 30, "median": 24.5, "min": 10, "max": 39}


def test_a_run_too_short_to_say_anything_says_so() -> None:
    told = Figures(1000, 500, 1, 300, SLOW_START[:1], [(0.0, _window(5.0))], [(0.0, _window(1.0))]).as_json()
    assert told["p99_drift"] is None
    assert told["own_mb_per_hour"] == {"whole": None, "second_half": None}
    assert set(soak_plots(told)) == {"memory.svg", "p99.svg"}


def _figures(p99: list[float]) -> Figures:
    windows = [(float(minute), _window(value)) for minute, value in enumerate(p99)]
    late = [(float(minute), _window(1.0 + minute % 2)) for minute in range(len(p99))]
    return Figures(1000, 500, 30, 300, SLOW_START, windows, late)


def _window(value: float) -> dict[str, float]:
    return {"p50": value / 2, "p99": value, "p999": value, "max": value}
