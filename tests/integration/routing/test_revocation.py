"""After the barriers nothing of an agreement is delivered, whoever routes or does not."""

import asyncio
from collections import Counter

import httpx
import pytest

from adapters.synthetic_names import GENT
from broker.api.app import create_app
from broker.control.barriers import PATIENCE_S
from broker.errors import Conflict, Fenced
from broker.model import topics
from broker.model.barrier import BARRIER_TYPE
from broker.testing import wait_until


async def test_every_lane_writes_its_barrier_and_nothing_follows(world) -> None:
    gent = await world.agree("inwoners-gent")
    agency, topic = world.agency(gent), topics.delivery(world.agency(gent), gent)
    await world.installation.organisations.issue(agency, ("agency",), by="test")
    router = await world.router()
    people = world.people(12, GENT)
    await router.route(world.topic, await world.publish(*people))
    assert await world.site.admin.grants(topic=topic)
    async with router.running():
        stopped = await world.services.agreements.revoke(gent, "test")
    assert (set(stopped.barriers), stopped.fenced) == (set(range(world.site.lanes)), ())
    assert 0 < stopped.duration_ms < 10_000
    await router.route(world.topic, await world.publish(*people))
    assert await world.site.admin.grants(topic=topic) == []
    found = await world.delivered(gent)
    last = max(stopped.barriers.values())
    assert [(each.offset, each.barrier, each.value) for each in found] == [(last, True, None)]
    assert found[0].headers["ce_reason"] == b"REVOKED"
    assert found[0].headers["ce_type"] == BARRIER_TYPE.encode()
    expected = [("release", "initial", None)] * 12 + [("withhold", "snapshot", "REVOKED")] * 12
    assert sorted(await world.decisions(gent), key=str) == expected


async def test_no_delivery_slips_in_between_while_records_keep_coming(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    people = world.people(40, GENT)
    seen: dict[int, bool] = {}

    async def keep(topic, partition, before) -> None:  # what would be emptied is what this test looks at
        del topic, partition
        for each in await world.delivered(gent):
            seen[each.offset] = each.barrier
        seen[before] = True

    agreements = world.services.agreements
    enforcement = agreements.enforcement
    emptied, enforcement.kafka = enforcement.kafka, Keeping(enforcement.kafka, keep)
    try:
        async with router.running():
            places = await world.publish(*people)
            await wait_until(lambda: router.counts.delivered[gent] > 0)
            revoking = asyncio.create_task(agreements.revoke(gent, "test"))
            more = await world.publish(*people)
            stopped = await revoking
            more += await world.publish(*people)
            await wait_until(lambda: router.routed(world.topic, [*places, *more]))
    finally:
        enforcement.kafka = emptied
    for each in await world.delivered(gent):
        seen[each.offset] = each.barrier
    barriers = sorted(stopped.barriers.values())
    assert [offset for offset in seen if offset > barriers[-1]] == []
    assert router.counts.delivered[gent] == sum(not barrier for barrier in seen.values())


class Keeping:
    """Administration that shows what it is asked to empty, and keeps it."""

    def __init__(self, admin, instead) -> None:
        self._admin, self.delete_records = admin, instead

    def __getattr__(self, name: str) -> object:
        return getattr(self._admin, name)


async def test_without_routers_the_control_plane_writes_the_barriers(world) -> None:
    gent = await world.agree("inwoners-gent")
    asleep = await world.router()
    places = await world.publish(*world.people(4, GENT))
    stopped = await world.services.agreements.revoke(gent, "test")
    assert stopped.fenced == tuple(range(world.site.lanes))
    assert stopped.duration_ms > PATIENCE_S * 1000
    with pytest.raises(Fenced):
        await asleep.route(world.topic, places)
    awake = await world.router()
    await awake.route(world.topic, places)
    assert all(each.barrier for each in await world.delivered(gent))
    assert awake.withheld(gent) == {"REVOKED": 4}


class Counted:
    """Kafka clients that count the producers of each lane."""

    def __init__(self, clients) -> None:
        self._clients = clients
        self.made: Counter[str] = Counter()

    def __getattr__(self, name: str) -> object:
        return getattr(self._clients, name)

    def transactional_producer(self, transactional_id: str) -> object:
        self.made[transactional_id] += 1
        return self._clients.transactional_producer(transactional_id)


async def test_a_lane_that_is_silent_is_fenced_once_for_all_that_are_revoked_meanwhile(world) -> None:
    held = [await world.agree("inwoners-gent"), await world.agree("statistiek-vlaanderen")]
    barriers = world.services.agreements.enforcement.barriers
    clients = barriers._clients
    barriers._clients = counted = Counted(clients)
    try:
        stopped = await asyncio.gather(*(world.services.agreements.revoke(each, "test") for each in held))
    finally:
        barriers._clients = clients
    lanes = set(range(world.site.lanes))
    assert [set(each.barriers) for each in stopped] == [lanes, lanes]
    assert set(counted.made.values()) == {1}
    assert len(counted.made) == len(lanes)


class Robbed:
    """Kafka clients whose first producer for a lane is fenced by an owner that opens the lane and then falls silent."""

    def __init__(self, clients) -> None:
        self._clients = clients
        self.robbed: set[str] = set()

    def __getattr__(self, name: str) -> object:
        return getattr(self._clients, name)

    def transactional_producer(self, transactional_id: str) -> object:
        producer = self._clients.transactional_producer(transactional_id)
        if transactional_id not in self.robbed:
            self.robbed.add(transactional_id)
            start = producer.start

            async def start_late() -> None:
                await start()
                owner = self._clients.transactional_producer(transactional_id)
                await owner.start()
                await owner.stop()

            producer.start = start_late
        return producer


async def test_an_owner_that_opens_its_lane_and_falls_silent_is_fenced_again(world) -> None:
    gent = await world.agree("inwoners-gent")
    barriers = world.services.agreements.enforcement.barriers
    clients = barriers._clients
    barriers._clients = robbed = Robbed(clients)
    try:
        stopped = await world.services.agreements.revoke(gent, "test")
    finally:
        barriers._clients = clients
    assert len(robbed.robbed) == world.site.lanes
    assert (set(stopped.barriers), stopped.fenced) == (set(range(world.site.lanes)), tuple(range(world.site.lanes)))


async def test_revoking_again_disturbs_nobody(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(2, GENT)))
    async with router.running():
        first = await world.services.agreements.revoke(gent, "test")
        before = await world.delivered(gent)
        again = await world.services.agreements.revoke(gent, "test")
    assert again.fenced == ()
    assert again.duration_ms < PATIENCE_S * 1000
    assert await world.delivered(gent) == before
    assert max(again.barriers.values()) == max(first.barriers.values())


async def test_an_interrupted_revocation_is_completed_by_the_next(world) -> None:
    gent = await world.agree("inwoners-gent")
    agreements = world.services.agreements
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(2, GENT)))

    async def fails(*_: object) -> None:
        raise ConnectionError

    enforcement = agreements.enforcement
    emptied, enforcement.kafka = enforcement.kafka, Keeping(enforcement.kafka, fails)
    try:
        async with router.running():
            with pytest.raises(ConnectionError):
                await agreements.revoke(gent, "test")
    finally:
        enforcement.kafka = emptied
    assert not all(each.barrier for each in await world.delivered(gent))
    async with router.running():
        stopped = await agreements.revoke(gent, "test")
    assert (set(stopped.barriers), stopped.fenced) == (set(range(world.site.lanes)), ())
    assert [each.barrier for each in await world.delivered(gent)] == [True]


async def test_what_was_never_active_is_revoked_without_barriers(world) -> None:
    gent = await world.ask("inwoners-gent")
    stopped = await world.services.agreements.revoke(gent, "test")
    assert (stopped.barriers, stopped.fenced) == ({}, ())
    with pytest.raises(Conflict):
        await world.services.agreements.approve(gent, world.source)


async def test_the_pull_shows_the_life_cycle_event_only(world) -> None:
    gent = await world.agree("inwoners-gent")
    issued = await world.installation.organisations.issue(world.agency(gent), ("agency",), by="test")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(3, GENT)))
    transport = httpx.ASGITransport(create_app(world.services))
    bearer = {"Authorization": f"Bearer {issued.token}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test", headers=bearer) as http:
        path = f"/v1/deliveries/{gent}"
        before = (await http.get(path)).json()["items"]
        assert [item["kind"] for item in before] == ["initial"] * 3
        async with router.running():
            await world.services.agreements.revoke(gent, "test")
        after = (await http.get(path)).json()["items"]
    assert [(item["kind"], item["reason"]) for item in after] == [("life-cycle", "REVOKED")]
    assert not {"data", "agreementVersion"} & set(after[0])
