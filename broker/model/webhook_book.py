"""Webhook subscriptions, one per agreement at most, as the facts up to now leave them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

CALL_BEGINS_WITHIN_S = 0.5
"""A call begins within this time of the question where the control log's head is, or it does not begin.

Who stops an agreement waits as long after its fact: what was allowed by then has begun, and nothing begins after.
"""

_MOST_EVENTS = 20


class Change(StrEnum):
    """What a fact did to a subscription."""

    SET = "set"
    REMOVED = "removed"
    SUSPENDED = "suspended"
    RESUMED = "resumed"


class Reason(StrEnum):
    """Why the broker stopped calling, until the agency resumes."""

    FAILING = "FAILING"
    GONE = "GONE"
    POSITION_EXPIRED = "POSITION_EXPIRED"
    POSITION_LOST = "POSITION_LOST"


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """One fact about a subscription as its agency sees it."""

    type: Change
    at: datetime
    epoch: int
    reason: Reason | None = None


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where an agreement's deliveries are sent. `secret` numbers the key that signs, `previous` the one before until `until`.

    `series` counts the registrations of an agreement from the first on: positions of another series mean nothing to
    this one. `epoch` is that of the last fact about it.
    """

    agreement: str
    agency: str
    url: str
    series: int
    secret: int
    previous: int | None
    until: datetime | None
    epoch: int
    suspended: Reason | None = None
    events: tuple[WebhookEvent, ...] = ()

    def secrets_at(self, now: datetime) -> tuple[int, ...]:
        """Numbers of the keys that sign now, the newest first."""
        overlapping = self.previous is not None and self.until is not None and now < self.until
        return (self.secret, self.previous) if overlapping and self.previous is not None else (self.secret,)


@dataclass(slots=True)
class WebhookBook:
    """Subscriptions by agreement; `take` is the only way to change them."""

    live: dict[str, Subscription] = field(default_factory=dict)
    _past: dict[str, Subscription] = field(default_factory=dict)

    def next_series(self, agreement: str) -> int:
        """Number of the next registration."""
        known = self.live.get(agreement) or self._past.get(agreement)
        return 1 + (known.series if known else 0)

    def next_secret(self, agreement: str) -> int:
        """Number of the next key."""
        known = self.live.get(agreement) or self._past.get(agreement)
        return 1 + (known.secret if known else 0)

    def take(self, change: Change, data: Mapping[str, Any], agency: str | None, at: datetime, epoch: int) -> bool:
        """Take one change, `agency` being the agreement's; False where it may not be taken, and then nothing changed."""
        agreement = str(data["agreement"])
        known = self.live.get(agreement)
        if change is Change.SET:
            return self._set(known, data, agency, at, epoch)
        if change is Change.REMOVED:
            return self._removed(known, at, epoch)
        if known is None or (known.suspended is None) is not (change is Change.SUSPENDED):
            return False
        reason = Reason(data["reason"]) if change is Change.SUSPENDED else None
        self.live[agreement] = _noted(replace(known, suspended=reason), WebhookEvent(change, at, epoch, reason))
        return True

    def _set(
        self, known: Subscription | None, data: Mapping[str, Any], agency: str | None, at: datetime, epoch: int
    ) -> bool:
        agreement, series, secret = str(data["agreement"]), int(data["series"]), int(data["secret"])
        previous, until = data.get("previous"), data.get("until")
        if agency is None or agency != data["agency"]:
            return False
        if series != (known.series if known else self.next_series(agreement)):
            return False
        if secret != self.next_secret(agreement) and (known is None or secret != known.secret):
            return False
        made = Subscription(
            agreement,
            agency,
            str(data["url"]),
            series,
            secret,
            None if previous is None else int(previous),
            None if until is None else datetime.fromisoformat(until),
            epoch,
            known.suspended if known else None,
            known.events if known else (),
        )
        self.live[agreement] = _noted(made, WebhookEvent(Change.SET, at, epoch))
        return True

    def _removed(self, known: Subscription | None, at: datetime, epoch: int) -> bool:
        if known is None:
            return False
        self._past[known.agreement] = _noted(known, WebhookEvent(Change.REMOVED, at, epoch))
        del self.live[known.agreement]
        return True


def _noted(subscription: Subscription, event: WebhookEvent) -> Subscription:
    return replace(subscription, epoch=event.epoch, events=(*subscription.events, event)[-_MOST_EVENTS:])
