"""Whether the lane of a subject has acted on what was registered about it: its committed position says so."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.stopping import stop_quietly

LONGEST_S = 5.0
_EVERY_S = 0.05
_KAFKA_S = 10.0


class Confirmation:
    """Looks at the routers' positions in `subjects.dossiers`; `consumer` (of their group, given unstarted) never joins it."""

    def __init__(
        self, consumer: Any, *, monotonic: Callable[[], float] = time.monotonic, topic: str = topics.DOSSIERS
    ) -> None:
        self._consumer, self._monotonic, self._topic = consumer, monotonic, topic

    async def start(self) -> None:
        """Connect; raises `KafkaUnavailable`."""
        try:
            await self._consumer.start()
        except KafkaError as error:
            raise KafkaUnavailable("Kafka does not answer", operator=type(error).__name__) from error

    async def close(self) -> None:
        """Give up the consumer."""
        await stop_quietly(self._consumer)

    async def reached(self, lane: int, position: int) -> bool:
        """Whether the lane told everything before `position`, waiting at most 5 s; False while no router runs."""
        deadline = self._monotonic() + LONGEST_S
        while not await self._is_reached(lane, position):
            if self._monotonic() >= deadline:
                return False
            await asyncio.sleep(_EVERY_S)
        return True

    async def at_head(self, lane: int) -> bool:
        """Whether the lane told everything that is there now, waiting as `reached`."""
        target = TopicPartition(self._topic, lane)
        try:
            async with asyncio.timeout(_KAFKA_S):
                end = (await self._consumer.end_offsets([target]))[target]
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the log of papers cannot be read", operator=type(error).__name__) from error
        return await self.reached(lane, end)

    async def _is_reached(self, lane: int, position: int) -> bool:
        try:
            async with asyncio.timeout(_KAFKA_S):
                committed = await self._consumer.committed(TopicPartition(self._topic, lane))
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the routers' positions cannot be read", operator=type(error).__name__) from error
        return committed is not None and committed >= position
