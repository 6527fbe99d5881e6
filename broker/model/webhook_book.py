"""Webhook subscriptions, one per agreement at most, as the facts up to now leave them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from broker.model.push_book import Book, Registration


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Registration):
    """Where an agreement's deliveries are sent. `secret` numbers the key that signs, `previous` the one before until `until`."""

    url: str
    secret: int
    previous: int | None = None
    until: datetime | None = None

    def secrets_at(self, now: datetime) -> tuple[int, ...]:
        """Numbers of the keys that sign now, the newest first."""
        overlapping = self.previous is not None and self.until is not None and now < self.until
        return (self.secret, self.previous) if overlapping and self.previous is not None else (self.secret,)


@dataclass(slots=True)
class WebhookBook(Book[Subscription]):
    """Subscriptions by agreement."""

    def next_secret(self, agreement: str) -> int:
        """Number of the next key."""
        known = self._latest(agreement)
        return 1 + (known.secret if known else 0)

    def _stated(self, known: Subscription | None, data: Mapping[str, Any]) -> Subscription | None:
        agreement, secret = str(data["agreement"]), int(data["secret"])
        previous, until = data.get("previous"), data.get("until")
        if secret != self.next_secret(agreement) and (known is None or secret != known.secret):
            return None
        return Subscription(
            agreement=agreement,
            agency=str(data["agency"]),
            series=int(data["series"]),
            url=str(data["url"]),
            secret=secret,
            previous=None if previous is None else int(previous),
            until=None if until is None else datetime.fromisoformat(until),
        )
