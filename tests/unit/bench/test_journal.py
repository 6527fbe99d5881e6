"""An interrupted matrix goes on where it stopped, and only with what it was begun with."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.cells import Cell
from bench.journal import opened
from bench.matrix import Result, as_lines, measure
from broker.errors import ConfigError

CELLS = (Cell("base"), Cell("other", against="base", records=5))
ABOUT = {"at": "2026-11-26T10:00:00+00:00", "commit": "abc", "cpus": 2, "load_average": 0.5}
RUNS = 3


class Machine:
    """Runs cells, until it is interrupted before a run."""

    def __init__(self, stops_before: int | None = None, failing: frozenset[str] = frozenset()) -> None:
        self.ran: list[str] = []
        self.stops_before = stops_before
        self.failing = failing

    async def run(self, cell: Cell, _folder: Path, _log: Path) -> Mapping[str, Any]:
        if len(self.ran) == self.stops_before:
            raise asyncio.CancelledError
        self.ran.append(cell.name)
        if cell.name in self.failing:
            raise RuntimeError("it fell")
        return {"value": 100 + len(self.ran), "unit": "records/s", "ratio": 0.5, "detail": {}}


async def test_an_interrupted_matrix_goes_on_where_it_stopped(tmp_path: Path) -> None:
    first, second = Machine(stops_before=4), Machine()
    with pytest.raises(asyncio.CancelledError):
        await _measured(tmp_path, first)
    results = await _measured(tmp_path, second)
    assert sorted(first.ran + second.ran) == ["base"] * RUNS + ["other"] * RUNS
    assert [sorted(result.runs) for result in results] == [[0, 1, 2], [0, 1, 2]]
    third = Machine()
    assert as_lines(await _measured(tmp_path, third)) == as_lines(results)
    assert third.ran == []


async def test_more_runs_are_added_to_those_that_are_there(tmp_path: Path) -> None:
    await _measured(tmp_path, Machine(), runs=1)
    more = Machine()
    await _measured(tmp_path, more)
    assert len(more.ran) == len(CELLS) * (RUNS - 1)
    fewer = await _measured(tmp_path, Machine(), runs=1)
    assert [sorted(result.runs) for result in fewer] == [[0], [0]]


async def test_a_run_that_failed_is_tried_again(tmp_path: Path) -> None:
    failed = await _measured(tmp_path, Machine(failing=frozenset({"other"})))
    assert len(failed[1].failures) == 2
    again = Machine()
    results = await _measured(tmp_path, again)
    assert again.ran == ["other"] * RUNS
    assert results[1].failures == {}


async def test_a_line_that_was_cut_short_counts_as_not_run(tmp_path: Path) -> None:
    await _measured(tmp_path, Machine(), runs=1)
    journal = tmp_path / "journal"
    journal.write_bytes(journal.read_bytes()[:-3])
    again = Machine()
    await _measured(tmp_path, again, runs=1)
    assert len(again.ran) == 1
    assert [json.loads(line).get("run") for line in journal.read_text().splitlines()] == [None, 0, 0]


@pytest.mark.parametrize(
    ("cells", "seed", "about", "told"),
    [
        (CELLS, 2, ABOUT, "seed was 1, is 2"),
        (CELLS, 1, {**ABOUT, "commit": "abd"}, "commit was 'abc', is 'abd'"),
        ((CELLS[0], replace(CELLS[1], records=6)), 1, ABOUT, "records of cell other was 5, is 6"),
        (CELLS[:1], 1, ABOUT, "cell other is not asked for now"),
        ((*CELLS, Cell("third")), 1, ABOUT, "cell third was not asked for"),
        (CELLS[::-1], 1, ABOUT, "the cells stood in another order"),
    ],
)
def test_who_goes_on_otherwise_is_told_what_differs(
    tmp_path: Path, cells: tuple[Cell, ...], seed: int, about: Mapping[str, Any], told: str
) -> None:
    opened(tmp_path / "journal", CELLS, seed=1, about=ABOUT)
    with pytest.raises(ConfigError, match=told):
        opened(tmp_path / "journal", cells, seed=seed, about=about)


def test_another_hour_and_load_do_not_matter(tmp_path: Path) -> None:
    opened(tmp_path / "journal", CELLS, seed=1, about=ABOUT)
    later = {**ABOUT, "at": "2026-11-27T10:00:00+00:00", "load_average": 3.0}
    assert opened(tmp_path / "journal", CELLS, seed=1, about=later).finished == ()


@pytest.mark.parametrize("text", ["[]\n", "{}\n", "notes\n", "notes", '{"cell": "base", "run": 0}\n'])
def test_what_is_no_journal_is_refused_and_left_as_it_is(tmp_path: Path, text: str) -> None:
    (tmp_path / "journal").write_text(text)
    with pytest.raises(ConfigError, match="not the journal"):
        opened(tmp_path / "journal", CELLS, seed=1, about=ABOUT)
    assert (tmp_path / "journal").read_text() == text


async def _measured(folder: Path, machine: Machine, runs: int = RUNS) -> list[Result]:
    book = opened(folder / "journal", CELLS, seed=1, about=ABOUT)
    return list(
        await measure(
            CELLS,
            runs=runs,
            seed=1,
            progress=lambda _: None,
            finished=book.finished,
            keep=book.keep,
            run=machine.run,
        )
    )
