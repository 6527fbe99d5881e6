from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.policy.calendar import belgian_day, instant_of, milliseconds


@given(st.datetimes(datetime(1996, 1, 1), datetime(2099, 12, 30), timezones=st.just(UTC)))  # noqa: DTZ001 - bounds are naive by contract
def test_the_day_is_that_of_the_clock_in_brussels(instant: datetime) -> None:
    whole = instant.replace(microsecond=0)
    assert belgian_day(milliseconds(whole)) == whole.astimezone(ZoneInfo("Europe/Brussels")).date()


@pytest.mark.parametrize("change", ["2026-03-29", "2026-10-25", "2027-03-28", "2027-10-31"])
def test_around_summer_time_changes(change: str) -> None:
    noon = datetime.fromisoformat(f"{change}T12:00:00+00:00")
    for minutes in range(-24 * 60, 24 * 60, 15):
        instant = noon + timedelta(minutes=minutes)
        assert belgian_day(milliseconds(instant)) == instant.astimezone(ZoneInfo("Europe/Brussels")).date()


def test_milliseconds_round_up_so_that_a_bound_is_never_crossed_early() -> None:
    start = datetime(2026, 1, 1, 0, 0, 0, 1500, tzinfo=UTC)
    assert instant_of(milliseconds(start)) - start == timedelta(microseconds=500)
    whole = start.replace(microsecond=2000)
    assert instant_of(milliseconds(whole)) == whole
