"""The subscriber against the broker's own HTTP interface, in memory: each holds the other to the form of an item."""

from typing import Any

import pytest

from broker.client import MemoryPositions, Subscription
from broker.errors import NotFound, Unauthenticated
from broker.model.facts import FactType
from tests.unit.api.conftest import World, token
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture


def subscription(world: World, agreement: str = "parkeren", who: str = "agency", **given: Any) -> Subscription[Any]:
    usual = {"positions": MemoryPositions(), "transport": world.http._transport, "follow": False, "page": 2}
    return Subscription(agreement, url="http://broker.test", token=token(who), **usual | given)


async def test_deliveries_are_read_page_by_page(world: World) -> None:
    world.deliver(*"abcde")
    async with subscription(world) as deliveries:
        found = [delivery async for delivery in deliveries]
    assert [delivery.data for delivery in found] == [{"achternaam": name} for name in "abcde"]
    assert found[0].id == "0" * 32
    assert found[0].agreement_version == 1


async def test_a_revoked_agreement_ends_the_iteration(world: World) -> None:
    world.deliver("a")
    world.barrier()
    world.move("parkeren", FactType.AGREEMENT_REVOKED)
    async with subscription(world, life_cycle=True, follow=True) as deliveries:
        events = [event async for event in deliveries]
    assert {event.reason for event in events} == {"REVOKED"}
    assert deliveries.ended is not None
    assert deliveries.ended.final


@pytest.mark.parametrize(
    ("agreement", "who", "expected"),
    [("jeugd", "agency", NotFound), ("bestaat-niet", "agency", NotFound), ("parkeren", "foreign", NotFound)],
)
async def test_anothers_agreement_is_not_there(
    world: World, agreement: str, who: str, expected: type[Exception]
) -> None:
    async with subscription(world, agreement, who) as deliveries:
        with pytest.raises(expected):
            await anext(deliveries)


async def test_a_token_that_does_not_count_is_told(world: World) -> None:
    wrong = Subscription(
        "parkeren",
        url="http://broker.test",
        token="dn_c1_x",
        positions=MemoryPositions(),
        transport=world.http._transport,
    )
    async with wrong as deliveries:
        with pytest.raises(Unauthenticated):
            await anext(deliveries)
