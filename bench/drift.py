"""Whether something changes over time, or only looks as if it did: a slope with its interval, and a first third against a last.

Pure arithmetic on series that are told in the order of time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import NormalDist, fmean, median
from typing import Any

_NORMAL = NormalDist()
_SURE = 0.975
"""Quantile of a 95 % interval, which has two ends."""

_FEW_FREE = {1: 12.71, 2: 4.31}
"""The quantile of Student's distribution for so few degrees of freedom that its expansion is not good enough."""

_FEWEST = 8
"""Figures in a third, under which an order of chance cannot be told from another."""

_CHANCE, _NOTICED = 0.01, 1.1


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line through points by least squares; `margin` is half of the 95 % interval of its slope, None where unknown."""

    slope: float
    start: float
    """Its height at zero."""
    margin: float | None

    @classmethod
    def through(cls, points: Sequence[tuple[float, float]]) -> "Line":
        """Raises `ValueError` under two different x.

        Neighbouring samples of memory say nearly the same thing: with r the correlation of each deviation and the next,
        only (1 - r)/(1 + r) of the points count as independent ones. Without that, chance passes for growth.
        """
        if len({x for x, _ in points}) < 2:  # noqa: PLR2004 - a line takes two points
            raise ValueError("a slope takes two instants")
        middle, level = fmean(x for x, _ in points), fmean(y for _, y in points)
        width = sum((x - middle) ** 2 for x, _ in points)
        slope = sum((x - middle) * (y - level) for x, y in points) / width
        off = [y - level - slope * (x - middle) for x, y in points]
        squares = sum(each * each for each in off)
        exact = squares <= 1e-18 * max(1.0, level * level)
        alike = 0.0 if exact else max(0.0, sum(each * after for each, after in pairwise(off)) / squares)
        free = len(points) * (1 - alike) / (1 + alike) - 2
        margin = _t(free) * math.sqrt(0.0 if exact else squares / free / width) if free >= 1 else None
        return cls(slope, level - slope * middle, margin)

    def at(self, x: float) -> float:
        """Its height there."""
        return self.start + self.slope * x

    def per_hour(self) -> Mapping[str, float | None]:
        """Slope and interval of a line over minutes, an hour."""
        low, high = (None, None) if self.margin is None else (self.slope - self.margin, self.slope + self.margin)
        told = {"slope": self.slope, "low": low, "high": high}
        return {name: None if value is None else round(60 * value, 3) for name, value in told.items()}


@dataclass(frozen=True, slots=True)
class Drift:
    """The last third of a series against its first: ratio of their medians, and how often chance alone orders them so."""

    ratio: float
    chance: float

    @classmethod
    def of(cls, series: Sequence[float]) -> "Drift | None":
        """By Mann and Whitney's test, which looks at the order only: one outlier counts no more than any figure. None where too short."""
        size = len(series) // 3
        if size < _FEWEST or not (before := median(series[:size])):
            return None
        return cls(median(series[-size:]) / before, _chance(series[:size], series[-size:]))

    @property
    def worse(self) -> bool:
        """Higher by what a user would notice, and not by chance."""
        return self.chance < _CHANCE and self.ratio >= _NOTICED

    def as_json(self) -> Mapping[str, Any]:
        """Rounded."""
        return {"ratio": round(self.ratio, 3), "chance": round(self.chance, 4), "worse": self.worse}


def _chance(first: Sequence[float], last: Sequence[float]) -> float:
    """Two-sided, by the normal approximation with ties and continuity."""
    pairs, together = len(first) * len(last), sorted((*first, *last))
    wins = sum((a < b) + (a == b) / 2 for a in first for b in last)
    ties = sum(number**3 - number for number in (together.count(value) for value in set(together)))
    number = len(together)
    variance = pairs / 12 * (number + 1 - ties / (number * (number - 1)))
    if variance <= 0:
        return 1.0
    distance = max(0.0, abs(wins - pairs / 2) - 0.5) / math.sqrt(variance)
    return 2 * (1 - _NORMAL.cdf(distance))


def _t(free: float) -> float:
    """Quantile of Student's distribution, by its expansion around the normal one: within a hundredth from 3 degrees on."""
    if (few := _FEW_FREE.get(int(free))) is not None:
        return few
    z = _NORMAL.inv_cdf(_SURE)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / free ** (power + 1) for power, term in enumerate(terms))
