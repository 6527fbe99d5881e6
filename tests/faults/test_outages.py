"""Kafka that dies and comes back, and a control log that cannot be read: late, never twice, never on old policies."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from broker.cli.main import FAILED
from broker.cli.processes import Supervised
from broker.control.log import FRESH_S
from broker.errors import BrokerError
from broker.model import topics
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, feed
from tests.faults.oracle import Oracle
from tests.stage import Stage

pytestmark = pytest.mark.timeout(150)

_EVERYTHING = (
    (ResourceType.TOPIC, "*"),
    (ResourceType.GROUP, "*"),
    (ResourceType.TRANSACTIONAL_ID, "*"),
    (ResourceType.BROKER, "kafka-cluster"),
)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kills", [1, pytest.param(8, marks=pytest.mark.long)])
async def test_everything_is_delivered_once_after_kafka_was_killed(
    stage: Stage, crowd: Crowd, oracle: Oracle, monkeypatch: pytest.MonkeyPatch, kills: int
) -> None:
    for name, value in stage.environment.items():
        monkeypatch.setenv(name, value)
    over = asyncio.Event()

    async def keep_feeding() -> None:
        seed = 10
        while not over.is_set():
            seed += 1
            with suppress(KafkaError, BrokerError):
                await feed(stage, crowd.changes(1_000, seed), until=over.is_set, piece=80)
            await asyncio.sleep(0.2)

    async with Supervised(stage.router_command(), stage.stack.home.logs / "supervised.log"):
        await stage.publish(SOURCE, PRODUCT, crowd.people(100))
        await stage.drained(TOPIC)
        feeding = asyncio.create_task(keep_feeding())
        for _ in range(kills):
            before = (await stage.ends(TOPIC)).values()
            await wait_until(lambda before=before: grown(stage, sum(before) + 300), timeout=30)  # type: ignore[misc]
            assert stage.node.pid is not None
            os.kill(stage.node.pid, signal.SIGKILL)
            await stage.node.wait()
            await stage.node.stop()
            await stage.node.start()
        over.set()
        await feeding
        figures = await oracle.check(within=90)
    await wait_until(stage.stack.site.control.fresh, timeout=15)
    print(f"Kafka killed {kills} times; {figures}")  # noqa: T201 - a figure of the run, shown with -s


async def test_a_router_that_finds_no_kafka_ends_and_starts_none_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "broker.cli.main", "router", "--data-dir", str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, stderr=subprocess.PIPE)
    try:
        _, said = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert (process.returncode, b"KAFKA_UNAVAILABLE" in said) == (FAILED, True)
    assert not (tmp_path / "kafka").exists(), "the stack's node would find its folder locked when it comes back"


async def grown(stage: Stage, to: int) -> bool:
    """Whether the source holds so many records."""
    return sum((await stage.ends(TOPIC)).values()) >= to


async def test_a_router_that_cannot_read_the_control_log_stops_within_its_freshness(
    stage: Stage, crowd: Crowd, oracle: Oracle
) -> None:
    site, name = stage.stack.site, "router-with-rights"
    await site.admin.ensure_scram_user(name, "p-of-the-router")
    admin = AdminClient(site.access.for_librdkafka() | {"log_level": 0})

    async def rule(kind: ResourceType, on: str, operation: AclOperation, permission: AclPermissionType) -> None:
        binding = AclBinding(kind, on, ResourcePatternType.LITERAL, f"User:{name}", "*", operation, permission)
        for future in admin.create_acls([binding]).values():
            await asyncio.wrap_future(future)

    for kind, on in _EVERYTHING:
        await rule(kind, on, AclOperation.ALL, AclPermissionType.ALLOW)
    rights = {
        "DATANUTS_KAFKA_BOOTSTRAP": site.access.bootstrap,
        "DATANUTS_KAFKA_USERNAME": name,
        "DATANUTS_KAFKA_PASSWORD": "p-of-the-router",
        "DATANUTS_KAFKA_PROTOCOL": site.access.protocol,
        "DATANUTS_SINGLE_NODE": "true",
    }
    async with stage.router(**rights) as router:
        await wait_until(lambda: len(router.lines("lane.opened")) >= stage.lanes, timeout=30)
        await stage.publish(SOURCE, PRODUCT, crowd.changes(500, seed=12))
        await stage.drained(TOPIC)
        await rule(ResourceType.TOPIC, topics.CONTROL_LOG, AclOperation.READ, AclPermissionType.DENY)
        began, blind_ms = time.monotonic(), time.time() * 1000
        await feed(stage, crowd.changes(5_000, seed=13), until=lambda: router.process.returncode is not None, piece=40)
        assert await router.ended(within=20) != 0
        stopped_s = time.monotonic() - began
    receipts = await stage.read(topics.RECEIPTS, oracle.since[topics.RECEIPTS])
    late = max(receipt.timestamp for receipt in receipts) - blind_ms
    figures = f"blind: last receipt after {late / 1000:.1f} s, process gone after {stopped_s:.1f} s"
    assert late / 1000 < FRESH_S + 1, figures
    async with stage.router():
        print(figures, await oracle.check(), sep="; ")  # noqa: T201 - a figure of the run, shown with -s
