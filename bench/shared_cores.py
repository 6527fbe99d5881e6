"""Simulated time: single-threaded processes and a node with several threads, which share the cores of a machine fairly.

Whatever happens is a sequence of steps (`Steps`); between two events every computation under way goes on at its fair share.
"""

import heapq
import math
from collections import deque
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class At(Enum):
    """Where a step is taken."""

    ROUTER = "router"
    NODE = "node"
    NOWHERE = "nowhere"
    """Time passes."""
    TURN = "turn"
    """Waits for one of the turns of its router, and has it until `OVER`."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Step:
    """The next thing a lane does: `seconds` of CPU time, or of waiting."""

    where: At
    seconds: float
    width: float = 1.0
    """Cores of the node that it can use at once."""


class Done(NamedTuple):
    """At which instant a step was done, and how long it took since its turn came."""

    now: float
    took: float


Steps = Generator[Step, Done, None]


@dataclass(slots=True, eq=False)
class _Job:
    """A computation under way: what is left of it in CPU seconds, and whose it is."""

    left: float
    router: int
    steps: Steps
    began: float
    width: float


class SharedCores:
    """Cores shared fairly: a router computes one job at a time in order, the nodes several at once.

    Of the lanes of a router, `turns` have a turn at a time, as they asked for it.
    """

    def __init__(self, cores: float, routers: int, node_cores: float, turns: int) -> None:
        self.now = self.router_cpu_s = self.node_cpu_s = 0.0
        self._cores = cores
        self._node_cores = node_cores
        self._queues: list[deque[_Job]] = [deque() for _ in range(routers)]
        self._node: list[_Job] = []
        self._turns = [turns] * routers
        self._waiting: list[deque[_Job]] = [deque() for _ in range(routers)]
        self._timers: list[tuple[float, int, _Job]] = []
        self._order = 0

    def start(self, router: int, steps: Steps) -> None:
        """Let a lane begin in one router process."""
        with suppress(StopIteration):
            self._begin(next(steps), router, steps)

    def run(self) -> None:
        """Until no lane has anything left to do."""
        while self._timers or self._node or any(self._queues):
            computing = [queue[0] for queue in self._queues if queue]
            width = sum(job.width for job in self._node)
            node_cores = min(width, self._node_cores)
            share = min(1.0, self._cores / max(1e-9, len(computing) + node_cores))
            rates = [(job, share) for job in computing]
            rates += [(job, share * node_cores * job.width / width) for job in self._node]
            ends, first = min(
                ((self.now + job.left / rate, job) for job, rate in rates),
                key=lambda each: each[0],
                default=(math.inf, None),
            )
            timed = first is None or (bool(self._timers) and self._timers[0][0] <= ends)
            passed = (self._timers[0][0] if timed else ends) - self.now
            for job, rate in rates:
                job.left = max(0.0, job.left - rate * passed)
            self.router_cpu_s += share * len(computing) * passed
            self.node_cpu_s += share * node_cores * passed
            self.now += passed
            self._finish(heapq.heappop(self._timers)[2] if first is None or timed else first)

    def _finish(self, job: _Job) -> None:
        queue = self._queues[job.router]
        if queue and queue[0] is job:
            queue.popleft()
            if queue:
                queue[0].began = self.now
        elif job in self._node:
            self._node.remove(job)
        with suppress(StopIteration):
            self._begin(job.steps.send(Done(self.now, self.now - job.began)), job.router, job.steps)

    def _begin(self, step: Step, router: int, steps: Steps) -> None:
        job = _Job(step.seconds, router, steps, self.now, step.width)
        if step.where is At.ROUTER:
            self._queues[router].append(job)
        elif step.where is At.NODE:
            self._node.append(job)
        elif step.where is At.TURN:
            self._waiting[router].append(job)
            self._give_turns(router)
        else:
            if step.where is At.OVER:
                self._turns[router] += 1
                self._give_turns(router)
            self._end_in(step.seconds, job)

    def _give_turns(self, router: int) -> None:
        while self._turns[router] and self._waiting[router]:
            self._turns[router] -= 1
            self._end_in(0.0, self._waiting[router].popleft())

    def _end_in(self, seconds: float, job: _Job) -> None:
        self._order += 1
        heapq.heappush(self._timers, (self.now + seconds, self._order, job))
