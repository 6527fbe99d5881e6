"""Finds what was decided about one record by its trace id, a delivery's id or its place, in the receipts themselves.

A scan with a bound, for the operator's `trace`; the ledger's index replaces it for citizens and auditors. The subject
reference is left out: the operator never sees whom a record is about.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import fastavro
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES

_MOST_FOUND = 20
_SCAN_S = 20.0


@dataclass(frozen=True, slots=True)
class TracedDecision:
    """One leaf: `outcome` release or withhold, `reason` of a withhold, `delivery` id (32 hex) of a release."""

    agreement: str
    version: int
    outcome: str
    kind: str
    reason: str | None
    delivery: str | None


@dataclass(frozen=True, slots=True)
class TracedReceipt:
    """A receipt without its subject: coordinates, knowledge and decisions. `written_ms` is when Kafka stored it.

    `subjects_offset`: up to where the lane had read the papers of its subjects.
    """

    topic: str
    lane: int
    offset: int
    epoch: int
    decided_at_ms: int
    written_ms: int
    trace: str
    decisions: tuple[TracedDecision, ...]
    subjects_offset: int = -1


class ReceiptTrail:
    """Scans the `lanes` partitions of `receipts` with one consumer (made unstarted) per search.

    `schema` is the receipt's Avro JSON.
    """

    def __init__(self, new_consumer: Callable[[], Any], schema: str, lanes: int) -> None:
        self._new_consumer = new_consumer
        self._lanes = lanes
        self._schema = fastavro.parse_schema(json.loads(schema))

    async def find(self, identifier: bytes) -> tuple[TracedReceipt, ...]:
        """Receipts that hold these 16 bytes as trace id or delivery id, in log order, at most 20.

        Raises `KafkaUnavailable`, also when the receipts are too many to scan in 20 s.
        """
        async with self._reading() as consumer:
            return await self._scan(consumer, identifier)

    async def at(self, lane: int, offset: int) -> TracedReceipt | None:
        """The receipt at this place of `receipts`; None where none is, or no longer. Raises `KafkaUnavailable`."""
        target = TopicPartition(topics.RECEIPTS, lane)
        if not 0 <= lane < self._lanes:
            return None
        async with self._reading() as consumer:
            consumer.assign([target])
            first, end = await consumer.beginning_offsets([target]), await consumer.end_offsets([target])
            if not first[target] <= offset < end[target]:
                return None
            consumer.seek(target, offset)
            while await consumer.position(target) <= offset:
                polled = await consumer.getmany(target, timeout_ms=200, max_records=1)
                for record in polled.get(target, ()):
                    return self._receipt(record, self._decoded(record)) if record.offset == offset else None
        return None

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[Any]:
        """A consumer for one search, which has 20 s."""
        consumer = self._new_consumer()
        try:
            async with asyncio.timeout(_SCAN_S):
                await consumer.start()
                yield consumer
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("receipts cannot be searched now", operator=type(error).__name__) from error
        finally:
            await consumer.stop()

    async def _scan(self, consumer: Any, identifier: bytes) -> tuple[TracedReceipt, ...]:
        targets = [TopicPartition(topics.RECEIPTS, lane) for lane in range(self._lanes)]
        consumer.assign(targets)
        first, ends = await consumer.beginning_offsets(targets), await consumer.end_offsets(targets)
        for target in targets:
            consumer.seek(target, first[target])
        found: list[TracedReceipt] = []
        while targets and len(found) < _MOST_FOUND:
            polled: Mapping[TopicPartition, Any] = await consumer.getmany(*targets, timeout_ms=200, max_records=5000)
            for records in polled.values():
                # The bytes first: decoding every receipt would cost a hundred times more.
                near = (record for record in records if record.value and identifier in record.value)
                found += [traced for record in near if (traced := self._traced(record, identifier))]
            targets = [target for target in targets if await consumer.position(target) < ends[target]]
        return tuple(sorted(found[:_MOST_FOUND], key=lambda traced: traced.decided_at_ms))

    def _traced(self, record: Any, identifier: bytes) -> TracedReceipt | None:
        held = self._decoded(record)
        if identifier != held["trace"] and all(identifier != leaf["delivery"] for leaf in held["decisions"]):
            return None
        return self._receipt(record, held)

    def _decoded(self, record: Any) -> Any:
        body = BytesIO(record.value)
        body.seek(WIRE_HEADER_BYTES)
        return fastavro.schemaless_reader(body, self._schema, None)

    @staticmethod
    def _receipt(record: Any, held: Any) -> TracedReceipt:
        decisions = tuple(
            TracedDecision(
                leaf["agreement"],
                leaf["version"],
                leaf["outcome"],
                leaf["kind"].replace("_", "-"),
                leaf["reason"],
                leaf["delivery"].hex() if leaf["delivery"] else None,
            )
            for leaf in held["decisions"]
        )
        return TracedReceipt(
            held["topic"],
            held["lane"],
            held["offset"],
            held["epoch"],
            int(held["decidedAt"].timestamp() * 1000),
            record.timestamp,
            held["trace"].hex(),
            decisions,
            held["subjectsOffset"],
        )
