"""What may leave a process in a log line or a span: numbers, codes and identifiers that we assigned; never a record's values.

The filter is by position, not by guessing: a field has a name from a closed list, the name says which form its text has, and
what has another form is withheld. It cannot tell a lower-case word from an identifier, so only identifiers go into those
fields; the national number in any spelling, names and addresses as registers write them never pass, whatever the field.
"""

import math
import re
from collections.abc import Mapping
from enum import StrEnum
from types import TracebackType
from typing import Any

from broker.errors import BrokerError

WITHHELD = "[withheld]"

_SLUG = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_DOTTED = re.compile(r"[a-z][a-z0-9]*(?:[.-][a-z0-9]+)*")
_CODE = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
_NUMBER = None

FIELDS: Mapping[str, re.Pattern[str] | None] = {
    **dict.fromkeys(("adapter", "agency", "agreement", "child", "issuer", "organisation", "purpose"), _SLUG),
    **dict.fromkeys(("kind", "product", "topic"), _DOTTED),
    **dict.fromkeys(("code", "reason"), _CODE),
    **dict.fromkeys(("delivery", "span", "trace"), _ID),
    **dict.fromkeys(
        ("attempt", "epoch", "exit_code", "lane", "lanes", "offset", "pid", "port", "router", "status", "version"),
        _NUMBER,
    ),
    **dict.fromkeys(
        ("barriers", "deliveries", "records", "read", "published", "duplicate", "ignored", "quarantined"), _NUMBER
    ),
    **dict.fromkeys(("bytes", "duration_ms", "pause_s", "error", "logger", "template", "place", "path"), _NUMBER),
}
"""Names of fields and the form of their text; without a form only numbers and what is `FromCode` pass. Others may be added."""

_MOST_CHARACTERS = 250
_MOST_DIGITS = 8
_LARGEST = 10**9
"""Numbers stay below: a national number has eleven digits, and nothing that is counted or timed here needs more than nine."""

_INNERMOST = 6


class FromCode(str):
    """Text that is part of a program, such as the name of a class or a place in a module: it cannot hold data."""

    __slots__ = ()


def safe_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with every value of another form replaced; fields of unknown name are counted under `withheld`."""
    kept = {name: safe(name, value) for name, value in fields.items() if name in FIELDS}
    if len(kept) < len(fields):
        kept["withheld"] = len(fields) - len(kept)
    return kept


def safe(name: str, value: Any) -> Any:
    """The value if it may be shown under this name, else `WITHHELD`; an exception becomes `described`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if math.isfinite(value) and abs(value) < _LARGEST else WITHHELD
    if isinstance(value, FromCode | StrEnum):
        return str(value)
    if isinstance(value, BaseException):
        return described(value)
    return value if isinstance(value, str) and _has_form(value, FIELDS.get(name)) else WITHHELD


def safe_name(name: str) -> str:
    """The name of a step if it looks like one, such as `router.batch`."""
    return name if _has_form(name, _DOTTED) else WITHHELD


def described(error: BaseException) -> dict[str, Any]:
    """An exception without its text: class, code of our tree, class of its cause, and the innermost places in the code."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return {
        "class": type(error).__name__,
        "code": error.code if isinstance(error, BrokerError) else None,
        "cause": type(cause).__name__ if cause else None,
        "places": _places(error.__traceback__),
    }


def _has_form(text: str, form: re.Pattern[str] | None) -> bool:
    if form is None or len(text) > _MOST_CHARACTERS or not form.fullmatch(text):
        # One word in capitals may be a name; it passes only as a code of ours.
        return form is _CODE and text in _codes(BrokerError)
    return form is _ID or sum(map(str.isdigit, text)) <= _MOST_DIGITS


def _codes(kind: type[BrokerError]) -> set[str]:
    return {kind.code}.union(*map(_codes, kind.__subclasses__()))


def _places(traceback: TracebackType | None) -> list[str]:
    places = []
    while traceback is not None:
        places.append(f"{traceback.tb_frame.f_globals.get('__name__', '?')}:{traceback.tb_lineno}")
        traceback = traceback.tb_next
    return places[-_INNERMOST:]
