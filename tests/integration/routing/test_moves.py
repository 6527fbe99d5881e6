"""A person moves between municipalities: the old one learns that, the new one learns the person, a third nothing."""

from typing import Any

import pytest

from adapters.synthetic_names import GENT, LEUVEN, OOSTENDE

TOWNS = ("inwoners-gent", "inwoners-leuven", "inwoners-oostende")


async def agree(world: Any) -> tuple[str, str, str]:
    gent, leuven, oostende = [await world.agree(town) for town in TOWNS]
    return gent, leuven, oostende


async def assert_moved(world: Any, agreements: tuple[str, str, str], after: dict[str, Any]) -> None:
    """The last record took one person from Gent to Leuven."""
    gent, leuven, oostende = agreements
    first, left = await world.delivered(gent)
    assert (first.kind, left.kind, left.value) == ("initial", "left-population", None)
    assert left.headers["ce_reason"] == b"RECORD_CHANGED"
    assert left.key == first.key
    (arrived,) = await world.delivered(leuven)
    assert arrived.kind == "initial"
    assert arrived.value is not None
    assert arrived.value["naam"]["achternaam"] == after["naam"]["achternaam"]
    assert arrived.value["verblijfplaats"]["straatnaam"] == after["verblijfplaats"]["straatnaam"]
    assert arrived.key != first.key
    assert await world.delivered(oostende) == []
    for record in await world.read(f"delivery.{world.agency(gent)}.{gent}"):
        street = after["verblijfplaats"]["straatnaam"].encode()
        assert street not in (record.value or b"") + b"".join(held for _, held in record.headers)


async def test_the_old_municipality_learns_no_address_and_a_third_nothing(world) -> None:
    agreements = await agree(world)
    router = await world.router()
    (person,) = world.people(1, GENT)
    after = world.moved(person, LEUVEN)
    after["verblijfplaats"]["straatnaam"] = "Nieuwe Dreef"
    await router.route(world.topic, await world.publish(person))
    await router.route(world.topic, await world.publish(after))
    await assert_moved(world, agreements, after)


async def test_both_records_in_one_batch_give_the_same(world) -> None:
    agreements = await agree(world)
    router = await world.router()
    (person,) = world.people(1, GENT)
    after = world.moved(person, LEUVEN)
    after["verblijfplaats"]["straatnaam"] = "Nieuwe Dreef"
    places = await world.publish(person, after)
    await router.route(world.topic, places)
    await assert_moved(world, agreements, after)


@pytest.mark.parametrize("lost", [False, True], ids=["with its state file", "without it"])
async def test_a_router_that_starts_again_knows_where_the_person_was(world, lost) -> None:
    agreements = await agree(world)
    first = await world.router()
    (person,) = world.people(1, GENT)
    after = world.moved(person, LEUVEN)
    after["verblijfplaats"]["straatnaam"] = "Nieuwe Dreef"
    await first.route(world.topic, await world.publish(person))
    await world.stop(first)
    if lost:
        world.forget_state()
    places = await world.publish(after)
    second = await world.router()
    await second.route(world.topic, places)
    await assert_moved(world, agreements, after)


async def test_a_change_inside_the_municipality_is_delivered_as_what_it_is(world) -> None:
    gent, leuven, _ = await agree(world)
    router = await world.router()
    (person,) = world.people(1, GENT)
    corrected = {**person, "kind": "corrected", "naam": {**person["naam"], "achternaam": "Verbeterd"}}
    await router.route(world.topic, await world.publish(person, world.moved(person, GENT), corrected))
    kinds = [(delivery.kind, delivery.value is not None) for delivery in await world.delivered(gent)]
    assert kinds == [("initial", True), ("changed", True), ("corrected", True)]
    assert (await world.delivered(gent))[-1].value["naam"]["achternaam"] == "Verbeterd"
    assert await world.delivered(leuven) == []


async def test_every_kind_of_a_source_passes_through(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    kinds = ["added", "changed", "corrected", "cancelled", "ended", "replaced", "snapshot"]
    await router.route(world.topic, await world.publish(person, *({**person, "kind": kind} for kind in kinds)))
    assert await world.kinds(gent) == ["initial", *kinds]


async def test_a_deletion_is_a_departure_and_a_return_an_arrival(world) -> None:
    gent = await world.agree("inwoners-gent")
    statistics = await world.agree("statistiek-vlaanderen")
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    await router.route(world.topic, await world.delete(person))
    await router.route(world.topic, await world.delete(person))
    await router.route(world.topic, await world.publish(person))
    for agreement in (gent, statistics):
        found = await world.delivered(agreement)
        assert [delivery.kind for delivery in found] == ["initial", "left-population", "initial"]
        assert found[1].value is None
        assert found[1].headers["ce_reason"] == b"DELETED"


async def test_a_new_agreement_on_other_paths_starts_from_what_lanes_saw_before(world) -> None:
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    stays, leaves = world.people(2, GENT)
    await router.route(world.topic, await world.publish(stays, leaves))
    # Its population is on a path that no lane kept until now.
    where = {
        "all": [
            {"path": "verblijfplaats.gemeente.nis", "in": [GENT.nis, OOSTENDE.nis]},
            {"path": "geboorte.datum", "range": {"from": "1900", "to": "2100"}},
        ]
    }
    own = {"id": f"kiezers-{world.suffix}", "term": {"start": "2026-01-01T00:00:00Z", "end": None}}
    voters = await world.agree("verkiezingen-2024", population={"where": where}, **own)
    await router.settle()
    assert await world.kinds(voters) == ["initial", "initial"]
    assert await world.kinds(gent) == ["initial", "initial"]
    await router.route(world.topic, await world.publish(world.moved(stays, OOSTENDE), world.moved(leaves, LEUVEN)))
    assert sorted(await world.kinds(voters)) == ["changed", "initial", "initial", "left-population"]
