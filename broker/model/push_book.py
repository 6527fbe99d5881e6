"""Where the broker itself brings deliveries to, one registration of a kind per agreement at most, as the facts up to now leave them."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar

BEGINS_WITHIN_S = 0.5
"""A call or a piece of a file begins within this time of the question where the control log's head is, or it does not begin.

Who stops an agreement waits as long after its fact: what was allowed by then has begun, and nothing begins after.
"""

_MOST_EVENTS = 20


class Change(StrEnum):
    """What a fact did to a registration."""

    SET = "set"
    REMOVED = "removed"
    SUSPENDED = "suspended"
    RESUMED = "resumed"


class Reason(StrEnum):
    """Why the broker brings nothing more, until the agency resumes."""

    FAILING = "FAILING"
    GONE = "GONE"
    POSITION_EXPIRED = "POSITION_EXPIRED"
    POSITION_LOST = "POSITION_LOST"


@dataclass(frozen=True, slots=True)
class PushEvent:
    """One fact about a registration as its agency sees it."""

    type: Change
    at: datetime
    epoch: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """What every kind has.

    `series` counts the registrations of an agreement from the first on: positions of another series mean nothing to
    this one. `epoch` is that of the last fact about it, -1 before there is one.
    """

    agreement: str
    agency: str
    series: int
    epoch: int = -1
    suspended: Reason | None = None
    events: tuple[PushEvent, ...] = ()


R = TypeVar("R", bound=Registration)


@dataclass(slots=True)
class Book(ABC, Generic[R]):
    """Registrations of one kind by agreement; `take` is the only way to change them."""

    live: dict[str, R] = field(default_factory=dict)
    _past: dict[str, R] = field(default_factory=dict)

    def next_series(self, agreement: str) -> int:
        """Number of the next registration."""
        known = self._latest(agreement)
        return 1 + (known.series if known else 0)

    def take(self, change: Change, data: Mapping[str, Any], agency: str | None, at: datetime, epoch: int) -> bool:
        """Take one change, `agency` being the agreement's; False where it may not be taken, and then nothing changed."""
        agreement = str(data["agreement"])
        known = self.live.get(agreement)
        if change is Change.SET:
            return self._set(known, data, agency, at, epoch)
        if known is None:
            return False
        if change is Change.REMOVED:
            self._past[agreement] = _noted(known, PushEvent(change, at, epoch))
            del self.live[agreement]
            return True
        if (known.suspended is None) is not (change is Change.SUSPENDED):
            return False
        reason = Reason(data["reason"]) if change is Change.SUSPENDED else None
        self.live[agreement] = _noted(replace(known, suspended=reason), PushEvent(change, at, epoch, reason))
        return True

    @abstractmethod
    def _stated(self, known: R | None, data: Mapping[str, Any]) -> R | None:
        """The registration that a fact states, `known` being the present one; None where it may not be taken."""

    def _latest(self, agreement: str) -> R | None:
        return self.live.get(agreement) or self._past.get(agreement)

    def _set(self, known: R | None, data: Mapping[str, Any], agency: str | None, at: datetime, epoch: int) -> bool:
        made = self._stated(known, data)
        if made is None or agency is None or agency != made.agency:
            return False
        if made.series != (known.series if known else self.next_series(made.agreement)):
            return False
        if known is not None:
            made = replace(made, suspended=known.suspended, events=known.events)
        self.live[made.agreement] = _noted(made, PushEvent(Change.SET, at, epoch))
        return True


def _noted(registration: R, event: PushEvent) -> R:
    return replace(registration, epoch=event.epoch, events=(*registration.events, event)[-_MOST_EVENTS:])
