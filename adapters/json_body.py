"""JSON of a source that is not trusted: UTF-8, finite numbers, bounded depth."""

import json
from typing import Any, Never

from broker.errors import PoisonRecord


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
