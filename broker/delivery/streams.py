"""An agreement's stream as its agency sees it: which topic, which position, and each record as an item of JSON."""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from io import BytesIO
from typing import Any

import fastavro

from broker.errors import Conflict, NotFound, NotYetKnown
from broker.model import cursor as cursors
from broker.model import topics
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.notice import LIFE_CYCLE
from broker.model.record import WIRE_HEADER_BYTES, header, schema_id_of
from broker.model.registered import RegisteredSchema

_STOPPED = frozenset({State.REVOKED, State.ENDED})


@dataclass(frozen=True, slots=True)
class Stream:
    """One agreement's deliveries; `stopped` = revoked or ended, so that only life-cycle events may still be read.

    `halted`: nothing is read now; what is there is read on once its product is resumed.
    """

    agreement: str
    topic: str
    stopped: bool
    halted: bool = False


def stream_of(state: ControlState, agreement: str, agency: str) -> Stream:
    """The stream of `agreement` for `agency`; another's agreement is `NotFound`, one never activated `Conflict`."""
    entry = state.agreements.get(agreement)
    if entry is None or entry.document["agency"] != agency:
        raise NotFound("no such agreement of this agency")
    if entry.activated_at is None:
        raise Conflict(
            "the agreement is not active yet: it is when both sides signed, its source published it and its term began"
        )
    halted = state.announcements.halts(entry) is not None
    return Stream(agreement, topics.delivery(agency, agreement), entry.state in _STOPPED, halted)


def cursor(stream: Stream, position: int) -> str:
    """Opaque cursor that stands before `position` of this stream."""
    return cursors.cursor(stream.agreement, position)


def position_of(stream: Stream, text: str) -> int:
    """Position of a cursor that this stream gave out; raises `Invalid` for any other text."""
    return cursors.position_of(stream.agreement, text)


@dataclass(frozen=True, slots=True)
class Message:
    """A Kafka record reduced to what an exit shows."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]

    @property
    def is_life_cycle(self) -> bool:
        """Whether this is about the agreement (a barrier or a notice) rather than about a subject."""
        return self.text("ce_type") in LIFE_CYCLE

    def text(self, name: str) -> str:
        """Header `name`, empty where absent."""
        return (header(self.headers, name) or b"").decode()


class Egress:
    """Decodes delivered values with the schema they were written with (from the control log)."""

    def __init__(self) -> None:
        self._parsed: dict[int, Any] = {}

    def decode(self, value: bytes, schemas: Mapping[int, RegisteredSchema]) -> Any:
        """JSON-able object of one framed value; raises `NotYetKnown` while its schema has not arrived here."""
        identifier = schema_id_of(value)
        if identifier is None or identifier not in schemas:
            raise NotYetKnown("a delivered record's schema is not known here yet", operator=f"schema id {identifier}")
        if identifier not in self._parsed:
            self._parsed[identifier] = fastavro.parse_schema(json.loads(schemas[identifier].text))
        body = BytesIO(value)
        body.seek(WIRE_HEADER_BYTES)
        return jsonable(fastavro.schemaless_reader(body, self._parsed[identifier], None))


def item(stream: Stream, message: Message, data: Any) -> dict[str, Any]:
    """What an agency sees of one record; `cursor` stands after it, so that work can be resumed between items."""
    shown: dict[str, Any] = {
        "id": message.text("ce_id") or None,
        "type": message.text("ce_type"),
        "kind": message.text("ce_kind"),
        "time": message.text("ce_time") or None,
        "key": (message.key or b"").decode(),
        "cursor": cursor(stream, message.offset + 1),
    }
    if reason := message.text("ce_reason"):
        shown["reason"] = reason
    if message.is_life_cycle:
        told = {name: text for name in ("text", "begins", "ends") if (text := message.text(f"ce_{name}"))}
        return shown | {"kind": "life-cycle", "epoch": int(message.text("ce_epoch") or -1)} | told
    if epoch := message.text("ce_pseudonymepoch"):
        shown["pseudonymEpoch"] = int(epoch)
    return shown | {
        "agreementVersion": int(message.text("ce_agreementversion") or 0),
        "traceparent": message.text("traceparent"),
        "data": data,
    }


def jsonable(value: Any) -> Any:
    """A decoded Avro value in JSON: bytes as base64 (RFC 4648 §4), dates and instants as ISO 8601."""
    if isinstance(value, dict):
        return {name: jsonable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [jsonable(inner) for inner in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value
