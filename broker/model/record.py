"""The record's envelope on Kafka: Confluent wire format, CloudEvents 1.0 binary mode, W3C trace context.

Fixed by docs/adr/2026-11-24-envelope-receipt-keys-and-topics.md: agencies and archives depend on these bytes.
"""

import re
from binascii import unhexlify
from collections.abc import Iterable
from dataclasses import dataclass

Headers = list[tuple[str, bytes]]
"""A list, because a batch of the client library takes nothing else; nobody changes one that was made."""

CONTENT_TYPE = b"application/avro"
EVENT_NAMESPACE = "be.vlaanderen.datanuts"
WIRE_HEADER_BYTES = 5

_TRACEPARENT = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}").fullmatch
_NO_TRACE = bytes(16)


def wire_header(schema_id: int) -> bytes:
    """The five bytes before every Avro value: magic 0 and the schema id, big-endian (Confluent wire format)."""
    return b"\x00" + schema_id.to_bytes(4, "big")


def schema_id_of(value: bytes) -> int | None:
    """Schema id of a framed value, or None where the frame is absent or cut short."""
    if len(value) < WIRE_HEADER_BYTES or value[0]:
        return None
    return int.from_bytes(value[1:5], "big")


def header(headers: Iterable[tuple[str, bytes]], name: str) -> bytes | None:
    """First header called `name`, or None."""
    for key, value in headers:
        if key == name:
            return value
    return None


def traceparent(trace_id: bytes, span_id: bytes) -> bytes:
    """W3C Trace Context level 1 header value, sampled; ids are 16 and 8 raw bytes."""
    return b"00-%b-%b-01" % (trace_id.hex().encode(), span_id.hex().encode())


def trace_id_of(value: bytes | None) -> bytes | None:
    """The 16-byte trace id of a `traceparent` value; None where absent or malformed (W3C: start a new trace)."""
    found = _TRACEPARENT(value or b"")
    if found is None:
        return None
    trace = unhexlify(found[1])
    return None if trace == _NO_TRACE else trace


@dataclass(frozen=True, slots=True)
class SourceEnvelope:
    """CloudEvents attributes of one source record; `time` is RFC 3339 in whole seconds, UTC."""

    event_id: str
    source: str
    product: str
    kind: str
    time: str
    traceparent: bytes

    def headers(self) -> Headers:
        """The record's Kafka headers. There is no `ce_subject`: the key already is the keyed subject."""
        return [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.event_id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", f"{EVENT_NAMESPACE}.{self.product}".encode()),
            ("ce_time", self.time.encode()),
            ("ce_kind", self.kind.encode()),
            ("content-type", CONTENT_TYPE),
            ("traceparent", self.traceparent),
        ]
