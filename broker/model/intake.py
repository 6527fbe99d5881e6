"""How many items a source offered for one product, and how many of them were set aside: in all, and of each last hour.

An adapter's runner keeps it beside its cursor, in the same transaction as the records: each item is counted once, whatever
happens to who counts. Hours are those of UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Self

CURSOR_KEY = b"cursor"
"""Key of the row of an adapter's state in which it lies (`adapters.memory`)."""

HOURS = 24
"""Hours that are told apart: the present one, and those before it."""


class Offered(NamedTuple):
    """Items that a source offered, and how many of them were set aside."""

    read: int = 0
    set_aside: int = 0

    def plus(self, other: "Offered") -> "Offered":
        """Both."""
        return Offered(self.read + other.read, self.set_aside + other.set_aside)


NOTHING = Offered()


@dataclass(frozen=True, slots=True)
class Intake:
    """Of one product of `source`; `hours` holds `HOURS` of them at most, by their name (`2026-07-01T12`)."""

    source: str
    total: Offered = NOTHING
    hours: Mapping[str, Offered] = field(default_factory=dict)

    def plus(self, offered: Offered, at: datetime) -> "Intake":
        """With what was offered in the hour of `at`."""
        hour, oldest = hour_of(at), _oldest(at)
        kept = {name: each for name, each in self.hours.items() if name >= oldest}
        return Intake(self.source, self.total.plus(offered), kept | {hour: kept.get(hour, NOTHING).plus(offered)})

    def lately(self, now: datetime) -> Offered:
        """In the present hour and the 23 before it."""
        oldest, found = _oldest(now), NOTHING
        for name, each in self.hours.items():
            if name >= oldest:
                found = found.plus(each)
        return found

    def as_json(self) -> dict[str, Any]:
        """JSON object `{source, total: [read, set aside], hours: {hour: [read, set aside]}}`."""
        hours = {name: list(each) for name, each in sorted(self.hours.items())}
        return {"source": self.source, "total": list(self.total), "hours": hours}

    @classmethod
    def of_json(cls, stated: Mapping[str, Any]) -> Self:
        """The intake that `as_json` wrote; raises `KeyError`, `TypeError` or `ValueError`."""
        hours = {str(name): _offered(each) for name, each in stated["hours"].items()}
        return cls(str(stated["source"]), _offered(stated["total"]), hours)


def hour_of(at: datetime) -> str:
    """Name of an instant's hour."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H")


def _oldest(now: datetime) -> str:
    return hour_of(now - timedelta(hours=HOURS - 1))


def _offered(pair: Any) -> Offered:
    read, set_aside = pair
    return Offered(int(read), int(set_aside))
