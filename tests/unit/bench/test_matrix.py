"""Cells, their order, what is told of their runs, and what is kept."""

import json
from pathlib import Path

import pytest

from bench.cells import ALL, GROUPS, QUICK, Cell, Kind, Part, cell_of, cells
from bench.history import circumstances, keep, kept
from bench.matrix import Result, as_lines, order
from broker.errors import ConfigError


def test_every_cell_survives_json_and_has_a_name_of_its_own() -> None:
    for some in (ALL, QUICK):
        assert [cell_of(json.loads(json.dumps(cell.as_json()))) for cell in some] == list(some)
        assert len({cell.name for cell in some}) == len(some)


@pytest.mark.parametrize("group", GROUPS)
def test_a_group_holds_what_its_cells_are_set_against(group: str) -> None:
    names = {cell.name for cell in cells(group)}
    assert {cell.against for cell in cells(group) if cell.against} <= names


def test_what_the_twin_in_python_leaves_out_is_set_against_the_twin() -> None:
    against = {cell.without: cell.against for cell in cells("trust")}
    assert {against[part] for part in (Part.GUARD, Part.RECEIPTS, Part.ENVELOPES)} == {"without-core"}
    assert {against[part] for part in (Part.CORE, Part.STATE)} == {"topics-300"}


def test_cells_are_found_by_name_and_in_files(tmp_path: Path) -> None:
    assert [cell.name for cell in cells("topics-10,size-large")] == ["topics-10", "size-large"]
    own = Cell("own", Kind.LATENCY, rate=50)
    (tmp_path / "own.jsonl").write_text(json.dumps(own.as_json()) + "\n\n")
    assert cells(str(tmp_path / "own.jsonl")) == (own,)


@pytest.mark.parametrize("text", ["{", '{"name": "x", "kind": "?"}', '{"size": 1}', '{"name": "x"}\n{"name": "x"}'])
def test_what_is_no_list_of_cells_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "wrong").write_text(text)
    with pytest.raises(ConfigError):
        cells(str(tmp_path / "wrong"))


def test_an_unknown_cell_is_answered_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match="topics-300"):
        cells("nothing")


def test_each_run_has_every_cell_once_in_an_order_of_its_own() -> None:
    planned = order(ALL, 5, seed=1)
    runs = [[cell.name for number, cell in planned if number == run] for run in range(5)]
    assert all(sorted(run) == sorted(cell.name for cell in ALL) for run in runs)
    assert len({tuple(run) for run in runs}) > 1
    assert order(ALL, 5, seed=1) == planned


def test_a_cell_is_set_against_another_in_the_same_run_only() -> None:
    base = Result(Cell("base"), {0: _run(100, 0.5), 1: _run(200, 0.5)})
    other = Result(Cell("other", against="base"), {1: _run(100, 0.25), 2: _run(400, 0.75)}, {0: "run 1: it fell"})
    first, second = as_lines([base, other])
    assert "against" not in first
    assert second["against"] == {"cell": "base", "runs": 1, "median": 0.5, "min": 0.5, "max": 0.5, "per_cpu": None}
    assert second["ratio"] == {"runs": 2, "median": 0.5, "min": 0.25, "max": 0.75}
    assert second["failures"] == ["run 1: it fell"]


def test_what_a_node_hides_by_the_clock_is_told_by_cpu_time() -> None:
    base = Result(Cell("base"), {0: _run(100, 0.5, records_per_cpu_s=1_000)})
    other = Result(Cell("other", against="base"), {0: _run(100, 0.5, records_per_cpu_s=2_000)})
    against = as_lines([base, other])[1]["against"]
    assert (against["median"], against["per_cpu"]["median"]) == (1, 2)


def test_a_cell_that_always_failed_is_told_with_the_others() -> None:
    (line,) = as_lines([Result(Cell("base"), failures={0: "run 1: a", 1: "run 2: b"})])
    assert line["failures"] == ["run 1: a", "run 2: b"]
    assert "value" not in line


def test_kept_lines_say_what_they_were_measured_on(tmp_path: Path) -> None:
    about = circumstances()
    path = keep([{"cell": {"name": "a"}}, {"cell": {"name": "b"}}], about, tmp_path)
    keep([{"cell": {"name": "c"}}], about, tmp_path)
    lines = kept([tmp_path])
    assert [line["cell"]["name"] for line in lines] == ["a", "b", "c"]
    assert lines == kept([path])
    assert all({"at", "commit", "python", "kafka", "cpu", "cpus"} <= line.keys() for line in lines)
    assert all(line["kafka"] for line in lines)


def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        kept([tmp_path / "absent.jsonl"])


def _run(value: float, ratio: float, **detail: float) -> dict[str, object]:
    return {"value": value, "unit": "records/s", "ratio": ratio, "detail": detail}
