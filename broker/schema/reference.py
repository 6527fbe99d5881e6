"""The specification of a projection, in naive code: decode, prune, transform, encode, with fastavro.

`Projection.cut` gives the same bytes, always; a property test holds the two equal. fastavro must only see bytes that
passed the guard.
"""

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import BytesIO
from typing import Any, cast

import fastavro

from broker.model.agreement import ReleasedField, Transform
from broker.model.keyed import pseudonym
from broker.schema import dates
from broker.schema.avro import Schema


def project(
    schema: Schema,
    egress: str,
    fields: Sequence[ReleasedField],
    body: bytes,
    *,
    on: str,
    reference: str | None,
    pseudonym_key: bytes,
) -> bytes:
    """Encoded egress record of one encoded record, both without wire frame."""
    record = decode(schema.text, body)
    kept = [released.path for released in fields if released.transform is Transform.KEEP]
    if any(released.transform is Transform.NOTIFY_ONLY for released in fields):
        kept = ["kind"]
    released_values = pruned(record, kept)
    for released in fields:
        if released.name is not None:
            value = value_at(record, released.path)
            released_values[released.name] = transformed(released, value, on, reference, pseudonym_key)
    return encode(egress, released_values)


def pruned(record: Mapping[str, Any], kept: Sequence[str]) -> dict[str, Any]:
    """The parts of a decoded record that lead to a kept leaf."""
    found: dict[str, Any] = {}
    for name, value in record.items():
        below = [path.removeprefix(f"{name}.") for path in kept if path.startswith(f"{name}.")]
        if name in kept:
            found[name] = value
        elif below:
            found[name] = _pruned_value(value, below)
    return found


def _pruned_value(value: Any, kept: Sequence[str]) -> Any:
    if value is None:
        return None
    if isinstance(value, list):
        return [_pruned_value(item, kept) for item in value]
    return pruned(value, kept)


def value_at(record: Any, path: str) -> Any:
    """Value at a leaf path of a decoded record; None where it or a record above it is null, or it lies in an array."""
    for name in path.split("."):
        if not isinstance(record, dict):
            return None
        record = record[name]
    return record


def transformed(  # noqa: PLR0911 - one per transform
    released: ReleasedField, value: Any, on: str, reference: str | None, pseudonym_key: bytes
) -> Any:
    """The derived value of one leaf on a day (ISO)."""
    if released.transform is Transform.OWN_REFERENCE:
        return reference
    if value is None:
        return None
    match released.transform:
        case Transform.PSEUDONYM:
            return pseudonym(pseudonym_key, value.encode()).decode()
        case Transform.YEAR:
            return dates.year(value)
        case Transform.DECADE:
            known = dates.year(value)
            return None if known is None else known // 10 * 10
        case Transform.BAND:
            return band(value, [int(bound) for bound in released.arguments], on)
        case Transform.AGE:
            return dates.aged(value, int(released.arguments[0]), on)
        case Transform.LIVES_IN:
            return value in released.arguments
        case _:
            return dates.aged(value, 18, on)


def band(value: str | int, bounds: Sequence[int], on: str) -> str | None:
    """Band of a whole number, or of the age that a partial date of birth gives on a day (ISO) if it lies in one only."""
    reached = [dates.aged(value, bound, on) if isinstance(value, str) else value >= bound for bound in bounds]
    if None in reached:
        return None
    low = max((bound for bound, held in zip(bounds, reached, strict=True) if held), default=None)
    high = min((bound for bound, held in zip(bounds, reached, strict=True) if not held), default=None)
    if low is None:
        return f"<{high}"
    if high is None:
        return f"{low}+"
    return f"{low}" if high == low + 1 else f"{low}-{high - 1}"


def decode(schema: str, body: bytes) -> dict[str, Any]:
    """A record that passed the guard, as fastavro reads it."""
    return cast("dict[str, Any]", fastavro.schemaless_reader(BytesIO(body), _parsed(schema), None))


def encode(schema: str, record: Mapping[str, Any]) -> bytes:
    """A record as fastavro writes it: the canonical encoding."""
    out = BytesIO()
    fastavro.schemaless_writer(out, _parsed(schema), record)
    return out.getvalue()


@lru_cache(maxsize=256)
def _parsed(schema: str) -> Any:
    return fastavro.parse_schema(json.loads(schema))
