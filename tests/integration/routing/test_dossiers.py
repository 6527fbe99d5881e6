"""Populations on file: whoever the agency has a file on when a record is decided, under the agency's own reference."""

import pytest

from adapters.synthetic_names import GENT

PARKING, YOUTH = "parkeerboetes-gent", "jeugddienst-leuven"


async def test_only_persons_on_file_are_delivered_under_the_agencys_reference(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    on_file, stranger = world.people(2, GENT)
    await world.register(parking, on_file, "P-0017")
    await router.route(world.topic, await world.publish(on_file, stranger))
    (delivery,) = await world.delivered(parking)
    assert (delivery.kind, delivery.value["dossierReferentie"]) == ("initial", "P-0017")
    assert delivery.value["naam"]["achternaam"] == on_file["naam"]["achternaam"]
    assert on_file["insz"] not in str(delivery)
    assert router.withheld(parking) == {"NO_DOSSIER": 1}
    assert await world.decisions(parking) == [("release", "initial", None)]


async def test_a_file_on_a_known_person_brings_the_present_state_and_the_records_after_it(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await router.route(world.topic, await world.publish(person))
    await world.register(parking, person, "P-1")
    await router.settle(world.lane(person))
    (delivery,) = await world.delivered(parking)
    assert (delivery.kind, delivery.value["dossierReferentie"]) == ("initial", "P-1")
    assert delivery.value["naam"]["achternaam"] == person["naam"]["achternaam"]
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    assert await world.kinds(parking) == ["initial", "changed"]
    assert router.withheld(parking) == {"NO_DOSSIER": 1}


async def test_a_file_on_a_person_the_register_does_not_know_waits_for_the_first_record(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await world.register(parking, person, "P-1")
    await router.settle(world.lane(person))
    assert await world.kinds(parking) == []
    await router.route(world.topic, await world.publish(person))
    assert await world.kinds(parking) == ["initial"]


async def test_a_closed_file_is_one_departure_without_a_record(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await world.register(parking, person, "P-1")
    await router.route(world.topic, await world.publish(person))
    await world.close_file(parking, person, "P-1")
    await router.settle(world.lane(person))
    first, left = await world.delivered(parking)
    assert (first.kind, left.kind, left.value, left.key) == ("initial", "left-population", None, first.key)
    assert left.headers["ce_reason"] == b"DOSSIER_ENDED"
    await router.route(world.topic, await world.publish(person))
    assert await world.kinds(parking) == ["initial", "left-population"]
    assert router.withheld(parking) == {"NO_DOSSIER": 1}


@pytest.mark.parametrize("forget", [False, True])
async def test_what_was_registered_while_no_router_ran_is_told_once(world, forget) -> None:
    parking = await world.agree(PARKING)
    first = await world.router()
    (person, other) = world.people(2)
    await first.route(world.topic, await world.publish(person, other))
    await world.register(parking, other, "P-0")
    await first.settle(world.lane(other))
    await world.stop(first)
    await world.register(parking, person, "P-1")
    if forget:
        world.forget_state()
    for _ in range(2):
        again = await world.router()
        await again.settle(world.lane(person))
        await again.settle(world.lane(other))
        await world.stop(again)
    told = sorted(each.value["dossierReferentie"] for each in await world.delivered(parking))
    assert told == ["P-0", "P-1"]


async def test_a_file_opened_between_append_and_decision_counts_once(world) -> None:
    """The record is in the log, the file comes, the lane decides: what it decided then is what it knows afterwards."""
    parking = await world.agree(PARKING)
    (person,) = world.people(1)
    places = await world.publish(person)
    await world.register(parking, person, "P-1")
    router = await world.router()
    await router.route(world.topic, places)
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    await router.route(world.topic, await world.delete(person))
    assert await world.kinds(parking) == ["initial", "changed", "left-population"]


async def test_a_file_closed_between_append_and_decision_is_one_departure(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await world.register(parking, person, "P-1")
    await router.route(world.topic, await world.publish(person))
    places = await world.publish(person)
    await world.close_file(parking, person, "P-1")
    await router.route(world.topic, places)
    await router.route(world.topic, await world.publish(person))
    assert await world.kinds(parking) == ["initial", "left-population"]


async def test_what_was_decided_outlives_a_restart_and_a_new_agreement(world) -> None:
    """What was told stays told when a lane starts again, and when another agreement has it read its records again."""
    parking = await world.agree(PARKING)
    (person,) = world.people(1, GENT)
    places = await world.publish(person)
    await world.register(parking, person, "P-1")
    first = await world.router()
    await first.route(world.topic, places)
    await world.stop(first)
    gent = await world.agree("inwoners-gent")
    second = await world.router()
    await second.settle()
    assert await world.kinds(gent) == ["initial"]
    await second.route(world.topic, await world.publish({**person, "kind": "changed"}))
    assert await world.kinds(parking) == ["initial", "changed"]
    assert await world.kinds(gent) == ["initial", "changed"]


async def test_a_registration_tells_no_other_agency(world) -> None:
    """An agency that could get this person's next record does not learn that another one opened a file."""
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person))
    gent = await world.agree("inwoners-gent")
    await router.settle(world.lane(person))
    assert await world.kinds(gent) == ["initial"]
    await world.register(parking, person, "P-1")
    await router.settle(world.lane(person))
    assert await world.kinds(parking) == ["initial"]
    assert await world.kinds(gent) == ["initial"]


async def test_many_registrations_are_told_in_turns_and_records_wait_for_them(world, monkeypatch) -> None:
    monkeypatch.setattr("broker.routing.lane._MOST_CAUSES", 3)
    parking = await world.agree(PARKING)
    router = await world.router(lanes=[0])
    people = [person for person in world.people(100) if world.lane(person) == 0][:10]
    await router.route(world.topic, await world.publish(*people))
    for number, person in enumerate(people):
        await world.register(parking, person, f"P-{number}")
    await router.route(world.topic, await world.publish(*({**person, "kind": "changed"} for person in people)))
    told = [(each.kind, each.value["dossierReferentie"]) for each in await world.delivered(parking)]
    order = range(len(people))
    assert told == [("initial", f"P-{n}") for n in order] + [("changed", f"P-{n}") for n in order]
    ids = [each.headers["ce_id"] for each in await world.delivered(parking)]
    assert len(set(ids)) == len(ids)


async def test_what_a_registration_told_has_its_receipt(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await router.route(world.topic, await world.publish(person))
    await world.register(parking, person, "P-1")
    await router.settle(world.lane(person))
    (delivery,) = await world.delivered(parking)
    own = [
        (receipt, leaf)
        for receipt in await world.receipts("subjects.dossiers")
        for leaf in receipt["decisions"]
        if leaf["agreement"] == parking
    ]
    ((receipt, leaf),) = own
    assert leaf["delivery"].hex().encode() == delivery.headers["ce_id"]
    assert (leaf["outcome"], leaf["kind"], receipt["lane"]) == ("release", "initial", world.lane(person))
    assert receipt["offset"] < receipt["subjectsOffset"]


async def test_a_suspended_agreement_withholds_a_registration(world) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await router.route(world.topic, await world.publish(person))
    async with router.running():
        await world.services.agreements.suspend(parking, "test")
    await world.register(parking, person, "P-1")
    await router.settle(world.lane(person))
    assert [each.kind for each in await world.delivered(parking) if not each.barrier] == []
    leaves = [leaf for each in await world.receipts("subjects.dossiers") for leaf in each["decisions"]]
    assert [leaf["reason"] for leaf in leaves if leaf["agreement"] == parking] == ["SUSPENDED"]


async def test_an_attestation_is_delivered_when_its_answer_changes(world) -> None:
    youth = await world.agree(YOUTH)
    router = await world.router()
    (person,) = world.people(1, born="1990-05-17")
    await world.register(youth, person, "J-1")
    younger = {**person, "kind": "corrected", "geboorte": {**person["geboorte"], "datum": "2020-05-17"}}
    other_day = {**younger, "geboorte": {**person["geboorte"], "datum": "2019-03-01"}}
    places = await world.publish(person, {**person, "kind": "changed"}, younger, other_day)
    await router.route(world.topic, places)
    answers = [(found.kind, found.value["meerderjarig"]) for found in await world.delivered(youth)]
    assert answers == [("initial", True), ("corrected", False)]
    assert await world.decisions(youth) == [
        ("release", "initial", None),
        ("withhold", "changed", "UNCHANGED_ANSWER"),
        ("release", "corrected", None),
        ("withhold", "corrected", "UNCHANGED_ANSWER"),
    ]


@pytest.mark.parametrize("other", ["P-2", "P-0"])
async def test_a_second_file_keeps_the_person_in_the_population(world, other) -> None:
    parking = await world.agree(PARKING)
    router = await world.router()
    (person,) = world.people(1)
    await world.register(parking, person, "P-1")
    await world.register(parking, person, other)
    await router.route(world.topic, await world.publish(person))
    await world.close_file(parking, person, "P-1")
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    found = [(each.kind, each.value["dossierReferentie"]) for each in await world.delivered(parking)]
    assert found == [("initial", "P-1"), ("changed", other)]
