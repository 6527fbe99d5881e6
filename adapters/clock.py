"""The runner's clock beside the source's: what a source says to have recorded later than now is not published as if it were true."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from broker.errors import PoisonRecord

TOLERANCE_S = 300
"""Seconds by which a source's clock may be ahead unless somebody says otherwise."""

_PATH, _WRITTEN = "recordedAt", "%Y-%m-%dT%H:%M:%SZ"


class Clock:
    """Refuses instants later than `now` by more than `tolerance_s`."""

    def __init__(self, now: Callable[[], datetime], tolerance_s: int = TOLERANCE_S) -> None:
        self._now = now
        self._tolerance = timedelta(seconds=tolerance_s)
        self._passed = ""  # the latest instant that was let pass already, as records write it

    def admit(self, recorded: str) -> None:
        """Raise `PoisonRecord` CLOCK_AHEAD unless the instant has come; what is no instant is for others to refuse."""
        # Nearly every record: an instant written as usual, of before one that passed.
        if len(recorded) == len(self._passed) and recorded <= self._passed:
            return
        try:
            at = datetime.fromisoformat(recorded)
        except ValueError:
            return
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        latest = self._now() + self._tolerance
        if at > latest:
            raise PoisonRecord("CLOCK_AHEAD", _PATH)
        self._passed = max(self._passed, at.strftime(_WRITTEN))


@dataclass(slots=True)
class Skew:
    """How far the clock of a source over HTTP is ahead of ours, in whole seconds; negative where it is behind, None unknown."""

    seconds: int | None = None

    def hear(self, headers: Mapping[str, str], now: datetime) -> None:
        """Take the `Date` of an answer (RFC 9110 §6.6.1), unless a cache gave it that has held it for a while."""
        if "age" in headers:
            return
        try:
            at = parsedate_to_datetime(headers["date"])
        except (KeyError, ValueError):
            return
        aware = at if at.tzinfo else at.replace(tzinfo=UTC)
        self.seconds = round((aware - now).total_seconds())


HEARD: ContextVar[Skew | None] = ContextVar("skew", default=None)
"""Where the reader of a source over HTTP tells what its answers say of the time, if somebody wants to hear it."""
