"""What exactly-once stands on: transactions through SCRAM, with explicit batches, seen by read_committed readers."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import MessageSizeTooLargeError, NoOffsetForPartitionError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from confluent_kafka import Producer

from broker.batches import send_rows
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaAccess, KafkaClients, know_topics
from broker.kafka.transactions import TransactionalProducer
from broker.testing import wait_until

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> str:
    name = unique("records")
    await kafka_admin.ensure_topics([TopicSpec(name, 1)])
    return name


@pytest.fixture
async def producer(kafka_clients: KafkaClients, unique: Callable[[str], str]) -> AsyncIterator[TransactionalProducer]:
    made = kafka_clients.transactional_producer(unique("txn"))
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def reader(kafka_clients: KafkaClients, topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    made = kafka_clients.consumer()
    await made.start()
    made.assign([TopicPartition(topic, 0)])
    await made.seek_to_beginning()
    yield made
    await made.stop()


def batch_of(producer: TransactionalProducer, *values: bytes) -> object:
    batch = producer.create_batch()
    for value in values:
        assert batch.append(key=b"k", value=value, timestamp=1_700_000_000_000, headers=[("ce_id", b"1")]) is not None
    return batch


async def send(producer: TransactionalProducer, topic: str, *values: bytes) -> None:
    await producer.write({TopicPartition(topic, 0): [batch_of(producer, *values)]})


async def test_a_committed_batch_is_read_whole_and_in_order(
    producer: TransactionalProducer, reader: AIOKafkaConsumer, topic: str
) -> None:
    await producer.begin_transaction()
    await send(producer, topic, b"1", b"2")
    await send(producer, topic, b"3")
    await producer.commit_transaction()
    read = [await reader.getone() for _ in range(3)]
    assert [record.value for record in read] == [b"1", b"2", b"3"]
    assert read[0].headers == (("ce_id", b"1"),)


async def test_an_aborted_batch_is_never_read(
    producer: TransactionalProducer, reader: AIOKafkaConsumer, topic: str
) -> None:
    await producer.begin_transaction()
    await send(producer, topic, b"aborted")
    await producer.abort_transaction()
    await producer.begin_transaction()
    await send(producer, topic, b"committed")
    await producer.commit_transaction()
    assert (await reader.getone()).value == b"committed"


async def test_a_successor_fences_the_owner_and_ends_its_open_transaction(
    kafka_clients: KafkaClients, reader: AIOKafkaConsumer, topic: str, unique: Callable[[str], str]
) -> None:
    name = unique("lane")
    owner, successor = (kafka_clients.transactional_producer(name) for _ in range(2))
    await owner.start()
    try:
        await owner.begin_transaction()
        await send(owner, topic, b"of the owner")
        await successor.start()
        with pytest.raises(ProducerFenced):
            await owner.commit_transaction()
        await successor.begin_transaction()
        await send(successor, topic, b"of the successor")
        await successor.commit_transaction()
        assert (await reader.getone()).value == b"of the successor"
    finally:
        await successor.stop()
        await owner.stop()


async def test_an_owner_that_is_fenced_between_two_batches_is_told_so(
    kafka_clients: KafkaClients, topic: str, unique: Callable[[str], str]
) -> None:
    name = unique("lane")
    owner = kafka_clients.transactional_producer(name)
    await owner.start()
    try:
        await owner.begin_transaction()
        async with kafka_clients.transactional_producer(name):
            [first] = await send_rows(owner, topic, 0, [(b"k", b"1", [])], timestamp_ms=0)
            with pytest.raises(ProducerFenced):
                await first
            with pytest.raises(ProducerFenced):
                await send_rows(owner, topic, 0, [(b"k", b"2", [])], timestamp_ms=0)
    finally:
        await owner.stop()


async def test_offsets_are_committed_with_the_records(
    kafka_clients: KafkaClients, producer: TransactionalProducer, topic: str, unique: Callable[[str], str]
) -> None:
    group, position = unique("group"), TopicPartition(topic, 0)
    await producer.begin_transaction()
    await send(producer, topic, b"1")
    await producer.send_offsets_to_transaction({position: OffsetAndMetadata(7, "epoch")}, group)
    await producer.commit_transaction()
    consumer = kafka_clients.consumer(group)
    await consumer.start()
    try:
        consumer.assign([position])

        async def shown() -> bool:  # a transaction's positions show after its answer came
            return bool(await consumer.committed(position) == 7)

        await wait_until(shown)
    finally:
        await consumer.stop()


async def test_a_reader_without_a_position_raises_instead_of_skipping(
    kafka_clients: KafkaClients, topic: str, unique: Callable[[str], str]
) -> None:
    consumer = kafka_clients.consumer(unique("group"))
    await consumer.start()
    try:
        consumer.assign([TopicPartition(topic, 0)])
        with pytest.raises(NoOffsetForPartitionError):
            await consumer.getone()
    finally:
        await consumer.stop()


async def test_known_topics_need_no_further_metadata(
    kafka_admin: KafkaAdmin, producer: TransactionalProducer, unique: Callable[[str], str]
) -> None:
    names = [unique("many") for _ in range(20)]
    await kafka_admin.ensure_topics([TopicSpec(name) for name in names])
    await know_topics(producer, names)
    assert all(producer.client.cluster.partitions_for_topic(name) == {0} for name in names)


async def test_a_topic_made_after_it_was_asked_for_is_found(
    kafka_admin: KafkaAdmin, producer: TransactionalProducer, unique: Callable[[str], str]
) -> None:
    name = unique("late")
    await know_topics(producer, [name])
    await kafka_admin.ensure_topics([TopicSpec(name)])
    await know_topics(producer, [name])
    assert producer.client.cluster.partitions_for_topic(name) == {0}


async def test_a_record_of_20_mb_is_refused_by_our_client(producer: TransactionalProducer, topic: str) -> None:
    await producer.begin_transaction()
    with pytest.raises(MessageSizeTooLargeError):
        await producer.send(topic, b"x" * 20_000_000, partition=0)
    await producer.abort_transaction()


async def test_a_record_of_20_mb_is_refused_by_kafka(kafka: KafkaAccess, topic: str) -> None:
    hostile = Producer({**kafka.for_librdkafka(), "message.max.bytes": 30_000_000, "compression.type": "none"})
    outcome: list[str] = []
    hostile.produce(topic, b"x" * 20_000_000, partition=0, on_delivery=lambda error, _: outcome.append(error.name()))
    await asyncio.to_thread(hostile.flush, 20)
    assert outcome == ["MSG_SIZE_TOO_LARGE"]


async def test_a_fenced_producer_that_was_stopped_has_no_last_word(
    kafka_clients: KafkaClients, topic: str, unique: Callable[[str], str]
) -> None:
    loop, heard = asyncio.get_running_loop(), []
    usual = loop.get_exception_handler()
    loop.set_exception_handler(lambda _loop, context: heard.append(context["message"]))
    try:
        name = unique("txn")
        victim = kafka_clients.transactional_producer(name)
        await victim.start()
        await victim.begin_transaction()
        async with kafka_clients.transactional_producer(name):
            with pytest.raises(ProducerFenced):
                await victim.send_and_wait(topic, b"late", partition=0)
        await victim.stop()
        del victim
        gc.collect()
    finally:
        loop.set_exception_handler(usual)
    assert heard == []
