from collections import Counter
from datetime import date
from random import Random

import pytest

from adapters import synthetic
from broker.errors import Invalid
from broker.model.identifiers import is_test_insz, parse_insz, parse_kbo, parse_nis
from tests.unit.adapters.conftest import values

SOURCE = "synthetic:seed=7&people=200&enterprises=20&roadworks=10&on=2026-03-01"


async def test_the_same_seed_gives_the_same_data_and_another_one_other_data(drain) -> None:
    found = await drain(synthetic.build(SOURCE))
    assert found == await drain(synthetic.build(SOURCE))
    assert found != await drain(synthetic.build(SOURCE.replace("seed=7", "seed=8")))
    assert Counter(item.product for item, _ in found) == {"persoon.v1": 200, "organisatie.v1": 20, "hinder.v1": 10}


async def test_everything_fits_its_schema(drain, roundtrip) -> None:
    for item, _ in await drain(synthetic.build(SOURCE)):
        roundtrip(item)


async def test_nobody_exists(drain) -> None:
    people = [value for value in values(await drain(synthetic.build(SOURCE))) if "insz" in value]
    mentioned = [other["insz"] for person in people for role in ("ouders", "kinderen") for other in person[role]]
    numbers = [person["insz"] for person in people]
    assert len(set(numbers)) == len(numbers)
    assert mentioned
    assert all(parse_insz(number) == number and is_test_insz(number) for number in numbers + mentioned)
    assert {person["verblijfplaats"]["gemeente"]["nis"] for person in people} == {"44021", "24062", "35013"}
    assert all(parse_nis(person["verblijfplaats"]["gemeente"]["nis"]) for person in people)


async def test_enterprises_have_numbers_that_are_not_handed_out(drain) -> None:
    numbers = [value["kbonummer"] for value in values(await drain(synthetic.build(SOURCE))) if value.get("kbonummer")]
    assert len(set(numbers)) == 20
    assert all(parse_kbo(number) == number and number.startswith("19") for number in numbers)


async def test_reading_goes_on_after_any_cursor(drain) -> None:
    found = await drain(synthetic.build(SOURCE))
    for number in (1, 200, 229):
        assert await drain(synthetic.build(SOURCE), found[number - 1][1]) == found[number:]
    assert found[-1][1] == ""
    assert await drain(synthetic.build(SOURCE), "") == found


def test_a_move_changes_the_address_and_leaves_the_given_value_alone() -> None:
    [person] = synthetic.people(Random(1), 1, on=date(2026, 1, 1))
    before = dict(person)
    place = next(town for town in synthetic.MUNICIPALITIES if town.nis != person["verblijfplaats"]["gemeente"]["nis"])
    moved = synthetic.move(person, place, Random(2), on=date(2026, 2, 2))
    assert person == before
    assert (moved["kind"], moved["insz"], moved["validFrom"]) == ("changed", person["insz"], "2026-02-02")
    assert (
        moved["verblijfplaats"]["gemeente"] == moved["beheerder"]["gemeente"] == {"nis": place.nis, "naam": place.name}
    )


@pytest.mark.parametrize("source", ["people=veel", "on=2026-13-01", "burgers=3"])
def test_a_source_that_makes_no_sense_is_refused(source: str) -> None:
    with pytest.raises(Invalid, match="synthetic source"):
        synthetic.build(source)
