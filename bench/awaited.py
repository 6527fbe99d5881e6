"""Open-loop accounting: a record's latency counts from the instant at which it should have been sent.

Whatever kept it from being sent then (a full buffer, a busy machine, the contender itself) is part of what a user
waits, so that nothing is left out when all stands still ("coordinated omission"). Every sample is kept: they are few.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

SHARES = {"p50": 0.5, "p99": 0.99, "p999": 0.999, "max": 1.0}
"""Percentiles that are told, by name."""

_NS_PER_MS = 1e6


@dataclass(slots=True)
class Awaited:
    """Deliveries by id: when their record was due, and when a reader had them; either may be heard of first."""

    taken: list[tuple[int, int]] = field(default_factory=list)
    """(instant due, nanoseconds from then to arrival) of each delivery that came."""
    _due: dict[str, int] = field(default_factory=dict)
    _early: dict[str, int] = field(default_factory=dict)

    def due(self, identifier: str, at: int) -> None:
        """The record behind this delivery should have been sent at this instant (ns)."""
        early = self._early.pop(identifier, None)
        if early is None:
            self._due[identifier] = at
        else:
            self._take(at, early)

    def arrived(self, identifier: str, at: int) -> None:
        """A reader had it at this instant (ns); only the first time counts."""
        due = self._due.pop(identifier, None)
        if due is not None:
            self._take(due, at)
        else:
            self._early.setdefault(identifier, at)

    @property
    def missing(self) -> int:
        """Deliveries that have not come."""
        return len(self._due)

    def forget(self) -> None:
        """Start anew; what is awaited still will count for nothing."""
        self.taken.clear()
        self._due.clear()
        self._early.clear()

    def _take(self, due: int, at: int) -> None:
        self.taken.append((due, at - due))


@dataclass(frozen=True, slots=True)
class Latencies:
    """Milliseconds of a number of samples, by the names of `SHARES`."""

    samples: int
    ms: Mapping[str, float]

    @classmethod
    def of(cls, taken: Sequence[int]) -> "Latencies":
        """From nanoseconds; raises `ValueError` where there is none."""
        ordered = sorted(taken)
        return cls(len(ordered), {name: percentile(ordered, share) / _NS_PER_MS for name, share in SHARES.items()})

    def as_json(self) -> Mapping[str, Any]:
        """Rounded to microseconds."""
        return {"samples": self.samples, **{f"{name}_ms": round(value, 3) for name, value in self.ms.items()}}


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest sample that so large a share does not exceed (nearest rank); raises `ValueError` where there is none."""
    if not ordered:
        raise ValueError("no samples")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


@dataclass(frozen=True, slots=True)
class Spread:
    """One figure over several runs."""

    runs: int
    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Raises `ValueError` where there is none."""
        if not values:
            raise ValueError("no runs")
        return cls(len(values), median(values), min(values), max(values))

    def as_json(self) -> Mapping[str, Any]:
        """Four significant digits are more than a busy machine gives."""
        shown = {"median": self.median, "min": self.least, "max": self.most}
        return {"runs": self.runs, **{name: float(f"{value:.4g}") for name, value in shown.items()}}
