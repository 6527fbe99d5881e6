"""Some partitions of one topic, applied up to their heads on demand; paused meanwhile.

A node answers the requests of one connection in turn: behind a fetch that waits for records, the question where a head
is would wait as long as that fetch (250 ms). So a partition is only fetched while it is known to be behind.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.stopping import stop_quietly

_SILENCE_S = 10.0
_POLL_MS = 250


class Tail:
    """Follower of `partitions` of `topic` with a consumer of its own (given unstarted); `apply` takes key and value."""

    def __init__(
        self,
        consumer: Any,
        topic: str,
        partitions: Iterable[int],
        apply: Callable[[bytes | None, bytes | None], object],
    ) -> None:
        self._consumer = consumer
        self._targets = [TopicPartition(topic, partition) for partition in partitions]
        self._applied = [apply]
        self._reading = asyncio.Lock()

    def also(self, apply: Callable[[bytes | None, bytes | None], object]) -> None:
        """Have every record taken by `apply` too; to be said before the start."""
        self._applied.append(apply)

    async def start(self) -> None:
        """Apply what is there; raises `KafkaUnavailable`."""
        try:
            async with asyncio.timeout(_SILENCE_S):
                await self._consumer.start()
                self._consumer.assign(self._targets)
                self._consumer.pause(*self._targets)
                await self._consumer.seek_to_beginning(*self._targets)
        except (KafkaError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error
        await self.read_to_head()

    async def read_to_head(self) -> None:
        """Apply every record that was there when this was called; raises `KafkaUnavailable` after 10 s of silence."""
        try:
            async with self._reading, asyncio.timeout(_SILENCE_S) as silence:
                ends = await self._consumer.end_offsets(self._targets)
                while behind := [
                    target for target in self._targets if await self._consumer.position(target) < ends[target]
                ]:
                    self._consumer.resume(*behind)
                    try:
                        polled = await self._consumer.getmany(*behind, timeout_ms=_POLL_MS)
                    finally:
                        self._consumer.pause(*behind)  # before the client asks for more
                    for records in polled.values():
                        for record in records:
                            for apply in self._applied:
                                apply(record.key, record.value)
                        silence.reschedule(asyncio.get_running_loop().time() + _SILENCE_S)
        except (KafkaError, TimeoutError, OSError) as error:
            raise self._unavailable(error) from error

    async def close(self) -> None:
        """Give up the consumer."""
        await stop_quietly(self._consumer)

    def _unavailable(self, error: Exception) -> KafkaUnavailable:
        return KafkaUnavailable(f"{self._targets[0].topic} cannot be read now", operator=type(error).__name__)
