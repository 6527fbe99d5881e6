"""What a stop for good or an amendment leaves to be done, done by any process where the one that took the step died.

The fact is on the control log first, and from then on nothing is delivered that it forbids. What follows (the agency's
right, the barriers, emptying the topic up to them) may be cut short. Whoever looks later sees in the topic itself whether
anything is left, so nothing has to be remembered.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from broker.control.views import Replayed
from broker.model.agreement import State
from broker.model.lifecycle import AgreementEntry

_GRACE = timedelta(seconds=30)
"""Who took a step does what it asks in this time; after it, somebody else does."""

_LOOKED_BACK = timedelta(days=16)
"""Deliveries are kept for 14 days at most, and a day more in the segment being written: older ones went by themselves."""

_EVERY_S = 15.0
_GONE = frozenset({State.REVOKED, State.ENDED})


class Agreements(Protocol):
    """`broker.control.agreements` behind it."""

    async def complete(self, agreement: str) -> bool:
        """Do what is left of a stop or an amendment; returns whether anything had to go."""


@dataclass(slots=True)
class Aftercare:
    """Looks after every stop and amendment of the last days once; `report` hears of what failed and is tried again."""

    control: Replayed
    agreements: Agreements
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    report: Callable[[Exception], None] = lambda _error: None
    _done: dict[str, int] = field(
        default_factory=dict
    )  # by agreement, the epoch of the last step that was looked after

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.keep()
            await asyncio.sleep(_EVERY_S)

    async def keep(self) -> list[str]:
        """Look after every step that is due; returns the agreements whose deliveries had been left."""
        emptied = []
        for entry, epoch in list(self._due()):
            try:
                if await self.agreements.complete(entry.id):
                    emptied.append(entry.id)
            except Exception as error:  # noqa: BLE001 - one agreement's trouble must not stop the others'
                self.report(error)
            else:
                self._done[entry.id] = epoch
        return emptied

    def _due(self) -> Iterator[tuple[AgreementEntry, int]]:
        now = self.now()
        for entry in self.control.state.agreements.values():
            step = _last_step(entry)
            if step is not None and step[0] > self._done.get(entry.id, -1) and _GRACE <= now - step[1] < _LOOKED_BACK:
                yield entry, step[0]


def _last_step(entry: AgreementEntry) -> tuple[int, datetime] | None:
    """Epoch and instant of the stop for good, else of the last amendment, of an agreement that delivered."""
    if entry.activated_at is None:
        return None
    if entry.state in _GONE:
        return entry.epoch, entry.since
    return next(((taken.epoch, taken.at) for taken in entry.history if taken.epoch == entry.amended_epoch), None)
