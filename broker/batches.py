"""Rows on their way to Kafka, in explicit batches: one future per batch, not per record (design §7)."""

import asyncio
from collections.abc import Iterable
from typing import Any, Protocol

from aiokafka.errors import IllegalOperation

from broker.model.record import Headers

Row = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record."""


class Producer(Protocol):
    """The part of a started aiokafka producer that is used here."""

    def create_batch(self) -> Any:
        """An empty batch."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Queue a batch; the answer is done once it is acknowledged."""


async def send_rows(
    producer: Producer, topic: str, partition: int, rows: Iterable[Row], *, timestamp_ms: int
) -> list[asyncio.Future[Any]]:
    """Queue `rows` in their order; one answer per batch, to be awaited before anything is committed.

    Raises what ended the producer's transaction meanwhile: `ProducerFenced` where another owner took over.
    """
    sent: list[asyncio.Future[Any]] = []
    batch = producer.create_batch()
    for key, value, headers in rows:
        if batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers) is None:
            sent.append(await _queued(producer, batch, topic, partition))
            batch = producer.create_batch()
            batch.append(key=key, value=value, timestamp=timestamp_ms, headers=headers)
    if batch.record_count():
        sent.append(await _queued(producer, batch, topic, partition))
    return sent


async def _queued(producer: Producer, batch: Any, topic: str, partition: int) -> asyncio.Future[Any]:
    try:
        answer = await producer.send_batch(batch, topic, partition=partition)
    except IllegalOperation:
        # Something ended the transaction between two batches, as a new owner does; its end says what.
        await asyncio.shield(producer._txn_manager.wait_for_transaction_end())  # type: ignore[attr-defined]  # noqa: SLF001 - it tells nobody else
        raise
    # Where a later batch cannot be queued, nobody comes to await this one; what failed it is what failed the later one.
    answer.add_done_callback(lambda done: done.cancelled() or done.exception())
    return answer
