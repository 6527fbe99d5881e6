"""The bench matrix: every cell several times, in another order each time, each run in a process of its own.

A machine grows slower and faster while it is measured: the order is shuffled so that no cell always comes first, and
each run has its own baseline beside it. A cell that fails is told with the others. Runs that were finished before, as a
journal tells them, are not repeated.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.awaited import Spread
from bench.cells import Cell
from broker.kafka import leash

_LONGEST_S = 3600.0
_LONGEST_LINE = 300
Progress = Callable[[str], None]
Run = Callable[[Cell, Path, Path], Awaitable[Mapping[str, Any]]]
"""Runs a cell once, in a folder of its own or of its place, with a log; raises `RuntimeError`, `TimeoutError` or `ValueError`."""


@dataclass(frozen=True, slots=True)
class Finished:
    """One run of one cell: what it gave, or what made it fail."""

    cell: str
    run: int
    found: Mapping[str, Any] | None = None
    failure: str | None = None

    def as_json(self) -> Mapping[str, Any]:
        """Every field; `of` gives an equal value back."""
        return asdict(self)

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Finished":
        """What a JSON object states; raises `TypeError` and `ValueError`."""
        run = cls(**told)
        if (run.found is None) == (run.failure is None):
            raise ValueError("a run gave something, or failed")
        return run


def _unkept(_: Finished) -> None:
    """Nobody asked for a journal."""


@dataclass(slots=True)
class Result:
    """All runs of one cell: its figures by number of the run, and what made the others fail."""

    cell: Cell
    runs: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    failures: dict[int, str] = field(default_factory=dict)

    def as_json(self, against: "Result | None" = None) -> Mapping[str, Any]:
        """Median and spread of value and ratio, and of value ÷ that of the other cell in the same run.

        `per_cpu`: of the same by CPU time of the router, None where that is not known. By wall clock the node hides what the
        router saves.
        """
        told: dict[str, Any] = {"cell": self.cell.as_json()}
        if self.runs:
            told["unit"] = next(iter(self.runs.values()))["unit"]
            told["value"] = Spread.of([run["value"] for run in self.runs.values()]).as_json()
            ratios = [run["ratio"] for run in self.runs.values() if run["ratio"] is not None]
            told["ratio"] = Spread.of(ratios).as_json() if ratios else None
        if against is not None and (both := sorted(self.runs.keys() & against.runs.keys())):
            pairs = [(self.runs[number], against.runs[number]) for number in both]
            told["against"] = {
                "cell": against.cell.name,
                **Spread.of([mine["value"] / other["value"] for mine, other in pairs]).as_json(),
                "per_cpu": _per_cpu(pairs),
            }
        told["failures"] = [self.failures[number] for number in sorted(self.failures)]
        told["details"] = [self.runs[number].get("detail") for number in sorted(self.runs)]
        return told


def _per_cpu(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> Mapping[str, Any] | None:
    rates = [[run.get("detail", {}).get("records_per_cpu_s") for run in pair] for pair in pairs]
    known = [mine / other for mine, other in rates if mine and other]
    return Spread.of(known).as_json() if known else None


def as_lines(results: Sequence[Result]) -> Sequence[Mapping[str, Any]]:
    """One JSON object per cell, in the order of the matrix."""
    by_name = {result.cell.name: result for result in results}
    return [
        result.as_json(
            None if result.cell.against in {None, result.cell.name} else by_name.get(str(result.cell.against))
        )
        for result in results
    ]


def order(cells: Sequence[Cell], runs: int, seed: int) -> Sequence[tuple[int, Cell]]:
    """Every run of every cell: run by run, the cells of each in an order of its own."""
    rng, found = random.Random(seed), []  # noqa: S311 - an order, not a secret
    for number in range(runs):
        shuffled = list(cells)
        rng.shuffle(shuffled)
        found += [(number, cell) for cell in shuffled]
    return found


async def measure(
    cells: Sequence[Cell],
    *,
    runs: int,
    seed: int,
    progress: Progress,
    finished: Sequence[Finished] = (),
    keep: Callable[[Finished], None] = _unkept,
    run: Run | None = None,
) -> Sequence[Result]:
    """Run all of them but those that gave something before, and keep each as it ends.

    A cell that failed twice is not tried again. `run` runs a cell, by default in a process of its own.
    """
    results, run = {cell.name: Result(cell) for cell in cells}, run or _run
    for each in finished:
        if each.found is not None and each.run < runs:
            results[each.cell].runs[each.run] = each.found
    planned = [(number, cell) for number, cell in order(cells, runs, seed) if number not in results[cell.name].runs]
    if len(planned) < runs * len(cells):
        progress(f"{runs * len(cells) - len(planned)} of {runs * len(cells)} runs are there already")
    root = Path(tempfile.mkdtemp(prefix="datanuts-bench-matrix-"))
    try:
        for done, (number, cell) in enumerate(planned, 1):
            result = results[cell.name]
            if len(result.failures) > 1:
                continue
            progress(f"[{done}/{len(planned)}] {cell.name}, run {number + 1}")
            folder = root / (cell.place or f"{cell.name}-{number}")
            folder.mkdir(exist_ok=True)
            try:
                found = await run(cell, folder, root / f"{cell.name}-{number}.log")
                result.runs[number] = found
                keep(Finished(cell.name, number, found=found))
                progress(f"{cell.name}: {found['value']} {found['unit']}, ÷ baseline {found['ratio']}")
            except (RuntimeError, TimeoutError, ValueError) as error:
                result.failures[number] = f"run {number + 1}: {error}"
                keep(Finished(cell.name, number, failure=str(error)))
                progress(f"{cell.name} failed: {error}")
                shutil.rmtree(folder, ignore_errors=True)  # what it left may be half of an installation
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return list(results.values())


async def _run(cell: Cell, folder: Path, log: Path) -> Mapping[str, Any]:
    command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), sys.executable, "-m", "bench.cell"]
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, start_new_session=True
        )
    told = json.dumps({"cell": cell.as_json(), "folder": str(folder)}).encode()
    try:
        said, _ = await asyncio.wait_for(process.communicate(told), _LONGEST_S)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()
    if process.returncode:
        raise RuntimeError(_last_line(log, process.returncode))
    found: Mapping[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _last_line(log: Path, code: int) -> str:
    """What a failed process said last: of a traceback the line that names the error."""
    said = log.read_text(encoding="utf-8", errors="replace").splitlines()
    lines = [line.strip(" |+-") for line in said if "Error" in line or "Exception" in line]
    return lines[-1][:_LONGEST_LINE] if lines else f"ended with {code}"
