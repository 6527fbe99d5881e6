"""Reads delivery topics for exits that pull: any position, committed records only, few connections.

One topic has one partition (design §4). Transaction markers and aborted records take offsets too, so the position after
a read is the consumer's, never `last record + 1`: a cursor that stayed before a marker would expire although nothing
was missed.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakValueDictionary

from aiokafka.errors import KafkaError, OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from broker.delivery.heads import Heads
from broker.delivery.streams import Message
from broker.errors import Invalid, KafkaUnavailable, PositionExpired

MOST_OPEN = 16
"""Consumers kept; each holds one connection and the prefetched records of the topic it read last."""

_TURN_S = 0.5
_BEHIND_S = 2.0
_LOOK_MS = 20
_KAFKA_S = 10.0
_LOOKED_THROUGH = 500


@dataclass(frozen=True, slots=True)
class Slice:
    """Consecutive committed records and the position after them, markers and aborted records included."""

    messages: tuple[Message, ...]
    position: int


@dataclass(slots=True)
class _Seat:
    """One consumer, the topic it is assigned and the position it would read next."""

    consumer: Any
    topic: str = ""
    position: int | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)


class DeliveryReader:
    """Reads any number of topics over at most `most_open` consumers made by `new_consumer` (unstarted)."""

    def __init__(self, new_consumer: Callable[[], Any], *, most_open: int = MOST_OPEN) -> None:
        self._new_consumer = new_consumer
        self._most_open = most_open
        self._seats: OrderedDict[str, _Seat] = OrderedDict()
        self._queues: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._busy = asyncio.Semaphore(most_open)
        self._heads = Heads(new_consumer)

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float = 0.0) -> Slice:
        """At most `limit` records from `position` on (None: the oldest retained), waiting up to `wait_s` for the first.

        Raises `PositionExpired` below the retained log, `Invalid` beyond its end, `KafkaUnavailable`.
        """
        deadline = time.monotonic() + wait_s
        while True:
            left = deadline - time.monotonic()
            # Turns are short, so that many waiting readers share few consumers.
            found = await self._turn(topic, position, limit, min(max(left, 0.05), _TURN_S))
            position = found.position
            if found.messages or left <= _TURN_S:
                return found

    async def head(self, topic: str) -> int:
        """Position after the last committed record; raises `KafkaUnavailable`."""
        return await self._heads.head(topic)

    async def since(self, topic: str, at_ms: int) -> int:
        """Position of the first record written at this epoch millisecond or later; raises `KafkaUnavailable`."""
        return await self._heads.since(topic, at_ms)

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        """Whether there is more from `position` on, waiting up to `wait_s` without a consumer; raises `KafkaUnavailable`."""
        return await self._heads.beyond(topic, position, wait_s=wait_s)

    async def find(self, topic: str, position: int, key: bytes, *, wait_s: float) -> Message | None:
        """First record of a key from `position` on, waiting up to `wait_s` for it; raises as `read`."""
        deadline = time.monotonic() + wait_s
        while (left := deadline - time.monotonic()) > 0:
            found = await self.read(topic, position, limit=_LOOKED_THROUGH, wait_s=left)
            own = next((message for message in found.messages if message.key == key), None)
            if own is not None:
                return own
            position = found.position
        return None

    async def close(self) -> None:
        """Stop every consumer."""
        await self._heads.close()
        seats, self._seats = list(self._seats.values()), OrderedDict()
        await asyncio.gather(*(seat.consumer.stop() for seat in seats), return_exceptions=True)

    async def _turn(self, topic: str, position: int | None, limit: int, wait_s: float) -> Slice:
        # Before a seat is asked for: who waits for others of the same topic takes no seat from another topic.
        queue = self._queues.setdefault(topic, asyncio.Lock())
        try:
            async with asyncio.timeout(wait_s + _KAFKA_S):
                await queue.acquire()
            try:
                async with self._busy, asyncio.timeout(wait_s + _KAFKA_S):
                    seat = self._seat(topic)
                    async with seat.turn:
                        return await self._read(seat, topic, position, limit, wait_s)
            finally:
                queue.release()
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("deliveries cannot be read now", operator=type(error).__name__) from error

    def _seat(self, topic: str) -> _Seat:
        """The topic's seat: its own, a new one, or the idle one that was used longest ago."""
        seat = self._seats.pop(topic, None)
        if seat is None and len(self._seats) >= self._most_open:
            idle = next((name for name, other in self._seats.items() if not other.turn.locked()), None)
            seat = self._seats.pop(idle) if idle is not None else None
        self._seats[topic] = seat or _Seat(None)
        return self._seats[topic]

    async def _read(self, seat: _Seat, topic: str, position: int | None, limit: int, wait_s: float) -> Slice:
        target = TopicPartition(topic, 0)
        expected, seat.position = seat.position, None  # known again only after a read that ended well
        if seat.consumer is None:
            consumer = self._new_consumer()
            try:
                await consumer.start()
            except BaseException:
                await consumer.stop()
                raise
            seat.consumer = consumer
        consumer = seat.consumer
        if seat.topic != topic:
            consumer.assign([target])
            seat.topic, expected = topic, None
        if position is None or position != expected:
            first = (await consumer.beginning_offsets([target]))[target]
            position = first if position is None else position
            if position < first:
                raise _expired()
            consumer.seek(target, position)
        try:
            polled = await consumer.getmany(target, timeout_ms=int(wait_s * 1000), max_records=limit)
            if not polled:
                polled = await _what_is_there(consumer, target, limit)
        except OffsetOutOfRangeError:
            first = (await consumer.beginning_offsets([target]))[target]
            raise _expired() if position < first else Invalid("this position was never reached") from None
        seat.position = await consumer.position(target)
        records = polled.get(target, ())
        return Slice(
            tuple(Message(record.offset, record.key, record.value, record.headers) for record in records), seat.position
        )


async def _what_is_there(consumer: Any, target: TopicPartition, limit: int) -> Mapping[TopicPartition, Any]:
    """Records that the log holds already, for who does not wait: a consumer's first fetch only takes longer.

    Ends as soon as the position is behind everything, be it only markers, on which the client does not return by itself.
    """
    polled: Mapping[TopicPartition, Any] = {}
    end, deadline = (await consumer.end_offsets([target]))[target], time.monotonic() + _BEHIND_S
    while not polled and await consumer.position(target) < end and time.monotonic() < deadline:
        polled = await consumer.getmany(target, timeout_ms=_LOOK_MS, max_records=limit)
    return polled


def _expired() -> PositionExpired:
    return PositionExpired(
        "records after this position are no longer retained and were missed: start again without a cursor for what is "
        "retained, and ask for a replay of the rest: POST /v1/agreements/{agreement}/replays"
    )
