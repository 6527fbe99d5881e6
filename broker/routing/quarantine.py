"""The quarantine record: where a poison record lies and why, never its bytes (design §4).

Key = null. Value = JSON `{topic, partition, offset, code, path, digest, at}`; `digest` is keyed (k_ledger), so that a
repeated poison can be recognised without anyone being able to guess its content from it.
"""

import json
from typing import Any

from broker.batches import Row
from broker.errors import PoisonRecord
from broker.model.keyed import digest
from broker.model.record import header, trace_id_of


def quarantined(record: Any, poison: PoisonRecord, *, k_ledger: bytes, at: str) -> Row:
    """Row for the product's quarantine topic about one source `record` (an aiokafka ConsumerRecord)."""
    content = digest(k_ledger, b"quarantine", record.key or b"", record.value or b"")
    note = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "code": poison.reason,
        "path": poison.path,
        "digest": content.hex(),
        "at": at,
    }
    trace = header(record.headers, "traceparent")
    headers = [("content-type", b"application/json")]
    if trace is not None and trace_id_of(trace) is not None:  # otherwise it is any text of the source's
        headers.append(("traceparent", trace))
    return None, json.dumps(note, separators=(",", ":")).encode(), headers
