"""Pages over a real topic: what transactions, aborts and retention leave of a range of offsets."""

from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from broker.delivery.ldes import find, first_retained, stretch
from broker.delivery.pull import DeliveryReader
from broker.delivery.tree import OFFSETS
from broker.errors import NotFound, PositionExpired
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.model import topics
from broker.testing import wait_until


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> str:
    name = topics.delivery("gent-parkeren", unique("pages"))
    await kafka_admin.ensure_topics([TopicSpec(name)])
    return name


@pytest.fixture
async def reader(kafka_clients: KafkaClients) -> AsyncIterator[DeliveryReader]:
    made = DeliveryReader(lambda: kafka_clients.consumer(None))
    yield made
    await made.close()


async def test_a_page_is_its_offsets_whatever_lies_in_them(
    topic: str, reader: DeliveryReader, kafka_clients: KafkaClients, kafka_admin: KafkaAdmin
) -> None:
    producer = kafka_clients.transactional_producer(f"writer-{topic}")
    await producer.start()

    async def transaction(count: int, *, commit: bool = True) -> None:
        await producer.begin_transaction()
        for number in range(count):
            await producer.send(topic, b"x", partition=0, headers=[("ce_id", b"%032x" % number)])
        await (producer.commit_transaction() if commit else producer.abort_transaction())

    async def shows(page: int, offsets: Sequence[int], *, closed: bool, whole: bool = True) -> None:
        """Once the markers are there: the answer to a commit can come before them."""

        async def reached() -> bool:
            found = await stretch(reader, topic, page)
            stated = [message.offset for message in found.messages], found.closed, found.whole
            return stated == (list(offsets), closed, whole)

        await wait_until(reached, timeout=30)

    try:
        await shows(0, [], closed=False)
        await transaction(100)  # 0-99, marker at 100
        await transaction(300, commit=False)  # 101-400, marker at 401: page 1 ends in 499
        await shows(0, range(100), closed=True)
        await shows(1, [], closed=False)
        await transaction(200)  # 402-601
        await shows(1, range(402, 500), closed=True)
        await shows(2, range(500, 602), closed=False)
        for page in (3, 10**12):
            with pytest.raises(NotFound):
                await stretch(reader, topic, page)
        assert (await find(reader, topic, f"{199:032x}", None)).offset == 601

        await producer.begin_transaction()  # an open one hides nothing that was committed, and closes no page
        await (await producer.send_batch(_batch(producer, OFFSETS), topic, partition=0))
        await shows(2, range(500, 602), closed=False)
        await producer.abort_transaction()

        await kafka_admin.delete_records(topic, 0, 410)
        with pytest.raises(PositionExpired):
            await stretch(reader, topic, 0)
        await shows(1, range(410, 500), closed=True, whole=False)
        assert await first_retained(reader, topic) == 410
        with pytest.raises(PositionExpired):
            await find(reader, topic, f"{0:032x}", None)
    finally:
        await producer.stop()


def _batch(producer: Any, count: int) -> Any:
    batch = producer.create_batch()
    for _ in range(count):
        batch.append(key=None, value=b"x", timestamp=None)
    batch.close()
    return batch
