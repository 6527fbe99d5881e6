"""One keyed digest of a delivery, equal whatever exit it came through: what tests of parity and audits compare.

The canonical form is RFC 8785 (JCS) over the members below, with one difference: integers keep all their digits, since an
Avro `long` does not fit a double. A member that is absent or null counts for nothing, so that files with a fixed schema
give the same form. What tells about the exit rather than the delivery (`cursor`, `traceparent`) stays out.
"""

from collections.abc import Mapping
from decimal import Decimal
from json.encoder import encode_basestring
from math import isfinite
from typing import Any

from broker.delivery.streams import jsonable
from broker.errors import Invalid
from broker.model import keyed

MEMBERS = ("agreementVersion", "data", "epoch", "id", "key", "kind", "pseudonymEpoch", "reason", "time", "type")
"""What counts, in canonical order."""

_WORDS = {None: "null", True: "true", False: "false"}
_PLAIN_DIGITS = 21
_LEAST_PLAIN = -6


def digest_key(k_agreement: bytes) -> bytes:
    """Key of the digests of one agreement, derived from the agreement's own (design §4: digests of values are keyed)."""
    return keyed.digest(k_agreement, b"delivery-digest")


def delivery_digest(key: bytes, delivery: Mapping[str, Any]) -> str:
    """32 hexadecimal characters over an item as JSON or Avro exits show it; raises `Invalid` for what JSON cannot hold."""
    return keyed.digest(key, b"delivery", canonical(delivery)).hex()


def canonical(delivery: Mapping[str, Any]) -> bytes:
    """The canonical form of an item; dates, instants and bytes count as JSON exits show them."""
    held = {name: jsonable(delivery[name]) for name in MEMBERS if delivery.get(name) is not None}
    return _text(held).encode()


def _text(value: Any) -> str:
    match value:
        case None | bool():
            return _WORDS[value]
        case str():
            return encode_basestring(value)
        case int():
            return str(value)
        case float():
            return _number(value)
        case list() | tuple():
            return f"[{','.join(map(_text, value))}]"
        case Mapping():
            members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be"))
            return "{" + ",".join(f"{encode_basestring(name)}:{_text(inner)}" for name, inner in members) + "}"
    raise Invalid("this cannot be a value of a delivery", operator=type(value).__name__)


def _number(value: float) -> str:
    """ECMAScript's text of a number (ECMA-262, Number::toString), with Python's shortest digits."""
    if not isfinite(value):
        raise Invalid("a number of a delivery is finite")
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text, before = "".join(map(str, digits)), len(digits) + int(exponent)
    if len(digits) <= before <= _PLAIN_DIGITS:
        shown = text + "0" * (before - len(digits))
    elif 0 < before <= _PLAIN_DIGITS:
        shown = f"{text[:before]}.{text[before:]}"
    elif _LEAST_PLAIN < before <= 0:
        shown = f"0.{'0' * -before}{text}"
    else:
        power = before - 1
        shown = f"{'.'.join(filter(None, (text[0], text[1:])))}e{'+' if power > 0 else '-'}{abs(power)}"
    return "-" * sign + shown
