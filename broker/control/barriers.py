"""Waits for the barriers of a stopped agreement, and fences the lanes that do not write theirs (design §8).

Readers of one log can check the outcome: after the last barrier there is no record of a subject.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.barrier import Barrier, barrier, lane_barred
from broker.model.record import header

PATIENCE_S = 1.0
"""How long a lane's owner may take; then it is fenced and the barrier written in its place."""

_AGAIN_S = 5.0
"""How long after a fencing the missing barriers may take. An owner that opened its lane meanwhile fenced us in turn and
writes its own, unless it is stopped again: then it is fenced again."""

_FENCINGS = 4
_FENCING_S = 10.0
_READING_S = 10.0
_PEEKED = 100


class Clients(Protocol):
    """Makes Kafka clients; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""

    def transactional_producer(self, transactional_id: str) -> Any:
        """Idempotent transactional producer, not started; its start fences the holder of the id."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping or amending an agreement took: each lane's barrier, the lanes that had to be fenced, and the time."""

    barriers: dict[int, int]
    fenced: tuple[int, ...]
    duration_ms: float
    first_new: int | None = None
    """Offset of the first record of the version that was waited for, if one lies before the last barrier."""

    @property
    def last(self) -> int:
        """Offset of the last barrier."""
        return max(self.barriers.values())


@dataclass(frozen=True, slots=True)
class First:
    """The first delivery that is left in a topic: its version, and the offset at which the topic starts."""

    start: int
    version: int


class Barriers:
    """Brings about the barriers of one agreement on all `lanes`."""

    def __init__(self, clients: Clients, lanes: int, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._clients = clients
        self._lanes = lanes
        self._monotonic = monotonic
        self._owed: dict[tuple[str, int], dict[int, Barrier]] = {}
        """By call that waits (topic and epoch), the barriers by lane that it saw nowhere, and that nobody wrote in a lane's place."""
        self._turns = [asyncio.Lock() for _ in range(lanes)]

    async def complete(
        self, topic: str, reason: str, epoch: int, *, since: int | None, began: float, version: int | None = None
    ) -> Stopped:
        """Return once every lane's barrier of `epoch` is committed to `topic`, at or after offset `since` (None: anywhere).

        `reason` is what a barrier says that is written in a lane's place, `version` the one that comes into force.
        `began` is the monotonic instant of the request. Raises `KafkaUnavailable` if that cannot be reached; calling it
        again is safe, and does not do again what an earlier call completed.
        """
        target = TopicPartition(topic, 0)
        found: dict[int, int] = {}
        fenced: set[int] = set()
        fencings = 0
        first_new: int | None = None
        owed = self._owed[topic, epoch] = {lane: barrier(topic, lane, epoch, reason) for lane in range(self._lanes)}
        consumer = self._clients.consumer(None)
        try:
            await consumer.start()
            consumer.assign([target])
            first = (await consumer.beginning_offsets([target]))[target]
            consumer.seek(target, first if since is None else since)
            deadline = self._monotonic() + PATIENCE_S
            while len(found) < self._lanes:
                left = max(0.0, deadline - self._monotonic())
                polled = await consumer.getmany(target, timeout_ms=min(100, int(left * 1000) + 1))
                for record in polled.get(target, ()):
                    if first_new is None and version is not None and _version_of(record) == version:
                        first_new = record.offset
                    lane = lane_barred(record.key, record.headers, epoch=epoch)
                    if lane is not None:
                        found.setdefault(lane, record.offset)
                        owed.pop(lane, None)
                        if since is None and record.offset == first > 0:
                            # The topic was emptied up to its last barrier: all were there, and nobody needs fencing.
                            return Stopped(found, (), (self._monotonic() - began) * 1000)
                if left or len(found) == self._lanes:
                    continue
                missing = [lane for lane in range(self._lanes) if lane not in found]
                if fencings == _FENCINGS:
                    raise KafkaUnavailable(
                        "what was asked is in force, but not every lane has confirmed it: ask again, that goes on from here",
                        operator=f"no barrier of lanes {missing} after {fencings} fencings",
                    )
                if fencings:  # what was written for a lane before did not reach the log
                    owed.update((lane, barrier(topic, lane, epoch, reason)) for lane in missing)
                async with asyncio.timeout(_FENCING_S):
                    await asyncio.gather(*map(self._fence, missing))
                fenced.update(missing)
                fencings += 1
                deadline = self._monotonic() + _AGAIN_S
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("a barrier could not be written", operator=type(error).__name__) from error
        finally:
            self._owed.pop((topic, epoch), None)
            await consumer.stop()
        return Stopped(found, tuple(sorted(fenced)), (self._monotonic() - began) * 1000, first_new)

    async def first_delivery(self, topic: str) -> First | None:
        """The first record of a subject that is in a delivery topic, barriers passed over; None where there is none.

        Raises `KafkaUnavailable`.
        """
        target = TopicPartition(topic, 0)
        consumer = self._clients.consumer(None)
        try:
            async with asyncio.timeout(_READING_S):
                await consumer.start()
                consumer.assign([target])
                start = (await consumer.beginning_offsets([target]))[target]
                end = (await consumer.end_offsets([target]))[target]
                consumer.seek(target, start)
                while await consumer.position(target) < end:
                    polled = await consumer.getmany(target, timeout_ms=100, max_records=_PEEKED)
                    for record in polled.get(target, ()):
                        version = _version_of(record)
                        if version is not None:
                            return First(start, version)
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable(f"{topic} cannot be read", operator=type(error).__name__) from error
        finally:
            await consumer.stop()
        return None

    async def _fence(self, lane: int) -> None:
        """Fence a lane's owner and write what it owes to everyone who waits for it now.

        A fencing for each of them would fence the others', and an owner that just came back, as long as a storm lasts.
        """
        async with self._turns[lane]:
            rows = [owed.pop(lane) for owed in self._owed.values() if lane in owed]
            if not rows:
                return  # written by who had the turn before
            # Its start aborts whatever the owner has open and fences all it may still send; the owner comes back by R1.
            producer = self._clients.transactional_producer(topics.lane_transactional_id(lane))
            try:
                await producer.start()
                async with producer.transaction():
                    for each in rows:
                        key, value, headers = each.row
                        await producer.send_and_wait(each.topic, value, key=key, partition=0, headers=list(headers))
            except ProducerFenced:
                return  # an owner opened the lane meanwhile (R1): it knows the facts and writes them itself, if it lives
            finally:
                await producer.stop()


def _version_of(record: Any) -> int | None:
    """Version of the agreement under which a record was delivered; None for a barrier."""
    stated = header(record.headers, "ce_agreementversion")
    return None if stated is None else int(stated)
