"""When a receiver that fails is tried again, and when no more: a pure state machine; time and randomness are arguments."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from broker.model.push_book import Reason


class Failure(StrEnum):
    """Why a call or a file did not count as received; never what the receiver said."""

    ADDRESS = "ADDRESS_REFUSED"
    CLIENT = "CLIENT_ERROR"
    CONNECT = "CONNECT_FAILED"
    DIRECTORY = "NO_SUCH_DIRECTORY"
    GONE = "RECEIVER_GONE"
    HOST_KEY = "HOST_KEY_MISMATCH"
    LOGIN = "LOGIN_REFUSED"
    NAME = "NAME_NOT_RESOLVED"
    PERMISSION = "PERMISSION_DENIED"
    PROTOCOL = "PROTOCOL_ERROR"
    REDIRECT = "REDIRECT_REFUSED"
    SERVER = "SERVER_ERROR"
    TIMEOUT = "TIMED_OUT"
    TLS = "TLS_FAILED"
    WRITE = "WRITE_REFUSED"


@dataclass(frozen=True, slots=True)
class Patience:
    """Pauses between attempts: from `first` on twice as long each time up to `longest`; after `give_up` of failing, none."""

    first: timedelta = timedelta(seconds=1)
    longest: timedelta = timedelta(minutes=5)
    longest_asked: timedelta = timedelta(hours=1)
    give_up: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Health:
    """How a registration fares. `failing_since` is the first failure after the last success; both None while all is well."""

    last_success: datetime | None = None
    failures: int = 0
    failing_since: datetime | None = None
    last_failure: datetime | None = None
    failure: Failure | None = None
    next_attempt: datetime | None = None

    def pause(self, now: datetime) -> float:
        """Seconds until the next attempt."""
        return 0.0 if self.next_attempt is None else max(0.0, (self.next_attempt - now).total_seconds())


def succeeded(health: Health, now: datetime) -> Health:
    """After something was received: what failed before is history."""
    return replace(health, last_success=now, failures=0, failing_since=None, next_attempt=None)


def failed(
    health: Health, failure: Failure, now: datetime, patience: Patience, *, random: float, asked_s: float | None = None
) -> tuple[Health, Reason | None]:
    """After something was not; with a reason where the registration is to be suspended.

    `random` in [0, 1) spreads the pause over its upper half, `asked_s` is what the receiver asked for (Retry-After).
    """
    since = health.failing_since or now
    # Beyond 30 doublings every pause is the longest; the shift stays small however long this goes on.
    pause = min(patience.longest, patience.first * (1 << min(health.failures, 30))) * (0.5 + random / 2)
    if asked_s is not None:
        pause = max(pause, min(patience.longest_asked, timedelta(seconds=max(0.0, min(asked_s, 1e6)))))
    after = replace(
        health,
        failures=health.failures + 1,
        failing_since=since,
        last_failure=now,
        failure=failure,
        next_attempt=now + pause,
    )
    if failure is Failure.GONE:
        return replace(after, next_attempt=None), Reason.GONE
    if now - since >= patience.give_up:
        return replace(after, next_attempt=None), Reason.FAILING
    return after, None


def again(health: Health) -> Health:
    """As if nothing had failed yet: the agency resumed, or changed the address."""
    return replace(health, failures=0, failing_since=None, next_attempt=None)


def as_json(health: Health) -> dict[str, Any]:
    """What `of_json` reads."""
    shown = {
        "ok": health.last_success,
        "since": health.failing_since,
        "failed": health.last_failure,
        "next": health.next_attempt,
    }
    instants = {name: at.astimezone(UTC).isoformat() for name, at in shown.items() if at is not None}
    return {**instants, "failures": health.failures, **({"failure": health.failure.value} if health.failure else {})}


def of_json(stated: Mapping[str, Any]) -> Health:
    """The health that `as_json` wrote; raises `ValueError`, `TypeError` or `KeyError` for anything else."""

    def at(name: str) -> datetime | None:
        return datetime.fromisoformat(stated[name]) if name in stated else None

    failure = stated.get("failure")
    return Health(
        at("ok"),
        int(stated["failures"]),
        at("since"),
        at("failed"),
        None if failure is None else Failure(failure),
        at("next"),
    )
