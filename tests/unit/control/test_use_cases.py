"""Limits, organisations and products over a log in memory: who may what when, and in which order it takes effect."""

from dataclasses import replace

import pytest

from broker.control.limits import set_limits
from broker.errors import Conflict, NotFound
from broker.model.facts import FactType
from broker.model.registered import Organisation
from tests.unit.control.room import CEILINGS, PURPOSES, SCHEMA, Room, open_room


@pytest.fixture
async def room() -> Room:
    return await open_room()


async def test_limits_are_written_where_they_differ_only(room) -> None:
    assert await set_limits(room.control, PURPOSES, CEILINGS, by="t") == 0
    narrower = replace(CEILINGS[0], selectable=frozenset())
    assert await set_limits(room.control, PURPOSES, [narrower], by="t") == 1
    assert room.since() == [FactType.CEILING]
    assert len(room.control.state.ceilings) == len(CEILINGS)


async def test_an_organisation_is_registered_once_and_again_when_it_changes(room) -> None:
    await room.organisations.register(Organisation("stad-gent", "stad-gent"), by="t")
    assert room.since() == []
    await room.organisations.register(Organisation("stad-gent", "Stad Gent", ovo="OVO002067"), by="t")
    assert room.since() == [FactType.ORGANISATION]


async def test_a_product_has_its_topics_and_positions_before_anyone_hears_of_it(room) -> None:
    source = "source.stad-gent.persoon.v1"
    product = await room.products.declare("stad-gent", SCHEMA, by="t")
    assert room.since() == [
        ("topics", source, "quarantine.stad-gent.persoon.v1"),
        ("offsets", "router", ((source, 0), 0), ((source, 1), 0)),
        FactType.PRODUCT,
    ]
    assert await room.products.declare("stad-gent", SCHEMA, by="t") == product
    assert room.since() == []  # above all: no position goes back to 0
    other = SCHEMA.replace("Sex as registered.", "Something else.")
    with pytest.raises(Conflict):
        await room.products.declare("stad-gent", other, by="t")
    with pytest.raises(NotFound):
        await room.products.declare("nobody", SCHEMA, by="t")
    assert room.since() == []
