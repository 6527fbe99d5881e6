"""Routers of one installation as children that are not started again: what each owns, what it took, and its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

from bench.processes import cpu_s
from broker.cli.site import Site
from broker.kafka import leash
from broker.testing import wait_until

_PATIENCE_S = 120.0
_LOOK_S = 0.02
_STOP_S = 20.0


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a router's log: its event, the instant (ns since 1970), and the lane it is about."""

    event: str
    at: int
    lane: int | None


class Opening(NamedTuple):
    """A lane that was opened."""

    at: int
    lane: int


@dataclass(slots=True)
class Member:
    """One `datanuts router`."""

    process: Process
    log: Path

    def said(self) -> Sequence[Said]:
        """What it logged about lanes so far."""
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [
            Said(line["event"], _instant(line["at"]), line.get("lane"))
            for line in lines
            if line["event"].startswith("lane")
        ]

    def openings(self) -> Iterator[Opening]:
        """Lanes that it opened, and when."""
        for line in self.said():
            if line.event == "lane.opened" and line.lane is not None:
                yield Opening(line.at, line.lane)

    @property
    def cpu_s(self) -> float:
        """CPU seconds it has taken."""
        return cpu_s(self.process.pid)

    async def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        await self.process.wait()

    async def leave(self) -> None:
        """Ask it to end, and wait until it has; by force after 20 s."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), _STOP_S)
        if self.process.returncode is None:
            await self.kill()


@dataclass(slots=True)
class Fleet:
    """All routers of an installation, in the order in which they were started."""

    here: Site
    members: list[Member] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    async def join(self, number: int = 1) -> None:
        """Start so many more, and return once every lane is open and each has its share of them."""
        for _ in range(number):
            log = self.here.home.logs / f"fleet-{next(self._numbers)}.log"
            command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), sys.executable]
            command += ["-m", "broker.cli.main", "router", "--data-dir", str(self.here.home.root)]
            with log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            self.members.append(Member(process, log))
        await self.settled()

    async def settled(self) -> None:
        """Return once every lane is open and each member has its share; raises `TimeoutError`, or `RuntimeError` for one that died."""
        least = self.here.lanes // len(self.members)

        def shared() -> bool:
            self.require_alive()
            owners = list(self.owners().values())
            return len(owners) == self.here.lanes and all(owners.count(member) >= least for member in self.members)

        await wait_until(shared, timeout=_PATIENCE_S, every=_LOOK_S)

    def require_alive(self) -> None:
        """Raise `RuntimeError` with a router's last line where one ended by itself."""
        for member in self.members:
            if member.process.returncode is not None:
                last = member.log.read_text().rstrip().rpartition("\n")[2]
                raise RuntimeError(f"a router ended with {member.process.returncode}: {last}")

    def owners(self) -> dict[int, Member]:
        """By lane, the living member that opened it last."""
        opened = [(line.at, line.lane, number) for number, each in enumerate(self.members) for line in each.openings()]
        last = {lane: number for _, lane, number in sorted(opened)}
        return {lane: self.members[number] for lane, number in sorted(last.items())}

    def opened_since(self, at: int) -> dict[int, int]:
        """By lane, the instant (ns since 1970) at which it was last opened after `at`; none for a lane that was not."""
        return {line.lane: line.at for line in self._since(at) if line.event == "lane.opened" and line.lane is not None}

    def assigned_since(self, at: int) -> int | None:
        """When the coordinator first gave lanes out after `at` (ns since 1970)."""
        return next((line.at for line in self._since(at) if line.event == "lanes.assigned"), None)

    def _since(self, at: int) -> Sequence[Said]:
        lines = (line for member in self.members for line in member.said() if line.at >= at)
        return sorted(lines, key=lambda line: line.at)

    async def leave(self, member: Member) -> None:
        """Have one end in order; returns when it has ended, not when the others have its lanes."""
        self.members.remove(member)
        await member.leave()

    async def kill(self, member: Member) -> None:
        """Kill one; likewise."""
        self.members.remove(member)
        await member.kill()


@asynccontextmanager
async def fleet(here: Site) -> AsyncIterator[Fleet]:
    """No routers yet; those that are left at the end are stopped."""
    routers = Fleet(here)
    try:
        yield routers
    finally:
        await asyncio.gather(*(member.leave() for member in routers.members))


def _instant(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1e9)
