"""Who is believed about a product's records, and what is found when somebody writes beside the runner, or writes again."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from broker.control import keys
from broker.control.seal_examination import Examination, Verdict
from broker.control.source_seals import SealKeys, SealSigner
from broker.errors import Invalid, NotFound, NotYetKnown
from broker.model import topics
from broker.model.facts import FactType
from broker.model.source_seal import SourceSeal, record_leaf
from tests.unit.control.room import NOW, Control

ORGANISATION, PRODUCT = "gipod", "hinder.v1"
TOPIC = topics.source(ORGANISATION, PRODUCT)


@dataclass
class Store:
    """Keys in memory."""

    held: dict[str, bytes] = field(default_factory=dict)

    def get(self, name: str) -> bytes:
        if name not in self.held:
            raise NotYetKnown
        return self.held[name]

    def ensure(self, name: str) -> bytes:
        return self.held.setdefault(name, Random(name).randbytes(32))


@dataclass
class Record:
    offset: int
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]
    timestamp: int


@dataclass
class Seal:
    value: bytes
    timestamp: int


def ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)


@dataclass
class Topics:
    """A product's topic of two lanes and the seals on it, and whoever writes to them."""

    control: Control
    store: Store
    lanes: tuple[list[Record], list[Record]] = field(default_factory=lambda: ([], []))
    seals: list[Seal] = field(default_factory=list)
    number: int = 0
    clock: datetime = NOW

    def publish(self, *stated: tuple[int, str, str], adapter: str = "werken", series: str = "aa") -> SourceSeal:
        """What the runner does: (lane, key, value) each, and the seal on them."""
        self.number += 1
        leaves = [self.leaf(self.write(*each)) for each in sorted(stated, key=lambda each: each[0])]
        seal = SourceSeal.over(
            leaves,
            adapter=adapter,
            organisation=ORGANISATION,
            product=PRODUCT,
            at=self.clock.isoformat(),
            series=series,
            number=self.number,
        )
        signed = SealSigner(self.control, self.store).signed(seal)
        self.seals.append(Seal(signed.encode(), ms(self.clock)))
        return signed

    def write(self, lane: int, key: str, value: str) -> Record:
        """What anybody does who may write to the topic."""
        event = f"{key}={value}".encode()
        record = Record(len(self.lanes[lane]), key.encode(), value.encode(), [("ce_id", event)], ms(self.clock))
        self.lanes[lane].append(record)
        return record

    def leaf(self, record: Record) -> bytes:
        return record_leaf(TOPIC, dict(record.headers)["ce_id"], record.key, record.value)

    def again(self, record: Record, lane: int = 0) -> None:
        """The same record, written once more."""
        self.lanes[lane].append(replace(record, offset=self.lanes[lane][-1].offset + 1))

    def compact(self) -> None:
        """Of each key the last record stays."""
        for lane in self.lanes:
            last = {record.key: record for record in lane}
            lane[:] = [record for record in lane if last[record.key] is record]

    def verdict(self, *, whole: bool = True) -> Verdict:
        found = Examination(ORGANISATION, PRODUCT, self.control.state.seal_keys, whole=whole)
        for lane, records in enumerate(self.lanes):
            for record in records:
                found.record(lane, record)
        for seal in self.seals:
            found.seal(seal)
        return found.verdict()


@pytest.fixture
async def control() -> Control:
    made = Control([])
    await made.append(FactType.ORGANISATION, "organisation/gipod", {"id": ORGANISATION, "name": "GIPOD"}, by="operator")
    return made


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def seal_keys(control: Control, store: Store) -> SealKeys:
    return SealKeys(control, store, now=lambda: control.now)


@pytest.fixture
async def world(control: Control, store: Store, seal_keys: SealKeys) -> Topics:
    await seal_keys.ensure(ORGANISATION, by="operator")
    return Topics(control, store)


async def test_what_the_runner_publishes_is_vouched_for(world: Topics) -> None:
    world.publish((0, "a", "1"), (1, "b", "1"), (0, "c", "1"))
    world.publish((0, "a", "2"))
    world.publish((0, "a", "1"), (0, "a", "2"))  # it says again what it said before: that is its own word
    found = world.verdict()
    assert found.sound
    assert (found.records, found.sealed, found.seals) == (6, 6, 3)
    world.compact()
    assert world.verdict().sound
    assert world.verdict().records == 3


async def test_a_record_of_somebody_else_is_found(world: Topics) -> None:
    world.publish((0, "a", "1"), (1, "b", "1"))
    forged = world.write(1, "a", "forged")
    forged.headers[:] = world.lanes[0][0].headers  # under the id of a true one
    found = world.verdict()
    assert not found.sound
    assert found.unsealed == {1: 1}
    assert [(each.lane, each.offset) for each in found.coordinates["unsealed"]] == [(1, 1)]
    assert "forged" not in repr(found.as_json())


@pytest.mark.parametrize("member", ["key", "value", "headers"])
async def test_a_record_that_was_changed_is_found(world: Topics, member: str) -> None:
    world.publish((0, "a", "1"))
    setattr(world.lanes[0][0], member, [("ce_id", b"other")] if member == "headers" else b"other")
    assert world.verdict().unsealed == {0: 1}


async def test_a_deletion_is_a_record_too(world: Topics) -> None:
    world.publish((0, "a", "1"))
    world.lanes[0].append(replace(world.lanes[0][0], offset=1, value=None))
    assert world.verdict().unsealed == {0: 1}


async def test_records_of_another_product_are_not_vouched_for_here(world: Topics) -> None:
    record = world.write(0, "a", "1")
    other = SourceSeal.over(
        [record_leaf("source.gipod.hinder.v2", dict(record.headers)["ce_id"], record.key, record.value)],
        adapter="werken",
        organisation=ORGANISATION,
        product="hinder.v2",
        at=NOW.isoformat(),
        series="aa",
        number=1,
    )
    world.seals.append(Seal(SealSigner(world.control, world.store).signed(other).encode(), ms(NOW)))
    found = world.verdict()
    assert (found.unsealed, found.doubts) == ({0: 1}, {"SEAL_ELSEWHERE": 1})


async def test_records_of_before_seals_are_told_apart(world: Topics) -> None:
    world.write(0, "old", "1")
    world.clock += timedelta(hours=1)
    world.publish((0, "a", "1"))
    world.clock += timedelta(hours=1)
    world.write(1, "new", "1")
    found = world.verdict()
    assert (found.unsealed, found.before) == ({0: 1, 1: 1}, 1)


async def test_a_record_that_is_written_again_is_found_before_and_after_compaction(world: Topics) -> None:
    world.publish((0, "a", "1"))
    old = world.lanes[0][0]
    world.publish((0, "a", "2"), (0, "c", "1"))
    world.again(old)  # somebody wants the earlier state back
    found = world.verdict()
    assert (found.repeated, found.misplaced, found.unsealed) == (1, 0, {})
    assert [(each.lane, each.offset) for each in found.coordinates["repeated"]] == [(0, 3)]
    world.compact()
    assert [record.value for record in world.lanes[0]] == [b"1", b"1"]
    found = world.verdict()
    assert (found.repeated, found.misplaced, found.sealed) == (0, 1, 2)
    assert [(each.lane, each.offset) for each in found.coordinates["misplaced"]] == [(0, 3)]


async def test_two_adapters_of_one_product_do_not_stand_in_each_others_way(world: Topics) -> None:
    for number in range(4):
        world.number = number // 2
        world.publish((0, f"k{number}", "1"), adapter=("een", "twee")[number % 2])
    world.seals[0], world.seals[1] = world.seals[1], world.seals[0]  # whichever is committed first
    assert world.verdict().sound


async def test_a_seal_that_is_written_again_or_taken_away_is_found(world: Topics) -> None:
    for number in range(4):
        world.publish((0, f"k{number}", "1"))
    world.seals.append(world.seals[1])
    assert world.verdict().doubts == {"SEAL_REPEATED": 1}
    del world.seals[1], world.seals[-1]
    found = world.verdict()
    assert (found.missing, found.unsealed) == (1, {0: 1})
    assert world.verdict(whole=False).missing == 1
    del world.seals[0]
    assert (world.verdict().missing, world.verdict(whole=False).missing) == (2, 0)


async def test_a_seal_that_was_tampered_with_vouches_for_nothing(world: Topics) -> None:
    seal = world.publish((0, "a", "1"), (0, "b", "1"))
    for changed, code in (
        (replace(seal, leaves=(seal.leaves[0], world.leaf(world.write(1, "x", "1")))), "SEAL_LEAVES_CHANGED"),
        (SourceSeal.over([world.leaf(world.write(1, "y", "1"))], **_words(seal)), "SEAL_SIGNATURE_WRONG"),
        (replace(seal, at="2026-01-01T00:00:00+00:00"), "SEAL_SIGNATURE_WRONG"),
        (replace(seal, number=2), "SEAL_SIGNATURE_WRONG"),
        (replace(seal, adapter="ander"), "SEAL_SIGNATURE_WRONG"),
        (replace(seal, key="gipod/9"), "SEAL_KEY_UNKNOWN"),
        (replace(seal, organisation="ander", key="ander/1"), "SEAL_ELSEWHERE"),
    ):
        signed = changed if changed.signature else replace(changed, key=seal.key, signature=seal.signature)
        world.seals[0] = Seal(signed.encode(), ms(NOW))
        found = world.verdict()
        assert found.doubts == {code: 1}
        assert found.sealed == 0
    world.seals[0] = Seal(b"no seal", ms(NOW))
    assert world.verdict().doubts == {"SEAL_MALFORMED": 1}


def _words(seal: SourceSeal) -> dict[str, Any]:
    names = ("adapter", "organisation", "product", "at", "series", "number")
    return {name: getattr(seal, name) for name in names}


async def test_after_a_rotation_earlier_seals_stay_believed(world: Topics, seal_keys: SealKeys) -> None:
    first = world.publish((0, "a", "1"))
    made = await seal_keys.rotate(ORGANISATION, by="operator")
    second = world.publish((0, "b", "1"))
    assert (first.key, second.key, made.id) == ("gipod/1", "gipod/2", "gipod/2")
    assert world.verdict().sound


async def test_a_key_that_others_saw_is_believed_up_to_then(world: Topics, seal_keys: SealKeys) -> None:
    hour = timedelta(hours=1)
    world.publish((0, "a", "1"))
    world.clock += hour
    world.publish((0, "b", "1"))
    world.control.now = NOW + 3 * hour
    held = await seal_keys.distrust(ORGANISATION, 1, since=NOW + hour, by="operator", why="a laptop was lost")
    assert (held.distrusted, world.control.state.seal_keys.present(ORGANISATION).id) == (NOW + hour, "gipod/2")
    found = world.verdict()
    assert (found.sealed, found.unsealed, found.doubts, found.missing) == (1, {0: 1}, {"SEAL_KEY_DISTRUSTED": 1}, 0)

    world.clock += hour
    world.publish((0, "b", "1"))  # published again, under the next key
    again = world.verdict()
    assert again.sealed == 2


async def test_who_stole_a_key_gains_nothing_by_an_earlier_date(world: Topics, seal_keys: SealKeys) -> None:
    stolen = Ed25519PrivateKey.from_private_bytes(world.store.get(keys.source_seal_key(ORGANISATION, 1)))
    world.control.now = NOW + timedelta(hours=2)
    await seal_keys.distrust(ORGANISATION, 1, since=NOW, by="operator")
    seal = replace(unsigned(world.leaf(world.write(0, "a", "forged"))), key="gipod/1")
    assert seal.instant() < NOW
    signed = seal.with_signature(stolen.sign(seal.signed_bytes()))
    world.seals.append(Seal(signed.encode(), ms(NOW + timedelta(hours=1))))
    found = world.verdict()
    assert (found.doubts, found.unsealed) == ({"SEAL_KEY_DISTRUSTED": 1}, {0: 1})


async def test_keys_are_made_once_and_refusals_say_why(seal_keys: SealKeys, control: Control) -> None:
    held = await seal_keys.ensure(ORGANISATION, by="operator")
    assert held.id == "gipod/1"
    assert control.did.count(FactType.SEAL_KEY) == 1
    for refused, error in (
        (seal_keys.ensure("niemand", by="operator"), NotFound),
        (seal_keys.distrust(ORGANISATION, 9, since=NOW, by="operator"), NotFound),
        (seal_keys.distrust(ORGANISATION, 1, since=NOW + timedelta(hours=1), by="operator"), Invalid),
    ):
        with pytest.raises(error):
            await refused
    later = await seal_keys.distrust(ORGANISATION, 1, since=NOW, by="operator")
    assert await seal_keys.distrust(ORGANISATION, 1, since=NOW, by="operator") == later
    assert control.state.seal_keys.present(ORGANISATION).epoch == 2
    with pytest.raises(NotYetKnown):
        SealSigner(control, Store()).signed(unsigned(bytes(32)))


def unsigned(leaf: bytes) -> SourceSeal:
    return SourceSeal.over(
        [leaf],
        adapter="werken",
        organisation=ORGANISATION,
        product=PRODUCT,
        at=(NOW - timedelta(days=1)).isoformat(),
        series="aa",
        number=1,
    )
