"""An owner's emergency stop of a product, and what agencies are told in their streams."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.control.halts import Announced
from broker.errors import Conflict, NotFound
from broker.model import topics
from broker.model.notice import NoticeReason


def subjects(found: list[Any]) -> list[str]:
    return [each.kind for each in found if not each.barrier and each.notice is None]


async def readers(world: Any, agreement: str) -> set[str]:
    """Kafka users that may read an agreement's topic."""
    topic = topics.delivery(world.agency(agreement), agreement)
    return {
        grant.principal for grant in await world.site.admin.grants() if grant.name == topic and grant.kind == "topic"
    }


async def test_a_halt_stops_every_stream_of_a_product_and_no_other(world) -> None:
    other = f"ander-{world.suffix}"
    other_topic = await world.declare(other)
    await world.installation.organisations.issue(world.agency(await world.ask("inwoners-gent")), ("agency",), by="test")
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    unhalted = await world.agree(
        "inwoners-oostende",
        source=other,
        population={"where": {"path": "verblijfplaats.gemeente.nis", "equals": GENT.nis}},
    )
    router, (in_gent, in_leuven) = await world.router(), (world.people(1, GENT)[0], world.people(1, LEUVEN)[0])
    await router.route(world.topic, await world.publish(in_gent, in_leuven))
    users = await readers(world, gent)
    assert users
    halts = world.services.halts
    async with router.running():
        stopped = await halts.halt(world.source, "persoon.v1", by="test", why="lek")
    assert (len(stopped.barriers), stopped.fenced) == (world.site.lanes, ())
    await router.route(world.topic, await world.publish(world.moved(in_gent, GENT), world.moved(in_leuven, LEUVEN)))
    await router.route(other_topic, await world.publish(in_gent, source=other))
    for agreement in (gent, leuven):
        found = await world.delivered(agreement)
        assert subjects(found) == ["initial"]
        assert {each.headers["ce_reason"] for each in found if each.barrier} == {b"HALTED"}
        assert sum(each.barrier for each in found) == world.site.lanes
        assert router.withheld(agreement) == {"SUSPENDED": 1}
        assert await readers(world, agreement) == set()
    assert subjects(await world.delivered(unhalted)) == ["initial"]
    # Asked again it is the same halt.
    assert (await halts.halt(world.source, "persoon.v1", by="test")).barriers.keys() == stopped.barriers.keys()
    async with router.running():
        await halts.resume(world.source, "persoon.v1", by="test", text="Het lek is dicht")
    with pytest.raises(Conflict):
        await halts.resume(world.source, "persoon.v1", by="test")
    await router.settle()
    await world.services.replays.request(gent, since=None, now=router.instant, by="test")
    await router.settle()
    found = await world.delivered(gent)
    assert subjects(found) == ["initial", "initial"]
    (resumed,) = [each for each in found if each.notice == "PRODUCT_RESUMED"]
    assert resumed.headers["ce_text"] == b"Het lek is dicht"
    assert await readers(world, gent) == users


async def test_a_halt_without_routers_fences_their_lanes(world) -> None:
    gent = await world.agree("inwoners-gent")
    stopped = await world.services.halts.halt(world.source, "persoon.v1", by="test")
    assert stopped.fenced == tuple(range(world.site.lanes))
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(2, GENT)))
    assert subjects(await world.delivered(gent)) == []


async def test_an_announcement_is_told_once_in_every_stream_it_concerns(world) -> None:
    other = f"ander-{world.suffix}"
    await world.declare(other)
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven", source=other)
    router = await world.router()
    begins = datetime(2026, 12, 1, 20, tzinfo=UTC)
    told = Announced(NoticeReason.OUTAGE, "Onderhoud op dinsdagavond", begins, begins + timedelta(hours=2))
    halts = world.services.halts
    await halts.announce(world.source, "persoon.v1", told, by="test")
    await halts.announce(other, None, Announced(NoticeReason.DEPRECATION, "persoon.v1 stopt"), by="test")
    await router.settle()
    await world.stop(router)
    second = await world.router()
    await second.settle()
    for agreement, reason in ((gent, "OUTAGE"), (leuven, "DEPRECATION")):
        assert Counter(each.notice for each in await world.delivered(agreement)) == {reason: 1}
    (outage,) = await world.delivered(gent)
    assert outage.headers["ce_text"].decode() == told.text
    assert (outage.headers["ce_begins"], outage.headers["ce_ends"]) == (
        b"2026-12-01T20:00:00+00:00",
        b"2026-12-01T22:00:00+00:00",
    )
    with pytest.raises(NotFound):
        await halts.announce(world.source, "hinder.v9", told, by="test")
