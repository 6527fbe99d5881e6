"""Ownership of lanes: the coordinator of an empty topic assigns them and detects death; it carries no data (design §4).

One `Lanes.run` is one membership. It ends when a lane is fenced (leave, back off, rejoin: the caller's loop), and it
raises what is fatal. An exception in a rebalance listener would be swallowed by the client, so it is kept and raised
here instead (R1).
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Any

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from broker.errors import Doubt, Fenced, Retriable
from broker.model import topics
from broker.routing.counts import Counts
from broker.routing.lane import Lane
from broker.routing.router import Router
from broker.telemetry import Event, log

_BACK_OFF_S = 0.5
_GRACE_S = 5.0
"""Time a lane gets to finish its batch on leaving; shorter than the group's rebalance timeout."""

_POLL_MS = 500
"""The membership consumer must poll, or the client leaves the group after max.poll.interval."""


class Lanes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """Keeps one task per assigned lane until the membership ends."""

    def __init__(self, membership: Any, open_lane: Callable[[int], Lane], counts: Counts) -> None:
        self._membership = membership
        self._open_lane = open_lane
        self._counts = counts
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._begun: set[asyncio.Task[None]] = set()  # and not ended, those that are given up included
        self._leaving: set[int] = set()
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def owned(self) -> frozenset[int]:
        """Lanes this process currently routes."""
        return frozenset(self._tasks)

    async def run(self) -> None:
        """Take part in the group until fenced or cancelled; raises `Fenced` or what was fatal."""
        self._membership.subscribe([topics.LANES], listener=self)
        try:
            while not self._ended.done():
                await self._membership.getmany(timeout_ms=_POLL_MS)
            self._ended.result()
        finally:
            await self._stop(list(self._tasks))
            # A rebalance that the client cuts short on leaving the group no longer waits for the lanes it gives up.
            await _ended(self._begun)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish and give up lanes before the coordinator hands them to someone else."""
        await self._stop([target.partition for target in revoked])

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Start a task for each lane; it opens the lane itself (R1)."""
        given = tuple(assigned)
        log(Event.LANES_ASSIGNED, lanes=len(given))
        for target in given:
            if target.partition not in self._tasks:
                task = asyncio.create_task(self._keep(target.partition), name=f"lane-{target.partition}")
                task.add_done_callback(self._lane_ended)
                self._begun.add(task)
                self._tasks[target.partition] = task

    async def _keep(self, number: int) -> None:
        lane = self._open_lane(number)
        try:
            while number not in self._leaving:
                try:
                    await self._route(lane)
                except (Doubt, Retriable) as trouble:
                    # R2: the next `open` starts a new producer with the same id before anything else is sent.
                    log(Event.LANE_REOPENED, lane=number, error=trouble)
                    await asyncio.sleep(_BACK_OFF_S)
        finally:
            await lane.close()

    async def _route(self, lane: Lane) -> None:
        await lane.open()
        log(Event.LANE_OPENED, lane=lane.number)
        router = Router(lane, self._counts)
        while lane.number not in self._leaving:
            await router.step()

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        self._begun.discard(task)
        # Asked for whether or not it is the first: asyncio would complain of an end that nobody looked at.
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._ended.done():
            self._ended.set_exception(error)

    async def _stop(self, numbers: Iterable[int]) -> None:
        leaving = {number: self._tasks.pop(number) for number in numbers if number in self._tasks}
        if not leaving:
            return
        self._leaving.update(leaving)
        await _ended(leaving.values())
        self._leaving.difference_update(leaving)


async def _ended(tasks: Collection[asyncio.Task[None]]) -> None:
    """A batch under way is finished, so that the next owner finds no open transaction; past the grace it is dropped."""
    leaving = tuple(tasks)
    if leaving:
        await asyncio.wait(leaving, timeout=_GRACE_S)
        for task in leaving:
            task.cancel()
        await asyncio.gather(*leaving, return_exceptions=True)


async def keep_lanes(
    new_membership: Callable[[], Awaitable[Any]], open_lane: Callable[[int], Lane], counts: Counts
) -> None:
    """Route whatever lanes the group assigns, for ever: a fenced router leaves, backs off and rejoins (design §4)."""
    while True:
        membership = await new_membership()
        try:
            await Lanes(membership, open_lane, counts).run()
        except Fenced as fenced:
            log(Event.LANE_FENCED, error=fenced)
            await asyncio.sleep(_BACK_OFF_S)
        finally:
            await membership.stop()
