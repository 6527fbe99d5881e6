"""Where delivery topics end, for any number of waiting readers: one question at a time about all their topics together.

A reader that waits this way holds no consumer, so that a thousand idle streams cost one request per tenth of a second.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable
from broker.stopping import stop_quietly

_EVERY_S = 0.1
_KAFKA_S = 10.0


@dataclass(slots=True, eq=False)
class _Waiting:
    target: TopicPartition
    position: int
    ahead: asyncio.Future[bool]


class Heads:
    """Asks over one consumer made by `new_consumer` (unstarted); every method raises `KafkaUnavailable`."""

    def __init__(self, new_consumer: Callable[[], Any], *, every_s: float = _EVERY_S) -> None:
        self._new_consumer = new_consumer
        self._every_s = every_s
        self._consumer: Any = None
        self._starting = asyncio.Lock()
        self._waiting: set[_Waiting] = set()
        self._looking: asyncio.Task[None] | None = None

    async def head(self, topic: str) -> int:
        """Position after the last committed record."""
        target = TopicPartition(topic, 0)
        return (await self._ends([target]))[target]

    async def since(self, topic: str, at_ms: int) -> int:
        """Position of the first record that was written at this instant (epoch milliseconds) or later, else the head."""
        target = TopicPartition(topic, 0)
        found = await self._asked(lambda consumer: consumer.offsets_for_times({target: at_ms}))
        return await self.head(topic) if found.get(target) is None else int(found[target].offset)

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        """Whether the topic goes on from `position`, waiting up to `wait_s` for it."""
        waiting = _Waiting(TopicPartition(topic, 0), position, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="delivery-heads")
        try:
            async with asyncio.timeout(wait_s):
                return await waiting.ahead
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)

    async def close(self) -> None:
        """Stop asking; whoever waits still gets an answer when its time is up."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        if self._consumer is not None:
            await stop_quietly(self._consumer)

    async def _look(self) -> None:
        while self._waiting:
            try:
                ends = await self._ends(list({waiting.target for waiting in self._waiting}))
            except KafkaUnavailable as error:
                for waiting in self._waiting:
                    if not waiting.ahead.done():
                        waiting.ahead.set_exception(error)
                await asyncio.sleep(self._every_s)
                continue
            for waiting in self._waiting:
                # One that came while we asked may be about a topic we did not ask about.
                if ends.get(waiting.target, 0) > waiting.position and not waiting.ahead.done():
                    waiting.ahead.set_result(True)
            await asyncio.sleep(self._every_s)

    async def _ends(self, targets: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict(await self._asked(lambda consumer: consumer.end_offsets(targets)))

    async def _asked(self, question: Callable[[Any], Any]) -> Any:
        try:
            async with asyncio.timeout(_KAFKA_S):
                return await question(await self._started())
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("the delivery topic cannot be read", operator=type(error).__name__) from error

    async def _started(self) -> Any:
        async with self._starting:
            if self._consumer is None:
                consumer = self._new_consumer()
                try:
                    await consumer.start()
                except BaseException:
                    await stop_quietly(consumer)
                    raise
                self._consumer = consumer
            return self._consumer
