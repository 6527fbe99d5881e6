"""Rows on their way to Kafka, in explicit batches: one future per batch, not per record (design §7)."""

from collections.abc import Awaitable, Iterable
from typing import Any, Protocol

from broker.model.record import Headers

Row = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record."""


class Producer(Protocol):
    """The part of a started aiokafka producer that is used here."""

    def create_batch(self) -> Any:
        """An empty batch."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Awaitable[Any]:
        """Queue a batch; the answer is done once it is acknowledged."""


async def send_rows(
    producer: Producer, topic: str, partition: int, rows: Iterable[Row], *, timestamp_ms: int
) -> list[Awaitable[Any]]:
    """Queue `rows` in their order; one answer per batch, to be awaited before anything is committed."""
    sent = []
    batch = producer.create_batch()
    for key, value, headers in rows:
        if batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers) is None:
            sent.append(await producer.send_batch(batch, topic, partition=partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers)
    if batch.record_count():
        sent.append(await producer.send_batch(batch, topic, partition=partition))
    return sent
