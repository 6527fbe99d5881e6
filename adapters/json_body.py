"""JSON of a source that is not trusted: UTF-8, finite numbers, bounded depth."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Never

from adapters.web import Answer
from broker.errors import PoisonRecord

_TRIES, _PAUSE_S = 3, 1.0
_PASSING = frozenset({"JSON_MALFORMED", "XML_MALFORMED", "ENCODING_WRONG"})
"""What an answer can be while its server has a bad day: it is asked for again before it is given up."""


async def answered(
    ask: Callable[[], Awaitable[Answer]], most_depth: int, parse: Callable[[bytes | None, int], Any] | None = None
) -> tuple[Answer, Any, str]:
    """The answer, what it says, and why that cannot be read; an answer of another status than 2xx says nothing.

    `parse` reads another form than JSON, as `parsed` does.
    """
    tries = 0
    while True:
        tries += 1
        answer = await ask()
        if answer.status >= 300:  # noqa: PLR2004 - RFC 9110 §15.4
            return answer, None, ""
        try:
            return answer, (parse or parsed)(answer.body, most_depth), ""
        except PoisonRecord as poison:
            reason = poison.reason
        if reason not in _PASSING or tries == _TRIES:
            return answer, None, reason
        await asyncio.sleep(_PAUSE_S * tries)


def parsed(body: bytes | None, most_depth: int) -> Any:
    """The value in `body` (None: it was larger than allowed).

    Raises `PoisonRecord`: DOCUMENT_TOO_LARGE, ENCODING_WRONG, JSON_MALFORMED, JSON_TOO_DEEP.
    """
    if body is None:
        raise PoisonRecord("DOCUMENT_TOO_LARGE")
    reason, found = "", None
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError:
        reason = "ENCODING_WRONG"
    except RecursionError:
        reason = "JSON_TOO_DEEP"
    except ValueError:
        reason = "JSON_MALFORMED"
    if not reason and _deeper(found, most_depth):
        reason = "JSON_TOO_DEEP"
    if reason:
        raise PoisonRecord(reason)
    return found


def _no_number(_name: str) -> Never:
    raise ValueError("NaN and Infinity are no JSON")


def _deeper(value: Any, most: int) -> bool:
    """Whether lists and objects are nested more than `most` deep."""
    level, depth = [value], 0
    while level:
        if depth > most:
            return True
        depth += 1
        inner = (each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list))
        level = [child for children in inner for child in children if isinstance(child, dict | list)]
    return False
