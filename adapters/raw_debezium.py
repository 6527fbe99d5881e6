"""One message of Debezium: the row after a change, or before its deletion, and where the change stands in the database's log.

The envelope is that of Debezium's connectors ("Data change events" in their documentation), with the JSON converter's
schema around it or without.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from adapters.change_row import ChangeRow
from adapters.raw_cursor import Position
from adapters.raw_values import Unreadable, decoded, fields_of, untold
from adapters.sources import whole_seconds
from broker.errors import PoisonRecord, Skip

OPERATION = "@op"
"""Column that says what was done: c (created), u (updated), r (read in a snapshot), d (deleted)."""

COMMITTED = "@committed"
"""Column of when the database committed it, RFC 3339 in UTC."""

_STATES = frozenset({"c", "u", "r"})
_SNAPSHOTS = frozenset({"true", "first", "first_in_data_collection", "last_in_data_collection", "last"})
_PAIR = 2


@dataclass(frozen=True, slots=True)
class Event:
    """A row's change. `database` is the connector's name for it; `position` None where its log has none that we know.

    `snapshot`: it was read in a snapshot of everything.
    """

    row: ChangeRow
    database: str
    position: Position | None
    snapshot: bool


def event(stated: Any) -> Event:
    """The change in a message.

    Raises `Skip` for a logical message (NOT_A_ROW) and a sign of life (HEARTBEAT), and `PoisonRecord`: ENVELOPE_INVALID, BEFORE_MISSING, TABLE_TRUNCATED.
    """
    schema, payload = None, stated
    if isinstance(stated, Mapping) and stated.keys() == {"schema", "payload"}:
        schema, payload = stated["schema"], stated["payload"]
    if isinstance(payload, Mapping) and payload.keys() == {"ts_ms"}:
        raise Skip("HEARTBEAT")
    if not isinstance(payload, Mapping) or not isinstance(source := payload.get("source") or {}, Mapping):
        raise PoisonRecord("ENVELOPE_INVALID")
    match payload.get("op"):
        case "d":
            told, missing = payload.get("before"), "BEFORE_MISSING"
        case "t":
            raise PoisonRecord("TABLE_TRUNCATED")
        case "m":
            raise Skip("NOT_A_ROW")
        case str(operation) if operation in _STATES:
            told, missing = payload.get("after"), "ENVELOPE_INVALID"
        case _:
            raise PoisonRecord("ENVELOPE_INVALID")
    if not isinstance(told, Mapping):
        raise PoisonRecord(missing)
    columns, unreadable = _columns(told, payload, schema)
    own = {OPERATION: payload["op"], COMMITTED: _instant(source.get("ts_ms"))}
    row = ChangeRow(columns | own, gone=payload["op"] == "d", unreadable=unreadable)
    snapshot = str(source.get("snapshot")).lower() in _SNAPSHOTS
    return Event(row, str(source.get("name") or ""), None if snapshot else _position(source), snapshot)


def _columns(told: Mapping[str, Any], payload: Mapping[str, Any], schema: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Values by column, and why others have none. What an update left as it was stands in `before`, if that is told."""
    place = "before" if payload["op"] == "d" else "after"
    types, before = fields_of(fields_of(schema).get(place)), payload.get("before")
    found: dict[str, Any] = {}
    unreadable: dict[str, str] = {}
    for name, stated in told.items():
        unchanged = untold(stated) and isinstance(before, Mapping) and before.get(name) is not None
        value = before[name] if unchanged and isinstance(before, Mapping) else stated
        try:
            found[name] = decoded(value, types.get(name))
        except Unreadable as error:
            unreadable[name] = error.reason
    return found, unreadable


def _position(source: Mapping[str, Any]) -> Position | None:
    """PostgreSQL's: `sequence` is a list, in text, of the last commit before this transaction and the change's own place."""
    try:
        pair = json.loads(source["sequence"])
        if len(pair) != _PAIR or pair[1] is None or str(source.get("snapshot")).lower() == "incremental":
            return None
        return int(pair[0] or 0), int(pair[1])
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def _instant(milliseconds: Any) -> str | None:
    if type(milliseconds) is not int:
        return None
    try:
        return whole_seconds(datetime.fromtimestamp(milliseconds / 1000, UTC))
    except (ValueError, OverflowError, OSError):
        return None
