"""The floor under the router's latency, in a process of its own: a raw transactional hop that looks at nothing.

One producer per lane, as the router has; from each record one output of the same size and with as many headers to one
of as many topics, and one receipt; offsets in the same transaction. It commits whatever a fetch gave.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aiokafka.structs import TopicPartition

from bench.child import become
from broker.batches import Row, send_rows
from broker.cli.router import collect_rarely
from broker.kafka.clients import KafkaClients, know_topics
from broker.model.record import Headers

GROUP = "bench-hop"
_POLL_MS, _MOST = 250, 1_000


def row_as_json(record: Any) -> Mapping[str, Any]:
    """What the hop needs to know of a record that it imitates."""
    return {
        "value": (record.value or b"").hex(),
        "headers": [[name, value.hex()] for name, value in record.headers],
    }


def identifier(lane: int, offset: int) -> str:
    """Delivery id of the hop: as long as the router's."""
    return f"{lane:016x}{offset:016x}"


async def hop(clients: KafkaClients, told: Mapping[str, Any], ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Copy from the end of `source` until stopped."""
    collect_rarely()
    lanes = [await _open(clients, told, lane) for lane in range(told["lanes"])]
    ready()
    async with asyncio.TaskGroup() as group:
        for consumer, producer, target in lanes:
            group.create_task(_keep(consumer, producer, target, told, stop))
    for consumer, producer, _ in lanes:
        await consumer.stop()
        await producer.stop()


async def _open(clients: KafkaClients, told: Mapping[str, Any], lane: int) -> tuple[Any, Any, TopicPartition]:
    target = TopicPartition(told["source"], lane)
    producer = clients.transactional_producer(f"{GROUP}-{lane}")
    await producer.start()
    await know_topics(producer, [*told["targets"], told["receipts"]])
    consumer = clients.consumer(GROUP)
    await consumer.start()
    consumer.assign([target])
    await consumer.seek_to_end(target)
    return consumer, producer, target


async def _keep(
    consumer: Any, producer: Any, target: TopicPartition, told: Mapping[str, Any], stop: asyncio.Event
) -> None:
    targets: Sequence[str] = told["targets"]
    value, headers = _template(told["delivery"])
    receipt = _template(told["receipt"])
    place = next(index for index, (name, _) in enumerate(headers) if name == "ce_id")
    while not stop.is_set():
        polled = await consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_MOST)
        messages = polled.get(target, [])
        if not messages:
            continue
        outputs: dict[TopicPartition, list[Row]] = {}
        for message in messages:
            own = list(headers)
            own[place] = "ce_id", identifier(target.partition, message.offset).encode()
            chosen = TopicPartition(targets[int(message.key[8:16], 16) % len(targets)], 0)
            outputs.setdefault(chosen, []).append((message.key, value, own))
        outputs[TopicPartition(told["receipts"], target.partition)] = [(each.key, *receipt) for each in messages]
        await producer.begin_transaction()
        sent = []
        for chosen, rows in outputs.items():
            sent += await send_rows(producer, chosen.topic, chosen.partition, rows, timestamp_ms=messages[-1].timestamp)
        await asyncio.gather(*sent)
        await producer.send_offsets_to_transaction({target: messages[-1].offset + 1}, GROUP)
        await producer.commit_transaction()


def _template(held: Mapping[str, Any]) -> tuple[bytes, Headers]:
    return bytes.fromhex(held["value"]), [(name, bytes.fromhex(value)) for name, value in held["headers"]]


if __name__ == "__main__":
    become(hop)
