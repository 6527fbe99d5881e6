"""Readers of one topic share its turn; they never take those of other topics."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord, TopicPartition

from broker.delivery.pull import DeliveryReader
from broker.errors import KafkaUnavailable
from broker.testing import wait_until

_BUSY, _QUIET = "delivery.haastig.een", "delivery.rustig.een"


@dataclass
class Log:
    """One record in every topic; a fetch of the busy one waits until it is let through."""

    through: asyncio.Event = field(default_factory=asyncio.Event)
    fetching: int = 0


@dataclass
class Consumer:
    """What the reader asks of a consumer, over `Log`."""

    log: Log
    assigned: TopicPartition | None = None

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, targets: list[TopicPartition]) -> None:
        self.assigned = targets[0]

    def seek(self, target: TopicPartition, position: int) -> None: ...

    async def beginning_offsets(self, targets: Collection[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(targets, 0)

    async def position(self, target: TopicPartition) -> int:
        return 1 if target == self.assigned else 0

    async def getmany(self, target: TopicPartition, **_asked: int) -> Mapping[TopicPartition, list[Any]]:
        if target.topic == _BUSY:
            self.log.fetching += 1
            await self.log.through.wait()
        return {target: [ConsumerRecord(target.topic, 0, 0, 0, 0, b"key", b"value", None, 3, 5, ())]}


async def test_any_number_of_readers_of_one_topic_leave_the_others_their_turns() -> None:
    log = Log()
    reader = DeliveryReader(lambda: Consumer(log), most_open=4)
    hasty = [asyncio.create_task(reader.read(_BUSY, None, limit=10)) for _ in range(40)]
    await wait_until(lambda: log.fetching)
    async with asyncio.timeout(5):
        found = await reader.read(_QUIET, None, limit=10)
    assert [message.value for message in found.messages] == [b"value"]
    assert log.fetching == 1
    assert not any(task.done() for task in hasty)
    log.through.set()
    assert {found.position for found in await asyncio.gather(*hasty)} == {1}


async def test_who_waits_too_long_for_the_turn_of_its_topic_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.delivery.pull._KAFKA_S", 0.0)
    log = Log()
    reader = DeliveryReader(lambda: Consumer(log), most_open=4)
    found = await asyncio.gather(*(reader.read(_BUSY, None, limit=10) for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in found] == [KafkaUnavailable] * 6
