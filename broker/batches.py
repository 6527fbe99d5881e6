"""Rows on their way to Kafka, in explicit batches: one future per batch, not per record (design §7)."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from aiokafka.errors import IllegalOperation

from broker.model.record import Headers
from broker.native.records import PackedBatch

MAX_BATCH_BYTES = 1 << 20
"""Largest record batch: just below Kafka's default `message.max.bytes` (1 048 588)."""

Row = tuple[bytes | None, bytes | None, Headers]
"""Key, value and headers of one record."""


class Producer(Protocol):
    """The part of a started aiokafka producer that is used here."""

    def create_batch(self) -> Any:
        """An empty batch."""

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        """Queue a batch; the answer is done once it is acknowledged."""


class Packed:
    """Rows for one partition, packed as they come: as bytes a large transaction takes a fraction of what its rows take."""

    __slots__ = ("_batch", "_full", "_producer", "_timestamp_ms")

    def __init__(self, producer: Producer, *, timestamp_ms: int) -> None:
        self._producer = producer
        self._timestamp_ms = timestamp_ms
        self._full: list[Any] = []
        self._batch: Any = None

    def append(self, row: Row) -> None:
        """Take a row, behind those before it."""
        key, value, headers = row
        if self._batch is None:
            self._batch = self._producer.create_batch()
        if self._batch.append(key=key, value=value, timestamp=self._timestamp_ms, headers=headers) is None:
            self._full.append(self._batch)
            self._batch = self._producer.create_batch()
            self._batch.append(key=key, value=value, timestamp=self._timestamp_ms, headers=headers)

    def extend(self, room: memoryview, records: int) -> None:
        """Take a batch that was packed elsewhere, with room for its header, behind the rows before it."""
        if self._batch is not None:
            self._full.append(self._batch)
            self._batch = None
        self._full.append(PackedBatch(room, records, timestamp_ms=self._timestamp_ms))

    @property
    def batches(self) -> Sequence[Any]:
        """All that was taken, in its order."""
        return self._full if self._batch is None else [*self._full, self._batch]


async def send_rows(
    producer: Producer, topic: str, partition: int, rows: Iterable[Row], *, timestamp_ms: int
) -> list[asyncio.Future[Any]]:
    """Queue `rows` at once, in their order; one answer per batch, to be awaited before anything is committed.

    Raises what ended the producer's transaction meanwhile: `ProducerFenced` where another owner took over.
    """
    packed = Packed(producer, timestamp_ms=timestamp_ms)
    for row in rows:
        packed.append(row)
    return [await _queued(producer, batch, topic, partition) for batch in packed.batches]


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
