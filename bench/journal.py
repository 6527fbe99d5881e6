"""The journal of a matrix: every finished run is a line at once, so that an interrupted matrix goes on where it stopped.

The first line says what is measured and on what; who goes on with other cells, another seed, commit or machine is refused.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.cells import Cell
from bench.matrix import Finished
from broker.errors import ConfigError

_PASSING = {"at", "load_average"}
"""Circumstances that are others every time."""


@dataclass(frozen=True, slots=True)
class Journal:
    """A journal that is open, with the runs that were finished before."""

    path: Path
    finished: Sequence[Finished]

    def keep(self, run: Finished) -> None:
        """Add a finished run; it is on disk when this returns."""
        _append(self.path, run.as_json())


def opened(path: Path, cells: Sequence[Cell], *, seed: int, about: Mapping[str, Any]) -> Journal:
    """Begin a journal, or go on with one: a line that was cut short is dropped, and counts as not run.

    Raises `ConfigError`, with what differs, where the file is of another measurement.
    """
    begun = {"cells": [cell.as_json() for cell in cells], "seed": seed, "about": dict(about)}
    text = _text(path)
    if not text:
        path.parent.mkdir(parents=True, exist_ok=True)
        _append(path, begun)
        return Journal(path, ())
    whole = text[: text.rfind(b"\n") + 1]
    try:
        first, *runs = (json.loads(line) for line in whole.splitlines())
        differing = _differences(first, begun)
        finished = tuple(Finished.of(run) for run in runs)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(f"{path} is not the journal of a matrix") from None
    if differing:
        raise ConfigError(f"{path} was begun otherwise: {'; '.join(differing)}. Name another file to begin anew")
    if whole != text:
        os.truncate(path, len(whole))
    return Journal(path, finished)


def _differences(there: Mapping[str, Any], now: Mapping[str, Any]) -> Sequence[str]:
    about = {name: (there["about"].get(name), value) for name, value in now["about"].items() if name not in _PASSING}
    pairs = {"seed": (there["seed"], now["seed"]), **about}
    told = [f"{name} was {then!r}, is {value!r}" for name, (then, value) in pairs.items() if then != value]
    then, cells = ({cell["name"]: cell for cell in each["cells"]} for each in (there, now))
    for name in dict.fromkeys([*then, *cells]):
        if name not in cells:
            told.append(f"cell {name} is not asked for now")
        elif name not in then:
            told.append(f"cell {name} was not asked for")
        else:
            told += [
                f"{field} of cell {name} was {then[name].get(field)!r}, is {value!r}"
                for field, value in cells[name].items()
                if then[name].get(field) != value
            ]
    if not told and list(then) != list(cells):
        told.append("the cells stood in another order")  # which the seed shuffles
    return told


def _text(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None


def _append(path: Path, line: Mapping[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line, ensure_ascii=False)}\n")
        file.flush()
        os.fsync(file.fileno())
