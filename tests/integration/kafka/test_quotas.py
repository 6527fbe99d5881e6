"""Quotas of Kafka users: set, seen, replaced and removed; who reads beyond one is answered later, another is not."""

import asyncio
import time
from collections.abc import Callable

import pytest
from confluent_kafka import Consumer, TopicPartition

from broker.errors import ConfigError, Forbidden, KafkaUnavailable
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaAccess, KafkaClients

Unique = Callable[[str], str]

pytestmark = pytest.mark.timeout(240)

_PIECE = 100_000
_PIECES = 8
_QUOTA = {"consumer_byte_rate": 50_000.0}
"""Kafka counts over eleven windows of a second: what may be read within them passes at once, and the topic holds more."""


async def test_a_quota_stands_is_replaced_and_goes(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    one, other = f"{unique('org')}~1", f"{unique('org')}~2"
    await kafka_admin.limit_user(one, {"consumer_byte_rate": 1e7, "request_percentage": 12.5})
    await kafka_admin.limit_user(other, {"consumer_byte_rate": 5.0})
    found = await kafka_admin.limited_users()
    assert (found[one], found[other]) == (
        {"consumer_byte_rate": 1e7, "request_percentage": 12.5},
        {"consumer_byte_rate": 5.0},
    )
    await kafka_admin.limit_user(one, {"request_percentage": 50.0})
    assert (await kafka_admin.limited_users())[one] == {"request_percentage": 50.0}
    for _ in range(2):
        await kafka_admin.limit_user(one, {})
    found = await kafka_admin.limited_users()
    assert one not in found
    assert found[other] == {"consumer_byte_rate": 5.0}


async def test_what_kafka_refuses_is_told(kafka: KafkaAccess, kafka_admin: KafkaAdmin, unique: Unique) -> None:
    name = unique("org")
    await kafka_admin.ensure_scram_user(name, "p")
    agency = KafkaAdmin(kafka.as_user(name, "p"))
    with pytest.raises(Forbidden):
        await agency.limit_user(name, {"consumer_byte_rate": 1e12})
    with pytest.raises(Forbidden):
        await KafkaAdmin(kafka.as_user(name, "another")).limited_users()
    with pytest.raises(ConfigError):
        await kafka_admin.limit_user(name, {"consumer_byte_rate": -1.0})
    with pytest.raises(KafkaUnavailable):
        await KafkaAdmin(KafkaAccess("127.0.0.1:1", "broker", "p"), timeout_s=2).limited_users()


async def throttled(access: KafkaAccess, topic: str) -> list[float]:
    """Seconds that Kafka kept a stock reader of everything in the topic waiting, as it tells in its answers."""

    def read() -> list[float]:
        told: list[float] = []
        consumer = Consumer(
            {
                **access.for_librdkafka(),
                "group.id": topic,
                "enable.auto.commit": False,
                "log_level": 0,
                "throttle_cb": lambda event: told.append(event.throttle_time),
            }
        )
        try:
            consumer.assign([TopicPartition(topic, 0, 0)])
            found, deadline = 0, time.monotonic() + 120
            while found < _PIECES:
                message = consumer.poll(1.0)
                found += message is not None and message.error() is None
                assert time.monotonic() < deadline
            consumer.poll(2.0)  # what Kafka told meanwhile is handed over by a poll
        finally:
            consumer.close()
        return [seconds for seconds in told if seconds > 0]

    return await asyncio.to_thread(read)


async def test_who_reads_beyond_its_quota_is_answered_later_and_another_is_not(
    kafka: KafkaAccess, kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, unique: Unique
) -> None:
    topic, bound, free = unique("delivery"), unique("org"), unique("org")
    await kafka_admin.ensure_topics([TopicSpec(topic)])
    async with kafka_clients.producer() as producer:
        for _ in range(_PIECES):
            await producer.send_and_wait(topic, bytes(_PIECE), partition=0)
    for name in (bound, free):
        await kafka_admin.ensure_scram_user(name, "p")
        await kafka_admin.allow_read_topic(name, topic, topic)
    await kafka_admin.limit_user(bound, _QUOTA)
    late, at_once = await asyncio.gather(*(throttled(kafka.as_user(name, "p"), topic) for name in (bound, free)))
    assert late
    assert not at_once
