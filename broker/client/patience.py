"""How long to wait between attempts: exponential back-off with a cap and jitter."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from broker.errors import Retriable

R = TypeVar("R")

_log = logging.getLogger("datanuts.client")
_LONGEST_ASKED_S = 3600.0
_MOST_DOUBLINGS = 32


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: the first pause, the longest, and after how long without an answer to give up (None: never).

    A pause doubles from attempt to attempt up to the longest, less up to half of it at random, so that many subscribers
    do not come back at once. What the broker asks for (Retry-After, up to an hour) is kept, with a little more at random.
    """

    first_s: float = 0.5
    longest_s: float = 30.0
    give_up_after_s: float | None = None
    sleep: Callable[[float], Awaitable[None]] = field(default=asyncio.sleep, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def pause_s(self, attempt: int, asked_s: float = 0.0) -> float:
        """Seconds before the attempt after number `attempt` (from 0)."""
        longest, chance = min(self.longest_s, self.first_s * 2.0 ** min(attempt, _MOST_DOUBLINGS)), self.random()
        return max(longest * (1 - chance / 2), min(asked_s, _LONGEST_ASKED_S) * (1 + chance / 4))

    def is_over(self, since: float) -> bool:
        """Whether to give up what began at `since` on the clock."""
        return self.give_up_after_s is not None and self.clock() - since >= self.give_up_after_s


async def patiently(what: str, act: Callable[[], Awaitable[R]], patience: Patience) -> R:
    """What `act` gives, tried again while it raises `Retriable`; the last one is raised when the patience ends."""
    began, attempt = patience.clock(), 0
    while True:
        try:
            return await act()
        except Retriable as error:
            if patience.is_over(began):
                raise
            pause_s = patience.pause_s(attempt, error.after_s)
            why = f" ({error.operator})" if error.operator else ""
            _log.warning("%s: %s%s; again in %.1f s", what, error, why, pause_s)
        await patience.sleep(pause_s)
        attempt += 1
