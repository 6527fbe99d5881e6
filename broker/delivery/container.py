"""Deliveries as an Avro object container file (Avro 1.11, "Object Container Files"): envelope fields beside `data`.

A delivered value is joined into the file as it lies in the topic: nothing is decoded. The opening depends on the
agreement and the schema only, so that a download that stopped goes on behind the opening of the next one.
"""

import json
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from io import BytesIO
from typing import Any, BinaryIO

import fastavro

from broker.delivery.streams import Message, Stream, item
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema import varints
from broker.schema.avro import varint

SYNC_BYTES = 16

_MAGIC = b"Obj\x01"
_OPENING = fastavro.parse_schema(
    {
        "type": "record",
        "name": "org.apache.avro.file.Header",
        "fields": [
            {"name": "magic", "type": {"type": "fixed", "name": "Magic", "size": len(_MAGIC)}},
            {"name": "meta", "type": {"type": "map", "values": "bytes"}},
            {"name": "sync", "type": {"type": "fixed", "name": "Sync", "size": SYNC_BYTES}},
        ],
    }
)
_ENVELOPE = (
    ("id", ["null", "string"]),
    ("type", "string"),
    ("kind", "string"),
    ("time", ["null", "string"]),
    ("key", "string"),
    ("cursor", "string"),
    ("reason", ["null", "string"]),
    ("epoch", ["null", "long"]),
    ("agreementVersion", ["null", "int"]),
    ("pseudonymEpoch", ["null", "int"]),
    ("traceparent", ["null", "string"]),
)
_NULL, _PRESENT = varint(0), varint(1)


def opening(stream: Stream, egress: str | None) -> bytes:
    """The file up to its first block; `egress` is the schema of `data`, None where there is no value."""
    data: list[Any] = ["null"] if egress is None else ["null", json.loads(egress)]
    schema = {
        "type": "record",
        "name": "be.vlaanderen.datanuts.exit.Delivery",
        "fields": [{"name": name, "type": type_} for name, type_ in (*_ENVELOPE, ("data", data))],
    }
    meta = {
        "avro.codec": b"null",
        "avro.schema": json.dumps(schema, ensure_ascii=False, separators=(",", ":")).encode(),
        "datanuts.agreement": stream.agreement.encode(),
    }
    sync = blake2b(b"\n".join(meta.values()), digest_size=SYNC_BYTES).digest()
    written = BytesIO()
    fastavro.schemaless_writer(written, _OPENING, {"magic": _MAGIC, "meta": meta, "sync": sync})
    return written.getvalue()


def block(stream: Stream, messages: Sequence[Message], before: bytes) -> bytes:
    """One block of these records behind the opening `before`; empty where there is none."""
    if not messages:
        return b""
    rows = b"".join(_row(item(stream, message, None), message.value) for message in messages)
    return b"".join((varint(len(messages)), varint(len(rows)), rows, before[-SYNC_BYTES:]))


def _row(envelope: Mapping[str, Any], value: bytes | None) -> bytes:
    parts = []
    for name, type_ in _ENVELOPE:
        stated = envelope.get(name)
        if isinstance(type_, list):
            if stated is None:
                parts.append(_NULL)
                continue
            parts.append(_PRESENT)
        if isinstance(stated, int):
            parts.append(varint(stated))
        else:
            text = str(stated).encode()
            parts += (varint(len(text)), text)
    parts += (_NULL,) if value is None else (_PRESENT, value[WIRE_HEADER_BYTES:])
    return b"".join(parts)


def whole_blocks(file: BinaryIO) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Opening of a file that may have been cut anywhere, and (place, size, items) of each of its whole blocks.

    The opening is empty where the file does not even hold that.
    """
    try:
        file.seek(0)
        stated: Any = fastavro.schemaless_reader(file, _OPENING, None)
        size = file.tell()
    except (EOFError, IndexError, ValueError):
        return b"", []
    file.seek(0)
    before = file.read(size)
    blocks: list[tuple[int, int, int]] = []
    while True:
        at = file.tell()
        head = file.read(2 * varints.MAX_BYTES)
        try:
            items, after = varints.read(head, 0)
            length, after = varints.read(head, after)
        except (IndexError, varints.Malformed):
            return before, blocks
        file.seek(at + after + length)
        if file.read(SYNC_BYTES) != stated["sync"]:
            return before, blocks
        blocks.append((at, file.tell() - at, items))
