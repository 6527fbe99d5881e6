"""How streams stand, in memory: quiet and whole, unless a test says otherwise."""

import time
from dataclasses import dataclass, field
from datetime import date

from broker.delivery.looks import Ends, Held, Progress
from broker.delivery.tally import Day, Days


@dataclass
class Looks:
    """Every stream alike; `asked` are the topics that were looked at."""

    state: Ends = field(default_factory=lambda: Ends(2, 90, 70, time.time_ns() // 1_000_000))
    come: Progress = field(default_factory=lambda: Progress(None, time.time_ns() // 1_000_000, ()))
    asked: list[str] = field(default_factory=list)

    async def held(self, topic: str, since_ms: int) -> Held:
        self.asked.append(topic)
        return Held(4, 3, 1, 1, since_ms and 2, whole=True)

    async def ends(self, topic: str) -> Ends:
        self.asked.append(topic)
        return self.state

    async def progress(self, topic: str) -> Progress:
        self.asked.append(topic)
        return self.come


@dataclass
class Tally:
    """One day of every agreement."""

    day: Day = field(default_factory=lambda: Day(date(2026, 11, 25), {"changed": 23, "initial": 4}, {"consent": 6}))

    async def of(self, agreement: str) -> Days:
        assert agreement
        return Days((self.day,), whole=True)
