"""A rotation gives other pseudonyms, its sealed map takes each old one to the new, and nobody can alter the map."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from broker.control.pseudonym_map import Scope, public_key, sealed, verify
from broker.control.pseudonyms import Pseudonyms
from broker.errors import Conflict, Invalid, NotFound, Stale
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.keyed import pseudonym
from broker.policy import documents

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SEED = bytes(range(32))
SCOPE = Scope("statistiek-vlaanderen", "statistiek", 1, 2)
PEOPLE = [b"%011d" % number for number in range(5_000)]
AGENCY, PURPOSE = "statistiek-vlaanderen", "statistiek"


@dataclass
class Control:
    state: ControlState = field(default_factory=ControlState)
    is_fresh: bool = True
    refuses: bool = False

    async def read_to_head(self) -> int:
        return self.state.epoch

    def fresh(self) -> bool:
        return self.is_fresh

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        fact = Fact(f"f{self.state.epoch}", kind, aggregate, self.state.version(aggregate), NOW, by, data)
        if self.refuses or not self.state.apply(self.state.epoch + 1, fact):
            raise Conflict
        return self.state.epoch


class Keys:
    """Every name has its key; `made` are those that somebody ensured."""

    def __init__(self) -> None:
        self.made: set[str] = {f"pseudonym/{AGENCY}/{PURPOSE}/1"}

    def get(self, name: str) -> bytes:
        assert name in self.made
        return sha256(name.encode()).digest()

    def ensure(self, name: str) -> bytes:
        self.made.add(name)
        return self.get(name)


@dataclass
class Population:
    found: list[bytes]
    meanwhile: Any = None

    async def identifiers(self, agreement: str) -> list[bytes]:
        del agreement
        if self.meanwhile:
            await self.meanwhile()
        return self.found


@dataclass
class Office:
    control: Control
    keys: Keys
    population: Population
    pseudonyms: Pseudonyms

    async def move(self, agreement: str, kind: FactType) -> None:
        await self.control.append(kind, f"agreement/{agreement}", {"id": agreement}, by="t")

    def key(self, epoch: int) -> bytes:
        return self.keys.get(f"pseudonym/{AGENCY}/{PURPOSE}/{epoch}")


@pytest.fixture
async def office() -> Office:
    control, keys, population = Control(), Keys(), Population(PEOPLE)
    room = Office(control, keys, population, Pseudonyms(control, keys, population))
    for name in ("statistiek-vlaanderen", "inwoners-gent"):
        text = (ROOT / "policies" / "agreements" / f"{name}.yaml").read_text()
        document = documents.agreement_document(documents.agreement(text))
        data = {"document": document, "egress": None}
        await control.append(FactType.AGREEMENT_REQUESTED, f"agreement/{name}", data, by="t")
    return room


async def activate(office: Office, name: str = "statistiek-vlaanderen") -> None:
    await office.move(name, FactType.AGREEMENT_ACTIVE)


async def test_a_rotation_is_a_fact_that_moves_the_policy_epoch(office: Office) -> None:
    assert office.pseudonyms.key_of("statistiek-vlaanderen").epoch == 1
    before = office.control.state.policy_epoch
    rotated = await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)
    assert (rotated.epoch, rotated.agreements) == (2, ("statistiek-vlaanderen",))
    assert office.control.state.policy_epoch > before
    assert f"pseudonym/{AGENCY}/{PURPOSE}/2" in office.keys.made
    assert (await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)).epoch == 3


async def test_of_two_rotations_at_once_one_is_refused(office: Office) -> None:
    state = office.control.state
    aggregate, data = f"pseudonym/{AGENCY}/{PURPOSE}", {"agency": AGENCY, "purpose": PURPOSE, "epoch": 2}
    facts = [Fact(f"r{each}", FactType.PSEUDONYM_ROTATED, aggregate, 0, NOW, "t", data) for each in range(2)]
    assert [state.apply(state.epoch + 1, fact) for fact in facts] == [True, False]
    skipping = Fact("r3", FactType.PSEUDONYM_ROTATED, aggregate, 1, NOW, "t", data | {"epoch": 4})
    assert not state.apply(state.epoch + 1, skipping)
    assert state.pseudonym_epoch(AGENCY, PURPOSE) == 2
    assert state.pseudonym_epoch(AGENCY, "inning") == 1


async def test_an_agreement_without_pseudonyms_has_none_to_rotate(office: Office) -> None:
    for name in ("inwoners-gent", "onbekend"):
        with pytest.raises(NotFound):
            await office.pseudonyms.rotate(name, "stad-gent")


async def test_the_map_takes_each_old_pseudonym_of_the_population_to_its_new_one(office: Office) -> None:
    await activate(office)
    await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)
    text = b"".join(await office.pseudonyms.continuity("statistiek-vlaanderen", 1, 2))
    lines = text.splitlines(keepends=True)
    assert verify(lines, office.pseudonyms.seal_key()) == (Scope(AGENCY, PURPOSE, 1, 2), len(PEOPLE))
    pairs = [json.loads(line) for line in lines[:-1]]
    assert {pair["from"]: pair["to"] for pair in pairs} == {
        pseudonym(office.key(1), person).decode(): pseudonym(office.key(2), person).decode() for person in PEOPLE
    }
    assert pairs == sorted(pairs, key=lambda pair: str(pair["from"])), "no order of the register shows"


@pytest.mark.parametrize(("old", "new"), [(1, 1), (2, 1), (1, 3), (0, 1), (2, 3)])
async def test_a_map_goes_from_an_epoch_to_a_later_one(office: Office, old: int, new: int) -> None:
    await activate(office)
    await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)
    with pytest.raises(Invalid):
        await office.pseudonyms.continuity("statistiek-vlaanderen", old, new)


async def test_there_is_no_map_for_an_agreement_that_may_deliver_nothing(office: Office) -> None:
    await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)
    with pytest.raises(Conflict):
        await office.pseudonyms.continuity("statistiek-vlaanderen", 1, 2)
    await activate(office)
    office.population.meanwhile = lambda: office.move("statistiek-vlaanderen", FactType.AGREEMENT_SUSPENDED)
    with pytest.raises(Conflict):
        await office.pseudonyms.continuity("statistiek-vlaanderen", 1, 2)


async def test_who_cannot_see_the_control_log_gives_no_map(office: Office) -> None:
    await activate(office)
    await office.pseudonyms.rotate("statistiek-vlaanderen", AGENCY)
    office.control.is_fresh = False
    with pytest.raises(Stale):
        await office.pseudonyms.continuity("statistiek-vlaanderen", 1, 2)


PAIRS = [(b"%032x" % number, b"%032x" % (number + 10_000)) for number in range(4_001)]


def whole() -> list[bytes]:
    return b"".join(sealed(SCOPE, PAIRS, SEED)).splitlines(keepends=True)


def test_an_empty_map_is_sealed_too() -> None:
    assert verify(b"".join(sealed(SCOPE, [], SEED)).splitlines(keepends=True), public_key(SEED)) == (SCOPE, 0)


def test_a_map_is_the_same_in_whatever_order_its_pairs_come() -> None:
    assert b"".join(sealed(SCOPE, PAIRS[::-1], SEED)) == b"".join(whole())


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[1:],
        lambda lines: [lines[1], lines[0], *lines[2:]],
        lambda lines: [lines[0].replace(b"0", b"1", 1), *lines[1:]],
        lambda lines: [*lines, b"\n"],
        lambda lines: [*lines[:-1], lines[-1].replace(b'"to":2', b'"to":3')],
        lambda lines: [*lines[:-1], lines[-1].replace(b"statistiek-vlaanderen", b"onderzoekscentrum")],
        lambda lines: [*lines[:-1], b"[]"],
        lambda lines: [*lines[:-1], b"[" * 100_000],
        lambda _lines: [],
    ],
)
def test_an_altered_map_is_refused(change: Any) -> None:
    with pytest.raises(Invalid):
        verify(change(whole()), public_key(SEED))


def test_a_map_that_another_key_sealed_is_refused() -> None:
    assert verify(whole(), public_key(SEED)) == (SCOPE, len(PAIRS))
    for key in (public_key(bytes(32)), "", "zz", public_key(SEED)[:-2]):
        with pytest.raises(Invalid):
            verify(whole(), key)
