"""A source that lacks what it used to have, or has codes that nobody mapped, is told of: once, by path, never with a value."""

import json
from collections.abc import Sequence
from typing import Any

import pytest

from adapters import runner as running
from adapters.drift import ABSENT, CODE, Drift
from adapters.sdk import Broken, Item
from broker.errors import Drifted
from tests.unit.adapters.wiring import Given, MemoryJournal, runner, works

LOCATED = {"locatie": {"gemeente": {"naam": "Gent", "nis": "44021"}}}


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


@pytest.fixture(autouse=True)
def every_record_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a transaction of no more than 200."""
    monkeypatch.setattr(running, "MOST_ITEMS", 100)


async def test_of_a_large_transaction_some_are_looked_into(journal: MemoryJournal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 4_000)
    drift, _ = await run([*with_term(*range(4_000)), *without(*range(4_000, 8_000))], journal)
    assert [each.path for each in drift] == ["validFrom"]
    kept = json.loads(journal.state[b"drift/hinder.v1"])
    assert kept["taken"] == 8_000
    assert 500 < kept["records"] < 1_200


def with_term(*numbers: int) -> list[Item]:
    return [works(number, validFrom="2026-01-01") for number in numbers]


def without(*numbers: int) -> list[Item]:
    return [works(number) for number in numbers]


def unmapped(*numbers: int, path: str = "kind") -> list[Item]:
    return [Broken(f"broken {number}", "CODE_UNKNOWN", path, "hinder.v1") for number in numbers]


async def run(items: Sequence[Item], journal: MemoryJournal, **more: Any) -> tuple[tuple[Drift, ...], list[Drift]]:
    told: list[Drift] = []
    under_test = runner(Given(items), journal, drifted=told.append, **more)
    await under_test.run(once=True)
    return under_test.drift, told


async def test_a_field_that_is_not_filled_in_any_more(journal: MemoryJournal) -> None:
    drift, told = await run([*with_term(*range(500)), *without(*range(500, 699))], journal)
    assert (drift, told) == ((), [])
    drift, told = await run(without(699), journal)
    assert [each.as_json() for each in drift] == [
        {"product": "hinder.v1", "path": "validFrom", "code": ABSENT, "was": 1.0, "now": 0.0}
    ]
    assert told == list(drift)
    drift, told = await run(without(700, 701), journal)
    assert len(told) == 1, "every run tells it, once"
    drift, told = await run(with_term(702), journal)
    assert (drift, told) == ((), []), "it is back"


async def test_it_is_told_once_in_a_run(journal: MemoryJournal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 50)
    drift, told = await run([*with_term(*range(500)), *without(*range(500, 900))], journal)
    assert told == list(drift)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("had", "of", "tells"),
    [(500, 500, True), (499, 499, False), (300, 600, True), (299, 600, False)],
    ids=["always", "too few records", "half of them", "less than half"],
)
async def test_what_counts_as_filled_in(journal: MemoryJournal, had: int, of: int, *, tells: bool) -> None:
    items = [*without(*range(had, of)), *with_term(*range(had)), *without(*range(of, of + 200))]
    drift, _ = await run(items, journal)
    assert bool(drift) is tells


async def test_codes_that_nobody_mapped(journal: MemoryJournal) -> None:
    drift, _ = await run([*without(*range(380)), *unmapped(*range(9))], journal)
    assert drift == ()
    drift, told = await run([*without(380), *unmapped(9)], journal)
    assert [(each.path, each.code, each.now) for each in drift] == [("kind", CODE, 0.05)]
    assert told == list(drift)
    drift, _ = await run(without(*range(400, 640)), journal)
    assert drift == ()


async def test_the_same_broken_item_read_again_is_no_drift(journal: MemoryJournal) -> None:
    for _ in range(5):
        drift, _ = await run([*without(*range(300)), *unmapped(*range(9))], journal)
    assert drift == ()


async def test_a_path_that_is_none_of_the_products_is_not_told(journal: MemoryJournal) -> None:
    drift, told = await run([*without(*range(200)), *unmapped(*range(50), path="Jan.Janssens")], journal)
    assert (drift, told) == ((), [])


async def test_a_mapping_can_have_it_stop_and_somebody_let_it_go_on(journal: MemoryJournal) -> None:
    await run(with_term(*range(500)), journal, drift_stops=True)
    with pytest.raises(Drifted, match=r"hinder\.v1: validFrom") as stopped:
        await run(without(*range(500, 700)), journal, drift_stops=True)
    assert "drift: report" in str(stopped.value)
    assert len(journal.rows("source.")) == 600, "with the 200th it drifts, and the transaction is not written"
    with pytest.raises(Drifted):
        await run(without(*range(500, 700)), journal, drift_stops=True)
    assert len(journal.rows("source.")) == 600
    await run(without(*range(500, 700)), journal)
    assert len(journal.rows("source.")) == 700
    await run(without(*range(700, 750)), journal, drift_stops=True)
    with pytest.raises(Drifted, match="kind"):
        await run(unmapped(*range(50)), journal, drift_stops=True)


async def test_after_a_doubt_nothing_is_counted_twice(journal: MemoryJournal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 60)
    journal.trouble = [None, "lost", "won", "lost"]
    await run(with_term(*range(240)), journal)
    kept = json.loads(journal.state[b"drift/hinder.v1"])
    assert (kept["records"], kept["taken"]) == (240, 240)
    assert kept["paths"]["validFrom"] == [240, 0]


async def test_the_state_holds_paths_and_numbers_only_and_stays_small(journal: MemoryJournal) -> None:
    items = [works(number, "KANARIE", **LOCATED) for number in range(300)]
    await run([*items, *unmapped(*range(30))], journal)
    kept = journal.state[b"drift/hinder.v1"]
    assert b"KANARIE" not in kept
    assert b"Gent" not in kept
    assert len(kept) < 4_000
