"""Reads topics of the local stack as anyone with the right to read them could: committed records, nothing else."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, Protocol

import fastavro
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.delivery.streams import Message
from broker.delivery.trail import TracedDecision
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.record import WIRE_HEADER_BYTES

_SCAN_S = 20.0
_NEAR_MS = 200


class Clients(Protocol):
    """Makes consumers; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None = None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """One receipt: the source record it is about, and each decision on it; `subject` is the keyed reference."""

    place: tuple[str, int, int]
    subject: bytes = field(repr=False)
    decided_at_ms: int
    decisions: tuple[TracedDecision, ...]


@dataclass(slots=True)
class Decoder:
    """Decodes values by the schemas of the control log."""

    state: ControlState
    _parsed: dict[str, Any] = field(default_factory=dict)

    def source(self, product: tuple[str, str], value: bytes) -> dict[str, Any]:
        """Value of a record of the product (source, id)."""
        return self._read(self.state.schemas[self.state.products[product].schema_id].text, value)

    def receipt(self, value: bytes) -> Receipt:
        """One receipt."""
        text = next(schema.text for schema in self.state.schemas.values() if schema.subject == topics.RECEIPTS)
        held = self._read(text, value)
        place = held["topic"], held["lane"], held["offset"]
        decided = int(held["decidedAt"].timestamp() * 1000)
        return Receipt(place, held["subject"], decided, tuple(_decisions(held["decisions"])))

    def _read(self, text: str, value: bytes) -> dict[str, Any]:
        if text not in self._parsed:
            self._parsed[text] = fastavro.parse_schema(json.loads(text))
        body = BytesIO(value)
        body.seek(WIRE_HEADER_BYTES)
        held: Any = fastavro.schemaless_reader(body, self._parsed[text], None)
        return dict(held)


@asynccontextmanager
async def reader(clients: Clients) -> AsyncIterator[Any]:
    """A started consumer; raises `KafkaUnavailable` where Kafka fails within the block or takes too long."""
    consumer = clients.consumer()
    try:
        async with asyncio.timeout(_SCAN_S):
            await consumer.start()
            yield consumer
    except (KafkaError, TimeoutError, OSError) as error:
        raise KafkaUnavailable("a topic cannot be read now", operator=type(error).__name__) from error
    finally:
        await consumer.stop()


async def scan(clients: Clients, topic: str, partition: int = 0, *, since: int = 0) -> list[Message]:
    """Every committed record of a partition from offset `since` (or the oldest retained) to its present end."""
    target = TopicPartition(topic, partition)
    found: list[Message] = []
    async with reader(clients) as consumer:
        consumer.assign([target])
        first, end = (
            (await consumer.beginning_offsets([target]))[target],
            (await consumer.end_offsets([target]))[target],
        )
        consumer.seek(target, max(since, first))
        while await consumer.position(target) < end:
            polled = await consumer.getmany(target, timeout_ms=_NEAR_MS)
            found += (message_of(record) for record in polled.get(target, ()))
    return found


def message_of(record: Any) -> Message:
    """An aiokafka record as exits see it."""
    return Message(record.offset, record.key, record.value, tuple(record.headers))


def after_last_barrier(messages: Iterable[Message]) -> tuple[int, int]:
    """Barriers among `messages`, and records of subjects after the last of them."""
    barriers = after = 0
    for message in messages:
        if message.is_life_cycle:
            barriers, after = barriers + 1, 0
        else:
            after += 1
    return barriers, after if barriers else 0


def _decisions(leaves: Iterable[dict[str, Any]]) -> Iterator[TracedDecision]:
    for leaf in leaves:
        kind, delivery = leaf["kind"].replace("_", "-"), leaf["delivery"]
        yield TracedDecision(
            leaf["agreement"],
            leaf["version"],
            leaf["outcome"],
            kind,
            leaf["reason"],
            delivery.hex() if delivery else None,
        )
