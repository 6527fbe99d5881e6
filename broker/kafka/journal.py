"""A writer that keeps its own state on Kafka: outputs and state in one transaction, one owner at a time (R1, R2, R9).

The state is a compacted topic of one partition, read whole by `open`. After `Doubt` the journal must be opened again:
what the state then says is what was committed.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from broker.batches import Row, send_rows
from broker.errors import Doubt, Fenced, KafkaUnavailable
from broker.stopping import stop_quietly

COMMIT_DEADLINE_S = 8.0
"""Shorter than the transaction timeout (10 s, R3)."""

_READ_S = 120.0
_POLL_MS = 1000


class Clients(Protocol):
    """Makes Kafka clients; `KafkaClients` behind it."""

    def consumer(self) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""

    def transactional_producer(self, transactional_id: str) -> Any:
        """Idempotent transactional producer, not started."""


class Journal:
    """Transactions of `transactional_id`, whose state is `topic`; `open` before anything else, `close` at the end."""

    def __init__(
        self,
        clients: Clients,
        *,
        transactional_id: str,
        topic: str,
        clock_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._clients = clients
        self._transactional_id = transactional_id
        self._state = TopicPartition(topic, 0)
        self._clock_ms = clock_ms
        self._producer: Any = None

    async def open(self) -> dict[bytes, bytes]:
        """Fence the previous owner, then read the state to its head (R1); raises `KafkaUnavailable`.

        A producer in doubt is stopped only once its successor has fenced it (R2).
        """
        successor = self._clients.transactional_producer(self._transactional_id)
        try:
            await successor.start()
            async with asyncio.timeout(_READ_S):
                state = await self._read()
        except (KafkaError, TimeoutError) as error:
            await stop_quietly(successor)
            raise KafkaUnavailable("the state cannot be read from Kafka", operator=type(error).__name__) from error
        except BaseException:
            await stop_quietly(successor)
            raise
        predecessor, self._producer = self._producer, successor
        if predecessor is not None:
            await stop_quietly(predecessor)
        return state

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        """Write rows by topic and partition, all or none.

        Raises `Fenced` when another owner took over, `Doubt` when the outcome is unknown.
        """
        try:
            await asyncio.wait_for(self._commit(outputs), COMMIT_DEADLINE_S)
        except ProducerFenced as error:
            raise Fenced("another instance took over") from error
        except (KafkaError, TimeoutError) as error:
            raise Doubt("a commit did not complete", operator=type(error).__name__) from error

    async def close(self) -> None:
        """Give up the producer."""
        if self._producer is not None:
            await stop_quietly(self._producer)

    async def _commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        producer, now = self._producer, self._clock_ms()
        await producer.begin_transaction()
        sent = [
            batch
            for (topic, partition), rows in outputs.items()
            for batch in await send_rows(producer, topic, partition, rows, timestamp_ms=now)
        ]
        await asyncio.gather(*sent)
        await producer.commit_transaction()

    async def _read(self) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        consumer = self._clients.consumer()
        try:
            await consumer.start()
            consumer.assign([self._state])
            await consumer.seek_to_beginning(self._state)
            end = (await consumer.end_offsets([self._state]))[self._state]
            while await consumer.position(self._state) < end:
                polled = await consumer.getmany(self._state, timeout_ms=_POLL_MS)
                for record in polled.get(self._state, ()):
                    if record.value is None:
                        found.pop(record.key, None)
                    else:
                        found[record.key] = record.value
        finally:
            await stop_quietly(consumer)
        return found
