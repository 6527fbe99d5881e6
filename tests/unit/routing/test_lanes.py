"""What a membership leaves behind when it ends: no lane, whatever the coordinator was doing meanwhile."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from broker.errors import Fenced
from broker.routing.counts import Counts
from broker.routing.lanes import Lanes


@dataclass
class Busy:
    """A lane whose step takes until `fenced` is set."""

    number: int
    fenced: asyncio.Event = field(default_factory=asyncio.Event)
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    closed: bool = False

    async def open(self) -> None:
        self.opened.set()

    async def fetch(self) -> Any:
        await self.fenced.wait()
        raise Fenced("another router owns this lane")

    async def close(self) -> None:
        self.closed = True


class Membership:
    """Polled, and nothing else."""

    def subscribe(self, names: list[str], listener: Any) -> None:
        assert (names, bool(listener)) == (["lanes"], True)

    async def getmany(self, timeout_ms: int) -> None:
        assert timeout_ms > 0
        await asyncio.sleep(0)


async def turns(number: int = 20) -> None:
    """Let every task that can go on do so."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_no_lane_outlives_its_membership_where_a_rebalance_was_cut_short() -> None:
    busy = {number: Busy(number) for number in range(2)}
    open_lane: Any = busy.__getitem__
    lanes = Lanes(Membership(), open_lane, Counts())
    running = asyncio.create_task(lanes.run())
    targets = [TopicPartition("lanes", number) for number in busy]
    await lanes.on_partitions_assigned(targets)
    await asyncio.gather(*(lane.opened.wait() for lane in busy.values()))
    rebalance = asyncio.create_task(lanes.on_partitions_revoked(targets))
    await turns()
    busy[0].fenced.set()
    await turns()
    assert not running.done(), "a lane is still at work, and whoever joins again may be given the same one"
    rebalance.cancel()  # as a client does that leaves its group
    await turns()
    busy[1].fenced.set()
    with pytest.raises(Fenced):
        await running
    assert all(lane.closed for lane in busy.values())
