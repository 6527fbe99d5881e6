"""Routers share lanes: each lane has one owner, and whoever takes one over goes on where the other stopped."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.cli.router import lane_maker
from broker.errors import Fenced
from broker.model import topics
from broker.routing.counts import Counts
from broker.routing.lanes import Lanes
from broker.testing import wait_until


@asynccontextmanager
async def member(world) -> AsyncIterator[Lanes]:
    """A router that takes part in the group."""
    made = world.site.clients.member(topics.LANE_GROUP)
    await made.start()
    lanes = Lanes(made, await lane_maker(world.site), Counts())
    task = asyncio.create_task(lanes.run())
    try:
        yield lanes
        assert not task.done(), task.result()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await made.stop()


async def delivered(world, agreement, number) -> list:
    async def all_there() -> list | None:
        found = await world.delivered(agreement)
        return found if len(found) >= number else None

    return await wait_until(all_there, timeout=30, every=0.2)


async def test_a_router_that_joins_takes_lanes_over_without_loss_or_double(world) -> None:
    gent = await world.agree("inwoners-gent")
    everyone = frozenset(range(world.site.lanes))
    people = world.people(60, GENT)
    async with member(world) as one:
        await wait_until(lambda: one.owned == everyone, timeout=20)
        await world.publish(*people[:20])
        async with member(world) as other:
            await world.publish(*people[20:40])
            await wait_until(lambda: one.owned and other.owned and one.owned | other.owned == everyone, timeout=20)
            assert not one.owned & other.owned
            await world.publish(*people[40:])
            await delivered(world, gent, 60)
        await wait_until(lambda: one.owned == everyone, timeout=20)
        await world.publish(*(world.moved(person, LEUVEN) for person in people))
        found = await delivered(world, gent, 120)
    assert Counter(each.kind for each in found) == {"initial": 60, "left-population": 60}
    assert len({each.headers["ce_id"] for each in found}) == 120
    arrived = [each.value["naam"]["achternaam"] for each in found if each.value is not None]
    assert Counter(arrived) == Counter(person["naam"]["achternaam"] for person in people)


async def test_two_owners_of_one_lane_are_one_too_many(world) -> None:
    """A stalled router that wakes up after another took its lane can commit nothing any more."""
    gent = await world.agree("inwoners-gent")
    stalled = await world.router()
    (person,) = world.people(1, GENT)
    places = await world.publish(person)
    lane = places[0][0]
    batch = await stalled.lanes[lane].fetch()
    while not batch.records:
        await stalled.lanes[lane].refresh()
        batch = await stalled.lanes[lane].fetch()
    second = await world.router([lane])
    await second.route(world.topic, places)
    knowledge = await stalled.lanes[lane].refresh()
    work = stalled.lanes[lane].checkpoint(knowledge)
    work.output(topics.delivery(world.agency(gent), gent), 0).append((b"late", b"late", []))
    with pytest.raises(Fenced):
        await stalled.lanes[lane].commit(work, batch, knowledge, {gent})
    assert await world.kinds(gent) == ["initial"]


async def test_after_doubt_a_lane_goes_on_from_what_is_committed(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    first, second = world.people(2, GENT)
    await router.route(world.topic, await world.publish(first))
    await router.open()
    await router.route(world.topic, await world.publish({**first, "kind": "changed"}, second))
    kinds = Counter(await world.kinds(gent))
    assert kinds == {"initial": 2, "changed": 1}


async def test_a_batch_committed_but_not_remembered_is_remembered_at_the_next_start(world) -> None:
    gent = await world.agree("inwoners-gent")
    first = await world.router()
    (person,) = world.people(1, GENT)
    for lane in first.lanes.values():
        lane.state.write = lambda *_: None  # killed between commit and absorb
    await first.route(world.topic, await world.publish(person))
    await world.stop(first)
    second = await world.router()
    await second.route(world.topic, await world.publish(world.moved(person, LEUVEN)))
    assert await world.kinds(gent) == ["initial", "left-population"]
