"""The unit of work of a lane: offsets in; deliveries, receipts and quarantine out; one Kafka transaction (design R5).

Outcomes: `commit` returns True (all of it is visible), False (nothing is, the policy moved on: decide again), or
raises. After `Doubt` the producer must never be used again: the lane re-opens under R1, which fences it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from broker.batches import Packed
from broker.errors import Doubt, Fenced
from broker.model import topics
from broker.routing.faultpoints import FaultPoint, fault_point

COMMIT_DEADLINE_S = 8.0
"""Shorter than the transaction timeout (10 s, R3): past it the coordinator aborts for us, and we may not guess."""


class Checkpoint:
    """Collects one batch's outputs and commits them with its offsets, or not at all."""

    def __init__(self, producer: Any, *, timestamp_ms: int) -> None:
        self._producer = producer
        self._timestamp_ms = timestamp_ms
        self._outputs: dict[tuple[str, int], Packed] = {}

    def output(self, topic: str, partition: int) -> Packed:
        """What collects the rows for one output partition; append to it directly."""
        packed = self._outputs.get((topic, partition))
        if packed is None:
            packed = self._outputs[topic, partition] = Packed(self._producer, timestamp_ms=self._timestamp_ms)
        return packed

    async def commit(
        self,
        offsets: Mapping[TopicPartition, OffsetAndMetadata],
        *,
        still_current: Callable[[], Awaitable[bool]],
    ) -> bool:
        """Write and commit everything; False if `still_current` said no at the end.

        Raises `Fenced` when another owner holds the lane, `Doubt` when the outcome is unknown.
        """
        try:
            async with asyncio.timeout(COMMIT_DEADLINE_S):
                return await self._commit(offsets, still_current)
        except ProducerFenced as error:
            raise Fenced("another router owns this lane") from error
        except (KafkaError, TimeoutError) as error:
            raise Doubt("commit did not complete", operator=type(error).__name__) from error

    async def _commit(
        self, offsets: Mapping[TopicPartition, OffsetAndMetadata], still_current: Callable[[], Awaitable[bool]]
    ) -> bool:
        producer = self._producer
        # Step 1: open. From here until step 5 nothing may wait for anyone but Kafka (readers of the outputs wait too).
        await producer.begin_transaction()
        # Step 2: the source offsets, handed over with the outputs so that all is asked for at once; their metadata tells a
        # new owner under what knowledge the lane last decided. They count as little as the outputs do until step 5.
        offsets_sent = asyncio.create_task(producer.send_offsets_to_transaction(dict(offsets), topics.ROUTER_GROUP))
        offsets_sent.add_done_callback(_told)
        try:
            # Step 3: all outputs, in explicit batches. Every batch is acknowledged, or the exception surfaces here.
            await producer.write(self._packed())
            fault_point(FaultPoint.PRODUCED)
            await offsets_sent
            fault_point(FaultPoint.OFFSETS_SENT)
        finally:
            offsets_sent.cancel()
        # Step 4: the last look at the control log (R6), begun when all else is acknowledged: between it and step 5 nothing
        # is waited for. An outdated decision is aborted and made again.
        if not await still_current():
            await producer.abort_transaction()
            return False
        fault_point(FaultPoint.CHECKED)
        # Step 5: all of it becomes visible, or nothing.
        await producer.commit_transaction()
        fault_point(FaultPoint.COMMITTED)
        return True

    def _packed(self) -> Mapping[TopicPartition, Sequence[Any]]:
        packed = {TopicPartition(*to): its.batches for to, its in self._outputs.items()}
        return {target: batches for target, batches in packed.items() if batches}


def _told(done: "asyncio.Task[None]") -> None:
    """Nobody awaits this one where an output failed first; what failed the one failed the other."""
    if not done.cancelled():
        done.exception()
