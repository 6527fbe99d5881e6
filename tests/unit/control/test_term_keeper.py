"""Terms begin and end by themselves, once, however late and however many keep them."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from broker.control.dev_signing import bring_into_force
from broker.control.term_keeper import TermKeeper
from broker.errors import KafkaUnavailable
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.lifecycle import Step
from tests.unit.control.room import NOW, Room, document, open_room

GENT = "inwoners-gent"
START, END = NOW + timedelta(days=1), NOW + timedelta(days=31)


@pytest.fixture
async def room() -> Room:
    return await open_room()


def term(start: datetime, end: datetime | None = None) -> dict[str, Any]:
    return {"start": start.isoformat(), "end": end and end.isoformat()}


def keeper(room: Room, trouble: list[Exception] | None = None) -> TermKeeper:
    report = (trouble if trouble is not None else []).append
    return TermKeeper(room.control, room.agreements, "operator", lambda: room.control.now, report)


async def test_a_published_version_is_active_at_its_instant_and_over_at_its_end(room) -> None:
    kept = keeper(room)
    await bring_into_force(room.agreements, document(term=term(START, END)), NOW)
    entry = room.control.state.agreements
    seen = []
    for at in (NOW, START - timedelta(seconds=1), START, END - timedelta(seconds=1), END, END + timedelta(days=1)):
        room.control.now = at
        await kept.keep()
        seen.append(entry[GENT].state)
    assert seen == [State.PUBLISHED] * 2 + [State.ACTIVE] * 2 + [State.ENDED] * 2
    assert [(each.type, each.by, each.at) for each in entry[GENT].history[-2:]] == [
        (Step.ACTIVATED, "operator", START),
        (Step.ENDED, "operator", END),
    ]
    assert ("remove", None, "delivery.stad-gent.inwoners-gent") in room.did


async def test_what_its_publisher_activates_is_left_to_it_unless_that_was_interrupted(room) -> None:
    appending, kept = room.control.append, keeper(room)

    async def append(kind: FactType, *rest: Any, by: str) -> int:
        if kind is FactType.AGREEMENT_ACTIVE:
            raise KafkaUnavailable("away")
        return await appending(kind, *rest, by=by)

    room.control.append = append
    with pytest.raises(KafkaUnavailable):
        await bring_into_force(room.agreements, document(), NOW)
    room.control.append = appending
    seen = []
    for seconds in (0, 29, 30):
        room.control.now = NOW + timedelta(seconds=seconds)
        await kept.keep()
        seen.append(room.control.state.agreements[GENT].state)
    assert seen == [State.PUBLISHED, State.PUBLISHED, State.ACTIVE]


async def test_publishing_does_not_mind_that_a_keeper_came_first(room) -> None:
    kept = keeper(room)
    kept.now = lambda: NOW + timedelta(hours=1)
    appending = room.control.append

    async def append(kind: FactType, *rest: Any, by: str) -> int:
        epoch = await appending(kind, *rest, by=by)
        if kind is FactType.AGREEMENT_PUBLISHED:
            await kept.keep()
        return epoch

    room.control.append = append
    made = await bring_into_force(room.agreements, document(), NOW)
    assert (made.state, made.history[-1].by) == (State.ACTIVE, "operator")


async def test_a_keeper_that_was_away_catches_up(room) -> None:
    await bring_into_force(room.agreements, document(term=term(START, END)), NOW)
    room.control.now = END + timedelta(days=1)
    kept = keeper(room)
    await kept.keep()
    await kept.keep()
    assert room.control.state.agreements[GENT].activated_at == END + timedelta(days=1)
    assert room.control.state.agreements[GENT].state is State.ACTIVE  # it never delivers: its sides end it


async def test_an_amendment_takes_over_at_its_own_instant(room) -> None:
    await bring_into_force(room.agreements, document(), NOW)
    await bring_into_force(room.agreements, document(version=2, term=term(START)), NOW)
    kept = keeper(room)
    await kept.keep()
    assert room.control.state.agreements[GENT].version == 1
    room.control.now = START
    await kept.keep()
    entry = room.control.state.agreements[GENT]
    assert (entry.version, entry.state, entry.activated_at) == (2, State.ACTIVE, NOW)


async def test_two_keepers_take_each_step_once(room) -> None:
    trouble: list[Exception] = []
    await bring_into_force(room.agreements, document(term=term(START, END)), NOW)
    first, second = keeper(room, trouble), keeper(room, trouble)
    await first.keep()
    await second.keep()
    room.control.now = START
    await asyncio.gather(first.keep(), second.keep())
    steps = [each.type for each in room.control.state.agreements[GENT].history]
    assert (steps.count(Step.ACTIVATED), trouble) == (1, [])


async def test_what_fails_is_reported_and_tried_again_later_and_stops_nothing_else(room) -> None:
    trouble: list[Exception] = []
    other = document("statistiek-vlaanderen")
    for held in (document(term=term(START, END)), other | {"term": term(START, END)}):
        await bring_into_force(room.agreements, held, NOW)
    kept, ending = keeper(room, trouble), room.agreements.end

    async def fails(agreement: str, by: str, **said: Any) -> Any:
        if agreement == GENT:
            raise KafkaUnavailable("away")
        return await ending(agreement, by, **said)

    room.control.now = START
    await kept.keep()
    kept.agreements = type("Failing", (), {"end": staticmethod(fails)})()
    room.control.now = END
    await kept.keep()
    states = {name: entry.state for name, entry in room.control.state.agreements.items()}
    assert states == {GENT: State.ACTIVE, "statistiek-vlaanderen": State.ENDED}
    assert [type(error) for error in trouble] == [KafkaUnavailable]
    kept.agreements = room.agreements
    await kept.keep()
    assert room.control.state.agreements[GENT].state is State.ACTIVE
    room.control.now = END + timedelta(seconds=5)
    await kept.keep()
    assert room.control.state.agreements[GENT].state is State.ENDED


async def test_one_that_was_over_before_it_began_is_left_alone(room) -> None:
    await bring_into_force(room.agreements, document(term=term(NOW - timedelta(days=9), NOW - timedelta(days=1))), NOW)
    await keeper(room).keep()
    assert room.control.state.agreements[GENT].state is State.ACTIVE


async def test_it_waits_for_the_next_instant_or_a_change(room) -> None:
    waits: list[float] = []

    async def wait_for_change(epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - as the log's
        del epoch
        waits.append(timeout)
        if len(waits) == 3:
            raise asyncio.CancelledError
        room.control.now += timedelta(seconds=timeout)
        return False

    room.control.wait_for_change = wait_for_change
    await bring_into_force(room.agreements, document(term=term(NOW + timedelta(seconds=90))), NOW)
    with pytest.raises(asyncio.CancelledError):
        await keeper(room).run()
    assert waits == [60.0, 30.0, 60.0]
    assert room.control.state.agreements[GENT].state is State.ACTIVE
