"""Seals over a real Kafka: what the runner publishes is vouched for, and what anybody else writes is found."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from adapters import runner as running
from adapters.sdk import Change
from broker.control.history import History
from broker.control.keys import FileKeyStore
from broker.control.log import ControlLog
from broker.control.seal_check import SealCheck
from broker.control.seal_examination import Verdict
from broker.control.source_seals import SealKeys, SealSigner
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaAccess, KafkaClients
from broker.model import topics, topology
from broker.model.facts import FactType
from broker.model.source_seal import decode_seal
from tests.integration.adapters.conftest import LANES, Bench, Renamed
from tests.integration.adapters.test_runner import Killed, Saboteur
from tests.unit.adapters.wiring import works

pytestmark = pytest.mark.timeout(90)

PRODUCT = "hinder.v1"


@dataclass(frozen=True)
class Sealed:
    """An adapter of hindrances whose runner seals, and whoever checks its topic."""

    bench: Bench
    adapter: Renamed
    control: ControlLog
    keys: SealKeys

    @property
    def source(self) -> str:
        return self.adapter.sources[PRODUCT]

    @property
    def topic(self) -> str:
        return topics.source(self.source, PRODUCT)

    async def publish(self, items: list[Any], clients: Any = None) -> None:
        self.adapter.adapter.items = items
        runner = self.bench.runner(self.adapter, clients, signer=SealSigner(self.control, self.keys.keys))
        await runner.run(once=True)

    async def verdict(self, since: datetime | None = None) -> Verdict:
        history = History(self.bench.clients.consumer, LANES)
        check = SealCheck(self.control, history, self.bench.admin.end_offsets)
        return await check.check(self.source, PRODUCT, since=since)


@pytest.fixture
async def world(
    bench: Bench,
    given: Any,
    kafka_clients: KafkaClients,
    kafka_admin: KafkaAdmin,
    unique: Callable[[str], str],
    tmp_path: Path,
) -> AsyncIterator[Sealed]:
    adapter = await given([])
    source, log = adapter.sources[PRODUCT], unique("control")
    [spec] = [spec for spec in topology.installation(1) if spec.name == topics.CONTROL_LOG]
    await kafka_admin.ensure_topics([replace(spec, name=log), topology.seals(source, PRODUCT)])
    async with ControlLog(kafka_clients, topic=log) as control:
        data = {"id": source, "name": source}
        await control.append(FactType.ORGANISATION, f"organisation/{source}", data, by="operator")
        product = {"id": PRODUCT, "source": source, "schema": "{}"}
        await control.append(FactType.PRODUCT, f"product/{source}/{PRODUCT}", product, by="operator")
        keys = SealKeys(control, FileKeyStore(tmp_path / "keys"))
        await keys.ensure(source, by="operator")
        yield Sealed(bench, adapter, control, keys)


async def test_what_the_runner_publishes_is_vouched_for(world: Sealed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    gone = Change(works(1).source_id, PRODUCT, None, works(1).value["identificator"])
    await world.publish([*(works(number) for number in range(30)), works(2, "verlengd"), gone])
    await world.publish([works(2)])  # and back again: the same statement as before, published anew
    found = await world.verdict()
    assert found.sound
    assert (found.records, found.sealed) == (33, 33)
    await world.keys.rotate(world.source, by="operator")
    await world.publish([works(40)])
    assert (await world.verdict()).sealed == 34


@pytest.mark.parametrize("sent", [True, False])
async def test_after_a_doubt_every_record_is_sealed_once(world: Sealed, monkeypatch, *, sent: bool) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    await world.publish([works(number) for number in range(35)], Saboteur(world.bench.clients, 2, sent=sent))
    await assert_sealed_once(world, 35)


async def test_a_runner_that_dies_in_a_transaction_leaves_no_seal_without_records(world: Sealed, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 10)
    items = [works(number) for number in range(25)]
    with suppress(Killed):
        await world.publish(items, Saboteur(world.bench.clients, 2, sent=False, then=Killed()))
    await world.publish(items)
    await assert_sealed_once(world, 25)


async def assert_sealed_once(world: Sealed, records: int) -> None:
    found = await world.verdict()
    assert found.sound
    assert found.records == found.sealed == records
    seals = [decode_seal(row.value) for row in await world.bench.read(topics.seals(world.source, PRODUCT))]
    leaves = [leaf for seal in seals for leaf in seal.leaves]
    assert len(leaves) == len(set(leaves)) == records
    assert [seal.number for seal in seals] == list(range(1, len(seals) + 1))


async def test_what_the_sources_own_principal_writes_beside_the_runner_is_found(
    world: Sealed, kafka: KafkaAccess, kafka_admin: KafkaAdmin
) -> None:
    await world.publish([works(number) for number in range(10)])
    true = (await world.bench.read(world.topic))[0]
    await kafka_admin.ensure_scram_user(world.source, "p-of-the-source")
    await kafka_admin.allow_write_topic(world.source, world.topic)
    thief = KafkaClients(kafka.as_user(world.source, "p-of-the-source"))
    since = datetime.now(UTC)
    async with thief.producer() as producer:
        forged = await producer.send_and_wait(
            world.topic, true.value + b"\x00", key=true.key, partition=true.partition, headers=list(true.headers)
        )
        with pytest.raises(TopicAuthorizationFailedError):
            await producer.send_and_wait(topics.seals(world.source, PRODUCT), b"{}", partition=0)
    found = await world.verdict()
    assert (found.records, found.sealed, found.unsealed) == (11, 10, {true.partition: 1})
    assert [(each.lane, each.offset) for each in found.coordinates["unsealed"]] == [(forged.partition, forged.offset)]
    later = await world.verdict(since)
    assert (later.records, later.unsealed) == (1, {true.partition: 1})


async def test_a_record_or_seal_that_the_operator_writes_again_is_found(world: Sealed) -> None:
    await world.publish([works(1)])
    await world.publish([works(1, "verlengd")])
    [true, _] = await world.bench.read(world.topic)
    [seal, _] = await world.bench.read(topics.seals(world.source, PRODUCT))
    async with world.bench.clients.producer() as producer:
        await producer.send_and_wait(
            true.topic, true.value, key=true.key, partition=true.partition, headers=list(true.headers)
        )
        await producer.send_and_wait(seal.topic, seal.value, partition=0)
        await producer.send_and_wait(seal.topic, seal.value[:-1] + b"x", partition=0)
    found = await world.verdict()
    assert (found.repeated, found.unsealed, found.sealed) == (1, {}, 2)
    assert found.doubts == {"SEAL_REPEATED": 1, "SEAL_LEAVES_CHANGED": 1}


async def test_a_transaction_that_is_open_is_waited_for(world: Sealed) -> None:
    await world.publish([works(1)])
    producer = world.bench.clients.transactional_producer(f"probe-{world.source}")
    await producer.start()
    try:
        await producer.begin_transaction()
        await (await producer.send(topics.seals(world.source, PRODUCT), b"not committed", partition=0))
        checking = asyncio.create_task(world.verdict())
        done, _ = await asyncio.wait({checking}, timeout=1)
        assert not done
        await producer.abort_transaction()
        assert (await checking).sound
    finally:
        await producer.stop()
