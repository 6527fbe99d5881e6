"""Calendar of the law: which day it is in Belgium, and when it began.

Directive 2000/84/EC (summer time from the last Sunday of March
to the last Sunday of October, both at 01:00 UTC). Computed, so that no time zone file is read.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_MS = 3_600_000
_FARTHEST = timedelta(hours=14)
"""The farthest zone is this far from UTC."""

_MILLISECOND = timedelta(milliseconds=1)
_MARCH, _OCTOBER = 3, 10


def within(instant: datetime) -> datetime:
    """`instant`, which has a zone, if every zone can write it down; raises `ValueError` at the ends of the calendar."""
    try:
        utc = instant.astimezone(UTC)
        _ = utc - _FARTHEST, utc + _FARTHEST
    except OverflowError:
        raise ValueError("lies at an end of the calendar: leave it out for an instant that never comes") from None
    return instant


def milliseconds(instant: datetime) -> int:
    """First whole millisecond since 1970 (UTC) that is not before `instant`, so that comparisons keep their answer."""
    return -((EPOCH - instant) // _MILLISECOND)


def instant_of(at_ms: int) -> datetime:
    """The UTC instant of a millisecond count."""
    return EPOCH + timedelta(milliseconds=at_ms)


def belgian_day(at_ms: int) -> date:
    """Calendar day in Belgium at `at_ms` (milliseconds since 1970, UTC; 1996 and later)."""
    return _day_of_hour(at_ms // _HOUR_MS)


def day_began(at_ms: int) -> int:
    """First millisecond of the Belgian calendar day of `at_ms`."""
    hour, day = at_ms // _HOUR_MS, belgian_day(at_ms)
    while _day_of_hour(hour - 1) == day:
        hour -= 1
    return hour * _HOUR_MS


@lru_cache(maxsize=4096)
def _day_of_hour(hour: int) -> date:
    utc = EPOCH + timedelta(hours=hour)
    summer = _change(utc.year, _MARCH) <= utc < _change(utc.year, _OCTOBER)
    return (utc + timedelta(hours=2 if summer else 1)).date()


def _change(year: int, month: int) -> datetime:
    """01:00 UTC on the last Sunday of a month of 31 days."""
    last = datetime(year, month, 31, 1, tzinfo=UTC)
    return last - timedelta(days=last.isoweekday() % 7)
