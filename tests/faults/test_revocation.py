"""A router held between its last check and its commit cannot deliver after the barrier: it is fenced, and comes back."""

import asyncio
import signal

import pytest

from adapters.synthetic import OOSTENDE
from broker.model import topics
from broker.model.barrier import lane_barred
from broker.routing.faultpoints import FaultPoint
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, Crowd, living_in
from tests.faults.oracle import Oracle, is_barrier
from tests.stage import Stage

pytestmark = pytest.mark.timeout(120)


async def test_nothing_follows_the_barrier_of_a_lane_whose_owner_was_stopped(
    stage: Stage, crowd: Crowd, agreements: tuple[str, ...]
) -> None:
    revoked = await stage.agreement("inwoners-oostende")
    topic = stage.delivery_topic(revoked)
    oracle = await Oracle.watching(stage, SOURCE, PRODUCT, *agreements, revoked)
    people = crowd.people(600)
    async with stage.router(f"{FaultPoint.CHECKED.value}@stop:2") as owner:
        await stage.publish(SOURCE, PRODUCT, living_in(OOSTENDE, people))
        await wait_until(lambda: owner.stopped, timeout=40)
        hidden = await stage.ends(topic)
        assert hidden[0], "the stopped owner holds no open transaction over the revoked stream: the test proves nothing"

        done = await stage.stack.services.agreements.revoke(revoked, SOURCE)
        assert owner.stopped
        assert done.fenced, "nobody was fenced, so nobody was stopped"
        assert set(done.barriers) == set(range(stage.lanes))
        assert done.duration_ms < 10_000, f"the revocation took {done.duration_ms:.0f} ms"

        owner.send(signal.SIGCONT)
        await stage.publish(SOURCE, PRODUCT, living_in(OOSTENDE, people, validFrom="2026-02-01"))
        await stage.publish(SOURCE, PRODUCT, list(crowd.changes(1_000, seed=8)))
        figures = await oracle.check(gone=[revoked])
        assert owner.lines("lane.fenced"), "the owner was never told"
        assert owner.process.returncode is None

    after = [message for message in await stage.read(topic) if message.offset > max(done.barriers.values())]
    assert [message for message in after if not is_barrier(message)] == []
    assert {lane_barred(message.key, message.headers, epoch=0) for message in after} <= set(range(stage.lanes))
    withheld = (await oracle.found()).withheld[revoked, "REVOKED"]
    assert withheld >= len(people), "what came after the revocation was not receipted as withheld"
    print(f"revoked in {done.duration_ms:.0f} ms, {len(done.fenced)} lanes fenced; {figures}")  # noqa: T201 - a figure, shown with -s


async def test_revocations_while_records_flow_end_every_stream_at_its_barriers(
    stage: Stage, crowd: Crowd, agreements: tuple[str, ...]
) -> None:
    revoked = [await stage.agreement("inwoners-oostende") for _ in range(5)]
    oracle = await Oracle.watching(stage, SOURCE, PRODUCT, *agreements, *revoked)
    async with stage.router():
        flowing = asyncio.create_task(stage.publish(SOURCE, PRODUCT, crowd.changes(3_000, seed=9)))
        barriers = {}
        for agreement in revoked:
            done = await stage.stack.services.agreements.revoke(agreement, SOURCE)
            barriers[agreement] = max(done.barriers.values())
        await flowing
        await oracle.check(gone=revoked)
    for agreement, last in barriers.items():
        left = await stage.read(topics.delivery("stad-oostende", agreement))
        assert [message for message in left if message.offset > last and not is_barrier(message)] == []
