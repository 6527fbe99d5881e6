"""Reading delivery topics and receipts from a real Kafka: positions, markers, retention, few connections."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from broker.delivery.pull import DeliveryReader
from broker.delivery.trail import ReceiptTrail
from broker.errors import Invalid, PositionExpired
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.model import receipt, topics
from broker.model.decision import Kind, Reason
from broker.model.record import wire_header

ROOT = Path(__file__).parents[3]
Write = Callable[..., Any]


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> str:
    name = topics.delivery("gent-parkeren", unique("pull"))
    await kafka_admin.ensure_topics([TopicSpec(name)])
    return name


@pytest.fixture
async def write(kafka_clients: KafkaClients, unique: Callable[[str], str]) -> AsyncIterator[Write]:
    """Write values to a topic in one transaction, which commits unless told otherwise."""
    producer = kafka_clients.transactional_producer(unique("writer"))
    await producer.start()

    async def transaction(topic: str, *values: bytes, commit: bool = True) -> None:
        await producer.begin_transaction()
        for value in values:
            await producer.send(topic, value, partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())

    yield transaction
    await producer.stop()


@pytest.fixture
async def reader(kafka_clients: KafkaClients) -> AsyncIterator[DeliveryReader]:
    made = DeliveryReader(lambda: kafka_clients.consumer(None), most_open=2)
    yield made
    await made.close()


async def test_pages_hold_committed_records_only_and_end_behind_every_marker(
    reader: DeliveryReader, write: Write, topic: str, kafka_admin: KafkaAdmin
) -> None:
    await write(topic, b"a", b"b")
    await write(topic, b"lost", commit=False)
    await write(topic, b"c")
    seen, position = [], None
    for _ in range(4):
        page = await reader.read(topic, position, limit=2, wait_s=1)
        seen += [message.value for message in page.messages]
        position = page.position
    assert seen == [b"a", b"b", b"c"]
    end = (await kafka_admin.end_offsets(topic))[0]
    assert position == end
    await kafka_admin.delete_records(topic, 0, end)
    assert (await reader.read(topic, position, limit=2)).messages == ()


async def test_any_earlier_position_can_be_read_again(reader: DeliveryReader, write: Write, topic: str) -> None:
    await write(topic, *(b"%d" % number for number in range(5)))
    whole = (await reader.read(topic, None, limit=10, wait_s=2)).messages
    assert [message.value for message in whole] == [b"0", b"1", b"2", b"3", b"4"]
    again = await reader.read(topic, whole[2].offset, limit=2, wait_s=2)
    assert [message.value for message in again.messages] == [b"2", b"3"]


async def test_positions_outside_the_log_are_told_apart(
    reader: DeliveryReader, write: Write, topic: str, kafka_admin: KafkaAdmin
) -> None:
    await write(topic, b"a", b"b", b"c")
    await kafka_admin.delete_records(topic, 0, 2)
    with pytest.raises(PositionExpired):
        await reader.read(topic, 1, limit=10)
    with pytest.raises(Invalid):
        await reader.read(topic, 1_000_000, limit=10, wait_s=1)
    assert [message.value for message in (await reader.read(topic, None, limit=10, wait_s=2)).messages] == [b"c"]


async def test_a_waiting_reader_gets_a_record_when_it_is_committed(
    reader: DeliveryReader, write: Write, topic: str
) -> None:
    waiting = asyncio.create_task(reader.read(topic, None, limit=10, wait_s=20))
    await asyncio.wait([waiting], timeout=0.7)
    assert not waiting.done()
    began = time.monotonic()
    await write(topic, b"a")
    assert [message.value for message in (await waiting).messages] == [b"a"]
    assert time.monotonic() - began < 2


async def test_more_readers_than_connections_each_get_their_own_stream(
    reader: DeliveryReader, write: Write, kafka_admin: KafkaAdmin, unique: Callable[[str], str]
) -> None:
    names = [topics.delivery("gent-parkeren", unique("shared")) for _ in range(5)]
    await kafka_admin.ensure_topics([TopicSpec(name) for name in names])
    for name in names:
        await write(name, name.encode())
    pages = await asyncio.gather(*(reader.read(name, None, limit=5, wait_s=10) for name in names * 3))
    assert [[message.value for message in page.messages] for page in pages] == [[name.encode()] for name in names * 3]


async def test_a_record_is_found_by_trace_and_by_delivery_but_never_its_subject(
    kafka_clients: KafkaClients, kafka_admin: KafkaAdmin
) -> None:
    schema = (ROOT / "schemas" / "receipt.v1.avsc").read_text()
    await kafka_admin.ensure_topics([TopicSpec(topics.RECEIPTS, 8)])
    trace, delivery, subject = b"\x41" * 16, b"\x42" * 16, b"\x43" * 16
    at = receipt.Coordinates("source.rijksregister.persoon.v1", 3, 21, 5, 1_700_000_000_123)
    leaves = [
        receipt.released("parkeren", 2, Kind.LEFT_POPULATION) + delivery,
        receipt.withheld("jeugd", 1, Reason.SUSPENDED, Kind.CHANGED),
    ]
    value = receipt.receipt(receipt.prefix(wire_header(1), at), 77, subject, trace, leaves)
    producer = kafka_clients.producer()
    await producer.start()
    await producer.send_and_wait(topics.RECEIPTS, value, partition=0)
    await producer.stop()
    trail = ReceiptTrail(lambda: kafka_clients.consumer(None), schema, lanes=8)
    for identifier in (trace, delivery):
        (found,) = await trail.find(identifier)
        assert (found.lane, found.offset, found.epoch, found.decided_at_ms) == (3, 77, 21, 1_700_000_000_123)
        assert found.trace == trace.hex()
        released, withheld = found.decisions
        assert (released.kind, released.delivery) == ("left-population", delivery.hex())
        assert (withheld.outcome, withheld.reason, withheld.delivery) == ("withhold", "SUSPENDED", None)
        assert subject.hex() not in repr(found)
    assert await trail.find(subject) == ()


async def test_a_first_read_that_does_not_wait_still_finds_what_is_there(
    kafka_clients: KafkaClients, write: Write, topic: str
) -> None:
    await write(topic, *(b"%d" % number for number in range(3)))
    for _ in range(5):
        cold = DeliveryReader(lambda: kafka_clients.consumer(None))
        try:
            assert len((await cold.read(topic, None, limit=10)).messages) == 3
        finally:
            await cold.close()
