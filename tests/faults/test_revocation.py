"""A router held between its last check and its commit cannot deliver after the barrier: it is fenced, and comes back."""

import asyncio
import json
import signal
import time
from itertools import count

import httpx
import pytest

from adapters.synthetic import OOSTENDE
from broker.model import topics
from broker.model.agreement import State
from broker.model.barrier import lane_barred
from broker.routing.faultpoints import FaultPoint
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd, living_in
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


@pytest.mark.parametrize("point", [FaultPoint.PRODUCED, FaultPoint.OFFSETS_SENT])
async def test_a_revocation_between_acknowledged_outputs_and_the_commit_is_seen_by_the_last_look(
    stage: Stage, crowd: Crowd, point: FaultPoint
) -> None:
    """The owner wakes before anybody fences it: what it wrote must be undone by itself, by its last look at the control log."""
    revoked = await stage.agreement("inwoners-oostende")
    topic, publication = stage.delivery_topic(revoked), stage.publication(SOURCE, PRODUCT)
    people = living_in(OOSTENDE, crowd.people(400))
    alone = [person for person in people if publication.state(stage.change(PRODUCT, person)).lane == 0]
    async with stage.router():
        await stage.told(TOPIC)
    oracle, before = await Oracle.watching(stage, SOURCE, PRODUCT, revoked), await stage.ends(topic)
    await stage.publish(SOURCE, PRODUCT, alone)
    async with stage.router(f"{point.value}@stop") as owner:
        await wait_until(lambda: owner.stopped, timeout=40)
        written = (await stage.ends(topic))[0] > before[0]
        assert written, "nothing of the stream is in an open transaction: the test proves nothing"
        revoking = asyncio.create_task(stage.stack.services.agreements.revoke(revoked, SOURCE))
        await wait_until(lambda: stage.standing(revoked).state is State.REVOKED, timeout=10, every=0.01)
        owner.send(signal.SIGCONT)
        await revoking
        await stage.drained(TOPIC)
    assert (await oracle.found()).withheld[revoked, "REVOKED"] == len(alone), (
        "released under what the last look should refuse"
    )


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


@pytest.mark.long
@pytest.mark.timeout(1500)
async def test_a_hundred_revocations_under_load_leave_nothing_to_read_at_any_exit(stage: Stage, crowd: Crowd) -> None:
    """The figures are those of the call as its caller sees it; on every exit nothing about a subject follows its answer."""
    revoked = [await stage.agreement("inwoners-oostende") for _ in range(100)]
    owner, agency = (stage.stack.home.credential_of(who).token for who in (SOURCE, "stad-oostende"))
    url, took, stop = stage.stack.connection.api, list[float](), asyncio.Event()
    people = (living_in(OOSTENDE, crowd.people(40)) for _ in count())
    async with (
        stage.router(),
        stage.router(),
        httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as http,
        asyncio.TaskGroup() as tasks,
    ):

        async def load() -> None:
            while not stop.is_set():
                await stage.publish(SOURCE, PRODUCT, next(people))

        tasks.create_task(load())
        for agreement in revoked:
            answered = asyncio.Event()
            late, opened = list[str](), asyncio.Event()

            async def follow(agreement: str, answered: asyncio.Event, late: list[str], opened: asyncio.Event) -> None:
                path, bearer = f"/v1/deliveries/{agreement}/events", {"Authorization": f"Bearer {agency}"}
                async with http.stream("GET", path, headers=bearer) as events:
                    assert events.status_code == 200
                    kind = ""
                    async for line in events.aiter_lines():
                        opened.set()
                        kind = line.removeprefix("event: ") if line.startswith("event: ") else kind
                        if line.startswith("data: ") and answered.is_set() and kind == "delivery":
                            late.append(json.loads(line.removeprefix("data: "))["cursor"])

            following = asyncio.create_task(follow(agreement, answered, late, opened))
            await asyncio.wait_for(opened.wait(), 60)
            began = time.perf_counter()
            answer = await http.post(f"/v1/agreements/{agreement}/revoke", headers={"Authorization": f"Bearer {owner}"})
            took.append((time.perf_counter() - began) * 1000)
            answered.set()
            assert answer.is_success, answer.text
            await asyncio.wait_for(following, 60)
            assert late == []
            page = await http.get(f"/v1/deliveries/{agreement}", headers={"Authorization": f"Bearer {agency}"})
            assert {item["kind"] for item in page.json()["items"]} <= {"life-cycle"}
        stop.set()
    for agreement in revoked:
        topic = topics.delivery("stad-oostende", agreement)
        assert [message for message in await stage.read(topic) if not is_barrier(message)] == []
        assert await stage.stack.site.admin.grants(topic=topic) == []
    ordered = sorted(took)
    print(f"100 revocations: p50 {ordered[49]:.0f} ms, p99 {ordered[98]:.0f} ms, longest {ordered[-1]:.0f} ms")  # noqa: T201 - a figure, shown with -s
