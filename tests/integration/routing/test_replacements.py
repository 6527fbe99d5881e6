"""A bis number becomes a national number: every agency is told that the old one left, and knows the new one for the same."""

from typing import Any

import pytest

from adapters.synthetic_names import GENT
from broker.control.replacements import Replaced
from broker.errors import Conflict, Invalid, NotFound, NotYetKnown
from broker.model.agreement import GivenBy
from broker.testing import wait_until

PRODUCT = "persoon.v1"


async def replace(world: Any, old: Any, new: Any) -> Replaced:
    return await world.services.replacements.replace(world.source, PRODUCT, old=old["insz"], new=new["insz"])


async def test_files_pseudonyms_and_streams_follow_the_chain(world) -> None:
    parking, gent = await world.agree("parkeerboetes-gent"), await world.agree("inwoners-gent")
    statistics = await world.agree("statistiek-vlaanderen")
    router = await world.router()
    bis, number, corrected = world.people(3, GENT)
    await world.register(parking, bis, "P-1")
    await router.route(world.topic, await world.publish(bis))
    async with router.running():
        done = await replace(world, bis, number)
        assert (done.status, done.files, done.consents) == ("replaced", 1, 0)
    for agreement in (parking, gent, statistics):
        first, left = await world.delivered(agreement)
        assert (first.kind, left.kind, left.value, left.key) == ("initial", "left-population", None, first.key)
        assert left.headers["ce_reason"] == b"REPLACED"

    # A late record under the old number concerns nobody any more.
    await router.route(world.topic, await world.publish({**bis, "kind": "corrected"}))
    await router.route(world.topic, await world.publish(number))
    same, later = await world.delivered(parking), await world.delivered(statistics)
    assert [each.kind for each in same] == ["initial", "left-population", "initial"]
    assert {each.value["dossierReferentie"] for each in same if each.value} == {"P-1"}
    assert [each.kind for each in later] == ["initial", "left-population", "initial"]
    assert len({each.value["pseudoniem"] for each in later if each.value}) == 1
    assert same[0].key != same[2].key
    assert await world.kinds(gent) == ["initial", "left-population", "initial"]

    # The chain goes on: the pseudonym is still that of its first number.
    async with router.running():
        assert (await replace(world, number, corrected)).files == 1
    await router.route(world.topic, await world.publish(corrected))
    last = await world.delivered(statistics)
    assert len({each.value["pseudoniem"] for each in last if each.value}) == 1
    assert await world.kinds(parking) == ["initial", "left-population", "initial", "left-population", "initial"]


async def test_the_new_number_may_be_known_before_the_replacement(world) -> None:
    parking = await world.agree("parkeerboetes-gent")
    router = await world.router()
    old, new = world.people(2)
    await world.register(parking, old, "P-1")
    await router.route(world.topic, await world.publish(old, new))
    async with router.running():
        await replace(world, old, new)
    await router.settle()
    told = await world.delivered(parking)
    assert [each.kind for each in told] == ["initial", "left-population", "initial"]
    assert told[2].value["naam"]["achternaam"] == new["naam"]["achternaam"]


async def test_a_consent_follows(world) -> None:
    agreed = await world.agree("inwoners-gent", population={"consent": True})
    router = await world.router()
    old, new = world.people(2, GENT)
    await router.route(world.topic, await world.publish(old, new))
    consents, agency = world.services.consents, world.agency(agreed)
    form = {"reference": "T-1", "given_by": GivenBy.SUBJECT, "begin": None, "end": None, "fields": None}
    async with router.running():
        await consents.grant(agreed, agency, subject=old["insz"], **form)
        assert (await replace(world, old, new)).consents == 1

        async def there() -> bool:
            return len(await world.kinds(agreed)) == 3

        await wait_until(there)
        assert await consents.withdraw(agreed, agency, subject=new["insz"], reference="T-1", end=None) == (
            "withdrawn",
            True,
        )
    assert await world.kinds(agreed) == ["initial", "left-population", "initial", "left-population"]


async def test_nothing_moves_before_the_old_lane_has_drained_and_asking_again_goes_on(world, monkeypatch) -> None:
    monkeypatch.setattr("broker.control.confirmation.LONGEST_S", 0.3)
    parking = await world.agree("parkeerboetes-gent")
    first = await world.router()
    old, new = world.people(2)
    await world.register(parking, old, "P-1")
    await first.route(world.topic, await world.publish(old, new))
    await world.stop(first)
    with pytest.raises(NotYetKnown, match="ask again"):
        await replace(world, old, new)
    monkeypatch.undo()
    second = await world.router()
    async with second.running():
        assert (await replace(world, old, new)).files == 1
    await second.settle()
    assert await world.kinds(parking) == ["initial", "left-population", "initial"]
    async with second.running():
        assert (await replace(world, old, new)).status == "already"


async def test_a_chain_has_no_forks_and_no_circles(world) -> None:
    router = await world.router()
    old, new, other = world.people(3)
    async with router.running():
        await replace(world, old, new)
        with pytest.raises(Conflict, match="by another one"):
            await replace(world, old, other)
        with pytest.raises(Conflict, match="valid today"):
            await replace(world, new, old)
        with pytest.raises(Invalid):
            await replace(world, other, other)
        with pytest.raises(NotFound):
            await world.services.replacements.replace("niemand", PRODUCT, old=other["insz"], new=new["insz"])


async def test_the_pseudonym_survives_a_lost_state_and_a_restart(world) -> None:
    statistics = await world.agree("statistiek-vlaanderen")
    router = await world.router()
    old, new = world.people(2)
    await router.route(world.topic, await world.publish(old))
    async with router.running():
        await replace(world, old, new)
    await world.stop(router)
    world.forget_state()
    again = await world.router()
    await again.route(world.topic, await world.publish(new))
    values = [each.value["pseudoniem"] for each in await world.delivered(statistics) if each.value]
    assert len(values) == 2
    assert len(set(values)) == 1
