"""Follows every topic of the demo while it plays, and keeps the tally of what is read there."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from broker.demo.logs import Clients, Decoder, message_of
from broker.demo.tally import Tally
from broker.errors import BrokerUnavailable, KafkaUnavailable
from broker.model import topics

_POLL_MS = 200
_LOOK_S = 0.02
_LIMIT_S = 60.0


class Watch:
    """Reads `sources` and `receipts` in all lanes, and each topic of `deliveries` (topic → agreement), from now on.

    Only what is committed is seen, at the moment that a reader with the right to it could have seen it.
    """

    def __init__(
        self,
        clients: Clients,
        decoder: Decoder,
        *,
        sources: Iterable[str],
        deliveries: Mapping[str, str],
        lanes: int,
        now_ms: Callable[[], float] = lambda: time.time() * 1000,
    ) -> None:
        self.tally = Tally()
        self._consumer: Any = clients.consumer()
        self._decoder = decoder
        self._deliveries = deliveries
        self._now_ms = now_ms
        self._targets = [TopicPartition(topic, lane) for topic in (*sources, topics.RECEIPTS) for lane in range(lanes)]
        self._targets += [TopicPartition(topic, 0) for topic in deliveries]
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        try:
            await self._consumer.start()
            self._consumer.assign(self._targets)
            await self._consumer.seek_to_end(*self._targets)
        except KafkaError as error:
            await self._consumer.stop()
            raise KafkaUnavailable("the demo's topics cannot be read", operator=type(error).__name__) from error
        self._reading = asyncio.create_task(self._read(), name="demo-watch")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._reading is not None:
            self._reading.cancel()
            with suppress(asyncio.CancelledError, KafkaError):
                await self._reading
        await self._consumer.stop()

    async def until(self, holds: Callable[[Tally], bool], what: str) -> None:
        """Return once `holds` of the tally; raises `BrokerUnavailable` naming `what` after a minute."""
        deadline = time.monotonic() + _LIMIT_S
        while not holds(self.tally):
            if self._reading is not None and self._reading.done():
                self._reading.result()
            if time.monotonic() > deadline:
                raise BrokerUnavailable(f"not seen on the topics within a minute: {what}")
            await asyncio.sleep(_LOOK_S)

    async def _read(self) -> None:
        while True:
            try:
                polled = await self._consumer.getmany(timeout_ms=_POLL_MS)
            except OffsetOutOfRangeError as error:
                await self._consumer.seek_to_beginning(*error.args[0])  # emptied up to a barrier meanwhile
                continue
            at_ms = self._now_ms()
            for target, records in polled.items():
                for record in records:
                    self._count(target.topic, record, at_ms)

    def _count(self, topic: str, record: Any, at_ms: float) -> None:
        if topic == topics.RECEIPTS:
            receipt = self._decoder.receipt(record.value)
            self.tally.receipt(receipt.place, receipt.decisions)
        elif topic in self._deliveries:
            self.tally.delivery(self._deliveries[topic], message_of(record), at_ms)
        else:
            self.tally.source((topic, record.partition, record.offset), record.key, record.timestamp)
