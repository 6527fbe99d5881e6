"""The runner's clock beside the source's: what a source says to have recorded later than now is not published as if it were true."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from adapters.sources import whole_seconds
from broker.errors import PoisonRecord

TOLERANCE_S = 300
"""Seconds by which a source's clock may be ahead unless somebody says otherwise."""

_PATH = "recordedAt"


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
        self._passed = max(self._passed, whole_seconds(at))
