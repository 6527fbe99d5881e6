"""A step that was cut short is completed by whoever is there later, once, and never beyond the barriers."""

from datetime import timedelta
from typing import Any

import pytest

from broker.control.aftercare import Aftercare
from broker.control.barriers import First
from broker.control.dev_signing import bring_into_force
from broker.errors import KafkaUnavailable
from tests.unit.control.room import NOW, Room, document, open_room

GENT, TOPIC = "inwoners-gent", "delivery.stad-gent.inwoners-gent"
LOOKED = ("look", TOPIC)
WITHDRAWN = ("remove", None, TOPIC)
WHOLE = document()
NARROWER = WHOLE | {"version": 2, "fields": WHOLE["fields"][:-1]}
SOON, LATER, TOO_LATE = timedelta(seconds=29), timedelta(seconds=30), timedelta(days=16)


@pytest.fixture
async def room() -> Room:
    made = await open_room()
    await bring_into_force(made.agreements, WHOLE, NOW)
    return made


def aftercare(room: Room, reported: list[Exception] | None = None) -> Aftercare:
    report = [].append if reported is None else reported.append
    return Aftercare(room.control, room.agreements, lambda: room.control.now, report)


async def cut_short(room: Room, step: str, take: Any) -> None:
    """Take a step whose process dies at a call to Kafka."""
    room.kafka.fails = step
    with pytest.raises(ConnectionError):
        await take
    room.kafka.fails = ""
    room.since()


async def revoke(room: Room) -> None:
    await room.agreements.revoke(GENT, "rijksregister")


async def after(room: Room, passed: timedelta, left: First | None, care: Aftercare) -> list[Any]:
    """What is done so long after the step, where this is left in the topic."""
    room.control.now = NOW + passed
    room.agreements.enforcement.barriers.left = left
    await care.keep()
    return room.since()


@pytest.mark.parametrize("died_at", ["remove", "empty"])
async def test_a_revocation_cut_short_is_completed_once(room: Room, died_at: str) -> None:
    await cut_short(room, died_at, revoke(room))
    epoch, care, left = room.control.state.epoch, aftercare(room), First(4, 1)
    assert await after(room, SOON, left, care) == [], "whoever took the step may still be at it"
    done = [WITHDRAWN, LOOKED, WITHDRAWN, ("barriers", TOPIC, "revoked", epoch, 4), ("empty", TOPIC, 0, 23)]
    assert await after(room, LATER, left, care) == done
    assert await after(room, LATER, None, care) == []
    assert await after(room, LATER, None, aftercare(room)) == [WITHDRAWN, LOOKED], "another process finds nothing left"
    assert await after(room, TOO_LATE, left, aftercare(room)) == [], "Kafka forgot it by itself"


async def test_an_amendment_that_narrows_cut_short_is_completed_up_to_its_first_own_record(room: Room) -> None:
    await cut_short(room, "empty", bring_into_force(room.agreements, NARROWER, NOW))
    epoch, retained = room.control.state.epoch, ("configure", TOPIC, {"retention.ms": str(14 * 86_400_000)})
    room.agreements.enforcement.barriers.first_new = 21
    done = [retained, LOOKED, ("barriers", TOPIC, "amended", epoch, 4), ("empty", TOPIC, 0, 21)]
    assert await after(room, LATER, First(4, 1), aftercare(room)) == done
    assert await after(room, LATER, First(21, 2), aftercare(room)) == [retained, LOOKED], "its own records stay"


async def test_an_amendment_that_takes_nothing_away_empties_nothing(room: Room) -> None:
    await bring_into_force(room.agreements, document(version=2, title="Anders verwoord"), NOW)
    room.since()
    assert [what[0] for what in await after(room, LATER, First(0, 1), aftercare(room))] == ["configure", "look"]


async def test_what_an_earlier_amendment_left_goes_too(room: Room) -> None:
    """Version 2 took something away and was cut short; 3 took nothing more away."""
    await cut_short(room, "empty", bring_into_force(room.agreements, NARROWER, NOW))
    await bring_into_force(room.agreements, NARROWER | {"version": 3, "title": "Anders verwoord"}, NOW)
    room.since()
    assert (await after(room, LATER, First(0, 1), aftercare(room)))[-1] == ("empty", TOPIC, 0, 23)
    assert (await after(room, LATER, First(0, 2), aftercare(room)))[-1] == LOOKED


async def test_nothing_is_done_for_agreements_that_deliver_or_never_did(room: Room) -> None:
    await room.agreements.suspend(GENT, "rijksregister")
    await room.agreements.request(document("statistiek-vlaanderen"), "statistiek-vlaanderen")
    await room.agreements.withdraw("statistiek-vlaanderen", "statistiek-vlaanderen")
    room.since()
    assert await after(room, LATER, First(0, 1), aftercare(room)) == []


async def test_a_next_version_that_is_on_its_way_is_left_alone(room: Room) -> None:
    """Between the look at what is due and its turn, the agreement may have been ended and asked for again."""
    await room.agreements.end(GENT, "stad-gent")
    await room.agreements.request(NARROWER, "stad-gent")
    room.since()
    room.agreements.enforcement.barriers.left = First(0, 1)
    assert not await room.agreements.complete(GENT)
    assert room.since() == []


async def test_trouble_is_told_and_tried_again(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    await cut_short(room, "empty", revoke(room))
    told: list[Exception] = []
    care = aftercare(room, told)

    async def away(_topic: str) -> None:
        raise KafkaUnavailable

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(room.agreements.enforcement.barriers, "first_delivery", away)
        assert await after(room, LATER, First(4, 1), care) == [WITHDRAWN]
    assert [type(error) for error in told] == [KafkaUnavailable]
    assert (await after(room, LATER, First(4, 1), care))[-1] == ("empty", TOPIC, 0, 23)
