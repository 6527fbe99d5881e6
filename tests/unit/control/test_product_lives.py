"""Launch, deprecation and end of a product version over a log in memory, and what agreements may do meanwhile."""

from datetime import timedelta
from typing import Any

import pytest

from broker.control.dev_signing import bring_into_force
from broker.control.limits import set_limits
from broker.control.product_lives import Announced, ProductLives
from broker.control.term_keeper import Act, acts_of
from broker.errors import Conflict, Invalid, NotFound, NotOffered
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.product_life import ProductState
from broker.policy import limit_documents
from broker.policy.succession import By, Reason
from tests.unit.control.room import CEILINGS, NOW, PURPOSES, SCHEMA, Room, document, open_room
from tests.unit.schema.test_compatibility import at_end, version

SOURCE, OLD, NEW, GENT = "rijksregister", "persoon.v1", "persoon.v2", "inwoners-gent"
DAY = timedelta(days=1)
SUNSET = NOW + 200 * DAY
TOLD = Announced(SUNSET, "Een nieuwe versie.", NEW)


@pytest.fixture
async def room() -> Room:
    """With both versions declared, and ceilings on each."""
    made = await open_room()
    await made.products.declare(SOURCE, version(at_end).text, by="t")
    moved = [limit_documents.ceiling({**limit_documents.ceiling_document(each), "product": NEW}) for each in CEILINGS]
    await set_limits(made.control, PURPOSES, moved, by="t")
    made.since()
    return made


def lives(room: Room) -> ProductLives:
    return ProductLives(room.control, room.agreements, now=lambda: room.control.now)


async def active(room: Room, **changes: Any) -> None:
    await bring_into_force(room.agreements, document(**changes), NOW)
    room.since()


async def test_a_deprecation_is_one_fact_and_tells_what_it_asks_of_each_agreement(room) -> None:
    await active(room)
    await room.agreements.request(document(id="later"), "stad-gent")
    room.since()
    previewed = await lives(room).examine(SOURCE, OLD, TOLD)
    assert room.since() == []
    found = await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    assert room.since() == [FactType.PRODUCT_DEPRECATED]
    assert [each.entry.id for each in found] == [each.entry.id for each in previewed] == [GENT, "later"]
    asked = found[0].asked
    assert asked is not None
    assert [each.reason for each in asked.grounds] == [Reason.PRODUCT_NAMED]
    assert (found[0].by.rule, found[0].by.at) == (By.NOTICE, SUNSET - 90 * DAY)
    event = room.control.state.events[-1]
    assert event.transition.why == (
        "Op het dataproduct persoon.v1 begint vanaf 12 juni 2027 geen nieuw protocol meer; "
        "de opvolger is persoon.v2. Een nieuwe versie."
    )


async def test_the_same_deprecation_again_says_nothing_new_and_a_later_sunset_does(room) -> None:
    await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    room.since()
    await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    assert room.since() == []
    await lives(room).deprecate(SOURCE, OLD, Announced(SUNSET + DAY, TOLD.reason, NEW), by=SOURCE)
    assert room.since() == [FactType.PRODUCT_DEPRECATED]
    with pytest.raises(Conflict, match="only come later"):
        await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)


@pytest.mark.parametrize(
    ("told", "error", "says"),
    [
        (Announced(NOW + 89 * DAY, "r", NEW), Invalid, "notice"),
        (Announced(SUNSET, "r", NEW, -1), Invalid, "notice"),
        (Announced(SUNSET, "r", "persoon.v3"), Invalid, "declare it first"),
        (Announced(SUNSET, "r", OLD), Invalid, "no later version"),
    ],
)
async def test_a_deprecation_that_nobody_can_follow_is_refused(room, told, error, says) -> None:
    with pytest.raises(error, match=says):
        await lives(room).deprecate(SOURCE, OLD, told, by=SOURCE)
    assert room.control.state.lives.of(SOURCE, OLD).state is ProductState.LIVE


async def test_an_unknown_product_and_one_that_is_planned_are_not_deprecated(room) -> None:
    with pytest.raises(NotFound):
        await lives(room).deprecate(SOURCE, "hinder.v9", TOLD, by=SOURCE)
    text = SCHEMA.replace("persoon.v1", "mens.v1")
    await room.products.declare(SOURCE, text, by="t", planned=True)
    with pytest.raises(Conflict, match="planned"):
        await lives(room).deprecate(SOURCE, "mens.v1", Announced(SUNSET, "r"), by=SOURCE)


async def test_a_version_on_its_way_out_is_no_successor(room) -> None:
    await lives(room).deprecate(SOURCE, NEW, Announced(SUNSET, "Toch niet."), by=SOURCE)
    with pytest.raises(Invalid, match="on its way out"):
        await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)


async def test_after_the_sunset_no_agreement_is_requested_published_or_activated(room) -> None:
    await active(room)
    await room.agreements.request(document(id="wacht"), "stad-gent")
    await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    await room.agreements.request(document(id="nog"), "stad-gent")
    room.control.now = SUNSET
    with pytest.raises(NotOffered, match=r"ask for persoon\.v2"):
        await room.agreements.request(document(id="nieuw"), "stad-gent")
    with pytest.raises(NotOffered):
        await bring_into_force(room.agreements, document(id="wacht"), SUNSET)
    assert room.control.state.agreements["wacht"].state is not State.ACTIVE
    moved = await bring_into_force(room.agreements, document(id="op-twee", product=NEW), SUNSET)
    assert moved.state is State.ACTIVE


async def test_who_keeps_the_terms_does_not_wait_for_one_that_begins_after_the_sunset(room) -> None:
    after = {"start": (SUNSET + DAY).isoformat(), "end": None}
    published = await bring_into_force(room.agreements, document(term=after), NOW)
    assert [act for _, act in acts_of(room.control.state, published.id)] == [Act.ACTIVATE]
    await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    assert list(acts_of(room.control.state, published.id)) == []


async def test_after_the_sunset_what_is_in_force_is_suspended_resumed_and_amended(room) -> None:
    await active(room)
    await lives(room).deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    room.control.now = SUNSET
    await room.agreements.suspend(GENT, SOURCE)
    assert (await room.agreements.resume(GENT, SOURCE)).state is State.ACTIVE
    narrower = document(version=2, fields=document()["fields"][:2])
    assert (await bring_into_force(room.agreements, narrower, SUNSET)).version == 2


async def test_a_planned_version_is_negotiated_and_published_once_it_is_launched(room) -> None:
    await room.products.declare(SOURCE, version(at_end, "persoon.v3").text, by="t", planned=True)
    moved = [
        limit_documents.ceiling({**limit_documents.ceiling_document(each), "product": "persoon.v3"})
        for each in CEILINGS
    ]
    await set_limits(room.control, PURPOSES, moved, by="t")
    wanted = document(product="persoon.v3")
    with pytest.raises(NotOffered, match="launches"):
        await bring_into_force(room.agreements, wanted, NOW)
    assert room.control.state.agreements[GENT].state is State.SIGNED
    await lives(room).launch(SOURCE, "persoon.v3", by=SOURCE)
    assert (await room.agreements.publish(GENT, SOURCE)).state is State.ACTIVE
    with pytest.raises(Conflict):
        await lives(room).launch(SOURCE, "persoon.v3", by=SOURCE)


async def test_a_version_ends_after_its_sunset_when_nothing_is_left_on_it(room) -> None:
    await active(room)
    cycle = lives(room)
    with pytest.raises(Conflict, match="deprecate it first"):
        await cycle.end(SOURCE, OLD, by=SOURCE)
    await cycle.deprecate(SOURCE, OLD, TOLD, by=SOURCE)
    with pytest.raises(Conflict, match="it ends after that"):
        await cycle.end(SOURCE, OLD, by=SOURCE)
    room.control.now = SUNSET
    with pytest.raises(Conflict, match="inwoners-gent; move or end them"):
        await cycle.end(SOURCE, OLD, by=SOURCE)
    room.since()
    assert await cycle.end(SOURCE, OLD, by=SOURCE, end_agreements=True) == (GENT,)
    did = room.since()
    ended, over = did.index(FactType.AGREEMENT_ENDED), did.index(FactType.PRODUCT_ENDED)
    assert any(each[0] == "barriers" for each in did[ended:over] if isinstance(each, tuple))
    assert room.control.state.lives.of(SOURCE, OLD).ended == SUNSET
    with pytest.raises(Conflict, match="ended already"):
        await cycle.end(SOURCE, OLD, by=SOURCE)
