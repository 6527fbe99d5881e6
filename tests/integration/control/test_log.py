"""The control log over a real Kafka: one order for all, freshness proven through the log itself, nothing that breaks a reader."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from broker.control.log import FRESH_S, ControlLog
from broker.errors import Conflict, KafkaUnavailable, Stale
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topology
from broker.model.facts import Fact, FactType
from broker.testing import wait_until

ROOT = Path(__file__).parents[3]
Open = Callable[..., Any]


@pytest.fixture
async def topic(kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> str:
    name = unique("control")
    await kafka_admin.ensure_topics([TopicSpec(name, config={"cleanup.policy": "compact"})])
    return name


@pytest.fixture
async def open_log(topic: str, kafka_clients: KafkaClients) -> AsyncIterator[Open]:
    """Start one more process's view of the log."""
    async with AsyncExitStack() as stack:

        async def opened(**options: Any) -> ControlLog:
            return await stack.enter_async_context(ControlLog(kafka_clients, topic=topic, **options))

        yield opened


async def register(log: ControlLog, identifier: str, name: str = "Stad") -> int:
    data = {"id": identifier, "name": name}
    return await log.append(FactType.ORGANISATION, f"organisation/{identifier}", data, by="test")


async def raw(clients: KafkaClients, topic: str, value: bytes | None, key: bytes) -> None:
    producer = clients.producer()
    await producer.start()
    await producer.send_and_wait(topic, value, key=key, partition=0)
    await producer.stop()


async def records(clients: KafkaClients, topic: str) -> list[Any]:
    consumer, target = clients.consumer(None), TopicPartition(topic, 0)
    await consumer.start()
    consumer.assign([target])
    await consumer.seek_to_beginning(target)
    end, found = (await consumer.end_offsets([target]))[target], []
    while await consumer.position(target) < end:
        found += (await consumer.getmany(target, timeout_ms=200)).get(target, [])
    await consumer.stop()
    return found


async def test_of_two_writers_at_once_one_wins_and_all_agree(open_log: Open) -> None:
    one, other = await open_log(), await open_log()
    answers = await asyncio.gather(
        register(one, "stad-gent", "van een"), register(other, "stad-gent", "van de ander"), return_exceptions=True
    )
    assert sorted(type(answer) for answer in answers if isinstance(answer, Exception)) == [Conflict]
    (accepted,) = [answer for answer in answers if isinstance(answer, int)]
    late = await open_log()
    for log in (one, other):
        await log.read_to_head()
    names = {log.state.organisations["stad-gent"].name for log in (one, other, late)}
    assert len(names) == 1
    assert one.state == other.state == late.state
    assert one.state.versions == {"organisation/stad-gent": 1}
    assert one.state.epoch >= accepted
    await register(late, "stad-gent", "daarna")  # who has read it may go on


async def test_what_one_process_wrote_another_reads_at_its_head(open_log: Open) -> None:
    one, other = await open_log(), await open_log()
    for number in range(20):
        epoch = await register(one, f"stad-{number}")
        assert await other.read_to_head() == epoch
        assert f"stad-{number}" in other.state.organisations


async def test_a_change_wakes_up_who_waits_for_it(open_log: Open) -> None:
    one, other = await open_log(), await open_log()
    assert not await other.wait_for_change(other.state.epoch, timeout=0.1)
    waiting = asyncio.create_task(other.wait_for_change(other.state.epoch, timeout=20))
    began = time.monotonic()
    await register(one, "stad-gent")
    assert await waiting
    assert time.monotonic() - began < 5


MALFORMED = [
    b"",
    b"{",
    b"[]",
    b"\xff",
    b"[" * 100_000,
    b'{"id":"a","type":"organisation.registered","aggregate":"x","expects":1e999,"at":"2026-01-01T00:00:00Z","by":"t","data":{}}',
    b'{"id":"a","type":"organisation.registered","aggregate":"x","expects":0,"at":"2026-01-01T00:00:00Z","by":"t","data":{}}',
    b'{"id":"a","type":"agreement.requested","aggregate":"x","expects":0,"at":"2026-01-01T00:00:00Z","by":"t","data":{"document":[]}}',
    b'{"id":"a","type":"agreement.activated","aggregate":"x","expects":0,"at":"2026-01-01T00:00:00Z","by":"t","data":{"id":{}}}',
    b'{"id":"a","type":"agreement.activated","aggregate":"x","expects":0,"at":"2026-01-01T00:00:00","by":"t","data":{"id":"a"}}',
    b'{"id":"a","type":"unknown","aggregate":"x","expects":0,"at":"2026-01-01T00:00:00Z","by":"t","data":{}}',
]


async def test_every_reader_passes_over_what_is_no_fact(
    open_log: Open, kafka_clients: KafkaClients, topic: str
) -> None:
    before = await open_log()
    for number, value in enumerate(MALFORMED):
        await raw(kafka_clients, topic, value, b"bad-%d" % number)
    await raw(kafka_clients, topic, None, b"bad-null")
    # A second process may name the wrong version: ignored by all alike.
    stale = Fact(
        "s", FactType.ORGANISATION, "organisation/stad-gent", 7, before._now(), "t", {"id": "stad-gent", "name": "x"}
    )
    await raw(kafka_clients, topic, stale.encode(), b"s")
    await before.read_to_head()
    assert before.state.organisations == {}
    await register(before, "stad-gent")
    after = await open_log()
    assert after.state == before.state
    assert set(after.state.organisations) == {"stad-gent"}


async def test_a_worker_is_fresh_while_its_heartbeat_comes_back(open_log: Open) -> None:
    reader, worker = await open_log(), await open_log(beating=True)
    assert worker.fresh()
    assert not reader.fresh()
    epoch = worker.state.epoch
    await worker._producer.stop()  # cut off: it reads, but nothing it writes comes back
    await wait_until(lambda: not worker.fresh(), timeout=FRESH_S + 3)
    assert await worker.read_to_head() == reader.state.epoch == epoch  # heartbeats are no facts


async def test_a_worker_that_stops_takes_its_heartbeat_along(
    open_log: Open, kafka_clients: KafkaClients, topic: str
) -> None:
    del open_log
    worker = ControlLog(kafka_clients, topic=topic, beating=True)
    await worker.start()
    await worker.stop()
    found = await records(kafka_clients, topic)
    last = {record.key: record.value for record in found}
    assert [key.startswith(b"heartbeat/") for key in last] == [True]
    assert set(last.values()) == {None}


async def test_callers_that_wait_together_share_one_question(open_log: Open) -> None:
    log, other = await open_log(), await open_log()
    asked, ask = [], log._probe.end_offsets

    async def counted(targets: Any) -> Any:
        asked.append(1)
        return await ask(targets)

    log._probe.end_offsets = counted
    await register(other, "stad-gent")
    await asyncio.gather(*(log.read_to_head() for _ in range(50)))
    assert "stad-gent" in log.state.organisations
    assert len(asked) <= 2


async def test_without_kafka_a_worker_stops_instead_of_going_on(tmp_path: Path) -> None:
    async with LocalKafka(tmp_path, ROOT / ".cache") as node:
        await KafkaAdmin(node.access).ensure_topics(topology.installation(1))
        log = ControlLog(KafkaClients(node.access), beating=True)
        await log.start()
        await log.read_to_head()
    began = time.monotonic()
    with pytest.raises(Stale):
        await log.read_to_head()
    await wait_until(lambda: not log.fresh(), timeout=FRESH_S + 2)
    assert time.monotonic() - began < FRESH_S + 4
    await log.stop()
    with pytest.raises(KafkaUnavailable):
        async with ControlLog(KafkaClients(node.access)):
            pass
