"""A router that dies, sleeps or is robbed of its lane: another goes on within 10 s, and only one of them is heard."""

import asyncio
import signal
import time
from functools import partial
from itertools import pairwise

import pytest
from aiokafka.structs import TopicPartition

from adapters.synthetic import GENT, LEUVEN
from broker.cli.main import FAILED
from broker.kafka.clients import TRANSACTION_TIMEOUT_MS
from broker.model import topics
from broker.routing.faultpoints import FaultPoint
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, feed, living_in
from tests.faults.oracle import Oracle
from tests.stage import Router, Stage

pytestmark = pytest.mark.timeout(120)

_BOUND_S = 10.0


def openings(router: Router) -> int:
    """How often it opened a lane so far."""
    return len(router.lines("lane.opened"))


async def opened(stage: Stage, router: Router, since: int = 0) -> None:
    """Return once `router` has opened as many lanes as there are, beyond the first `since` openings."""
    await wait_until(lambda: openings(router) >= since + stage.lanes, timeout=30)


async def test_readers_wait_less_than_ten_seconds_for_a_killed_router(
    stage: Stage, crowd: Crowd, oracle: Oracle
) -> None:
    target = TopicPartition(stage.delivery_topic(oracle.agreements[0]), 0)
    seen: list[float] = []

    async def read() -> None:
        async with stage.stack.site.clients.consumer() as reader:
            reader.assign([target])
            await reader.seek_to_end(target)
            while True:
                if await reader.getmany(target, timeout_ms=100):
                    seen.append(time.monotonic())

    async with stage.router() as survivor:
        await opened(stage, survivor)
        async with stage.router(f"{FaultPoint.OFFSETS_SENT.value}:3") as victim:
            await wait_until(lambda: openings(victim), timeout=30)
            reading = asyncio.create_task(read())
            await feed(
                stage, crowd.changes(30_000, seed=3), until=lambda: victim.process.returncode is not None, piece=80
            )
            died_at, before = time.monotonic(), openings(survivor)

            def goes_on() -> bool:
                return openings(survivor) >= before + stage.lanes and bool(seen) and seen[-1] > time.monotonic() - 0.3

            late = partial(lambda deadline: time.monotonic() > deadline, died_at + 2 * _BOUND_S)
            await feed(stage, crowd.changes(30_000, seed=4), until=lambda: goes_on() or late(), piece=80)
            reading.cancel()
            assert await victim.ended() == -signal.SIGKILL
            assert openings(survivor) > before, "the dead router's lanes were not opened again"
            longest = max(after - at for at, after in pairwise([died_at, *(at for at in seen if at > died_at)]))
            figures = f"longest wait of a reader since the kill: {longest:.1f} s"
            assert longest < _BOUND_S, figures
            print(figures, await oracle.check(), sep="; ")  # noqa: T201 - a figure of the run, shown with -s


async def test_a_router_robbed_of_its_transactional_id_leaves_and_comes_back(
    stage: Stage, crowd: Crowd, oracle: Oracle
) -> None:
    async with stage.router() as victim:
        await opened(stage, victim)
        for lane in range(3):
            fenced, before = len(victim.lines("lane.fenced")), openings(victim)
            thief = stage.stack.site.clients.transactional_producer(topics.lane_transactional_id(lane))
            await thief.start()
            await thief.stop()
            told = partial(lambda fenced: len(victim.lines("lane.fenced")) > fenced, fenced)
            await feed(stage, crowd.changes(3_000, seed=5 + lane), until=told, piece=80)
            assert told(), "it was never told"
            await opened(stage, victim, since=before)
        await oracle.check()
        assert victim.process.returncode is None


@pytest.mark.parametrize("point", [FaultPoint.PRODUCED, FaultPoint.COMMITTED])
async def test_a_router_that_slept_past_its_transaction_is_not_heard_again(
    stage: Stage, crowd: Crowd, oracle: Oracle, point: FaultPoint
) -> None:
    people = crowd.people(400)
    async with stage.router(f"{point.value}@stop") as sleeper:
        await stage.publish(SOURCE, PRODUCT, living_in(GENT, people))
        await wait_until(lambda: sleeper.stopped, timeout=40)
        wakes_at = time.monotonic() + TRANSACTION_TIMEOUT_MS / 1000 + 1
        async with stage.router() as successor:
            await stage.drained(TOPIC)
            await stage.publish(SOURCE, PRODUCT, living_in(LEUVEN, people))
            await stage.drained(TOPIC)
            await wait_until(lambda: time.monotonic() > wakes_at, timeout=30)
            before = openings(sleeper) + openings(successor)
            sleeper.send(signal.SIGCONT)
            await stage.publish(SOURCE, PRODUCT, living_in(LEUVEN, people, validFrom="2026-02-01"))
            # It leaves the group and comes back, or stops because its view of the control log is too old (R6).
            await wait_until(
                lambda: sleeper.process.returncode or openings(sleeper) + openings(successor) >= before + stage.lanes,
                timeout=40,
            )
            await stage.publish(SOURCE, PRODUCT, living_in(LEUVEN, people, validFrom="2026-03-01"))
            await oracle.check()
            assert sleeper.process.returncode in {None, FAILED}
