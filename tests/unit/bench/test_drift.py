"""What grows is found, and what only looks as if it did is not."""

import random
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.drift import Drift, Line

POINTS, SERIES = 90, 200


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.lists(st.integers(0, 1000), min_size=2, unique=True))
def test_the_slope_of_a_line_is_its_own(rise: int, level: int, instants: list[int]) -> None:
    line = Line.through([(x, level + rise * x) for x in instants])
    assert line.slope == pytest.approx(rise, abs=1e-6)
    assert line.at(10) == pytest.approx(level + 10 * rise, abs=1e-2)


def test_a_slope_takes_two_instants() -> None:
    with pytest.raises(ValueError, match="two instants"):
        Line.through([(1, 1), (1, 2)])


@pytest.mark.parametrize("alike", [0.0, 0.8])
def test_noise_is_rarely_taken_for_growth_even_where_each_sample_is_like_the_one_before(alike: float) -> None:
    taken = sum(_excludes_zero(_noise(seed, alike)) for seed in range(SERIES))
    assert taken <= 0.12 * SERIES


def test_growth_larger_than_the_noise_is_found() -> None:
    grown = [[(x, y + 0.05 * x) for x, y in _noise(seed, 0.5)] for seed in range(SERIES)]
    assert sum(map(_excludes_zero, grown)) >= 0.95 * SERIES


def test_the_fewer_points_the_wider_the_interval_and_two_have_none() -> None:
    three, two = (Line.through([(0, 1), (1, 3), (2, 2)][:number]) for number in (3, 2))
    assert three.margin == pytest.approx(12.71 * 0.866, rel=0.01)
    assert two.per_hour() == {"slope": 120.0, "low": None, "high": None}


def test_a_slope_a_minute_is_told_an_hour() -> None:
    assert Line.through([(x, 2.0 * x) for x in range(10)]).per_hour() == {"slope": 120.0, "low": 120.0, "high": 120.0}


def test_noise_is_rarely_taken_for_drift() -> None:
    assert sum(_worse(lambda rng, _: rng.lognormvariate(0, 0.5)) for _worse in _seeds(SERIES)) <= 0.02 * SERIES


def test_a_few_outliers_at_the_end_are_no_drift() -> None:
    found = Drift.of([10.0 + number % 3 for number in range(28)] + [900.0, 950.0])
    assert found is not None
    assert not found.worse


def test_what_comes_later_and_later_drifts() -> None:
    assert all(_worse(lambda rng, at: rng.gauss(10 + at / 6, 0.5)) for _worse in _seeds(20))


def test_what_grows_less_than_anybody_notices_is_no_drift_however_sure() -> None:
    found = Drift.of([100 + number / 10 for number in range(30)])
    assert found is not None
    assert found.chance < 0.001
    assert not found.worse


def test_what_gets_better_is_no_drift() -> None:
    found = Drift.of([float(100 - number) for number in range(30)])
    assert found is not None
    assert found.as_json() == {"ratio": pytest.approx(0.791), "chance": pytest.approx(0.0002), "worse": False}


def test_equal_figures_and_short_series_say_nothing() -> None:
    assert Drift.of([1.0] * 23) is None
    equal = Drift.of([1.0] * 30)
    assert equal is not None
    assert (equal.ratio, equal.chance, equal.worse) == (1.0, 1.0, False)


def _noise(seed: int, alike: float) -> Sequence[tuple[float, float]]:
    rng, last, found = random.Random(seed), 0.0, []
    for x in range(POINTS):
        last = alike * last + rng.gauss(0, 1)
        found.append((float(x), 100 + last))
    return found


def _excludes_zero(points: Sequence[tuple[float, float]]) -> bool:
    line = Line.through(points)
    return line.margin is not None and abs(line.slope) > line.margin


def _seeds(number: int) -> Sequence[Callable[[Callable[[random.Random, int], float]], bool]]:
    def of(seed: int) -> Callable[[Callable[[random.Random, int], float]], bool]:
        def worse(figure: Callable[[random.Random, int], float]) -> bool:
            rng = random.Random(seed)
            found = Drift.of([figure(rng, at) for at in range(30)])
            return found is not None and found.worse

        return worse

    return [of(seed) for seed in range(number)]
