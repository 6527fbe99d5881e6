"""Time as an input: periods that begin and end, and answers that a birthday changes; each told once, on time, by itself.

These routers live days ahead, and lanes never go back: they have an installation of their own.
"""

from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta

import pytest

from broker.policy.calendar import belgian_day, day_began, instant_of, milliseconds
from tests.integration.routing.conftest import Opened, installed

PARKING, YOUTH = "parkeerboetes-gent", "jeugddienst-leuven"
PEOPLE = 1_000
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    async with installed(tmp_path_factory.mktemp("time")) as made:
        yield made


def day_of(instant: datetime) -> date:
    return belgian_day(milliseconds(instant))


def midnight(instant: datetime) -> datetime:
    """First instant of its day in Belgium."""
    return instant_of(day_began(milliseconds(instant)))


def eighteen_on(day: date) -> str:
    return f"{day.year - 18}-{day.month:02}-{day.day:02}"


async def files(world, agreement, people) -> None:
    """A file on each."""
    for number, person in enumerate(people):
        await world.register(agreement, person, f"J-{number}")


async def test_a_files_period_ends_by_itself_to_the_second(world) -> None:
    parking = await world.agree(PARKING)
    await world.admit_future(parking)
    router = await world.router()
    (person,) = world.people(1)
    end = router.instant + HOUR
    await world.register(parking, person, "P-1", end=end)
    await router.route(world.topic, await world.publish(person))
    router.ahead(end - SECOND)
    await router.settle(world.lane(person))
    assert await world.kinds(parking) == ["initial"]
    router.ahead(end)
    await router.settle(world.lane(person))
    await router.settle(world.lane(person))
    *_, left = await world.delivered(parking)
    assert await world.kinds(parking) == ["initial", "left-population"]
    assert left.headers["ce_reason"] == b"DOSSIER_ENDED"


async def test_a_file_from_a_later_day_opens_by_itself_also_after_a_restart(world) -> None:
    parking = await world.agree(PARKING)
    await world.admit_future(parking)
    first = await world.router()
    (person,) = world.people(1)
    begin = first.instant + HOUR
    await first.route(world.topic, await world.publish(person))
    await world.register(parking, person, "P-1", begin=begin)
    await first.settle(world.lane(person))
    assert await world.kinds(parking) == []
    await world.stop(first)
    second = await world.router()
    second.ahead(begin)
    await second.settle(world.lane(person))
    await second.settle(world.lane(person))
    assert await world.kinds(parking) == ["initial"]


async def test_a_thousand_birthdays_are_one_event_each_on_the_right_day(world) -> None:
    youth = await world.agree(YOUTH)
    await world.admit_future(youth)
    router = await world.router()
    start = router.instant
    days = [day_of(start + (1 + number % 5) * DAY) for number in range(PEOPLE)]
    people = [world.people(1, born=eighteen_on(day))[0] for day in days]
    await files(world, youth, people)
    await router.route(world.topic, await world.publish(*people))
    assert {each.value["meerderjarig"] for each in await world.delivered(youth)} == {False}
    seen = PEOPLE
    for ahead in range(1, 7):
        morning = midnight(start + ahead * DAY)
        router.ahead(morning - SECOND)  # the evening before: nobody is older yet
        await router.settle()
        assert len(await world.kinds(youth)) == seen
        router.ahead(morning)
        await router.settle()
        await router.settle()
        told = (await world.delivered(youth))[seen:]
        expected = {f"J-{number}" for number, day in enumerate(days) if day == day_of(morning)}
        assert {each.value["dossierReferentie"] for each in told} == expected
        assert len(told) == len(expected)
        assert {(each.kind, each.value["meerderjarig"]) for each in told} <= {("changed", True)}
        seen += len(told)
    assert seen == 2 * PEOPLE
    assert len({each.headers["ce_id"] for each in await world.delivered(youth)}) == seen
    raw = b"".join(record.value or b"" for record in await world.read(f"delivery.{world.agency(youth)}.{youth}"))
    assert not [born for born in set(map(eighteen_on, days)) if born.encode() in raw]


async def test_days_without_a_router_are_caught_up_once(world) -> None:
    youth = await world.agree(YOUTH)
    await world.admit_future(youth)
    first = await world.router()
    start = first.instant
    (person,) = world.people(1, born=eighteen_on(day_of(start + 2 * DAY)))
    await files(world, youth, [person])
    await first.route(world.topic, await world.publish(person))
    await world.stop(first)
    for _ in range(2):
        router = await world.router()
        router.ahead(midnight(start + 9 * DAY))
        await router.settle(world.lane(person))
        await world.stop(router)
    answers = [(each.kind, each.value["meerderjarig"]) for each in await world.delivered(youth)]
    assert answers == [("initial", False), ("changed", True)]


async def test_a_record_after_the_birthday_does_not_repeat_the_answer(world) -> None:
    youth = await world.agree(YOUTH)
    await world.admit_future(youth)
    router = await world.router()
    tomorrow = midnight(router.instant + DAY)
    (person,) = world.people(1, born=eighteen_on(day_of(tomorrow)))
    await files(world, youth, [person])
    await router.route(world.topic, await world.publish(person))
    router.ahead(tomorrow + HOUR)
    await router.route(world.topic, await world.publish({**person, "kind": "changed"}))
    answers = [(each.kind, each.value["meerderjarig"]) for each in await world.delivered(youth)]
    assert answers == [("initial", False), ("changed", True)]
    assert ("withhold", "changed", "UNCHANGED_ANSWER") in await world.decisions(youth)
