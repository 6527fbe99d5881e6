"""A draft over real history: what it would have released, to whom it differs, and that nothing happened meanwhile."""

import copy
import random
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from adapters.publication import Publication
from adapters.sdk import Change
from adapters.synthetic import GENT, LEUVEN, move, people
from broker.control.dossier_records import encode
from broker.control.history import History
from broker.errors import Invalid
from broker.model import topics
from broker.model.agreement import (
    EVERYONE,
    Agreement,
    Dossier,
    Equals,
    Population,
    Prefix,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.keyed import lane_of
from broker.model.wall import SubjectWall
from broker.policy import documents
from broker.policy.calendar import milliseconds
from broker.routing.rehearsal import Rehearsals, Rehearsed
from tests.unit.past import Topics
from tests.unit.routing.conftest import K_LANE, LANES, Keys, Log

NIS = "verblijfplaats.gemeente.nis"
TODAY = date(2026, 11, 24)
START = datetime(2026, 11, 1, tzinfo=UTC)
SINCE = START + timedelta(days=2)
DAY = timedelta(days=1)


class LaneKeys(Keys):
    def get(self, name: str) -> bytes:
        assert name == "lane"
        return K_LANE


class World:
    """History of persons, one statement an hour."""

    def __init__(self, publication: Publication) -> None:
        self.topics = Topics()
        self.rng = random.Random(11)
        self.publication = publication
        self.history = History(self.topics.consumer, LANES)
        self.rehearsals = Rehearsals(self.history, LaneKeys(), SubjectWall("synthetic"))

    def people(self, count: int, place: Any) -> list[dict[str, Any]]:
        return [move(person, place, self.rng, on=TODAY) for person in people(self.rng, count, on=TODAY)]

    def publish(self, value: Mapping[str, Any] | None, at: datetime, subject: str | None = None) -> bytes:
        stated = self.publication.state(Change("-", "persoon.v1", value, subject))
        self.topics.append(self.publication.topic, stated.lane, stated.key, stated.value, milliseconds(at))
        return stated.key

    def register(self, agreement: str, key: bytes, at: datetime) -> None:
        file = Dossier(agreement, key, "schuldeiser", "P-1", at, None, registered=at)
        self.topics.append(topics.DOSSIERS, lane_of(key, LANES), *encode(file, K_LANE), milliseconds(at))

    async def run(
        self, log: Log, draft: Agreement, current: Agreement | None = None, *, seconds: float = 60
    ) -> Rehearsed:
        before = copy.deepcopy(self.topics)
        steps = [step async for step in self.rehearsals.run(log.state, draft, current, SINCE, seconds=seconds)]
        assert self.topics == before
        return steps[-1]


@pytest.fixture
def world(publication: Publication) -> World:
    return World(publication)


def held(log: Log, name: str) -> Agreement:
    return documents.agreement(log.state.agreements[name].document)


async def test_a_draft_next_to_what_is_in_force(world: World, log: Log) -> None:
    current = held(log, "inwoners-gent")
    draft = replace(current, version=2, population=Population(Prefix(NIS, "24")))
    first, *_ = gent = world.people(3, GENT)
    leuven = world.people(5, LEUVEN)
    for person in (*gent, *leuven):
        world.publish(person, START)
    world.publish(move(first, LEUVEN, world.rng, on=TODAY), SINCE)
    for person in (*gent[1:], *leuven):
        world.publish({**person, "kind": "changed"}, SINCE + DAY)
    world.publish(None, SINCE + 2 * DAY, leuven[0]["insz"])
    done = await world.run(log, draft, current)
    assert (done.complete, done.records, done.subjects) == (True, 9, 8)
    assert done.current is not None
    assert (done.current.released, done.current.left, done.current.subjects) == (3, 1, 3)
    assert (done.draft.released, done.draft.left, done.draft.subjects) == (7, 1, 6)
    assert done.draft.withheld == {"OUTSIDE_POPULATION": 2, "NO_DOSSIER": 0}
    assert (done.gained, done.lost) == (5, 2)
    assert 0 < done.current.bytes < done.draft.bytes


async def test_a_draft_of_next_year_is_tried_on_last_week(world: World, log: Log) -> None:
    (person,) = world.people(1, GENT)
    world.publish(person, SINCE)
    draft = replace(held(log, "inwoners-gent"), term=Term(datetime(2027, 1, 1, tzinfo=UTC), None))
    done = await world.run(log, draft)
    assert (done.draft.released, done.current, done.gained, done.lost) == (1, None, 0, 0)


async def test_files_count_from_their_registration(world: World, log: Log) -> None:
    draft = replace(held(log, "inwoners-gent"), id="nieuw", population=Population(EVERYONE, dossiers=True))
    known, unknown = world.people(2, GENT)
    key = world.publish(known, START)
    world.publish(unknown, START)
    world.register("nieuw", key, SINCE + DAY)
    world.register("ander", world.publish(unknown, SINCE), START)
    world.publish(known, SINCE)
    world.publish({**known, "kind": "changed"}, SINCE + 2 * DAY)
    done = await world.run(log, draft)
    assert (done.files, done.records) == (1, 3)
    assert (done.draft.released, done.draft.withheld["NO_DOSSIER"]) == (1, 2)


async def test_an_answer_that_stays_the_same_is_withheld(world: World, log: Log) -> None:
    answer = (ReleasedField("geboorte.datum", Transform.ADULT, "", "meerderjarig"),)
    draft = replace(held(log, "inwoners-gent"), purpose="leeftijdscontrole", fields=answer)
    (person,) = world.people(1, GENT)
    world.publish(person, START)
    world.publish({**person, "kind": "changed"}, SINCE)
    done = await world.run(log, draft)
    assert (done.draft.released, done.draft.withheld["UNCHANGED_ANSWER"]) == (0, 1)


async def test_above_the_ceiling_everything_is_withheld(world: World, log: Log) -> None:
    more = (*held(log, "inwoners-gent").fields, ReleasedField("geboorte.datum", Transform.KEEP, ""))
    (person,) = world.people(1, GENT)
    world.publish(person, SINCE)
    done = await world.run(log, replace(held(log, "inwoners-gent"), fields=more))
    assert (done.draft.released, done.draft.withheld["ABOVE_CEILING"]) == (0, 1)


async def test_time_that_runs_out_is_said(world: World, log: Log) -> None:
    for person in world.people(8, GENT):
        world.publish(person, SINCE)
    done = await world.run(log, held(log, "inwoners-gent"), seconds=-1)
    assert not done.complete
    assert 0 < done.read < done.total == 8
    assert done.records == done.subjects == done.draft.released == done.read


async def test_what_routers_quarantine_is_passed_over(world: World, log: Log) -> None:
    (person,) = world.people(1, GENT)
    key = world.publish(person, SINCE)
    world.topics.append(world.publication.topic, lane_of(key, LANES), key, b"\x00none", milliseconds(SINCE))
    assert (await world.run(log, held(log, "inwoners-gent"))).records == 1


async def test_a_draft_that_cannot_be_compiled_is_refused(world: World, log: Log) -> None:
    for broken in (
        replace(held(log, "inwoners-gent"), product="niets.v1"),
        replace(held(log, "inwoners-gent"), population=Population(Equals("niets", ("x",)))),
        replace(held(log, "inwoners-gent"), fields=(ReleasedField("niets", Transform.KEEP, ""),)),
    ):
        with pytest.raises(Invalid):
            await world.run(log, broken)
