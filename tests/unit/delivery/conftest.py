"""One stream's records as they lie in its topic, with values of two egress schemas."""

import json
from collections.abc import Callable
from io import BytesIO
from typing import Any

import fastavro
import pytest

from broker.delivery.formats import Page
from broker.delivery.streams import Egress, Message, Stream
from broker.model.record import wire_header
from broker.model.registered import RegisteredSchema

STREAM = Stream("inwoners", "delivery.stad.inwoners", stopped=False)
INNER = {
    "type": "record",
    "name": "Geboorte",
    "namespace": "be.vlaanderen.test.levering",
    "fields": [{"name": "datum", "type": ["null", "string"]}, {"name": "meting", "type": ["null", "double"]}],
}
EGRESS = {
    "type": "record",
    "name": "Persoon",
    "namespace": "be.vlaanderen.test.levering",
    "fields": [
        {"name": "kind", "type": {"type": "enum", "name": "RecordKind", "symbols": ["added", "changed"]}},
        {"name": "naam", "type": "string", "iri": "https://data.example/ns#naam"},
        {"name": "geboorte", "type": ["null", INNER]},
        {"name": "nummers", "type": {"type": "array", "items": "long"}},
        {"name": "foto", "type": ["null", "bytes"]},
        {"name": "sinds", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "gezien", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    ],
}
LATER = EGRESS | {"fields": [*EGRESS["fields"], {"name": "woonplaats", "type": ["null", "string"]}]}
SCHEMAS = {
    number: RegisteredSchema(number, "persoon.v1", json.dumps(schema)) for number, schema in ((7, EGRESS), (300, LATER))
}
Made = Callable[..., Message]


def value(schema_id: int = 7, **changes: Any) -> bytes:
    stated = {
        "kind": "changed", "naam": "Ðoe €\U0001d504", "geboorte": {"datum": "1970-00-00", "meting": -1.5},
        "nummers": [0, -1, 2**62], "foto": b"\x00\xff", "sinds": None, "gezien": None,
    } | changes  # fmt: skip
    written = BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(json.loads(SCHEMAS[schema_id].text)), stated)
    return wire_header(schema_id) + written.getvalue()


def delivery(offset: int, framed: bytes | None, *, kind: str = "changed", **more: str) -> Message:
    headers = {
        "ce_id": f"{offset:032x}", "ce_type": "be.vlaanderen.datanuts.persoon.v1", "ce_kind": kind,
        "ce_time": "2026-11-26T06:00:00Z", "ce_agreementversion": "3", "traceparent": f"00-{offset:032x}-01-01",
    } | more  # fmt: skip
    key = b"%032x" % (offset % 3)
    return Message(offset, key, framed, tuple((name, text.encode()) for name, text in headers.items()))


def departure(offset: int) -> Message:
    return delivery(offset, None, kind="left-population", ce_reason="RECORD_CHANGED")


def barrier(offset: int, reason: str = "AMENDED") -> Message:
    headers = {"ce_type": "be.vlaanderen.datanuts.agreement.barrier", "ce_reason": reason, "ce_epoch": "41"}
    return Message(offset, b"barrier/0", None, tuple((name, text.encode()) for name, text in headers.items()))


def page(*messages: Message, position: int | None = None) -> Page:
    after = (messages[-1].offset + 2 if messages else 0) if position is None else position
    return Page.of(STREAM, messages, after, schemas=SCHEMAS, in_force=7, egress=Egress())


@pytest.fixture
def mixed() -> Page:
    """Values, one departure, a barrier."""
    return page(
        delivery(0, value(), ce_pseudonymepoch="2"), departure(1), barrier(2), delivery(5, value(naam="", nummers=[]))
    )
