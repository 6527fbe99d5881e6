"""Partial dates as on the wire: `2008-05-17`, `2008-05-00` (day unknown), `2008-00-00`, `0000-00-00`.

Text of another form, or with a month above 12 or a day above 31, is unknown. What depends on a day takes it in ISO form.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import MAXYEAR, date
from functools import lru_cache
from itertools import pairwise

MAJORITY_YEARS = 18
_REMEMBERED = 1 << 15  # there are fewer days of birth than people
_LENGTH = 10
_DAYS_OF_YEAR = frozenset(f"-{month:02}-{day:02}" for month in range(13) for day in range(32))


@lru_cache(maxsize=_REMEMBERED)
def year(text: str) -> int | None:
    """Calendar year of a partial date, None if unknown."""
    digits = text[:4]
    if len(text) != _LENGTH or text[4:] not in _DAYS_OF_YEAR or not (digits.isascii() and digits.isdigit()):
        return None
    return int(digits) or None


def decade(text: str) -> int | None:
    """First year of the decade of a partial date (1980 for 1987), None if unknown."""
    known = year(text)
    return None if known is None else known - known % 10


@lru_cache(maxsize=_REMEMBERED)
def aged(born: str, years: int, on: str) -> bool | None:
    """True if a person born on the partial date `born` is surely `years` old on the day `on`, False if surely not.

    None if that cannot be known. For 18 years: majority, art. 388 of the old Civil Code; someone born on 29 February
    has a birthday on 1 March in other years.
    """
    if year(born) is None:
        return None
    earliest, latest = _bounds(born)
    limit = f"{int(on[:4]) - years:04}{on[4:]}"
    if latest <= limit:
        return True
    return None if earliest <= limit else False


@lru_cache(maxsize=_REMEMBERED)
def birthdays(born: str, years: int) -> tuple[date, ...]:
    """The days on which `aged(born, years, ·)` changes, in order: at most two, none if the date is unknown."""
    if year(born) is None:
        return ()
    days = (_day(text, years) for text in dict.fromkeys(_bounds(born)))
    return tuple(day for day in days if day is not None)


@lru_cache(maxsize=_REMEMBERED)
def age_band(born: str, bounds: tuple[int, ...], on: str) -> str | None:
    """Label of the band, by ascending lower bounds, that the age on the day `on` lies in; None if that is not sure."""
    reached = [aged(born, bound, on) for bound in bounds]
    return None if None in reached else band_labels(bounds)[reached.count(True)]


def band_labels(bounds: Sequence[int]) -> tuple[str, ...]:
    """What the bands are called: of 18, 25 and 65 these are `<18`, `18-24`, `25-64` and `65+`."""
    between = (str(low) if low + 1 == high else f"{low}-{high - 1}" for low, high in pairwise(bounds))
    return (f"<{bounds[0]}", *between, f"{bounds[-1]}+")


def _bounds(born: str) -> tuple[str, str]:
    """First and last day, as text, that a partial date of which the year is known may stand for."""
    month, day = born[5:7], born[8:]
    if month == "00":
        return f"{born[:4]}-01-01", f"{born[:4]}-12-31"
    return (f"{born[:7]}-01", f"{born[:7]}-31") if day == "00" else (born, born)


def _day(text: str, years: int) -> date | None:
    """First day, so many years later, that is not before this day of the year; None after the last year there is."""
    later, month, day = int(text[:4]) + years, int(text[5:7]), int(text[8:])
    if later > MAXYEAR:
        return None
    if day > monthrange(later, month)[1]:
        return date(later, month + 1, 1)
    return date(later, month, day)
