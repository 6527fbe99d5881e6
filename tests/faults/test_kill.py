"""SIGKILL at every labelled point of a lane's transaction, under load: nothing lost, doubled, reordered or torn."""

import asyncio
import random
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from broker.routing.faultpoints import FaultPoint
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, feed
from tests.faults.oracle import Coordinates, Oracle
from tests.stage import Stage

pytestmark = pytest.mark.timeout(150)


async def poison(stage: Stage, crowd: Crowd, number: int) -> list[Coordinates]:
    """Plant records that end in the middle; returns their (lane, offset)."""
    publication, planted = stage.publication(SOURCE, PRODUCT), []
    async with stage.stack.site.clients.producer() as producer:
        for person in crowd.people(number):
            stated = publication.state(stage.change(PRODUCT, person))
            sent = await producer.send_and_wait(TOPIC, stated.value[:40], key=stated.key, partition=stated.lane)
            planted.append((sent.partition, sent.offset))
    return planted


async def killed_and_checked(stage: Stage, crowd: Crowd, oracle: Oracle, victims: Sequence[str]) -> str:
    """Run one router per fault point, all at once and under load, until each is dead; then one more, and the oracle."""
    await feed(stage, crowd.changes(2_500, seed=1), until=lambda: False, piece=2_500)
    planted = await poison(stage, crowd, 8)
    async with AsyncExitStack() as held:
        routers = [await held.enter_async_context(stage.router(point)) for point in victims]
        died = asyncio.gather(*(router.ended(within=90) for router in routers))
        written = await feed(stage, crowd.changes(90_000, seed=2), until=died.done, piece=80)
        assert await died == [-signal.SIGKILL] * len(victims)
        assert written, "there was no load while they died"
        async with stage.router():
            return await oracle.check(planted)


@pytest.mark.parametrize("point", FaultPoint)
async def test_routers_killed_at_a_point_lose_double_and_reorder_nothing(
    stage: Stage, crowd: Crowd, oracle: Oracle, point: FaultPoint
) -> None:
    figures = await killed_and_checked(stage, crowd, oracle, [f"{point.value}:{passes}" for passes in (1, 3, 6)])
    print(f"{point.value}: 3 kills, {figures}")  # noqa: T201 - a figure of the run, shown with -s


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("point", FaultPoint)
async def test_fifty_kills_at_a_point(
    stage: Stage, crowd: Crowd, agreements: tuple[str, ...], point: FaultPoint
) -> None:
    passes = random.Random(point.value)
    for _ in range(10):
        oracle = await Oracle.watching(stage, SOURCE, PRODUCT, *agreements)
        victims = [f"{point.value}:{passes.randrange(1, 16)}" for _ in range(5)]
        await killed_and_checked(stage, crowd, oracle, victims)
