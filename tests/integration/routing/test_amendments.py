"""A version that replaces another while records flow: who was in stays in, and what was taken away is gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.synthetic_names import GENT, LEUVEN, OOSTENDE
from broker.control.dev_signing import bring_into_force
from broker.control.term_keeper import TermKeeper
from broker.model.agreement import State
from broker.model.lifecycle import Step
from broker.routing.rereading import Rereading

GIVEN_NAMES = "naam.voornamen"


async def amendment(world: Any, **changes: Any) -> dict[str, Any]:
    """The next version of `inwoners-gent`."""
    return await world.document("inwoners-gent", version=2, **changes)


async def without(world: Any, path: str) -> dict[str, Any]:
    document = await amendment(world)
    return document | {"fields": [field for field in document["fields"] if field["path"] != path]}


async def test_an_amendment_that_narrows_leaves_nothing_of_what_it_takes_away(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    stays, leaves = world.people(2, GENT)
    await router.route(world.topic, await world.publish(stays, leaves))
    assert [each.value["naam"].keys() for each in await world.delivered(gent)] == [{"achternaam", "voornamen"}] * 2
    async with router.running():
        amended = await bring_into_force(
            world.services.agreements, await without(world, GIVEN_NAMES), datetime.now(UTC)
        )
    assert (amended.version, amended.state) == (2, State.ACTIVE)
    # The topic is emptied up to the last lane's barrier, which says why.
    left = await world.delivered(gent)
    assert {each.headers["ce_reason"] for each in left if each.barrier} == {b"AMENDED"}
    assert {each.headers["ce_agreementversion"] for each in left if not each.barrier} <= {b"2"}
    await router.settle()
    await router.route(world.topic, await world.publish(world.moved(stays, GENT), world.moved(leaves, LEUVEN)))
    found = [each for each in await world.delivered(gent) if not each.barrier]  # no second `initial`
    assert sorted(each.kind for each in found) == ["changed", "changed", "changed", "left-population"]
    assert {each.headers["ce_agreementversion"] for each in found} == {b"2"}
    assert all(each.value["naam"].keys() == {"achternaam"} for each in found if each.kind == "changed")
    state = world.site.control.state
    assert state.versions_of(gent)[1].history[-1].type is Step.AMENDED
    assert amended.egress_schema_id != state.versions_of(gent)[1].egress_schema_id


async def test_an_amendment_that_widens_keeps_what_was_delivered(world) -> None:
    narrow = await world.document("inwoners-gent")
    narrow["fields"] = [field for field in narrow["fields"] if field["path"] != GIVEN_NAMES]
    gent = (await bring_into_force(world.services.agreements, narrow, datetime.now(UTC))).id
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    async with router.running():
        await bring_into_force(world.services.agreements, await amendment(world), datetime.now(UTC))
    await router.settle()
    found = await world.delivered(gent)
    assert [(each.kind, each.value["naam"].keys()) for each in found if not each.barrier] == [
        ("initial", {"achternaam"}),
        ("changed", {"achternaam", "voornamen"}),
    ]
    assert len({each.headers["ce_id"] for each in found if not each.barrier}) == 2
    assert sum(each.barrier for each in found) == world.site.lanes


async def test_without_routers_the_control_plane_writes_the_barriers_of_an_amendment(world) -> None:
    gent = await world.agree("inwoners-gent")
    await bring_into_force(
        world.services.agreements, await amendment(world, title="Anders verwoord"), datetime.now(UTC)
    )
    found = await world.delivered(gent)
    assert {each.key for each in found} == {b"barrier/%d" % lane for lane in range(world.site.lanes)}
    assert {each.headers["ce_reason"] for each in found} == {b"AMENDED"}


async def test_an_amendment_that_begins_later_is_no_new_beginning_for_anyone(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    start = datetime.now(UTC) + timedelta(hours=1)
    later = await amendment(world, term={"start": start.isoformat(), "end": None})
    waiting = await bring_into_force(world.services.agreements, later, datetime.now(UTC))
    assert (waiting.version, waiting.state) == (2, State.PUBLISHED)
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    agreements = world.services.agreements
    usual, agreements.now = agreements.now, lambda: start
    try:
        async with router.running():
            await TermKeeper(world.site.control, agreements, "operator", lambda: start).keep()
    finally:
        agreements.now = usual
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    found = [each for each in await world.delivered(gent) if not each.barrier]
    assert [(each.kind, each.headers["ce_agreementversion"]) for each in found] == [
        ("initial", b"1"),
        ("changed", b"1"),
        ("changed", b"2"),
    ]


async def test_an_amendment_of_the_population_tells_the_difference_and_nothing_else(world) -> None:
    gent = await world.agree("inwoners-gent", population=within(GENT, LEUVEN))
    router = await world.router()
    stays, leaves, comes = (world.people(1, place)[0] for place in (GENT, LEUVEN, OOSTENDE))
    await router.route(world.topic, await world.publish(stays, leaves, comes))
    await amended(world, router, population=within(GENT, OOSTENDE))
    await router.settle()
    told = await of_the_second_version(world, gent)
    assert {each.kind: each.headers.get("ce_reason") for each in told} == {
        "left-population": b"AMENDED",
        "initial": None,
    }
    assert [each.value["naam"]["achternaam"] for each in told if each.value] == [comes["naam"]["achternaam"]]
    # Once told, all is as it would be without an amendment.
    await router.route(
        world.topic, await world.publish(*({**each, "kind": "changed"} for each in (stays, comes, leaves)))
    )
    after = (await of_the_second_version(world, gent))[2:]
    assert [each.kind for each in after] == ["changed", "changed"]


async def test_a_record_that_comes_before_the_difference_is_decided_by_what_the_agency_was_told(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: Any, **__: Any) -> None:
        """Nothing is read again before these records are."""

    gent = await world.agree("inwoners-gent", population=within(GENT))
    router = await world.router()
    leaves, comes = *world.people(1, GENT), *world.people(1, LEUVEN)
    await router.route(world.topic, await world.publish(leaves, comes))
    monkeypatch.setattr(Rereading, "next_slice", nothing)
    await amended(world, router, population=within(LEUVEN))
    assert await of_the_second_version(world, gent) == []
    places = await world.publish({**leaves, "kind": "changed"}, {**comes, "kind": "changed"})
    await router.route(world.topic, places)
    told = await of_the_second_version(world, gent)
    expected = {"initial": None, "left-population": b"AMENDED"}
    assert {each.kind: each.headers.get("ce_reason") for each in told} == expected
    monkeypatch.undo()
    await router.settle()
    assert len(await of_the_second_version(world, gent)) == 2


async def amended(world: Any, router: Any, **changes: Any) -> None:
    async with router.running():
        await bring_into_force(world.services.agreements, await amendment(world, **changes), datetime.now(UTC))


async def of_the_second_version(world: Any, agreement: str) -> list[Any]:
    return [each for each in await world.delivered(agreement) if each.headers.get("ce_agreementversion") == b"2"]


def within(*places: Any) -> dict[str, Any]:
    return {"where": {"path": "verblijfplaats.gemeente.nis", "in": [place.nis for place in places]}}
