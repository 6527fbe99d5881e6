"""The floor under the router: a raw transactional copy with the same input, outputs and transactions, and no policy.

It reads the same source topics and writes the same number of records of the same mean size, with as many headers,
to the same number of topics, and as many receipts; it looks at nothing.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition

from broker.batches import Row, send_rows
from broker.kafka.clients import KafkaClients, know_topics


@dataclass(frozen=True, slots=True)
class Shape:
    """What the router made of the input, for the copy to imitate: outputs per source record, and one of each kind."""

    deliveries: float
    receipts: float
    delivery: Row
    receipt: Row


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's result: records of the source per second of wall clock and of CPU time of this process."""

    records: int
    wall_s: float
    cpu_s: float

    @property
    def per_second(self) -> float:
        """Source records per second."""
        return self.records / self.wall_s

    @property
    def per_cpu_second(self) -> float:
        """Source records per CPU second of the contender's process."""
        return self.records / self.cpu_s


async def copy(
    clients: KafkaClients,
    source: str,
    lanes: int,
    targets: Sequence[str],
    receipts: str,
    shape: Shape,
    per_transaction: int,
) -> Run:
    """Copy every record of `source`, one producer per lane, and return the rates."""
    total = 0
    open_lanes = [await _open(clients, source, lane, targets, receipts) for lane in range(lanes)]
    wall, cpu = time.perf_counter(), time.process_time()
    totals = await asyncio.gather(*(_lane(opened, targets, receipts, shape, per_transaction) for opened in open_lanes))
    total = sum(totals)
    run = Run(total, time.perf_counter() - wall, time.process_time() - cpu)
    for consumer, producer, *_ in open_lanes:
        await consumer.stop()
        await producer.stop()
    return run


async def _open(
    clients: KafkaClients, source: str, lane: int, targets: Sequence[str], receipts: str
) -> tuple[Any, Any, TopicPartition, int]:
    target = TopicPartition(source, lane)
    consumer = clients.consumer("bench-copy")
    await consumer.start()
    consumer.assign([target])
    await consumer.seek_to_beginning(target)
    end = (await consumer.end_offsets([target]))[target]
    producer = clients.transactional_producer(f"bench-copy-{lane}")
    await producer.start()
    await know_topics(producer, [*targets, receipts])
    return consumer, producer, target, end


async def _lane(
    opened: tuple[Any, Any, TopicPartition, int],
    targets: Sequence[str],
    receipts: str,
    shape: Shape,
    per_transaction: int,
) -> int:
    consumer, producer, target, end = opened
    done, owed_deliveries, owed_receipts, turn = 0, 0.0, 0.0, target.partition % len(targets)
    while await consumer.position(target) < end:
        messages: list[Any] = []
        while len(messages) < per_transaction and await consumer.position(target) < end:
            left = per_transaction - len(messages)
            polled = await consumer.getmany(target, timeout_ms=500, max_records=left)
            messages += polled.get(target, ())
        if not messages:
            continue
        outputs: dict[TopicPartition, list[Row]] = {}
        for message in messages:
            owed_deliveries += shape.deliveries
            owed_receipts += shape.receipts
            while owed_deliveries >= 1:
                owed_deliveries -= 1
                outputs.setdefault(TopicPartition(targets[turn], 0), []).append((message.key, *shape.delivery[1:]))
                turn = (turn + 1) % len(targets)
            if owed_receipts >= 1:
                owed_receipts -= 1
                outputs.setdefault(TopicPartition(receipts, target.partition), []).append(
                    (message.key, *shape.receipt[1:])
                )
        await _commit(producer, outputs, target, messages)
        done += len(messages)
    return done


async def _commit(
    producer: Any, outputs: dict[TopicPartition, list[Row]], source: TopicPartition, messages: Sequence[Any]
) -> None:
    now = messages[-1].timestamp
    await producer.begin_transaction()
    sent = []
    for target, rows in outputs.items():
        sent += await send_rows(producer, target.topic, target.partition, rows, timestamp_ms=now)
    await asyncio.gather(*sent)
    await producer.send_offsets_to_transaction({source: messages[-1].offset + 1}, "bench-copy")
    await producer.commit_transaction()
