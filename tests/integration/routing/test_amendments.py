"""A version that replaces another while records flow: who was in stays in, and what was taken away is gone."""

from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.synthetic_names import GENT, LEUVEN
from broker.control.dev_signing import bring_into_force
from broker.control.term_keeper import TermKeeper
from broker.model.agreement import State
from broker.model.lifecycle import Step

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
    assert {(each.barrier, each.headers["ce_reason"]) for each in left} == {(True, b"AMENDED")}
    await router.route(world.topic, await world.publish(world.moved(stays, GENT), world.moved(leaves, LEUVEN)))
    found = {each.kind: each for each in await world.delivered(gent) if not each.barrier}  # no second `initial`
    assert found.keys() == {"changed", "left-population"}
    assert {each.headers["ce_agreementversion"] for each in found.values()} == {b"2"}
    assert found["changed"].value["naam"].keys() == {"achternaam"}
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
    await router.route(world.topic, await world.publish(world.moved(person, GENT)))
    found = await world.delivered(gent)
    assert [each.value["naam"].keys() for each in found if not each.barrier] == [
        {"achternaam"},
        {"achternaam", "voornamen"},
    ]
    assert [each.kind for each in found if not each.barrier] == ["initial", "changed"]
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
