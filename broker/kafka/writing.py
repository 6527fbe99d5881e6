"""All outputs of a transaction written at once, past the library's accumulator, which takes some 40 µs a partition.

Done here is only what a node plainly acknowledges. Whatever else it says of a batch, and where it says nothing, the batch
goes the library's way: as if the library had sent it, which then fails it or sends it again.
"""
# ruff: noqa: SLF001 - nothing public of the library numbers a batch, builds it or takes it back

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError, LeaderNotAvailableError
from aiokafka.producer.message_accumulator import MessageBatch
from aiokafka.producer.sender import SendProduceReqHandler
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.structs import TopicPartition

Batches = Mapping[TopicPartition, Any]
"""A batch for each partition, as the library's `BatchBuilder`."""

_NEVER_S = 86_400.0
"""Batches of an idempotent producer do not expire."""


async def write(client: Any, sender: Any, batches: Batches) -> None:
    """Return once each is acknowledged; raises what failed one. Their partitions are in the sender's transaction.

    One after the other: a batch's number among those of its partition is given here.
    """
    by_leader: dict[int, dict[TopicPartition, Any]] = {}
    for target, batch in batches.items():
        leader = client.cluster.leader_for_partition(target)
        by_leader.setdefault(-1 if leader is None else leader, {})[target] = batch
    await asyncio.gather(*(_write(client, sender, leader, its) for leader, its in by_leader.items()))


async def _write(client: Any, sender: Any, leader: int, batches: Batches) -> None:
    _number(sender._txn_manager, batches)
    try:
        if leader < 0:
            raise LeaderNotAvailableError
        answer = await client.send(leader, _request(sender, batches))
    except KafkaError as error:
        await _again(client, sender, batches, error)
    else:
        good = {
            (topic, partition) for topic, partitions in answer.topics for partition, code, *_ in partitions if code == 0
        }
        left = {target: batch for target, batch in batches.items() if target not in good}
        if left:
            await _again(client, sender, left, answer)


def _number(manager: Any, batches: Batches) -> None:
    for target, batch in batches.items():
        first = manager.sequence_number(target)
        manager.increment_sequence_number(target, batch.record_count())
        batch._set_producer_state(manager.producer_id, manager.producer_epoch, first)


def _request(sender: Any, batches: Batches) -> ProduceRequest:
    topics: dict[str, list[tuple[int, Any]]] = {}
    for target, batch in batches.items():
        topics.setdefault(target.topic, []).append((target.partition, batch._build()))
    return ProduceRequest(
        transactional_id=sender._txn_manager.transactional_id,
        required_acks=sender._acks,
        timeout=sender._request_timeout_ms,
        topics=list(topics.items()),
    )


async def _again(client: Any, sender: Any, batches: Batches, said: Any) -> None:
    """Leave to the library what becomes of these batches after this answer, or this error."""
    accumulator = sender._message_accumulator
    own = {target: _sent(target, batch) for target, batch in batches.items()}
    for batch in own.values():
        accumulator._pending_batches.add(batch)
        batch.future.add_done_callback(lambda _, batch=batch: accumulator._pending_batches.discard(batch))
    again = _to_be_sent_again(client, sender, own, said)
    if again:
        await asyncio.sleep(sender._retry_backoff)
        for batch in again:
            accumulator.reenqueue(batch)
        await client._maybe_wait_metadata()
        if not accumulator._waiter_future.done():
            accumulator._waiter_future.set_result(None)  # the sender looks for what it has to send
    await asyncio.gather(*(batch.future for batch in own.values()))


def _to_be_sent_again(client: Any, sender: Any, batches: Mapping[TopicPartition, Any], said: Any) -> list[Any]:
    """Those of them; the others failed."""
    if not isinstance(said, KafkaError):
        handler = SendProduceReqHandler(sender, batches)
        handler.handle_response(said)
        return list(handler._to_reenqueue)
    if getattr(said, "invalid_metadata", False):
        client.force_metadata_update()
    if said.retriable:
        return list(batches.values())
    for batch in batches.values():
        batch.failure(exception=said)
    return []


def _sent(target: TopicPartition, batch: Any) -> Any:
    """The library's batch, as if it had been sent."""
    made = MessageBatch(target, batch, _NEVER_S, 0)
    made.drain_ready()
    return made
