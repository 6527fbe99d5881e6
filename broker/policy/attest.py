"""Attested answers: what a released field says instead of its value, on which day, and until when.

`meerderjarig`, `leeftijd-vanaf`, `woont-in` and `band` answer a question. An agreement that releases nothing else is
told a subject's answers when they change, not when the value behind them does; a birthday changes them without a record.

A leaf's text is read by its form: a whole number (the digits of an integer leaf) lies in a band by itself, anything else
is a partial date and lies in one by the age it gives. An answer compared is as fine as the answer delivered, or finer.
"""

import re
from bisect import bisect_right
from collections.abc import Callable
from datetime import date
from functools import lru_cache

from broker.errors import Invalid
from broker.model.agreement import ReleasedField, Transform
from broker.schema import dates

Answer = bool | int | str | None
"""None where it cannot be known. The band of a whole number is its place among the bands, of an age the band's label:
so the two are never equal, and text that is no date where one is due never hides a change."""

ATTESTED = frozenset({Transform.ADULT, Transform.AGE, Transform.LIVES_IN, Transform.BAND})
TIMED = ATTESTED - {Transform.LIVES_IN}
"""Those whose answer the day can change."""

_REMEMBERED = 1 << 15
_NUMBER = re.compile(r"0|-?[1-9][0-9]*", re.ASCII)


def answer(released: ReleasedField, text: str | None, on: date) -> Answer:
    """Answer of one released field to a leaf's text (None = absent) on a Belgian day; raises `Invalid` if it has none."""
    return question(released)(text, on)


def question(released: ReleasedField) -> Callable[[str | None, date], Answer]:
    """`answer` for one released field, to be asked often; raises `Invalid` where the field attests nothing."""
    arguments = released.arguments
    match released.transform:
        case Transform.ADULT | Transform.AGE:
            years = _bounds(released)[0]
            return lambda text, on: None if text is None else _aged(text, years, on)
        case Transform.BAND:
            bounds = _bounds(released)
            return lambda text, on: None if text is None else _band(text, bounds, on)
        case Transform.LIVES_IN:
            return lambda text, _: None if text is None else text in arguments
        case transform:
            raise Invalid(f"{released.path}: {transform} attests nothing")


def next_change(released: ReleasedField, text: str | None, on: date) -> date | None:
    """First Belgian day after `on` on which the answer is another by time alone; None if there is none.

    A partial date may change an answer twice: it can no longer be known, and then is known again.
    """
    if released.transform not in TIMED or text is None:
        return None
    return _next_change(text, released.transform is Transform.BAND, _bounds(released), on)


def _bounds(released: ReleasedField) -> tuple[int, ...]:
    """Ages at which the answer may change."""
    if released.transform is Transform.ADULT:
        return (dates.MAJORITY_YEARS,)
    return tuple(map(int, released.arguments))


@lru_cache(maxsize=_REMEMBERED)
def _aged(text: str, years: int, on: date) -> bool | None:
    return dates.aged(text, years, on.isoformat())


@lru_cache(maxsize=_REMEMBERED)
def _band(text: str, bounds: tuple[int, ...], on: date) -> int | str | None:
    if _NUMBER.fullmatch(text):
        return bisect_right(bounds, int(text))
    return dates.age_band(text, bounds, on.isoformat())


@lru_cache(maxsize=_REMEMBERED)
def _next_change(text: str, band: bool, bounds: tuple[int, ...], on: date) -> date | None:  # noqa: FBT001 - part of the cache's key
    def found(day: date) -> Answer:
        return _band(text, bounds, day) if band else _aged(text, bounds[0], day)

    now = found(on)
    days = sorted({day for bound in bounds for day in dates.birthdays(text, bound) if day > on})
    return next((day for day in days if found(day) != now), None)
