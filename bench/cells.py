"""The cells of the bench matrix, as values: what is measured under which circumstances, and against which other cell."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from broker.errors import ConfigError


class Kind(StrEnum):
    """How a cell is measured."""

    ROUTE = "route"
    """A backlog routed in one process, and copied in the same process after it."""
    DECISIONS = "decisions"
    LATENCY = "latency"
    REVOCATIONS = "revocations"
    COLD_START = "cold-start"
    DOSSIERS = "dossiers"
    ISOLATION = "isolation"
    MEMORY = "memory"


class Part(StrEnum):
    """What a stand-in may take the place of in the measuring process, to see what it costs; the product has no such switch.

    The native core does its work in one, so that no step of it can be left out alone: guard, receipts and envelopes are
    left out of its twin in Python, and set against that.
    """

    CORE = "core"
    STATE = "state"
    GUARD = "guard"
    RECEIPTS = "receipts"
    ENVELOPES = "envelopes"


@dataclass(frozen=True, slots=True)
class Cell:
    """One configuration. `records`: of the backlog, or of what else is counted; `against`: the cell it is set against."""

    name: str
    kind: Kind = Kind.ROUTE
    agreements: int = 300
    fan_out: int = 1
    size: str = "usual"
    records: int = 60_000
    commit_ms: int = 0
    """A lane commits at most so often; 0: as soon as it can."""
    without: Part | None = None
    rate: int = 500
    seconds: int = 30
    against: str | None = None

    @property
    def place(self) -> str:
        """Cells with the same one share an installation, set up once."""
        return f"route-{self.agreements}-{self.fan_out}" if self.kind is Kind.ROUTE else ""

    def as_json(self) -> Mapping[str, Any]:
        """Every field; `cell_of` gives an equal value back."""
        return asdict(self)


def cell_of(told: Mapping[str, Any]) -> Cell:
    """The cell that a JSON object states; raises `ConfigError`."""
    try:
        cell = Cell(**told)
        without = None if cell.without is None else Part(cell.without)
        return replace(cell, kind=Kind(cell.kind), without=without)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"not a cell of the matrix: {error}") from None


_USUAL = "topics-300"

_SCALING = tuple(Cell(f"topics-{number}", agreements=number, against="topics-10") for number in (10, 300, 1_000, 3_000))
_ROUTE = (
    Cell("fan-out-5", fan_out=5, against=_USUAL),
    *(Cell(f"size-{size}", size=size, against=_USUAL) for size in ("small", "large")),
    *(Cell(f"commit-{ms}", commit_ms=ms, against=_USUAL) for ms in (20, 100, 500)),
)
_TRUST = tuple(
    Cell(f"without-{part}", without=part, against=_USUAL if part in {Part.CORE, Part.STATE} else f"without-{Part.CORE}")
    for part in Part
)
_DECISIONS = tuple(
    Cell(f"decisions-{number}", Kind.DECISIONS, agreements=number, against="decisions-10")
    for number in (10, 1_000, 10_000, 100_000)
)
_WHOLE = (
    Cell("latency-500", Kind.LATENCY),
    Cell("revocations-500", Kind.REVOCATIONS, records=100),
    Cell("cold-start-10000", Kind.COLD_START, agreements=10_000),
    Cell("dossiers-1000000", Kind.DOSSIERS, records=1_000_000),
    Cell("slow-agency", Kind.ISOLATION, records=20_000, rate=200),
    Cell("memory-10000", Kind.MEMORY, agreements=10_000, records=1_000_000),
)

ALL: Sequence[Cell] = (*_SCALING, *_ROUTE, *_TRUST, *_DECISIONS, *_WHOLE)

QUICK: Sequence[Cell] = (
    *(replace(cell, records=20_000) for cell in (*_SCALING[:2], *_TRUST)),
    *_DECISIONS[:2],
    Cell("latency-500", Kind.LATENCY, seconds=10),
)

_GROUPS = {
    "all": ALL,
    "quick": QUICK,
    "topics": _SCALING,
    "route": (*_SCALING[:2], *_ROUTE),
    "trust": (replace(_SCALING[1], against=None), *_TRUST),
}
GROUPS = (*_GROUPS, "decisions")


def cells(wanted: str) -> Sequence[Cell]:
    """A group by its name, cells by theirs (`topics-10,topics-300`), or those of a file with a JSON object a line.

    Raises `ConfigError` where there is no such cell, or two of one name.
    """
    if wanted in _GROUPS:
        return _GROUPS[wanted]
    if wanted == "decisions":
        return _DECISIONS
    by_name = {cell.name: cell for cell in ALL}
    if all(name in by_name for name in wanted.split(",")):
        return tuple(by_name[name] for name in wanted.split(","))
    try:
        lines = Path(wanted).read_text(encoding="utf-8").splitlines()
        found = tuple(cell_of(json.loads(line)) for line in lines if line.strip())
    except (OSError, ValueError, TypeError):
        raise ConfigError(
            f"no such cells: name a file, some of {', '.join(by_name)}, or one of {', '.join(GROUPS)}"
        ) from None
    if len({cell.name for cell in found}) != len(found):
        raise ConfigError("two cells of one name")
    return found
