"""An agreement that comes into force is told of the subjects that are there, once, while changes go on."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.synthetic_names import GENT, LEUVEN
from broker.control.dev_signing import bring_into_force
from broker.control.redecision import Check, redecide
from broker.errors import Conflict
from broker.model import topics
from broker.testing import wait_until

GENT_ONLY = {"where": {"path": "verblijfplaats.gemeente.nis", "equals": GENT.nis}}


async def agree(world, router, template: str, **changes: Any) -> str:
    """Bring an agreement into force, and let the lanes tell it of whoever is there."""
    async with router.running():
        agreement = await world.agree(template, **changes)
    await router.settle()
    return agreement


async def test_the_present_state_of_the_population_comes_first_and_then_its_changes(world) -> None:
    router = await world.router()
    inside, outside = world.people(5, GENT), world.people(3, LEUVEN)
    gone, moved = world.people(2, GENT)
    await router.route(world.topic, await world.publish(*inside, *outside, gone, moved))
    await router.route(world.topic, await world.publish(world.moved(moved, LEUVEN)))
    await router.route(world.topic, await world.delete(gone))
    gent = await agree(world, router, "inwoners-gent", population=GENT_ONLY)
    present = await world.delivered(gent)
    assert Counter(each.kind for each in present) == {"initial": 5}
    assert {each.value["naam"]["achternaam"] for each in present} == {each["naam"]["achternaam"] for each in inside}
    await router.route(world.topic, await world.publish(world.moved(inside[0], GENT), world.moved(inside[1], LEUVEN)))
    await router.route(world.topic, await world.publish(world.moved(outside[0], GENT)))
    assert [each.kind for each in await world.delivered(gent)][5:] in (
        ["changed", "left-population", "initial"],
        ["left-population", "changed", "initial"],
    )
    deliveries = await world.delivered(gent)
    assert len({each.headers["ce_id"] for each in deliveries}) == len(deliveries)
    assert Counter(kind for _, kind, _ in await world.decisions(gent)) == Counter(each.kind for each in deliveries)


async def test_another_owner_goes_on_where_the_first_was_stopped_and_a_lost_state_is_no_double(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.routing.rereading._RECORDS", 3)
    router = await world.router()
    people = world.people(60, GENT)
    await router.route(world.topic, await world.publish(*people))
    async with router.running():
        gent = await world.agree("inwoners-gent", population=GENT_ONLY)
    for lane in router.routers.values():
        await lane.step()
    await world.stop(router)
    begun = len(await world.delivered(gent))
    assert begun < 60
    world.forget_state()
    second = await world.router()
    await second.settle()
    assert Counter(await world.kinds(gent)) == {"initial": 60}
    await world.stop(second)
    world.forget_state()
    third = await world.router()
    await third.route(world.topic, await world.publish(*(world.moved(person, GENT) for person in people)))
    assert Counter(await world.kinds(gent)) == {"initial": 60, "changed": 60}
    deliveries = await world.delivered(gent)
    assert len({each.headers["ce_id"] for each in deliveries}) == 120


async def test_changes_go_on_meanwhile_without_gap_or_double(world, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.routing.rereading._RECORDS", 5)
    router = await world.router()
    people = world.people(80, GENT)
    await router.route(world.topic, await world.publish(*people))
    last = {world.key(person): person for person in people}
    async with router.running():
        agreed = asyncio.create_task(world.agree("inwoners-gent", population=GENT_ONLY))
        places = []
        for _ in range(4):
            for person in world.rng.sample(people, 20):
                again = world.moved(last[world.key(person)], world.rng.choice((GENT, GENT, LEUVEN)))
                places += await world.publish(again)
                last[world.key(person)] = again
        gent = await agreed
    await router.route(world.topic, places)
    await router.settle()
    held: dict[bytes, object] = {}
    for each in await world.delivered(gent):
        assert (each.kind == "initial") == (each.key not in held)
        if each.kind == "left-population":
            del held[each.key]
        else:
            held[each.key] = each.value["verblijfplaats"]["postcode"]
    living = [person for person in last.values() if person["verblijfplaats"]["gemeente"]["nis"] == GENT.nis]
    assert Counter(held.values()) == Counter(person["verblijfplaats"]["postcode"] for person in living)


async def test_files_that_were_open_before_are_told_and_others_never(world) -> None:
    router = await world.router()
    on_file, other = world.people(2, LEUVEN)
    await router.route(world.topic, await world.publish(on_file, other))
    async with router.running():
        parking = await world.ask("parkeerboetes-gent")
        await world.register(parking, on_file, "P-1")
        await world.agree("parkeerboetes-gent")
    await router.settle()
    (told,) = await world.delivered(parking)
    assert (told.kind, told.value["dossierReferentie"]) == ("initial", "P-1")


async def test_a_next_version_after_the_end_starts_again_under_other_delivery_ids(world) -> None:
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    gent = await agree(world, router, "inwoners-gent", population=GENT_ONLY)
    (first,) = await world.delivered(gent)
    async with router.running():
        await world.services.agreements.end(gent, "test")
    await agree(world, router, "inwoners-gent", version=2, population=GENT_ONLY)
    (second,) = [each for each in await world.delivered(gent) if not each.barrier]
    assert (second.kind, second.value) == ("initial", first.value)
    assert second.headers["ce_id"] != first.headers["ce_id"]


async def test_what_was_told_of_subjects_that_were_there_is_decided_alike_again(world) -> None:
    router = await world.router()
    voters = await agree(world, router, "verkiezingen-2024", term={"start": "2026-01-01T00:00:00Z", "end": None})
    people = [*world.people(4, GENT), *world.people(2, LEUVEN)]
    await router.route(world.topic, await world.publish(*people))
    gent = await agree(world, router, "inwoners-gent", population=GENT_ONLY)
    await router.route(world.topic, await world.publish(world.moved(people[0], LEUVEN)))
    document = await world.document("inwoners-gent", version=2)
    async with router.running():
        await bring_into_force(world.services.agreements, document, datetime.now(UTC))
    await router.settle()
    await world.services.replays.request(voters, since=None, now=router.instant, by="test")
    await router.settle()
    places = [(record.partition, record.offset) for record in await world.read(topics.RECEIPTS)]
    found = [await world.services.receipts.at(*place) for place in places]
    checks: Counter[str] = Counter()
    for receipt in found:
        if receipt is not None and receipt.topic == world.topic:
            for again in await redecide(world.services.history, receipt, world.site.control.state):
                checks[again.agreement, again.check] += 1
                assert again.check is not Check.DIFFERENT, again
    assert checks[gent, Check.IDENTICAL] >= 4
    assert checks[voters, Check.IDENTICAL] >= 8


async def test_a_replay_tells_everybody_again_and_says_where_it_begins_and_ends(world) -> None:
    gent = await world.agree("inwoners-gent", population=GENT_ONLY)
    router = await world.router()
    stays, leaves, comes = *world.people(2, GENT), *world.people(1, LEUVEN)
    await router.route(world.topic, await world.publish(stays, leaves, comes))
    await router.route(world.topic, await world.publish(world.moved(leaves, LEUVEN), world.moved(comes, GENT)))
    before = await world.delivered(gent)
    replay = await world.services.replays.request(gent, since=None, now=router.instant, by="test")
    await router.settle()
    again = (await world.delivered(gent))[len(before) :]
    told = [each for each in again if each.notice is None]
    assert sorted(each.value["naam"]["achternaam"] for each in told) == sorted(
        each["naam"]["achternaam"] for each in (stays, comes)
    )
    assert {each.kind for each in told} == {"initial"}
    assert {each.headers["ce_id"] for each in told}.isdisjoint(each.headers["ce_id"] for each in before)
    notices = Counter(each.notice for each in again if each.notice)
    assert notices == dict.fromkeys(("REPLAY_BEGINS", "REPLAY_ENDS"), world.site.lanes)
    assert {each.headers["ce_epoch"] for each in again if each.notice} == {b"%d" % replay.epoch}
    for lane in range(world.site.lanes):
        own = [each for each in again if each.notice and each.key == b"notice/%d" % lane]
        assert [each.notice for each in own] == ["REPLAY_BEGINS", "REPLAY_ENDS"]
    receipts = [decision for decision in await world.decisions(gent) if decision[0] == "release"]
    assert len(receipts) == len(before) + len(told)


async def test_a_replay_since_an_instant_tells_only_what_came_after_it(world) -> None:
    gent = await world.agree("inwoners-gent", population=GENT_ONLY)
    router = await world.router()
    old, new = world.people(2, GENT)
    await router.route(world.topic, await world.publish(old))
    (appended,) = [record.timestamp for record in await world.read(world.topic)]
    since = datetime.fromtimestamp((appended + 1) / 1000, UTC)
    await wait_until(lambda: datetime.now(UTC) > since)
    await router.route(world.topic, await world.publish(new))
    before = len(await world.delivered(gent))
    await world.services.replays.request(gent, since=since, now=router.instant, by="test")
    await router.settle()
    again = [each for each in (await world.delivered(gent))[before:] if each.notice is None]
    assert [each.value["naam"]["achternaam"] for each in again] == [new["naam"]["achternaam"]]


async def test_a_replay_goes_on_with_another_owner_and_ends_with_its_agreement(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.routing.rereading._RECORDS", 2)
    gent, leuven = await world.agree("inwoners-gent", population=GENT_ONLY), await world.agree("inwoners-leuven")
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(40, GENT), *world.people(10, LEUVEN)))
    for agreement in (gent, leuven):
        await world.services.replays.request(agreement, since=None, now=router.instant, by="test")
    for lane in router.routers.values():
        await lane.step()
    await world.stop(router)
    assert any(each.notice is None for each in await world.delivered(gent))
    second = await world.router()
    async with second.running():
        await world.services.agreements.suspend(leuven, "test")
    await second.settle()
    told = Counter(each.notice or each.kind for each in await world.delivered(gent) if not each.barrier)
    assert told == {"initial": 80, "REPLAY_BEGINS": world.site.lanes, "REPLAY_ENDS": world.site.lanes}
    assert len({each.headers["ce_id"] for each in await world.delivered(gent) if not each.notice}) == 80
    stopped = await world.delivered(leuven)
    last = max(each.offset for each in stopped if each.barrier)
    assert [each for each in stopped if each.offset > last] == []
    with pytest.raises(Conflict, match="suspended"):
        await world.services.replays.request(leuven, since=None, now=second.instant, by="test")


async def test_an_agreement_that_comes_into_force_during_a_backfill_is_told_of_everybody_once(
    world, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.routing.rereading._RECORDS", 2)
    router = await world.router()
    await router.route(world.topic, await world.publish(*world.people(60, GENT)))
    await world.agree("inwoners-gent", population=GENT_ONLY)
    for lane in router.routers.values():
        await lane.step()
        await lane.step()
    assert all(router.reading_again(lane) for lane in router.lanes)
    voters = await world.agree("verkiezingen-2024", term={"start": "2026-01-01T00:00:00Z", "end": None})
    for lane in router.routers.values():
        await lane.step()
    await router.settle()
    told = await world.delivered(voters)
    assert Counter(each.kind for each in told) == {"initial": 60}
    assert len({each.headers["ce_id"] for each in told}) == 60
