"""From a source's value to a field's: paths into a row, texts, dates, numbers, codes, identifiers.

A conversion takes a value that is there and returns what the schema takes, or raises `Misfit` with a stable reason.
None stands for absent everywhere; a text that is empty, or blank once trimmed, is absent.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Never
from urllib.parse import quote
from zoneinfo import ZoneInfo

from adapters.sources import whole_seconds
from broker.errors import Invalid
from broker.model import identifiers

Get = Callable[[Any], Any]
"""Function of a row (or an element of a list) to the value at one place in it, or None."""

SELF = "."
"""The path of the row or element itself."""

IDENTIFIERS: Mapping[str, Callable[[str], str]] = MappingProxyType(
    {
        "insz": identifiers.parse_insz,
        "kbo": identifiers.parse_kbo,
        "vestiging": identifiers.parse_establishment,
        "nis": identifiers.parse_nis,
        "ovo": identifiers.parse_ovo,
        "puri": identifiers.parse_puri,
    }
)
"""Canonical forms by the name that a mapping, or a schema's `identifier`, gives them."""

_TOKEN = re.compile(r"YYYY|MM|M|DD|D|hh|mm|ss|.", re.DOTALL)
_PARTS = MappingProxyType(
    {
        "YYYY": "(?P<year>[0-9]{4})",
        "MM": "(?P<month>[0-9]{2})",
        "M": "(?P<month>[0-9]{1,2})",
        "DD": "(?P<day>[0-9]{2})",
        "D": "(?P<day>[0-9]{1,2})",
        "hh": "(?P<hour>[0-9]{2})",
        "mm": "(?P<minute>[0-9]{2})",
        "ss": "(?P<second>[0-9]{2})",
    }
)
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_IRI = re.compile(r"https?://|urn:")
_DAY = 10


class Misfit(Exception):
    """A source's value that no field takes; holds the reason only."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def getter(path: str) -> Get:
    """`.` is the row itself, `/a/0/b` a JSON Pointer (RFC 6901) into it, anything else one key as it is written."""
    if path == SELF:
        return lambda row: row
    if not path.startswith("/"):
        return lambda row: row.get(path) if isinstance(row, Mapping) else None
    steps = [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]

    def get(row: Any) -> Any:
        for step in steps:
            if isinstance(row, Mapping):
                row = row.get(step)
            elif isinstance(row, list) and step.isdecimal() and int(step) < len(row):
                row = row[int(step)]
            else:
                return None
        return row

    return get


def text(value: Any, *, trim: bool = True) -> str | None:
    """The value as text, None if there is none. A whole number is its digits; raises `Misfit` for anything else."""
    if isinstance(value, str):
        return (value.strip() if trim else value) or None
    if value is None:
        return None
    if type(value) is int:
        return str(value)
    raise Misfit("VALUE_NOT_TEXT")


def is_iri(template: str) -> bool:
    """Whether a template makes an IRI, in which what is filled in must be encoded."""
    return _IRI.match(template) is not None


def placeholders(template: str) -> list[str]:
    """Source paths in the braces of a template; raises `Invalid` for braces that do not match."""
    if re.search(r"[{}]", _PLACEHOLDER.sub("", template)):
        raise Invalid("braces are for source paths only, as {nummer}")
    return _PLACEHOLDER.findall(template)


def filled(template: str, values: Sequence[str]) -> str:
    """The template with `values` in the order of its placeholders, percent-encoded (RFC 3986) in an IRI."""
    encoded = iter([quote(value, safe="") for value in values] if is_iri(template) else values)
    return _PLACEHOLDER.sub(lambda _: next(encoded), template)


def boolean(value: Any) -> bool:
    """A JSON boolean, or the text `true` or `false`."""
    known = {"true": True, "false": False}
    found = value if isinstance(value, bool) else known.get(value) if isinstance(value, str) else None
    return _refuse("VALUE_NOT_BOOLEAN") if found is None else found


def number(decimal: str = ".", thousands: str = "", *, whole: bool) -> Callable[[Any], int | float]:
    """Conversion of numbers, or of text in the given notation, to `int` if `whole`, else to `float`."""
    digits = rf"[0-9]{{1,3}}(?:{re.escape(thousands)}[0-9]{{3}})+|[0-9]+" if thousands else "[0-9]+"
    form = re.compile(rf"-?(?:{digits})(?:{re.escape(decimal)}[0-9]+)?", re.ASCII)

    def convert(value: Any) -> int | float:
        if type(value) in (int, float):
            exact = Decimal(repr(value)) if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 - NaN
        elif isinstance(value, str) and form.fullmatch(value.strip()):
            plain = value.strip().replace(thousands, "") if thousands else value.strip()
            exact = Decimal(plain.replace(decimal, "."))
        else:
            exact = None
        if exact is None or (whole and exact != exact.to_integral_value()):
            raise Misfit("NUMBER_INVALID")
        return int(exact) if whole else float(exact)

    return convert


def identifier(name: str) -> Callable[[str], str]:
    """Conversion to the canonical form of an identifier of `IDENTIFIERS`."""
    parse, reason = IDENTIFIERS[name], f"{name.upper()}_INVALID"

    def convert(value: str) -> str:
        try:
            return parse(value)
        except Invalid:
            pass
        raise Misfit(reason)

    return convert


def codes(table: Mapping[str, Any], default: Any = None) -> Callable[[Any], Any]:
    """Conversion by a table of source codes; a code that is not in it is `default`, or a misfit where that is None."""

    def convert(value: Any) -> Any:
        key = str(value).lower() if isinstance(value, bool) else value
        found = table.get(key, default) if isinstance(key, str) else default
        return _refuse("CODE_UNKNOWN") if found is None else found

    return convert


def date_form(stated: str) -> re.Pattern[str] | None:
    """A date format as a pattern; None for `iso`. Raises `Invalid` for one that has no year, or says a part twice."""
    if stated == "iso":
        return None
    tokens = _TOKEN.findall(stated)
    if unknown := [token for token in tokens if token.isalnum() and token not in {*_PARTS, "T", "Z"}]:
        raise Invalid(f"a date is made of YYYY, MM, DD, M, D, hh, mm, ss and marks, or is `iso`; not of {unknown[0]}")
    try:
        made = re.compile("".join(_PARTS.get(token) or re.escape(token) for token in tokens), re.ASCII)
    except re.error:
        raise Invalid("a date format says each part once") from None
    if "year" not in made.groupindex:
        raise Invalid("a date format has YYYY")
    if "day" in made.groupindex and "month" not in made.groupindex:
        raise Invalid("a date format with a day has a month")
    if ("minute" in made.groupindex or "second" in made.groupindex) and not {"day", "hour"} <= made.groupindex.keys():
        raise Invalid("a date format with minutes has DD and hh")
    return made


Moment = str | datetime
"""A partial date (`2000-00-00`), or an aware instant."""


def moment(forms: Sequence[re.Pattern[str] | None], zone: ZoneInfo) -> Callable[[str], Moment]:
    """Conversion of a text in one of `forms`: a partial date, or an instant, in `zone` unless the text says otherwise."""

    def convert(value: str) -> Moment:
        for form in forms:
            found = _iso(value, zone) if form is None else _formed(value, form, zone)
            if found is not None:
                return found
        raise Misfit("DATE_INVALID")

    return convert


def as_text(value: Moment) -> str:
    """Partial date as it is, instant as RFC 3339 in UTC, whole seconds."""
    return value if isinstance(value, str) else whole_seconds(value)


def as_instant(zone: ZoneInfo) -> Callable[[Moment], datetime]:
    """Conversion to an instant: a day is its midnight in `zone`; a day that is partly unknown is a misfit."""

    def convert(value: Moment) -> datetime:
        return value if isinstance(value, datetime) else datetime.combine(as_day(value), datetime.min.time(), zone)

    return convert


def as_day(value: Moment) -> date:
    """The whole day; a misfit where a part of it is unknown."""
    try:
        return value.date() if isinstance(value, datetime) else date.fromisoformat(value)
    except ValueError:
        pass
    raise Misfit("DATE_INVALID")


def _iso(value: str, zone: ZoneInfo) -> Moment | None:
    parts = value.split("-")
    if len(value) == _DAY and [len(part) for part in parts] == [4, 2, 2] and value.replace("-", "").isdecimal():
        year, month, day = (int(part) for part in parts)
        return _partial(year, month, day)
    try:
        instant = datetime.fromisoformat(value)
    except ValueError:
        return None
    if len(value) <= _DAY:
        return None  # a week, an ordinal or a basic date: nobody meant that unasked
    return (instant if instant.tzinfo else instant.replace(tzinfo=zone)).astimezone(UTC)


def _formed(value: str, form: re.Pattern[str], zone: ZoneInfo) -> Moment | None:
    matched = form.fullmatch(value)
    if matched is None:
        return None
    parts = {name: int(digits) for name, digits in matched.groupdict().items()}
    day = _partial(parts["year"], parts.get("month", 0), parts.get("day", 0))
    if day is None or "hour" not in parts:
        return day
    try:
        clock = (parts["hour"], parts.get("minute", 0), parts.get("second", 0))
        local = datetime(parts["year"], parts["month"], parts["day"], *clock, tzinfo=zone)
    except ValueError:
        return None
    return local.astimezone(UTC)


def _partial(year: int, month: int, day: int) -> str | None:
    """The partial date if it can exist: an unknown month has no known day, an unknown year knows nothing."""
    if (day and not month) or (month and not year):
        return None
    try:
        date(year or 1, month or 1, day or 1)
    except ValueError:
        return None
    return f"{year:04}-{month:02}-{day:02}"


def _refuse(reason: str) -> Never:
    raise Misfit(reason)
