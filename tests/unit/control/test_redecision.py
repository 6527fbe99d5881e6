"""A past decision made again: with everything still there it is the same or it is not, and otherwise that is said."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.publication import Publication
from adapters.sdk import Change
from adapters.synthetic import GENT, LEUVEN, move, people
from broker.control.dossier_records import encode
from broker.control.history import History
from broker.control.redecision import Check, Redecided, policy_sha256, redecide
from broker.errors import NotFound
from broker.model import topics
from broker.model.agreement import Dossier
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.policy import documents, limit_documents
from broker.policy.calendar import milliseconds
from broker.schema.avro import load_schema
from tests.unit.past import Kept, Topics

ROOT = Path(__file__).parents[3]
LANES, K_LANE = 4, b"l" * 32
SOURCE, PERSON = "rijksregister", "persoon.v1"
TOPIC = f"source.{SOURCE}.{PERSON}"
START = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
TODAY = date(2026, 11, 24)


@dataclass(frozen=True)
class Leaf:
    agreement: str
    outcome: str = "release"
    kind: str = "initial"
    reason: str | None = None
    version: int = 1


@dataclass(frozen=True)
class Receipt:
    topic: str
    lane: int
    offset: int
    epoch: int
    subjects_offset: int
    decided_at_ms: int
    decisions: tuple[Leaf, ...]


class World:
    """A control log, a register and files, one step an hour."""

    def __init__(self) -> None:
        self.topics, self.state, self.at = Topics(), ControlState(), START
        self.rng = random.Random(5)
        schema = (ROOT / "schemas" / f"{PERSON}.avsc").read_text()
        self.publication = Publication(SOURCE, load_schema(schema), 1, k_lane=K_LANE, lanes=LANES)
        self.fact(FactType.PRODUCT, "product", {"id": PERSON, "source": SOURCE, "schema": schema})
        purposes = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
        self.fact(FactType.PURPOSES, "purposes", {"purposes": limit_documents.purpose_documents(purposes)})
        for ceiling in limit_documents.ceilings((ROOT / "policies" / "ceilings" / f"{PERSON}.yaml").read_text()):
            self.fact(FactType.CEILING, f"ceiling/{ceiling.purpose}", limit_documents.ceiling_document(ceiling))

    def fact(self, kind: FactType, aggregate: str, data: Mapping[str, Any]) -> None:
        self.at += HOUR
        fact = Fact(f"f{self.state.epoch}", kind, aggregate, self.state.version(aggregate), self.at, "test", data)
        record = self.topics.append(topics.CONTROL_LOG, 0, fact.id.encode(), fact.encode(), milliseconds(self.at))
        assert self.state.apply(record.offset, fact)
        self.topics.append(topics.CONTROL_LOG, 0, b"heartbeat/x", b"1", milliseconds(self.at))

    def agree(self, name: str) -> str:
        text = (ROOT / "policies" / "agreements" / f"{name}.yaml").read_text()
        document = documents.agreement_document(documents.agreement(text)) | {"conditions": {}}
        self.fact(FactType.AGREEMENT_REQUESTED, f"agreement/{name}", {"document": document, "egress": "{}"})
        self.fact(FactType.AGREEMENT_ACTIVE, f"agreement/{name}", {"id": name})
        return name

    def person(self, place: Any = GENT) -> dict[str, Any]:
        (made,) = people(self.rng, 1, on=TODAY)
        return {**move(made, place, self.rng, on=TODAY), "kind": "changed"}

    def publish(self, value: Mapping[str, Any] | None, subject: str | None = None) -> Kept:
        self.at += HOUR
        stated = self.publication.state(Change("-", PERSON, value, subject))
        return self.topics.append(TOPIC, stated.lane, stated.key, stated.value, milliseconds(self.at))

    def register(self, agreement: str, record: Kept, end: datetime | None = None) -> Kept:
        self.at += HOUR
        file = Dossier(agreement, record.key or b"", "schuldeiser", "P-1", START, end, registered=self.at)
        return self.topics.append(topics.DOSSIERS, record.partition, *encode(file, K_LANE), milliseconds(self.at))

    def receipt(self, record: Kept, *leaves: Leaf) -> Receipt:
        """As a lane would have written it now."""
        read = self.topics.ends.get((topics.DOSSIERS, record.partition), 0)
        decided = milliseconds(self.at) + 5
        return Receipt(record.topic, record.partition, record.offset, self.state.epoch, read, decided, leaves)

    async def again(self, receipt: Receipt) -> tuple[Redecided, ...]:
        return await redecide(History(self.topics.consumer, LANES), receipt, self.state)


@pytest.fixture
def world() -> World:
    return World()


async def checks(world: World, receipt: Receipt) -> dict[str, Check]:
    return {each.agreement: each.check for each in await world.again(receipt)}


async def test_a_decision_is_made_again_under_the_policy_and_files_of_then(world: World) -> None:
    gent, parking = world.agree("inwoners-gent"), world.agree("parkeerboetes-gent")
    person = world.person()
    first = world.publish(person)
    world.register(parking, first)
    receipts = [world.receipt(first, Leaf(gent), Leaf(parking))]
    second = world.publish(person)
    receipts.append(world.receipt(second, Leaf(gent, kind="changed"), Leaf(parking, kind="changed")))
    third = world.publish(move(person, LEUVEN, world.rng, on=TODAY) | {"kind": "changed"})
    receipts.append(world.receipt(third, Leaf(gent, kind="left-population"), Leaf(parking, kind="changed")))
    deleted = world.publish(None, person["insz"])
    receipts.append(world.receipt(deleted, Leaf(parking, kind="left-population")))
    world.fact(FactType.AGREEMENT_REVOKED, f"agreement/{gent}", {"id": gent})
    for receipt in receipts:
        assert set((await checks(world, receipt)).values()) == {Check.IDENTICAL}
    now = world.receipt(second, Leaf(gent, "withhold", "changed", "REVOKED"), Leaf(parking, kind="changed"))
    assert set((await checks(world, now)).values()) == {Check.IDENTICAL}


async def test_a_decision_that_was_otherwise_is_found(world: World) -> None:
    gent = world.agree("inwoners-gent")
    other = world.agree("inwoners-leuven")
    record = world.publish(world.person())
    (wrong, missing) = await world.again(world.receipt(record, Leaf(other)))
    assert (wrong.agreement, wrong.check, wrong.recorded, wrong.decided) == (
        gent,
        Check.DIFFERENT,
        None,
        ("release", "initial", None),
    )
    assert (missing.agreement, missing.check, missing.decided) == (other, Check.DIFFERENT, None)
    assert await world.again(world.receipt(record, Leaf(gent))) != ()
    assert await checks(world, world.receipt(record, Leaf(gent, version=2))) == {gent: Check.DIFFERENT}


async def test_without_the_record_only_the_policy_is_checked(world: World) -> None:
    gent = world.agree("inwoners-gent")
    record = world.publish(world.person())
    receipt = world.receipt(record, Leaf(gent, "withhold", "changed", "SUSPENDED"))
    world.topics.forget(record)
    (leaf,) = await world.again(receipt)
    assert (leaf.check, leaf.why, leaf.decided) == (Check.POLICY_ONLY, "the record is no longer there", None)
    assert leaf.policy_sha256 == policy_sha256(world.state, world.state.agreements[gent])
    (unknown,) = await world.again(replace(receipt, decisions=(Leaf("bestond-niet"),)))
    assert (unknown.check, unknown.policy_sha256) == (Check.DIFFERENT, None)


async def test_without_the_record_before_a_change_proves_nothing(world: World) -> None:
    gent = world.agree("inwoners-gent")
    person = world.person()
    first = world.publish(person)
    second = world.publish(person)
    receipt = world.receipt(second, Leaf(gent, kind="changed"))
    world.topics.forget(first)
    (leaf,) = await world.again(receipt)
    assert (leaf.check, leaf.why) == (Check.POLICY_ONLY, "the record before it is no longer there")


async def test_a_record_that_was_quarantined_is_no_predecessor(world: World) -> None:
    gent = world.agree("inwoners-gent")
    person = world.person()
    first = world.publish(person)
    world.topics.append(TOPIC, first.partition, first.key, b"\x00none", milliseconds(world.at))
    second = world.publish(person)
    assert await checks(world, world.receipt(second, Leaf(gent, kind="changed"))) == {gent: Check.IDENTICAL}


async def test_files_that_changed_since_prove_nothing_where_the_answer_is_another(world: World) -> None:
    parking = world.agree("parkeerboetes-gent")
    record = world.publish(world.person())
    kept = world.register(parking, record)
    receipt = world.receipt(record, Leaf(parking))
    assert await checks(world, receipt) == {parking: Check.IDENTICAL}
    world.register(parking, record, end=world.at)
    assert await checks(world, receipt) == {parking: Check.IDENTICAL}
    world.topics.forget(kept)
    (leaf,) = await world.again(receipt)
    assert (leaf.check, leaf.why) == (Check.POLICY_ONLY, "the papers of then are no longer there")


async def test_an_activation_between_two_records_is_seen_at_the_right_one(world: World) -> None:
    person = world.person()
    world.publish(person)
    gent = world.agree("inwoners-gent")
    second = world.publish(person)
    assert await checks(world, world.receipt(second, Leaf(gent, kind="initial"))) == {gent: Check.IDENTICAL}
    third = world.publish(person)
    assert await checks(world, world.receipt(third, Leaf(gent, kind="changed"))) == {gent: Check.IDENTICAL}
    assert await checks(world, world.receipt(third, Leaf(gent, kind="initial"))) == {gent: Check.DIFFERENT}


async def test_the_hash_says_whether_the_policy_is_still_the_same(world: World) -> None:
    gent = world.agree("inwoners-gent")
    record = world.publish(world.person())
    receipt = world.receipt(record, Leaf(gent))
    (before,) = await world.again(receipt)
    assert before.same_today
    ceiling = limit_documents.ceiling(world.state.ceilings[None, PERSON, "openbare-taak"])
    tightened = limit_documents.ceiling_document(replace(ceiling, fields={}))
    world.fact(FactType.CEILING, "ceiling/openbare-taak", tightened)
    (after,) = await world.again(receipt)
    assert (after.check, after.policy_sha256) == (Check.IDENTICAL, before.policy_sha256)
    assert not after.same_today
    now = world.receipt(record, Leaf(gent, "withhold", "changed", "ABOVE_CEILING"))
    (again,) = await world.again(now)
    assert again.check is Check.IDENTICAL
    assert again.policy_sha256 != before.policy_sha256


@pytest.mark.parametrize(
    ("topic", "why"),
    [(topics.DOSSIERS, "made on a registration, not on a record"), ("timer", "made on a timer, not on a record")],
)
async def test_what_no_record_caused_is_checked_by_its_policy(world: World, topic: str, why: str) -> None:
    parking = world.agree("parkeerboetes-gent")
    record = world.publish(world.person())
    (leaf,) = await world.again(replace(world.receipt(record, Leaf(parking)), topic=topic))
    assert (leaf.check, leaf.why) == (Check.POLICY_ONLY, why)


async def test_an_epoch_that_is_not_in_the_log_is_not_found(world: World) -> None:
    record = world.publish(world.person())
    with pytest.raises(NotFound):
        await world.again(replace(world.receipt(record), epoch=10_000))


async def test_nothing_of_a_record_is_in_the_answer(world: World) -> None:
    gent = world.agree("inwoners-gent")
    person = world.person()
    answer = await world.again(world.receipt(world.publish(person), Leaf(gent)))
    text = json.dumps([str(each) for each in answer])
    assert not any(value in text for value in (person["insz"], person["naam"]["achternaam"]))
