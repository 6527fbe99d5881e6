"""Deletions that no source states: whom a whole snapshot lacks, and only then."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import runner as running
from adapters.memory import Outcome
from adapters.sdk import Broken, Change, Item, SnapshotBegins, SnapshotEnds
from broker.errors import Fatal, Invalid, Retriable
from broker.model.record import header
from tests.unit.adapters.wiring import Given, MemoryJournal, runner, source_of, works

BEGIN, END = SnapshotBegins("hinder.v1"), SnapshotEnds("hinder.v1")


@pytest.fixture
def journal() -> MemoryJournal:
    return MemoryJournal()


class Snapshot(Given):
    """Gives out no cursor: every reading is the whole of it, as a snapshot's must be."""

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        async for item, _ in super().changes(None):
            yield item, cursor or ""


async def run(journal: MemoryJournal, *items: Any) -> tuple[int, int, int]:
    found = await runner(Snapshot(items), journal).run(once=True)
    return found.read, found.published, found.deleted


def snapshot(*numbers: int, end: SnapshotEnds = END) -> list:
    return [BEGIN, *(works(number) for number in numbers), end]


def alive(journal: MemoryJournal) -> set[bytes]:
    """Keys whose last record is not a deletion."""
    last = {row[0]: row[1] for _, _, row in journal.rows("source.")}
    return {key for key, value in last.items() if value is not None}


def keys(*numbers: int) -> set[bytes]:
    return {source_of(number)[0] for number in numbers}


async def test_who_is_missing_is_deleted_once(journal) -> None:
    assert await run(journal, *snapshot(1, 2, 3)) == (3, 3, 0)
    assert await run(journal, *snapshot(1, 3)) == (2, 0, 1)
    (topic, lane, (key, value, headers)) = journal.rows("source.")[-1]
    assert ((key, lane), value) == (source_of(2), None)
    assert header(headers, "ce_kind") == b"ended"
    assert await run(journal, *snapshot(1, 3)) == (2, 0, 0)
    assert await run(journal, *snapshot(1, 2, 3)) == (3, 1, 0), "who comes back is published again"
    assert topic.startswith("source.")


async def test_a_snapshot_that_broke_off_deletes_nobody(journal) -> None:
    async def fail() -> None:
        raise Retriable

    await run(journal, *snapshot(1, 2, 3))
    with pytest.raises(Retriable):
        await run(journal, BEGIN, works(1), fail)
    assert alive(journal) == keys(1, 2, 3)
    assert await run(journal, BEGIN, works(1)) == (1, 0, 0), "nor does one without an end"


async def test_an_end_without_a_beginning_in_this_reading_is_refused(journal) -> None:
    await run(journal, *snapshot(1, 2, 3))
    with pytest.raises(Fatal, match="did not begin"):
        await run(journal, works(1), END)
    assert alive(journal) == keys(1, 2, 3)


@pytest.mark.parametrize(("left", "refused"), [((1, 2, 3), False), ((1, 2), False), ((1,), True), ((), True)])
async def test_more_than_half_are_not_deleted_unasked(journal, left, refused) -> None:
    await run(journal, *snapshot(1, 2, 3, 4))
    if not refused:
        assert await run(journal, *snapshot(*left)) == (len(left), 0, 4 - len(left))
        return
    for _ in range(2):
        with pytest.raises(Invalid, match=rf"lacks {4 - len(left)} of 4 known: nothing was deleted.*shrink: allowed"):
            await run(journal, *snapshot(*left))
    assert alive(journal) == keys(1, 2, 3, 4)
    await run(journal, *snapshot(*left, end=SnapshotEnds("hinder.v1", shrink=True)))
    assert alive(journal) == keys(*left)


async def test_who_is_there_but_broken_is_not_gone(journal) -> None:
    await run(journal, *snapshot(1, 2, 3))
    broken = Broken(works(2).source_id, "DATE_INVALID", "gewijzigd", "hinder.v1")
    for _ in range(2):
        assert await run(journal, BEGIN, works(1), broken, END) == (2, 0, 1)
        assert alive(journal) == keys(1, 2)
        await run(journal, *snapshot(1, 2, 3))
    misfit = Change(works(2).source_id, "hinder.v1", {**works(2).value, "zones": "zone"})
    assert await run(journal, BEGIN, works(1), works(3), misfit, END) == (3, 0, 0)


async def test_a_subject_under_another_source_id_is_not_gone(journal) -> None:
    await run(journal, *snapshot(1, 2, 3))
    renamed = Change("elders", "hinder.v1", works(2).value)
    assert await run(journal, BEGIN, works(1), renamed, works(3), END) == (3, 1, 0)
    assert alive(journal) == keys(1, 2, 3)
    assert await run(journal, *snapshot(1, 3)) == (2, 0, 1), "and goes when that one goes"
    assert alive(journal) == keys(1, 3)


async def test_a_source_id_that_is_about_somebody_else_now(journal) -> None:
    await run(journal, *snapshot(1, 2, 3))
    other = Change(works(2).source_id, "hinder.v1", works(9).value)
    assert await run(journal, BEGIN, works(1), other, works(3), END) == (3, 1, 1)
    assert alive(journal) == keys(1, 3, 9)
    swapped = [
        Change(works(1).source_id, "hinder.v1", works(3).value),
        Change(works(3).source_id, "hinder.v1", works(1).value),
    ]
    assert await run(journal, BEGIN, *swapped, other, END) == (3, 2, 0)
    assert alive(journal) == keys(1, 3, 9)


async def test_what_was_published_outside_a_snapshot_becomes_known_in_the_first(journal) -> None:
    await run(journal, works(1), works(2))
    assert await run(journal, *snapshot(1, 2)) == (2, 0, 0)
    assert await run(journal, *snapshot(1)) == (1, 0, 1)
    assert alive(journal) == keys(1)


async def test_many_deletions_are_several_transactions_and_the_cursor_is_in_the_last(journal, monkeypatch) -> None:
    monkeypatch.setattr(running, "MOST_ITEMS", 7)
    await run(journal, *snapshot(*range(40)))
    before = len(journal.outputs)
    journal.trouble = [None, None, None, None, "lost"]
    assert await run(journal, *snapshot(*range(20))) in {(20, 0, 20), (40, 0, 20)}
    assert alive(journal) == keys(*range(20))
    rows = [
        len(rows) for outputs in journal.outputs[before:] for (topic, _), rows in outputs.items() if "source." in topic
    ]
    assert max(rows) <= 7
    assert sum(rows) == 20


async def test_who_left_is_forgotten_and_nothing_stored_can_be_read(journal) -> None:
    await run(journal, *snapshot(1, 2))
    stored = {key: value for key, value in journal.state.items() if key != b"cursor"}
    assert len(stored) == 2
    assert {len(Outcome.of(value).subject) for value in stored.values()} == {20}
    await run(journal, *snapshot(1))
    assert len(journal.state) == 2, "one item and the cursor"
    assert "gipod.example" not in repr(journal.state)


@given(st.lists(st.sets(st.integers(0, 6)), max_size=5), st.lists(st.sampled_from([None, "lost", "won"]), max_size=4))
def test_after_every_snapshot_exactly_its_population_is_alive(populations, trouble) -> None:
    journal = MemoryJournal(trouble=list(trouble))
    for population in populations:
        end = SnapshotEnds("hinder.v1", shrink=True)
        asyncio.run(run(journal, *snapshot(*sorted(population), end=end)))
        assert alive(journal) == keys(*population)
