"""Reads a raw topic from a position that somebody else keeps: committed messages up to where the log ended when it was asked.

There is no consumer group: the position is part of the adapter's own transaction, so that nothing is read twice or left.
"""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import ConfigError, KafkaUnavailable
from broker.model.raw_messages import RawGap, RawMessage
from broker.stopping import stop_quietly

_POLL_MS = 1000
_SILENT_S = 60.0


class Clients(Protocol):
    """Makes Kafka clients; `KafkaClients` behind it."""

    def consumer(self) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""


class RawLog:
    """One raw topic of one partition."""

    def __init__(self, clients: Clients, topic: str) -> None:
        self._clients = clients
        self._target = TopicPartition(topic, 0)

    async def read(self, start: int | None) -> AsyncGenerator[RawMessage | RawGap, None]:
        """Messages from `start` on (None: the oldest that is there), up to the end of the log as it is now.

        A `RawGap` comes first where `start` is not in the log. Raises `KafkaUnavailable`, and `ConfigError` for a topic of
        several partitions: there is no order between them.
        """
        consumer = self._clients.consumer()
        try:
            await consumer.start()
            async for found in self._messages(consumer, start):
                yield found
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the raw topic cannot be read now", operator=type(error).__name__) from error
        finally:
            await stop_quietly(consumer)

    async def _messages(self, consumer: Any, start: int | None) -> AsyncGenerator[RawMessage | RawGap, None]:
        """The same. One message is held back until it is known where the one behind it begins."""
        target = self._target
        consumer.assign([target])
        first = (await consumer.beginning_offsets([target]))[target]
        end = (await consumer.end_offsets([target]))[target]
        if len(consumer.partitions_for_topic(target.topic) or ()) > 1:
            raise ConfigError(f"{target.topic} has several partitions: a raw topic has one, which keeps the order")
        position = first if start is None else start
        if not first <= position <= end:
            position = first
            yield RawGap(position)
        consumer.seek(target, position)
        held: Any = None
        while position < end:
            async with asyncio.timeout(_SILENT_S):
                polled = await consumer.getmany(target, timeout_ms=_POLL_MS)
            for record in polled.get(target, ()):
                if held is not None:
                    yield _message(held, record.offset)
                held = record
            position = await consumer.position(target)
        if held is not None:
            yield _message(held, position)


def _message(record: Any, behind: int) -> RawMessage:
    return RawMessage(record.offset, record.value, record.timestamp, behind)
