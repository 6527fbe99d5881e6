"""How topics stand, on a real Kafka: markers are not records, barriers not deliveries, and who waits is dated."""

import time
from collections.abc import Callable

import pytest
from aiokafka.structs import TopicPartition

from broker.delivery.looks import Looks, Progress
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.model import topics
from broker.testing import wait_until

Unique = Callable[[str], str]


async def served() -> list[int]:
    return [0]


@pytest.fixture
async def looks(kafka_clients: KafkaClients) -> Looks:
    return Looks(kafka_clients, 2, served)


async def write(clients: KafkaClients, unique: Unique, topic: str, lane: int, *rows: tuple[bytes, int]) -> None:
    """Keys and instants, in one transaction; returns once readers see its end."""
    async with clients.transactional_producer(unique("writer")) as producer, producer.transaction():
        sent = [
            await producer.send(topic, b"value", key=key, partition=lane, timestamp_ms=at_ms) for key, at_ms in rows
        ]
    target, last = TopicPartition(topic, lane), (await sent[-1]).offset
    async with clients.consumer(None) as consumer:

        async def seen() -> bool:
            return bool((await consumer.end_offsets([target]))[target] > last + 1)  # its marker too

        await wait_until(seen, timeout=60)


async def test_a_delivery_topic_is_counted_by_its_subjects(
    kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, looks: Looks, unique: Unique
) -> None:
    topic, now = topics.delivery("stad-gent", unique("looks")), time.time_ns() // 1_000_000 // 1000 * 1000
    await kafka_admin.ensure_topics([TopicSpec(topic)])
    assert (await looks.ends(topic)).last_delivery_ms is None
    await write(kafka_clients, unique, topic, 0, (b"a", now - 9000), (b"b", now - 9000), (b"a", now - 2000))
    await write(kafka_clients, unique, topic, 0, (b"barrier/0", now))
    held = await looks.held(topic, now - 1500)  # deliveries state whole seconds: 2,000 ms ago is that second
    assert (held.records, held.subjects, held.records_since, held.subjects_since) == (3, 2, 1, 1)
    assert (held.removed, held.whole) == (0, True)
    ends = await looks.ends(topic)
    assert (ends.first, ends.end, ends.committed, ends.last_delivery_ms) == (0, 6, None, now - 2000)
    await kafka_clients.commit_offsets(topic, {(topic, 0): 3})
    await kafka_admin.delete_records(topic, 0, 2)
    assert (await looks.ends(topic)).committed == 3
    assert ((await looks.held(topic, 0)).removed, (await looks.held(topic, 0)).records) == (2, 1)


async def test_a_source_is_decided_up_to_its_oldest_waiting_record(
    kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, looks: Looks, unique: Unique
) -> None:
    topic, now = topics.source(unique("bron"), "persoon.v1"), time.time_ns() // 1_000_000
    await kafka_admin.ensure_topics([TopicSpec(topic, 2)])
    assert await looks.progress(topic) == Progress(None, None, (1,))
    await write(kafka_clients, unique, topic, 0, (b"a", now - 5000), (b"b", now - 4000))
    await write(kafka_clients, unique, topic, 1, (b"c", now - 3000))
    assert await looks.progress(topic) == Progress(now - 5000, now - 3000, (1,))
    await kafka_clients.commit_offsets(topics.ROUTER_GROUP, {(topic, 0): 2, (topic, 1): 0})
    assert await looks.progress(topic) == Progress(now - 3000, now - 3000, (1,), {0: (2, ""), 1: (0, "")})
    await kafka_clients.commit_offsets(topics.ROUTER_GROUP, {(topic, 0): 2, (topic, 1): 1})  # only markers follow
    assert await looks.progress(topic) == Progress(None, now - 3000, (1,), {0: (2, ""), 1: (1, "")})
