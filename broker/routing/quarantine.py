"""The quarantine record: where a poison record lies and why, never its bytes (design §4).

Key = null. Value = JSON `{topic, partition, offset, code, path, digest, at}`; `digest` is keyed (k_ledger), so that a
repeated poison can be recognised without anyone being able to guess its content from it. What came of a retry is another
note on the same coordinates, with its `run`: refused again, or closed by an `outcome` (ROUTED, SUPERSEDED).
"""

import json
from collections.abc import Iterable
from typing import Any

from broker.batches import Row
from broker.errors import PoisonRecord
from broker.model.keyed import digest
from broker.model.quarantine_book import Outcome, Retry
from broker.model.record import header, trace_id_of


def quarantined(record: Any, poison: PoisonRecord, *, k_ledger: bytes, at: str, run: int = 0) -> Row:
    """Row for the product's quarantine topic about one source `record` (an aiokafka ConsumerRecord).

    `run`: number of the retry that refused it again, 0 for the first time.
    """
    content = digest(k_ledger, b"quarantine", record.key or b"", record.value or b"")
    note = {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "code": poison.reason,
        "path": poison.path,
        "digest": content.hex(),
        "at": at,
        **({"run": run} if run else {}),
    }
    trace = header(record.headers, "traceparent")
    headers = [("content-type", b"application/json")]
    if trace is not None and trace_id_of(trace) is not None:  # otherwise it is any text of the source's
        headers.append(("traceparent", trace))
    return None, json.dumps(note, separators=(",", ":")).encode(), headers


def closed(retry: Retry, outcome: Outcome, *, at: str) -> Row:
    """Row for the product's quarantine topic that closes an item."""
    place = retry.place
    note = {
        "topic": place.topic,
        "partition": place.lane,
        "offset": place.offset,
        "code": outcome.value,
        "path": "",
        "digest": "",
        "at": at,
        "outcome": outcome.value,
        "run": retry.epoch,
    }
    return None, json.dumps(note, separators=(",", ":")).encode(), [("content-type", b"application/json")]


def passed_over(notes: Iterable[bytes | None], lane: int) -> frozenset[int]:
    """Offsets in one lane of the records that were set aside and not routed since, from the values of a quarantine topic."""
    found: set[int] = set()
    for value in notes:
        try:
            line = json.loads(value or b"")
            if line.get("partition") != lane:
                continue
            (found.discard if line.get("outcome") == Outcome.ROUTED else found.add)(int(line["offset"]))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            continue
    return frozenset(found)
