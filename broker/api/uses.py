"""What one process saw of credentials and positions since it started: in memory only, because no request may cause a write.

After a restart it knows nothing, and another process knows other things: answers say since when they know.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime


@dataclass(frozen=True, slots=True)
class Pulled:
    """The last page of a stream that was handed out: the cursor's position it was asked from, and the one behind it.

    Who asks from a position has what lies before it; whether it has what was handed out is not known.
    """

    asked_from: int | None
    handed_out: int
    at: datetime


@dataclass(slots=True)
class Uses:
    """Last use of each credential, to the day (UTC), and last page of each stream, by agreement and by credential."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    since: datetime = field(init=False)
    _days: dict[str, date] = field(default_factory=dict)
    _by_agreement: dict[str, Pulled] = field(default_factory=dict)
    _by_credential: dict[tuple[str, str], Pulled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.since = self.now()

    def used(self, credential: str | None) -> None:
        """It let somebody in."""
        if credential is not None:
            self._days[credential] = self.now().date()

    def pulled(self, agreement: str, credential: str | None, asked_from: int | None, handed_out: int) -> None:
        """A page of a stream was handed out."""
        page = Pulled(asked_from, handed_out, self.now())
        self._by_agreement[agreement] = page
        if credential is not None:
            self._by_credential[credential, agreement] = page

    def last_day(self, credential: str) -> date | None:
        """The day it was last used here."""
        return self._days.get(credential)

    def last_page(self, agreement: str, credential: str | None = None) -> Pulled | None:
        """The last page of a stream that was handed out here, to anyone or on one credential."""
        if credential is None:
            return self._by_agreement.get(agreement)
        return self._by_credential.get((credential, agreement))
