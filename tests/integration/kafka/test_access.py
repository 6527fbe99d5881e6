"""Who may do what on Kafka: SCRAM users, ACLs, and refusal of everyone else."""

import asyncio
from collections.abc import Callable

import pytest
from aiokafka.errors import TopicAuthorizationFailedError, TransactionalIdAuthorizationFailed
from aiokafka.structs import TopicPartition
from confluent_kafka import Consumer

from broker.errors import Forbidden, Unauthenticated
from broker.kafka.admin import Grant, KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaAccess, KafkaClients, probe
from broker.testing import wait_until

Unique = Callable[[str], str]
REFUSED = {"TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"}


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, unique: Unique) -> str:
    """A topic of one record."""
    name = unique("delivery")
    await kafka_admin.ensure_topics([TopicSpec(name)])
    async with kafka_clients.producer() as producer:
        await producer.send_and_wait(name, b"record", partition=0)
    return name


@pytest.fixture
async def agency(kafka: KafkaAccess, kafka_admin: KafkaAdmin, unique: Unique) -> KafkaAccess:
    """A principal without any ACL."""
    name = unique("org")
    await kafka_admin.ensure_scram_user(name, "p-of-the-agency")
    return kafka.as_user(name, "p-of-the-agency")


async def first_record(access: KafkaAccess, topic: str, group: str) -> bytes | None:
    async with KafkaClients(access).consumer(group) as consumer:
        target = TopicPartition(topic, 0)
        consumer.assign([target])
        consumer.seek(target, 0)
        value: bytes | None = (await asyncio.wait_for(consumer.getone(), 10)).value
        return value


async def refusal_of_reading(access: KafkaAccess, topic: str, group: str) -> str:
    """The name of the error that a stock client gets instead of a record."""
    consumer = Consumer({**access.for_librdkafka(), "group.id": group, "auto.offset.reset": "earliest", "log_level": 0})
    try:
        consumer.subscribe([topic])
        message = await asyncio.to_thread(consumer.poll, 10.0)
        assert message is not None
        assert message.error() is not None
        return str(message.error().name())
    finally:
        await asyncio.to_thread(consumer.close)


async def test_right_password_is_accepted(agency: KafkaAccess) -> None:
    await probe(agency)


async def test_a_new_user_can_log_in_at_once(kafka: KafkaAccess, kafka_admin: KafkaAdmin, unique: Unique) -> None:
    for name in (unique("org") for _ in range(10)):
        await kafka_admin.ensure_scram_user(name, "p")
        await probe(kafka.as_user(name, "p"))


async def test_wrong_password_is_refused(agency: KafkaAccess) -> None:
    with pytest.raises(Unauthenticated):
        await probe(agency.as_user(agency.username, "another"))


async def test_unknown_user_is_refused(kafka: KafkaAccess) -> None:
    with pytest.raises(Unauthenticated):
        await probe(kafka.as_user("nobody", "p"))


async def test_deleted_user_is_refused(kafka_admin: KafkaAdmin, agency: KafkaAccess) -> None:
    await kafka_admin.delete_scram_user(agency.username)
    await kafka_admin.delete_scram_user(agency.username)
    with pytest.raises(Unauthenticated):
        await probe(agency)


async def test_a_foreign_principal_cannot_read(agency: KafkaAccess, topic: str, unique: Unique) -> None:
    assert await refusal_of_reading(agency, topic, unique("group")) in REFUSED


async def test_a_granted_principal_reads_its_topic_only(
    kafka_admin: KafkaAdmin, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    group, longer = unique("group"), f"{topic}-longer"
    await kafka_admin.ensure_topics([TopicSpec(longer)])
    await kafka_admin.allow_read_topic(agency.username, topic, group)
    assert await first_record(agency, topic, group) == b"record"
    assert await refusal_of_reading(agency, longer, group) == "TOPIC_AUTHORIZATION_FAILED"


async def test_a_reader_cannot_write_or_take_a_transactional_id(
    kafka_admin: KafkaAdmin, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    await kafka_admin.allow_read_topic(agency.username, topic, unique("group"))
    fencing = KafkaClients(agency).transactional_producer("lane-0")
    with pytest.raises(TransactionalIdAuthorizationFailed):
        await fencing.start()
    await fencing.stop()


async def test_a_source_writes_in_transactions_and_cannot_read(
    kafka_admin: KafkaAdmin, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    transactional_id = unique("adapter")
    await kafka_admin.allow_write_topic(agency.username, topic, transactional_id)
    async with KafkaClients(agency).transactional_producer(transactional_id) as producer, producer.transaction():
        await producer.send_and_wait(topic, b"published", partition=0)
    assert await refusal_of_reading(agency, topic, unique("group")) in REFUSED


async def test_removed_access_ends_reading(
    kafka_admin: KafkaAdmin, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    group = unique("group")
    await kafka_admin.allow_read_topic(agency.username, topic, group)
    assert await kafka_admin.grants(principal=agency.username, topic=topic) == [
        Grant(agency.username, "topic", topic, "describe"),
        Grant(agency.username, "topic", topic, "read"),
    ]
    await kafka_admin.remove_access(agency.username, topic)
    await kafka_admin.remove_access(agency.username, topic)
    assert await kafka_admin.grants(principal=agency.username) == [Grant(agency.username, "group", group, "read")]
    assert await refusal_of_reading(agency, topic, group) == "TOPIC_AUTHORIZATION_FAILED"


async def test_a_user_that_is_taken_away_leaves_no_right_and_no_other_user_behind(
    kafka_admin: KafkaAdmin, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    group, other = unique("group"), f"{agency.username}~2"
    await kafka_admin.ensure_scram_user(other, "another password")
    for user in (agency.username, other):
        await kafka_admin.allow_read_topic(user, topic, group)
    assert {agency.username, other} <= await kafka_admin.scram_users()
    assert await first_record(agency.as_user(other, "another password"), topic, group) == b"record"
    for _ in range(2):
        await kafka_admin.remove_user_access(other)
        await kafka_admin.delete_scram_user(other)
    assert await kafka_admin.grants(principal=other) == []
    assert other not in await kafka_admin.scram_users()
    assert await first_record(agency, topic, group) == b"record"
    await kafka_admin.remove_access(None, topic)
    assert await kafka_admin.grants(topic=topic) == []


async def test_the_partitions_that_a_group_holds_are_told(
    kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, topic: str, unique: Unique
) -> None:
    group = unique("members")
    assert await kafka_admin.held_partitions(group) == frozenset()
    async with kafka_clients.member(group) as member:
        member.subscribe([topic])
        await asyncio.wait_for(member.getmany(timeout_ms=5000), 60)

        async def held() -> bool:
            return await kafka_admin.held_partitions(group) == {0}

        await wait_until(held, timeout=60)


async def test_removed_access_ends_a_reader_that_is_connected(
    kafka_admin: KafkaAdmin, kafka_clients: KafkaClients, agency: KafkaAccess, topic: str, unique: Unique
) -> None:
    group, target = unique("group"), TopicPartition(topic, 0)
    await kafka_admin.allow_read_topic(agency.username, topic, group)
    async with KafkaClients(agency).consumer(group) as consumer, kafka_clients.producer() as producer:
        consumer.assign([target])
        consumer.seek(target, 0)
        await consumer.getone()
        await kafka_admin.remove_access(agency.username, topic)
        await producer.send_and_wait(topic, b"after", partition=0)
        with pytest.raises(TopicAuthorizationFailedError):
            await asyncio.wait_for(consumer.getone(), 10)


async def test_administration_is_refused_to_an_agency(agency: KafkaAccess, unique: Unique) -> None:
    with pytest.raises(Forbidden):
        await KafkaAdmin(agency).ensure_topics([TopicSpec(unique("t"))])
