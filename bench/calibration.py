"""Costs from measured points, and how far the simulation is from points that it was not told.

A point is one run of `datanuts bench router --json`, or of a plain backlog of the matrix. Costs are fitted to the points with the fewest and with the most topics;
what lies between them is predicted.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from bench.cells import Cell, cell_of
from bench.simulation import Costs, Load, Outcome, Setup, simulate
from broker.errors import ConfigError

COSTS = Path(__file__).parent / "history" / "costs.json"
POINTS = Path(__file__).parent / "history" / "points.ndjson"

_DEAREST_US = 5_000.0
_ROUNDS = 20
_TURNS = 3


@dataclass(frozen=True, slots=True)
class Point:
    """One measured backlog, routed in one process beside one node."""

    agreements: int
    records: int
    deliveries: int
    transactions: int
    records_per_s: float
    cpu_s: float
    """Of the router's process."""

    @property
    def load(self) -> Load:
        """The backlog."""
        return Load(self.records)

    def setup(self, cores: float) -> Setup:
        """The machine, whose node may use all of its cores."""
        return Setup(self.agreements, cores=cores, node_cores=cores, deliveries=self.deliveries / self.records)


@dataclass(frozen=True, slots=True)
class Compared:
    """A point beside what the simulation says of it."""

    point: Point
    simulated: Outcome
    fitted: bool
    """Whether the costs were fitted to it; else it is predicted."""

    def as_json(self) -> Mapping[str, Any]:
        """Both in records per second and CPU seconds of the router, and by how many percent the simulation is off."""
        point, simulated = self.point, self.simulated
        return {
            "topics": point.agreements,
            "fitted": self.fitted,
            "records_per_s": round(point.records_per_s),
            "simulated_per_s": round(simulated.records_per_s),
            "error_percent": _percent(simulated.records_per_s, point.records_per_s),
            "cpu_s": round(point.cpu_s, 2),
            "simulated_cpu_s": round(simulated.router_cpu_s, 2),
            "cpu_error_percent": _percent(simulated.router_cpu_s, point.cpu_s),
            "transactions": point.transactions,
            "simulated_transactions": simulated.transactions,
        }


def read_costs(text: str) -> Costs:
    """Costs of a file like `COSTS`: each an object with `value`, and `from` for people; raises `ConfigError`."""
    try:
        told = json.loads(text)
        return Costs(**{each.name: float(told[each.name]["value"]) for each in fields(Costs)})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"not a file of costs: {error}") from None


def read_points(text: str) -> Sequence[Point]:
    """Points of JSON lines as `bench router --json` or `bench matrix --json` write them; raises `ConfigError`, also for none.

    Of a matrix those cells count in which nothing is left out, delayed or of another size.
    """
    try:
        points = [point for line in text.splitlines() if line.strip() for point in _points(json.loads(line))]
    except (AttributeError, KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise ConfigError(f"not a file of measured points: {error}") from None
    if not points:
        raise ConfigError("a file without measured points")
    return points


def _points(told: Mapping[str, Any]) -> Sequence[Point]:
    cell = told.get("cell")
    if cell is None:
        run = {**told, "cpu_s": told["router"]["cpu_s"], "records_per_s": told["router"]["records_per_s"]}
        return [_point(run)]
    plain = Cell(cell["name"], agreements=cell["agreements"], fan_out=cell["fan_out"], records=cell["records"])
    if cell_of(cell) != replace(plain, against=cell["against"]):
        return []
    sizes = {"agreements": plain.agreements, "records": plain.records}
    runs = ({**run, **sizes, "cpu_s": plain.records / run["records_per_cpu_s"]} for run in told["details"])
    return [_point(run) for run in runs]


def _point(told: Mapping[str, Any]) -> Point:
    numbers = {name: int(told[name]) for name in ("agreements", "records", "deliveries", "transactions")}
    point = Point(**numbers, records_per_s=float(told["records_per_s"]), cpu_s=float(told["cpu_s"]))
    if min(point.agreements, point.deliveries, point.transactions, point.records_per_s, point.cpu_s) <= 0:
        raise ValueError("a run has routed something, and taken time for it")
    point.setup(1)
    return point


def calibrate(points: Sequence[Point], costs: Costs, *, cores: float) -> Costs:
    """`costs` with those per record and per touched topic that fit `points` best, by least squares of relative errors.

    The router's follow from its CPU time. The node's has no clock of its own in a point: it is the one with which the
    simulation is as fast as what was measured. The others (delivery, transaction, round trip) stay as they are.
    """
    touched = [point.setup(cores).touched(point.records // point.transactions) * point.transactions for point in points]
    for _ in range(_TURNS):
        fitted = _fitted(points, touched, costs, cores=cores)
        outcomes = [simulate(fitted, point.setup(cores), point.load) for point in points]
        # Transactions differ in size, and small ones touch more topics a record: how they differ is the simulation's to tell.
        touched = [
            outcome.touched * point.transactions / outcome.transactions
            for point, outcome in zip(points, outcomes, strict=True)
        ]
    return fitted


def _fitted(points: Sequence[Point], touched: Sequence[float], costs: Costs, *, cores: float) -> Costs:
    rows = []
    for point, partitions in zip(points, touched, strict=True):
        known_us = point.deliveries * costs.delivery_us + point.transactions * costs.transaction_us
        cpu_us = point.cpu_s * 1e6
        rows.append((point.records / cpu_us, partitions / cpu_us, 1 - known_us / cpu_us))
    record_us, topic_us = _least_squares(rows)
    router = replace(costs, record_us=record_us, topic_us=topic_us)

    def apart(node_topic_us: float) -> float:
        tried = replace(router, node_topic_us=node_topic_us)
        speeds = ((simulate(tried, each.setup(cores), each.load).records_per_s, each.records_per_s) for each in points)
        return sum(math.log(simulated / measured) ** 2 for simulated, measured in speeds)

    return replace(router, node_topic_us=_least(apart, 0.0, _DEAREST_US))


def compare(points: Sequence[Point], costs: Costs, *, cores: float) -> tuple[Costs, Sequence[Compared]]:
    """The costs, fitted where there are points between the fewest and the most topics to predict, and every point with them."""
    counts = sorted({point.agreements for point in points})
    ends = {counts[0], counts[-1]} if len(counts) > 2 else set()  # noqa: PLR2004 - two ends and something between them
    used = [point for point in points if point.agreements in ends]
    if used:
        costs = calibrate(used, costs, cores=cores)
    found = [(point, simulate(costs, point.setup(cores), point.load)) for point in points]
    return costs, [Compared(point, outcome, point.agreements in ends) for point, outcome in found]


def _least_squares(rows: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The a, b ≥ 0 with the least sum of squares of x·a + y·b - z."""
    xx, xy, yy = (sum(row[i] * row[j] for row in rows) for i, j in ((0, 0), (0, 1), (1, 1)))
    xz, yz = (sum(row[i] * row[2] for row in rows) for i in (0, 1))
    if (determinant := xx * yy - xy * xy) > 1e-12 * xx * yy:
        a, b = (xz * yy - yz * xy) / determinant, (yz * xx - xz * xy) / determinant
        if a >= 0 and b >= 0:
            return a, b
    alone = [(max(0.0, xz / xx), 0.0), (0.0, max(0.0, yz / yy))]
    return min(alone, key=lambda each: sum((x * each[0] + y * each[1] - z) ** 2 for x, y, z in rows))


def _least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is least, by golden section."""
    golden = (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(_ROUNDS):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = function(right)
    return (low + high) / 2


def _percent(simulated: float, measured: float) -> float:
    return round(100 * (simulated / measured - 1), 1)
