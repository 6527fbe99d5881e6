"""A discrete-event simulation of routers and the Kafka node beside them: what the measured costs come to at another scale.

Pure and deterministic: the same arguments give the same figures; no I/O, no clock, no chance. Each lane is one sequence of
steps (`_Lane.steps`), as `broker/routing/router.py` has them; a router process runs one computation at a time, so that one
lane computes while others wait for the node, and has so many large transactions at a time as it has turns; all processes and
the node share the machine's cores fairly.

What is left out: that the native core computes in a thread beside its process, lanes of unequal load, pauses of a garbage
collector, disks that are slower than their page cache, failures.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from bench.shared_cores import At, SharedCores, Step, Steps
from broker.routing.fetching import FEWEST, FIRST, LONGEST_TURN_MS, MOST, MOST_AT_ONCE

_LONGEST_TURN_S = LONGEST_TURN_MS / 1_000
"""As a lane has them: the size of its first transaction, and what deciding one batch may take."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What each thing costs; `_us` are microseconds of CPU time, `_ms` milliseconds of waiting."""

    record_us: float
    """Router, per source record: fetched, admitted, matched, remembered, receipted."""
    delivery_us: float
    """Router, per delivery: decided, cut, enveloped, appended."""
    topic_us: float
    """Router, per partition that a transaction touches."""
    transaction_us: float
    """Router, per transaction, whatever it holds."""
    node_record_us: float
    """Node, per output record and replica."""
    node_topic_us: float
    """Node, per touched partition and replica: appends and the transaction's marker."""
    round_trip_ms: float
    """Waiting per round trip to the node, beside the work of either."""
    round_trips: float
    """Of a transaction, one after the other."""

    def __post_init__(self) -> None:
        if any(not 0 <= getattr(self, each.name) < math.inf for each in fields(self)):
            raise ValueError("a cost is a number that is not negative")


@dataclass(frozen=True, slots=True)
class Setup:
    """What runs where. All routers and nodes share `cores`; with as many as both can use, they are on machines apart."""

    topics: int
    """Delivery topics, which deliveries meet equally often."""
    routers: int = 1
    lanes: int = 8
    cores: float = 2
    node_cores: float = 2
    """Cores that the nodes together can use at most."""
    deliveries: float = 1
    """Per source record."""
    replicas: int = 1
    """Each costs a node what the first does, at the same time: an upper bound, not measured."""

    def __post_init__(self) -> None:
        if min(asdict(self).values()) <= 0 or self.routers > self.lanes:
            raise ValueError("every figure of a setup is positive, and a router without a lane does nothing")

    def touched(self, records: int) -> float:
        """Partitions that a transaction of so many records is expected to touch: topics by chance, and one of receipts."""
        missed: float = (1 - 1 / self.topics) ** (records * self.deliveries)
        return self.topics * (1 - missed) + 1


@dataclass(frozen=True, slots=True)
class Load:
    """Records spread evenly over the lanes: all there at once, or `rate` a second, each at its instant (open loop)."""

    records: int
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.records < 1 or (self.rate is not None and self.rate <= 0):
            raise ValueError("a load has records, and a rate above zero if it has one")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it; latencies (ms, from the instant a record is due until its commit is visible) of an open load only."""

    records: int
    transactions: int
    touched: float
    """Partitions that transactions touched, all of them together."""
    seconds: float
    router_cpu_s: float
    node_cpu_s: float
    router_share: float
    """Of the routers' threads that was used."""
    node_share: float
    """Of the nodes' cores that was used."""
    p50_ms: float | None = None
    p99_ms: float | None = None

    @property
    def records_per_s(self) -> float:
        """Source records per second of simulated time."""
        return self.records / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Every figure, rounded to what it can carry."""
        figures = {"records_per_s": round(self.records_per_s), **asdict(self)}
        return {name: round(told, 3) if isinstance(told, float) else told for name, told in figures.items()}


def simulate(costs: Costs, setup: Setup, load: Load) -> Outcome:
    """Run the load through the setup until its last commit."""
    cores = SharedCores(setup.cores, setup.routers, setup.node_cores, MOST_AT_ONCE)
    lanes = [_Lane(number, costs, setup, load) for number in range(setup.lanes)]
    for lane in lanes:
        cores.start(lane.number % setup.routers, lane.steps())
    cores.run()
    latencies = sorted(taken for lane in lanes for taken in lane.latencies)
    return Outcome(
        records=load.records,
        transactions=sum(lane.transactions for lane in lanes),
        touched=sum(lane.touched for lane in lanes),
        seconds=cores.now,
        router_cpu_s=cores.router_cpu_s,
        node_cpu_s=cores.node_cpu_s,
        router_share=cores.router_cpu_s / cores.now / setup.routers,
        node_share=cores.node_cpu_s / cores.now / setup.node_cores,
        p50_ms=_rank(latencies, 0.5),
        p99_ms=_rank(latencies, 0.99),
    )


@dataclass(slots=True)
class _Lane:
    number: int
    costs: Costs
    setup: Setup
    load: Load
    transactions: int = 0
    touched: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def steps(self) -> Steps:
        """Fetch, look at the control log, decide and cut, send, commit; again until everything is committed."""
        costs, setup = self.costs, self.setup
        mine = len(range(self.number, self.load.records, setup.lanes))
        trip, size, done, now = costs.round_trip_ms / 1e3, FIRST, 0, 0.0
        while done < mine:
            # The first round trip brings the records; behind it the lane waits for them where there are none yet.
            (now, _) = yield Step(At.NOWHERE, trip + max(0.0, self._due(done) - now))
            large = self._arrived(now, mine) - done > FEWEST
            if large:
                (now, _) = yield Step(At.TURN, 0)
            records = min(max(1, self._arrived(now, mine) - done), size)
            deciding_us = costs.transaction_us + records * (costs.record_us + setup.deliveries * costs.delivery_us)
            (_, took) = yield Step(At.ROUTER, deciding_us / 1e6)
            size = _resized(size, records, took)
            touched = setup.touched(records)
            yield Step(At.ROUTER, touched * costs.topic_us / 1e6)
            node_us = records * (setup.deliveries + 1) * costs.node_record_us + touched * costs.node_topic_us
            yield Step(At.NODE, node_us * setup.replicas / 1e6, width=setup.replicas)
            (now, _) = yield Step(At.NOWHERE, trip * max(0.0, costs.round_trips - 1))
            if large:
                yield Step(At.OVER, 0)
            if self.load.rate is not None:
                self.latencies += [(now - self._due(done + each)) * 1e3 for each in range(records)]
            done += records
            self.transactions += 1
            self.touched += touched

    def _due(self, index: int) -> float:
        return 0.0 if self.load.rate is None else (self.number + index * self.setup.lanes) / self.load.rate

    def _arrived(self, now: float, mine: int) -> int:
        if self.load.rate is None:
            return mine
        return min(mine, math.floor((now * self.load.rate - self.number) / self.setup.lanes + 1e-9) + 1)


def _resized(size: int, records: int, took_s: float) -> int:
    """The size of a lane's next transaction, as `broker/routing/lane.py` chooses it."""
    if records >= size or took_s > _LONGEST_TURN_S:
        fitting = math.floor(records * _LONGEST_TURN_S / max(1e-3, took_s))
        return max(FEWEST, min(fitting, size * 4, MOST))
    return size


def _rank(ordered: Sequence[float], share: float) -> float | None:
    """Nearest rank."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
