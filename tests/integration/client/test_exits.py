"""The subscriber on the real broker: the same deliveries through HTTP and Kafka, across restarts, until the agreement ends."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from adapters.synthetic import MUNICIPALITIES
from broker.api.app import create_app
from broker.cli.processes import served
from broker.client import LifeCycle, MemoryPositions, Patience, Position
from broker.errors import Forbidden, Invalid, PositionExpired, Unauthenticated
from broker.model.cursor import cursor, position_of
from broker.testing import wait_until
from tests.faults.crowd import living_in
from tests.integration.client.conftest import Office

pytestmark = pytest.mark.timeout(150)

ELSEWHERE = next(place for place in MUNICIPALITIES if place.name != "Gent")


async def everything(office: Office, agreement: str, **given: Any) -> list[Any]:
    async with office.subscription(agreement, **{"follow": False} | given) as deliveries:
        return [delivery async for delivery in deliveries]


async def test_http_and_kafka_give_equal_deliveries_and_share_a_position(office: Office, agreement: str) -> None:
    inhabitants = await office.publish(5)
    await office.publish_these(living_in(ELSEWHERE, inhabitants[:1], kind="changed"))
    over_http = await everything(office, agreement, page=2)
    over_kafka = await everything(office, agreement, page=2, kafka=office.kafka())
    assert over_kafka == over_http
    assert [delivery.kind for delivery in over_http].count("left-population") == 1
    names = {delivery.data["naam"]["achternaam"] for delivery in over_http if delivery.data}
    assert names >= {person["naam"]["achternaam"] for person in inhabitants}

    positions = MemoryPositions()
    for kafka, number in ((None, 2), (office.kafka(), 2), (None, 1)):
        async with office.subscription(agreement, positions=positions, kafka=kafka) as deliveries:
            for expected in over_http[:number]:
                assert await anext(deliveries) == expected
            await deliveries.commit()
        del over_http[:number]
    assert await everything(office, agreement, positions=positions, kafka=office.kafka()) == over_http


async def test_a_restart_of_the_interface_is_not_noticed(office: Office, agreement: str) -> None:
    await office.publish(6)
    expected, found = await everything(office, agreement), []
    services = office.stage.stack.services
    async with served(create_app(services)) as url:
        port = int(url.rpartition(":")[2])
        subscription = office.subscription(agreement, url=url, page=2, follow=False)
        deliveries = await subscription.__aenter__()
        found = [await anext(deliveries) for _ in range(2)]

    async def rest() -> None:
        found.extend([delivery async for delivery in deliveries])

    reading = asyncio.create_task(rest())
    await asyncio.wait([reading], timeout=0.2)
    assert len(found) == 2
    async with served(create_app(services), port):
        await reading
        await subscription.__aexit__(None, None, None)
    assert found == expected


async def test_what_is_no_longer_kept_is_told_through_either_exit(office: Office, agreement: str) -> None:
    await office.publish(3)
    whole = await everything(office, agreement)
    await office.stage.stack.site.admin.delete_records(
        office.stage.delivery_topic(agreement), 0, position_of(agreement, whole[1].cursor)
    )
    for kafka in (None, office.kafka()):
        positions = MemoryPositions()
        await positions.save(agreement, Position(whole[0].cursor, (whole[0].id,)))
        given: dict[str, Any] = {"positions": positions, "kafka": kafka}
        with pytest.raises(PositionExpired):
            await everything(office, agreement, **given)
        assert await everything(office, agreement, on_expired="restart", **given) == whole[2:]
        never = Position(cursor(agreement, 1_000_000))
        await positions.save(agreement, never)
        with pytest.raises(Invalid):
            await everything(office, agreement, **given)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_restart_of_kafka_is_not_noticed_through_either_exit(office: Office, agreement: str) -> None:
    found: list[list[Any]] = [[], []]

    async def read(into: list[Any], **given: Any) -> None:
        async with office.subscription(agreement, patience=Patience(longest_s=2), **given) as deliveries:
            async for delivery in deliveries:
                into.append(delivery)  # noqa: PERF401 - looked at meanwhile

    readers = [
        asyncio.create_task(read(found[0])),
        asyncio.create_task(read(found[1], kafka=office.kafka())),
    ]
    await office.publish(2)
    await wait_until(lambda: all(len(each) >= 2 for each in found), timeout=60)
    node = office.stage.node
    assert node.pid is not None
    os.kill(node.pid, signal.SIGKILL)
    await node.wait()
    await node.stop()
    await node.start()
    await wait_until(office.stage.stack.site.control.fresh, timeout=60)
    people = await office.publish(2)
    last = {person["naam"]["achternaam"] for person in people}

    def arrived(deliveries: list[Any]) -> bool:
        return last <= {delivery.data["naam"]["achternaam"] for delivery in deliveries}

    await wait_until(lambda: all(map(arrived, found)), timeout=90)
    assert not any(reader.done() for reader in readers)
    for reader in readers:
        reader.cancel()
    await asyncio.wait(readers)
    over_http, over_kafka = found
    assert over_http == over_kafka == await everything(office, agreement)


@pytest.mark.parametrize("over_kafka", [False, True])
async def test_a_revocation_ends_a_reader_that_waits(office: Office, agreement: str, *, over_kafka: bool) -> None:
    await office.publish(2)
    kafka = office.kafka() if over_kafka else None
    events: list[Any] = []

    async with office.subscription(agreement, kafka=kafka, life_cycle=True) as deliveries:

        async def read() -> None:
            async for event in deliveries:
                events.append(event)  # noqa: PERF401 - looked at meanwhile

        reading = asyncio.create_task(read())
        await wait_until(lambda: len(events) >= 2, timeout=60)
        await office.stage.stack.services.agreements.revoke(agreement, "rijksregister")
        await asyncio.wait_for(reading, 60)
    (end,) = (event for event in events if isinstance(event, LifeCycle))
    assert (end.reason, end.id) == ("REVOKED", deliveries.ended.id)
    assert await everything(office, agreement, kafka=kafka, follow=True) == []


async def test_kafkas_refusals_are_told_apart(office: Office, agreement: str) -> None:
    await office.publish(1)
    with pytest.raises(Unauthenticated):
        await everything(office, agreement, kafka=office.kafka(password="wrong"))
    other = office.stage.stack.home.credential_of("stad-leuven")
    kafka = office.kafka(username=other.kafka_username, password=other.kafka_password)
    with pytest.raises(Forbidden):
        await everything(office, agreement, kafka=kafka)


CANCELLED = """
import asyncio, json, sys
from broker.client import Kafka, MemoryPositions, Subscription

given = json.loads(sys.stdin.read())

async def read(got):
    kafka = Kafka(**given["kafka"])
    async with Subscription(**given["of"], kafka=kafka, positions=MemoryPositions()) as deliveries:
        async for _ in deliveries:
            got.set()

async def main():
    for wait_for_one in (False, True):
        got = asyncio.Event()
        reading = asyncio.create_task(read(got))
        await (got.wait() if wait_for_one else asyncio.sleep(0.01))
        reading.cancel()
        await asyncio.wait([reading])
        print(reading.cancelled(), len(asyncio.all_tasks()))

asyncio.run(main())
"""


async def test_cancelled_while_kafka_is_read_nothing_is_left(office: Office, agreement: str) -> None:
    await office.publish(1)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-X", "dev", "-W", "error", "-c", CANCELLED,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    given = {
        "of": {"agreement": agreement, "url": office.url, "token": office.credential["token"]},
        "kafka": asdict(office.kafka()),
    }
    printed, complaints = await process.communicate(json.dumps(given).encode())
    assert printed.decode().splitlines() == ["True 1", "True 1"], complaints.decode()[-2000:]
    assert b"ResourceWarning" not in complaints
