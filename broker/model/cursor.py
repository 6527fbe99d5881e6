"""The cursor of an agreement's stream: where a reader stands, opaque to it, and the same text whatever exit it reads through."""

import base64
import binascii
import json

from broker.errors import Invalid

_LONGEST = 200


def cursor(agreement: str, position: int) -> str:
    """The cursor that stands before `position` of the agreement's stream."""
    raw = json.dumps([1, agreement, position], separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def position_of(agreement: str, text: str) -> int:
    """Position of a cursor of this agreement; raises `Invalid` for any other text."""
    refusal = Invalid("not a cursor of this agreement: use `next` of an earlier answer, or none to start")
    if len(text) > _LONGEST:
        raise refusal
    try:
        version, named, position = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise refusal from None
    if version != 1 or named != agreement or type(position) is not int or not 0 <= position < 1 << 63:
        raise refusal
    return position
