"""Raw topics on a real Kafka: who may write, that nobody reads, and each message once through the runner's own transactions."""

import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from adapters import runner as running
from adapters.mapped import build, load_mapping
from adapters.raw_topic import RawTopic
from broker.errors import ConfigError, KafkaUnavailable
from broker.kafka.clients import KafkaClients
from broker.kafka.raw_log import RawLog
from broker.model import topology
from broker.model.raw_messages import RawGap, RawMessage
from broker.model.topology import TopicSpec
from tests.integration.kafka.test_access import REFUSED, refusal_of_reading
from tests.unit.adapters.test_raw_topic import MAPPING, change, row
from tests.unit.adapters.wiring import schema

Written = Callable[[Sequence[Any]], Awaitable[None]]


@pytest.fixture
async def topic(kafka_admin, unique) -> str:
    spec = topology.raw("gipod", unique("raw"))
    await kafka_admin.ensure_topics([spec])
    return spec.name


@pytest.fixture
def write(kafka_clients, topic) -> Written:
    """Write messages in their order."""

    async def written(values: Sequence[Any]) -> None:
        async with kafka_clients.producer() as producer:
            for value in values:
                told = None if value is None else json.dumps(value).encode()
                await producer.send_and_wait(topic, told, key=b"{}", partition=0)

    return written


@pytest.fixture
def reader(kafka_clients, topic, tmp_path: Path) -> Callable[[str], RawTopic]:
    def over(form: str = "debezium") -> RawTopic:
        at = "@committed" if form == "debezium" else "@received"
        (tmp_path / "mapping.yaml").write_text(MAPPING % (form, "", at, ""))
        made = build(load_mapping(tmp_path, schema), None)
        assert isinstance(made, RawTopic)
        return made.over(RawLog(kafka_clients, topic))

    return over


async def test_changes_are_published_once_and_deletions_follow(bench, write, reader) -> None:
    steps = [change("c", row(number), number + 1, number) for number in range(20)]
    await write([*steps, change("u", row(3, "verlengd"), 30, 25), change("d", row(4), 31, 30), None])
    adapter = await bench.renamed(reader())
    first = await bench.runner(adapter).run(once=True)
    assert (first.published, first.ignored) == (22, {"TOMBSTONE": 1})
    # A connector that died and writes again what it had not noted, and then goes on.
    await write([*steps[10:], change("u", row(3, "verlengd"), 30, 25), change("d", row(4), 31, 30), [1]])
    await write([change("u", row(5, "verlegd"), 40, 35)])
    second = await bench.runner(adapter).run(once=True)
    assert (second.published, second.duplicate, second.ignored) == (1, 1, {"RAW_REPEATED": 11})
    assert second.quarantined == {"ENVELOPE_INVALID": 1}
    third = await bench.runner(adapter).run(once=True)
    assert (third.read, third.published) == (0, 0)
    published = await bench.published(adapter)
    assert len(published) == 23
    assert sum(record.value is None for record in published) == 1


async def test_a_runner_that_dies_in_its_transaction_reads_its_messages_again(
    bench, write, reader, monkeypatch
) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    await write([row(number) for number in range(25)])
    adapter = await bench.renamed(reader("json"))

    class Dies(KafkaClients):
        commits = 0

        def transactional_producer(self, transactional_id: str, **more: Any) -> Any:
            made = super().transactional_producer(transactional_id, **more)
            commit = made.commit_transaction

            async def once() -> None:
                Dies.commits += 1
                if Dies.commits == 2:
                    raise KafkaUnavailable
                await commit()

            made.commit_transaction = once
            return made

    troubles: list[str] = []
    runner = bench.runner(
        adapter, Dies(bench.clients.access), trouble=lambda error, _pause: troubles.append(error.code)
    )
    summary = await runner.run(once=True)
    assert troubles == ["KAFKA_UNAVAILABLE"]
    assert (summary.read, summary.published, summary.duplicate) == (25, 25, 0)
    assert len(await bench.published(adapter)) == 25


async def test_retention_that_passed_the_cursor_is_told_and_markers_are_not(
    bench, write, reader, kafka_admin, kafka_clients, topic, unique
) -> None:
    adapter = await bench.renamed(reader("json"))
    async with kafka_clients.transactional_producer(unique("push")) as producer:
        async with producer.transaction():
            await producer.send_and_wait(topic, json.dumps(row(1)).encode(), partition=0)
        await producer.begin_transaction()
        await producer.send_and_wait(topic, json.dumps(row(2)).encode(), partition=0)
        await producer.abort_transaction()
    assert (await bench.runner(adapter).run(once=True)).published == 1
    await kafka_admin.delete_records(topic, 0, -1)  # all of it was read
    assert (await bench.runner(adapter).run(once=True)).read == 0
    await write([row(3), row(4)])
    await kafka_admin.delete_records(topic, 0, (await kafka_admin.end_offsets(topic))[0] - 1)
    after = await bench.runner(adapter).run(once=True)
    assert (after.published, after.quarantined) == (1, {"RAW_EXPIRED": 1})
    assert (await bench.runner(adapter).run(once=True)).read == 0


async def test_a_pass_ends_where_the_log_ended_when_it_began(write, kafka_clients, topic) -> None:
    await write([1, 2])
    found = []
    async for message in RawLog(kafka_clients, topic).read(None):
        found.append(message)
        await write([3])
    assert [(each.offset, each.value, each.behind) for each in found if isinstance(each, RawMessage)] == [
        (0, b"1", 1),
        (1, b"2", 2),
    ]
    behind = [each async for each in RawLog(kafka_clients, topic).read(99)]
    assert behind[0] == RawGap(0)
    assert len(behind) == 5


async def test_a_topic_without_an_order_is_refused(kafka_admin, kafka_clients, unique) -> None:
    name = unique("raw")
    await kafka_admin.ensure_topics([TopicSpec(name, 2)])
    with pytest.raises(ConfigError, match="several partitions"):
        await anext(aiter(RawLog(kafka_clients, name).read(None)))


async def test_a_writer_writes_its_topic_and_reads_nothing(kafka, kafka_admin, write, topic, unique) -> None:
    await write([row(1)])
    other = topology.raw("gipod", unique("raw"))
    await kafka_admin.ensure_topics([other])
    user = f"{unique('gipod')}~writer"
    await kafka_admin.ensure_scram_user(user, "p")
    await kafka_admin.allow_write_topic(user, topic)
    access = kafka.as_user(user, "p")
    async with KafkaClients(access).producer() as producer:
        await producer.send_and_wait(topic, b"{}", partition=0)
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(other.name, b"{}", partition=0)
    assert await refusal_of_reading(access, topic, unique("group")) in REFUSED
