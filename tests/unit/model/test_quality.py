"""Figures tell of no single subject: nothing of fewer than five, and one record more or less moves a share in fives only."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.intake import HOURS, NOTHING, Intake, Offered
from broker.model.quality import Quality, about, share, two_digits

NOW = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
counts = st.integers(0, 5000)


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [
        (0, 4, None),
        (4, 4, None),
        (0, 5, 0),
        (5, 5, 100),
        (1, 20, 0),
        (2, 20, 0),
        (3, 20, 25),
        (19, 20, 100),
        (1, 3, None),
    ],
)
def test_a_share_is_of_fives_and_of_five_at_least(part: int, whole: int, told: int | None) -> None:
    assert share(part, whole) == told


@given(counts, counts)
def test_a_field_that_up_to_two_people_have_or_lack_is_that_of_nobody_or_everybody(whole: int, few: int) -> None:
    few %= 3
    if whole >= 10:
        assert share(few, whole) == 0
        if whole % 5 == 0:
            assert share(whole - few, whole) == 100


@given(counts, counts)
def test_a_share_is_right_to_three_records(one: int, other: int) -> None:
    part, whole = sorted((one, other))
    told = share(part, whole)
    if told is None:
        assert whole < 5
    else:
        assert 0 <= told <= 100
        assert abs(told - 100 * part / whole) <= 100 * 5 / whole + 1


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, None), (4, None), (5, 5), (7, 5), (8, 10), (99, 100), (104, 100), (1234, 1200), (99_999, 100_000)],
)
def test_a_number_of_subjects_is_rounded(count: int, told: int | None) -> None:
    assert about(count) == told


def test_a_duration_has_two_digits() -> None:
    assert [two_digits(each) for each in (0, 0.4, 9.6, 95, 123, 86_400)] == [0, 0, 10, 95, 120, 86_000]


def test_what_is_not_told_is_null() -> None:
    shown = Quality(NOW, whole=False).as_json()
    assert shown["at"] == "2026-07-01T12:30:00Z"
    assert (shown["subjects"], set(shown["freshness"].values())) == (None, {None})
    assert (shown["completeness"], set(shown["quarantine"].values())) == ({}, {None})


def test_an_intake_knows_the_last_day_by_whole_hours_and_everything_else_in_all() -> None:
    intake = Intake("gipod")
    for back in range(40, -1, -1):
        intake = intake.plus(Offered(10, 1), NOW - timedelta(hours=back))
    assert intake.total == Offered(410, 41)
    assert intake.lately(NOW) == Offered(10 * HOURS, HOURS)
    assert len(intake.hours) == HOURS, "flat memory"
    assert intake.lately(NOW + timedelta(days=2)) == NOTHING
    assert Intake.of_json(intake.as_json()) == intake
