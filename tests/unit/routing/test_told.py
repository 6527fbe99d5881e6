"""How far a backfill and a replay are, as the lanes' committed positions tell it."""

from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka.structs import OffsetAndMetadata
from hypothesis import given
from hypothesis import strategies as st

from broker.model import topics
from broker.model.agreement import State
from broker.model.lifecycle import Step, Transition
from broker.policy.calendar import instant_of, milliseconds
from broker.routing.backfill import Progress, Reach, Replayed
from broker.routing.told import Telling, backfilled, have_told, in_force_since, replayed
from tests.unit.api.conftest import state

SINCE = instant_of(1_000)


def stamp(progress: Progress) -> str:
    return f"7/900/900/{progress.encode()}"


def reached(reach: Reach, offset: int = 100) -> tuple[int, str]:
    return offset, stamp(Progress(reach))


def again(replayed: Replayed, offset: int = 100) -> tuple[int, str]:
    return offset, stamp(Progress(Reach(), replayed))


def test_a_backfill_is_as_far_as_its_lanes_have_read() -> None:
    begun = Reach().begun(100, 1_000)
    lanes = {0: reached(begun.advanced(100)), 1: reached(begun.advanced(52)), 2: reached(Reach()), 3: (0, "")}
    assert backfilled(SINCE, lanes) == Telling(2, 4, 50)
    lanes |= {1: reached(begun.advanced(100)), 2: reached(begun.advanced(100))}
    assert backfilled(SINCE, lanes) == Telling(4, 4, 100)


def test_the_backfill_of_an_agreement_that_came_later_is_another() -> None:
    earlier = Reach().begun(100, 999).advanced(80)
    assert backfilled(SINCE, {0: reached(earlier)}) == Telling(0, 1, 0)
    later = Reach().begun(100, 1_000).advanced(100).begun(100, 5_000).advanced(10)
    assert backfilled(SINCE, {0: reached(later)}) == Telling(1, 1, 100)


def test_a_replay_is_as_far_as_its_lanes_have_read() -> None:
    begun = Replayed().begun(40, 100)
    lanes = {0: again(begun.advanced(100)), 1: again(begun.advanced(49)), 2: again(Replayed()), 3: (0, "")}
    assert replayed(40, lanes) == Telling(1, 4, 45)
    over = again(begun.advanced(100))
    assert replayed(40, dict.fromkeys(range(4), over)) == Telling(4, 4, 100)
    assert replayed(41, dict.fromkeys(range(4), over)) == Telling(0, 4, 0)


@given(st.dictionaries(st.integers(0, 7), st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), min_size=1))
def test_it_is_told_in_steps_and_whole_only_at_the_end(lanes: Any) -> None:
    positions = {
        lane: reached(Reach().begun(end, 1_000).advanced(min(read, end)), end) for lane, (end, read) in lanes.items()
    }
    found = backfilled(SINCE, positions)
    assert found.percent in range(0, 101, 5)
    assert found.done == (found.percent == 100) == all(read >= end for end, read in lanes.values())


def test_an_amendment_is_told_where_it_asks_something_else() -> None:
    entry = state().agreements["parkeren"]
    amended_at = entry.activated_at + timedelta(days=1)
    history = (Transition(Step.AMENDED, "test", amended_at, epoch=99),)
    document = {**entry.document, "version": 2}
    same = replace(entry, version=2, document=document, amends=1, history=history)
    versions = {1: entry, 2: same}
    assert milliseconds(in_force_since(same, versions)) == milliseconds(entry.activated_at)
    other = replace(same, document=document | {"population": {"dossiers": False}})
    assert in_force_since(other, versions | {2: other}) == amended_at
    assert in_force_since(state().agreements["wachtend"], {}) is None


async def test_an_amended_agreement_is_told_when_lanes_have_read_since_it_was_amended() -> None:
    entry = state().agreements["parkeren"]
    amended_at = entry.activated_at + timedelta(days=1)
    history = (Transition(Step.AMENDED, "test", amended_at, epoch=99),)
    document = {**entry.document, "version": 2, "population": {"dossiers": False}}
    amended = replace(entry, version=2, document=document, amends=1, history=history)
    held = SimpleNamespace(agreements={entry.id: amended}, versions_of=lambda _: {1: entry, 2: amended})

    async def told(at: datetime) -> bool:
        positions = {0: OffsetAndMetadata(*reached(Reach().begun(100, milliseconds(at)).advanced(100)))}
        coordinator = SimpleNamespace(fetch_committed_offsets=AsyncMock(return_value=positions))
        topic = topics.source(entry.source, entry.document["product"])
        return await have_told(SimpleNamespace(_coordinator=coordinator), held, topic, [0])

    assert not await told(entry.activated_at)
    assert await told(amended_at)
    suspended = replace(amended, state=State.SUSPENDED)
    held.agreements[entry.id] = suspended
    assert await told(entry.activated_at), "nobody is told of it"


@pytest.mark.parametrize("metadata", ["", "7/900"])
def test_a_position_of_before_there_were_backfills_has_told_nobody(metadata: str) -> None:
    assert backfilled(SINCE, {0: (100, metadata)}) == Telling(0, 1, 0)
