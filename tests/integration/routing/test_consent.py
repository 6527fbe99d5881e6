"""Consent on running lanes: granting brings the present state, narrowing less of it, withdrawing ends it and is confirmed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.synthetic_names import GENT
from broker.errors import Invalid
from broker.model.agreement import GivenBy
from tests.integration.routing.conftest import World

ASKED = {"population": {"consent": True}}


async def grant(world, agreement, person, **given: Any) -> tuple[str, bool]:
    form = {"reference": "T-1", "given_by": GivenBy.SUBJECT, "begin": None, "end": None, "fields": None} | given
    return await world.services.consents.grant(agreement, world.agency(agreement), subject=person["insz"], **form)


async def withdraw(world, agreement, person, **given: Any) -> tuple[str, bool]:
    form = {"reference": "T-1", "end": None} | given
    return await world.services.consents.withdraw(agreement, world.agency(agreement), subject=person["insz"], **form)


@pytest.fixture
async def agreed(world: World) -> str:
    """An agreement that asks for consent."""
    return await world.agree("inwoners-gent", **ASKED)


async def test_without_consent_every_record_is_withheld_with_a_receipt(world, agreed) -> None:
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    assert await world.kinds(agreed) == []
    assert await world.decisions(agreed) == [("withhold", person["kind"], "NO_CONSENT")]


async def test_a_consent_is_given_narrowed_widened_and_withdrawn(world, agreed) -> None:
    router = await world.router()
    (person,) = world.people(1, GENT)
    person = {**person, "verblijfplaats": {**person["verblijfplaats"], "busnummer": "0301"}}
    await router.route(world.topic, await world.publish(person))
    fields = [field["path"] for field in world.document_of(agreed)["fields"]]
    without = [path for path in fields if path != "verblijfplaats.busnummer"]
    async with router.running():
        assert await grant(world, agreed, person) == ("granted", True)
        assert await grant(world, agreed, person) == ("already", True)
        assert await grant(world, agreed, person, fields=without) == ("changed", True)
    await router.route(world.topic, await world.publish({**person, "kind": "corrected"}))
    async with router.running():
        assert await grant(world, agreed, person) == ("changed", True)
        assert await withdraw(world, agreed, person) == ("withdrawn", True)
        assert await withdraw(world, agreed, person) == ("already", True)
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    told = await world.delivered(agreed)
    boxes = [each.value and each.value["verblijfplaats"]["busnummer"] for each in told]
    assert list(zip([each.kind for each in told], boxes, strict=True)) == [
        ("initial", "0301"),
        ("changed", None),
        ("corrected", None),
        ("changed", "0301"),
        ("left-population", None),
    ]
    assert told[-1].headers["ce_reason"] == b"CONSENT_ENDED"
    assert b"0301" not in [record.value for record in await world.read(f"delivery.{world.agency(agreed)}.{agreed}")][2]


async def test_a_late_withdrawal_takes_back_what_came_meanwhile(world, agreed) -> None:
    router = await world.router()
    (person,) = world.people(1, GENT)
    async with router.running():
        await grant(world, agreed, person)
    await router.route(world.topic, await world.publish(person))
    async with router.running():
        longer_ago = datetime.now(UTC) - timedelta(hours=1)
        assert await withdraw(world, agreed, person, end=longer_ago) == ("withdrawn", True)
    assert await world.kinds(agreed) == ["initial", "left-population"]


async def test_a_record_from_before_the_consent_is_not_released_by_it(world, agreed) -> None:
    (person,) = world.people(1, GENT)
    places = await world.publish(person)
    await grant(world, agreed, person)
    router = await world.router()
    await router.route(world.topic, places)
    assert await world.kinds(agreed) == []
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    (told,) = await world.delivered(agreed)  # every record is the complete state
    assert told.value["naam"]["achternaam"] == person["naam"]["achternaam"]


async def test_a_withdrawal_without_a_router_says_so_and_counts_before_anything_else(
    world, agreed, monkeypatch
) -> None:
    monkeypatch.setattr("broker.control.confirmation.LONGEST_S", 0.2)
    first = await world.router()
    (person,) = world.people(1, GENT)
    async with first.running():
        await grant(world, agreed, person)
    await first.route(world.topic, await world.publish(person))
    await world.stop(first)
    places = await world.publish({**person, "kind": "changed"})
    monkeypatch.setattr("broker.control.confirmation.LONGEST_S", 0.2)
    assert await withdraw(world, agreed, person) == ("withdrawn", False)
    second = await world.router()
    await second.route(world.topic, places)
    assert await world.kinds(agreed) == ["initial", "left-population"]


async def test_what_cannot_be_chosen_is_refused(world, agreed) -> None:
    (person,) = world.people(1, GENT)
    for fields, problem in (
        ([], "choose among"),
        (["geboorte.datum"], "choose among"),
        (["verblijfplaats.busnummer"], "cannot be left out"),
    ):
        with pytest.raises(Invalid, match=problem):
            await grant(world, agreed, person, fields=fields)
    with pytest.raises(Invalid, match="INSZ"):
        await grant(world, agreed, {"insz": "00000000000"})
    with pytest.raises(Invalid, match="ends after it begins"):
        await grant(world, agreed, person, end=datetime.now(UTC) - timedelta(hours=1))


async def test_the_list_names_no_subject(world, agreed) -> None:
    (person,) = world.people(1, GENT)
    router = await world.router()
    async with router.running():
        await grant(world, agreed, person, given_by=GivenBy.REPRESENTATIVE)
    (held,) = await world.services.consents.list(agreed, world.agency(agreed))
    assert (held.reference, held.given_by) == ("T-1", GivenBy.REPRESENTATIVE)
    assert person["insz"] not in repr(held)
