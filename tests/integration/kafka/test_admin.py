"""Topics, positions and records, administered twice without harm."""

import socket
from collections.abc import Callable

import pytest
from aiokafka.structs import TopicPartition

from broker.errors import ConfigError, Forbidden, KafkaUnavailable, NotFound
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaAccess, KafkaClients, probe

Unique = Callable[[str], str]


async def test_a_topic_is_made_once(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    spec = TopicSpec(unique("t"), 3, {"cleanup.policy": "compact"})
    assert not await kafka_admin.topic_exists(spec.name)
    assert await kafka_admin.ensure_topics([spec]) == [spec.name]
    assert await kafka_admin.ensure_topics([spec]) == []
    assert await kafka_admin.topic_exists(spec.name)
    assert await kafka_admin.end_offsets(spec.name) == {0: 0, 1: 0, 2: 0}


async def test_no_topics_are_fine(kafka_admin: KafkaAdmin) -> None:
    assert await kafka_admin.ensure_topics([]) == []


async def test_a_lane_count_never_changes_silently(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    name = unique("t")
    await kafka_admin.ensure_topics([TopicSpec(name, 2)])
    with pytest.raises(ConfigError, match=name):
        await kafka_admin.ensure_topics([TopicSpec(name, 3)])


async def test_a_setting_that_kafka_does_not_know_is_refused_for_good(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    with pytest.raises(ConfigError):
        await kafka_admin.ensure_topics([TopicSpec(unique("t"), 1, {"retention.ms": "often"})])


async def test_a_deleted_topic_is_gone(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    name = unique("t")
    await kafka_admin.ensure_topics([TopicSpec(name)])
    await kafka_admin.delete_topics([name])
    await kafka_admin.delete_topics([name])
    assert name not in await kafka_admin.topics()
    with pytest.raises(NotFound):
        await kafka_admin.end_offsets(name)


async def test_deleted_records_cannot_be_read(
    kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, unique: Unique
) -> None:
    name = unique("t")
    target = TopicPartition(name, 0)
    await kafka_admin.ensure_topics([TopicSpec(name)])
    async with kafka_clients.producer() as producer:
        for value in (b"1", b"2", b"3"):
            await producer.send_and_wait(name, value, partition=0)
    await kafka_admin.delete_records(name, 0, 2)
    async with kafka_clients.consumer() as consumer:
        consumer.assign([target])
        assert await consumer.beginning_offsets([target]) == {target: 2}
        await consumer.seek_to_beginning(target)
        assert (await consumer.getone()).value == b"3"


async def test_positions_are_set_before_anyone_reads(
    kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, unique: Unique
) -> None:
    name, group = unique("t"), unique("group")
    await kafka_admin.ensure_topics([TopicSpec(name, 2)])
    await kafka_clients.commit_offsets(group, {(name, 0): 0, (name, 1): 0})
    async with kafka_clients.consumer(group) as consumer:
        assert [await consumer.committed(TopicPartition(name, lane)) for lane in (0, 1)] == [0, 0]


async def test_topic_settings_change_one_by_one(kafka_admin: KafkaAdmin, unique: Unique) -> None:
    name = unique("t")
    await kafka_admin.ensure_topics([TopicSpec(name)])
    await kafka_admin.configure(name, {"retention.ms": "1000"})
    with pytest.raises(ConfigError):
        await kafka_admin.configure(name, {"retention.ms": "soon"})


async def test_no_kafka_is_unavailable_within_the_timeout(kafka: KafkaAccess) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        nowhere = KafkaAccess(f"127.0.0.1:{silent.getsockname()[1]}", kafka.username, kafka.password)
        with pytest.raises(KafkaUnavailable):
            await KafkaAdmin(nowhere, timeout_s=1).topics()
        with pytest.raises(KafkaUnavailable):
            await probe(nowhere, timeout_s=1)


async def test_wrong_credentials_are_not_mistaken_for_trouble(kafka: KafkaAccess) -> None:
    with pytest.raises((Forbidden, KafkaUnavailable)):
        await KafkaAdmin(kafka.as_user("nobody", "p"), timeout_s=3).topics()
