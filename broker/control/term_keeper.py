"""Brings published versions into force when their term begins, and ends agreements when it is over.

However late it is, nothing is released outside a term: routers look at the term itself. Any number of processes may
keep the same agreements: the control log takes each step once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from broker.errors import Conflict
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import IN_FORCE, AgreementEntry, Step

_LONGEST_S = 60.0
"""How long a wait may be: the clock of the machine may be set meanwhile."""

_RETRY = timedelta(seconds=5)
_GRACE = timedelta(seconds=30)


class Act(StrEnum):
    """What a term asks at one of its ends."""

    ACTIVATE = "activate"
    END = "end"


class Control(Protocol):
    """The replayed control log; `broker.control.log` behind it."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def wait_for_change(self, epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Return once a fact after `epoch` is applied, or after `timeout` seconds."""


class Agreements(Protocol):
    """The steps that follow from the calendar; `broker.control.agreements` behind it."""

    async def activate(self, agreement: str, by: str, *, why: str) -> AgreementEntry:
        """Bring a published version into force."""

    async def end(self, agreement: str, by: str, *, why: str) -> AgreementEntry:
        """End it for good."""


@dataclass(slots=True)
class TermKeeper:
    """Keeps the terms of all agreements in the name of `by`; `report` hears of what failed and is tried again."""

    control: Control
    agreements: Agreements
    by: str
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    report: Callable[[Exception], None] = lambda _error: None
    _due: dict[str, tuple[datetime, Act]] = field(default_factory=dict)
    _seen: int = 0  # events of the log that were looked at

    async def run(self) -> None:
        """Keep them until cancelled."""
        while True:
            epoch = self.control.state.epoch
            await self.keep()
            await self.control.wait_for_change(epoch, timeout=self._pause_s())

    async def keep(self) -> None:
        """Take every step that is due now; one that fails is due again a little later."""
        self._look()
        now = self.now()
        for agreement, (instant, act) in sorted(self._due.items(), key=lambda item: item[1]):
            if instant > now:
                break
            try:
                await self._take(agreement, act)
            except Exception as error:  # noqa: BLE001 - one agreement's trouble must not stop the others'
                self._due[agreement] = (now + _RETRY, act)
                if not isinstance(error, Conflict):  # else another process took the step, or a side did something else
                    self.report(error)
        self._look()

    async def _take(self, agreement: str, act: Act) -> None:
        if act is Act.ACTIVATE:
            await self.agreements.activate(agreement, self.by, why="De looptijd begint.")
        else:
            await self.agreements.end(agreement, self.by, why="De looptijd is voorbij.")

    def _look(self) -> None:
        """Take in what changed since the last look."""
        state = self.control.state
        for agreement in dict.fromkeys(event.agreement for event in state.events[self._seen :]):
            acts = sorted(acts_of(state, agreement))
            self._due.pop(agreement, None)
            if acts:
                self._due[agreement] = acts[0]
        self._seen = len(state.events)

    def _pause_s(self) -> float:
        first = min((instant for instant, _ in self._due.values()), default=None)
        left = _LONGEST_S if first is None else (first - self.now()).total_seconds()
        return min(max(left, 0.0), _LONGEST_S)


def acts_of(state: ControlState, agreement: str) -> Iterator[tuple[datetime, Act]]:
    """What the terms of an agreement's versions ask, and when.

    One that was over before it was activated asks nothing, nor one that begins after its product's sunset: it never delivers,
    and ending it is for its sides.
    """
    held, amendment = state.agreements[agreement], state.amendments.get(agreement)
    for entry in (held, amendment):
        if entry is not None and entry.state is State.PUBLISHED:
            start = _instant(entry, "start") or entry.since
            if held.state not in IN_FORCE and state.life_of(entry.document).bars(Step.ACTIVATED, start):
                continue
            # Whoever publishes a term that has begun activates it: this is for where that was interrupted.
            yield start if start > entry.since else entry.since + _GRACE, Act.ACTIVATE
    end = _instant(held, "end")
    if held.state in IN_FORCE and end is not None and held.activated_at is not None and held.activated_at < end:
        yield end, Act.END


def _instant(entry: AgreementEntry, edge: str) -> datetime | None:
    term: Any = entry.document.get("term", {})
    return datetime.fromisoformat(term[edge]) if term.get(edge) else None
