"""A quarantined record is looked at again in its place: routed once, or closed because its subject is further."""

from dataclasses import dataclass
from typing import Any

import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.control.quarantine import Note
from broker.errors import Conflict, NotFound
from broker.model.quarantine_book import Outcome, Place
from broker.testing import wait_until

REAL = "85073003328"
"""A number that is printed in official examples: refused as long as the wall stands."""


@dataclass(frozen=True)
class Wall:
    """Lets everybody pass, as a version of the broker that refuses less, or nobody."""

    said: str | None = None

    def verdict(self, _identifier: str) -> str | None:
        return self.said


def put_up(router, wall: Wall) -> None:
    """Give a router another door."""
    for lane in router.lanes.values():
        lane.plans.wall, lane.plans._epoch, lane.plans._made = wall, -1, {}


def lower(router) -> None:
    """Let a router's door take what it refused."""
    put_up(router, Wall())


def person(world, place, kind="snapshot") -> dict[str, Any]:
    (made,) = world.people(1, place)
    return {**made, "insz": REAL, "kind": kind}


async def set_aside(world, router, value) -> Place:
    stated = world.statement(value)
    lane, offset = await world.raw(stated.key, stated.value, stated.lane)
    await router.route(world.topic, [(lane, offset)])
    place = Place(world.source, "persoon.v1", lane, offset)

    async def shown() -> bool:
        """Kafka shows a transaction a moment after it was committed."""
        held = await world.services.quarantine.held(place.source, place.product)
        return any((note.lane, note.offset) == (lane, offset) for note in held.notes)

    await wait_until(shown, timeout=30)
    return place


async def retried(world, router, place: Place) -> Note:
    """What came of a retry."""
    retry = await world.services.quarantine.retry(place, by=world.source)

    async def answered() -> bool:
        await router.settle()
        return (await world.services.quarantine.find(place)).run == retry.epoch

    await wait_until(answered, timeout=30)
    return await world.services.quarantine.find(place)


async def test_a_record_that_the_door_takes_now_is_routed_once_under_its_own_run(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    place = await set_aside(world, router, person(world, GENT))
    refused = await retried(world, router, place)
    assert (refused.code, refused.outcome) == ("REAL_SUBJECT", None)
    assert await world.kinds(gent) == []
    lower(router)
    assert (await retried(world, router, place)).outcome is Outcome.ROUTED
    assert await world.kinds(gent) == ["initial"]
    (receipt,) = await world.receipts()
    assert (receipt["lane"], receipt["offset"], receipt["run"] > 0) == (place.lane, place.offset, True)
    with pytest.raises(Conflict):
        await world.services.quarantine.retry(place, by=world.source)
    await router.settle()
    assert await world.kinds(gent) == ["initial"]


async def test_what_it_made_of_the_subject_is_known_to_the_next_record(world) -> None:
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    router = await world.router()
    place = await set_aside(world, router, person(world, GENT))
    lower(router)
    await retried(world, router, place)
    await router.route(world.topic, await world.publish(person(world, LEUVEN, kind="changed")))
    assert await world.kinds(gent) == ["initial", "left-population"]
    assert await world.kinds(leuven) == ["initial"]


@pytest.mark.parametrize("gone", [False, True], ids=["newer record", "deletion"])
async def test_a_subject_that_is_further_closes_it(world, gone) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    old = person(world, GENT)
    place = await set_aside(world, router, old)
    lower(router)
    newer = person(world, GENT, kind="changed")
    await router.route(world.topic, await world.publish(newer))
    if gone:
        await router.route(world.topic, await world.delete(newer))
    before = await world.kinds(gent)
    assert before == (["initial", "left-population"] if gone else ["initial"])
    note = await retried(world, router, place)
    assert (note.code, note.outcome) == ("REAL_SUBJECT", Outcome.SUPERSEDED)
    assert await world.kinds(gent) == before


async def test_a_router_that_starts_anew_takes_no_unrouted_record_for_routed(world) -> None:
    """Its door is wider than the one that set the record aside: nobody was told of it, so it is no state."""
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    first = await world.router()
    lower(first)
    await first.route(world.topic, await world.publish(person(world, GENT)))
    put_up(first, Wall("REAL_SUBJECT"))
    place = await set_aside(world, first, person(world, LEUVEN, kind="changed"))
    await world.stop(first)
    world.forget_state()
    second = await world.router(wall=Wall())
    assert (await retried(world, second, place)).outcome is Outcome.ROUTED
    assert await world.kinds(gent) == ["initial", "left-population"]
    assert await world.kinds(leuven) == ["initial"]


async def test_a_state_that_missed_the_commit_hears_of_it_from_the_log(world) -> None:
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    first = await world.router()
    place = await set_aside(world, first, person(world, GENT))
    lower(first)
    for lane in first.lanes.values():
        lane.state.amend = lambda *_, **__: None  # killed between commit and absorb
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("broker.routing.retrying.Retries.catch_up", _nothing)
        await retried(world, first, place)
    await world.stop(first)
    second = await world.router(wall=Wall())
    await second.route(world.topic, await world.publish(person(world, LEUVEN, kind="changed")))
    assert await world.kinds(gent) == ["initial", "left-population"]
    assert await world.kinds(leuven) == ["initial"]


async def _nothing(*_asked: object, **_more: object) -> None:
    """No catching up."""


async def test_what_is_not_in_the_quarantine_is_neither_opened_nor_retried(world) -> None:
    router = await world.router()
    ((lane, offset),) = await world.publish(*world.people(1, GENT))
    await router.route(world.topic, [(lane, offset)])
    place = Place(world.source, "persoon.v1", lane, offset)
    with pytest.raises(NotFound):
        await world.services.quarantine.open(place, why="nieuwsgierigheid", by=world.source, credential=None)
    with pytest.raises(NotFound):
        await world.services.quarantine.retry(place, by=world.source)


async def test_the_bytes_leave_after_the_fact_that_they_were_opened(world) -> None:
    router = await world.router()
    value = person(world, GENT)
    place = await set_aside(world, router, value)
    opened = await world.services.quarantine.open(place, why="Herstel van de bron", by=world.source, credential="c1")
    assert opened == world.statement(value).value
    (opening,) = world.site.control.state.quarantine.openings[place]
    assert (opening.by, opening.credential, opening.why) == (world.source, "c1", "Herstel van de bron")
