"""The cast is fictional, the same every time, and holds the parts that the scenario needs."""

from itertools import islice
from typing import Any

from adapters.synthetic import GENT, LEUVEN, OOSTENDE
from broker.demo.cast import PARKING_FILES, YOUTH_FILES, Value, cast
from broker.demo.changes import Changes
from broker.model.identifiers import is_test_insz

AT = "2026-11-24T10:00:00Z"
CAST = cast()


def place(person: Value) -> Any:
    return person["verblijfplaats"]["gemeente"]["nis"]


def test_it_is_the_same_every_time_and_nobody_exists() -> None:
    assert cast() == CAST
    assert all(is_test_insz(person["insz"]) for person in CAST.people)
    assert CAST.lead["naam"]["achternaam"] not in repr(CAST)
    assert CAST.lead["insz"] not in repr(CAST)


def test_files_are_on_distinct_people_of_the_right_town_and_the_lead_is_in_both() -> None:
    towns = {person["insz"]: place(person) for person in CAST.people}
    parking, youth = [file.subject for file in CAST.parking], [file.subject for file in CAST.youth]
    assert len(set(parking)) == PARKING_FILES
    assert len(set(youth)) == YOUTH_FILES
    assert {towns[subject] for subject in parking} == {GENT.nis}
    assert {towns[subject] for subject in youth[1:]} == {LEUVEN.nis}
    assert parking[0] == youth[0] == CAST.lead["insz"]


def test_the_lead_moves_to_another_town_and_nobody_else_does() -> None:
    moved = CAST.moved(AT)
    assert (place(CAST.lead), place(moved)) == (GENT.nis, LEUVEN.nis)
    assert moved["insz"] == CAST.lead["insz"]
    before = {person["insz"]: place(person) for person in CAST.people}
    changed = list(CAST.changes(100, AT))
    assert CAST.lead["insz"] not in {person["insz"] for person in changed}
    assert all(place(person) == before[person["insz"]] for person in changed)


def test_changes_can_be_kept_to_one_town() -> None:
    assert {place(person) for person in CAST.changes(20, AT, within=OOSTENDE)} == {OOSTENDE.nis}


def test_a_correction_says_something_else_about_the_same_person_at_the_same_street() -> None:
    corrected = CAST.corrected(CAST.lead, "2026-11-24T10:00:01Z")
    assert corrected["kind"] == "corrected"
    assert corrected["verblijfplaats"]["straatnaam"] == CAST.lead["verblijfplaats"]["straatnaam"]
    assert corrected["verblijfplaats"]["huisnummer"] != CAST.lead["verblijfplaats"]["huisnummer"]


async def test_changes_are_stated_under_the_ids_of_the_snapshot_so_that_it_is_compared_with_them() -> None:
    stated = [item async for item, _ in Changes([CAST.moved(AT)]).changes(None)]
    snapshot = [item async for item, _ in CAST.sources(AT).changes(None)]
    assert {item.source_id for item in stated} <= {item.source_id for item in islice(snapshot, len(CAST.people))}
    assert Changes([]).name == CAST.sources(AT).name
