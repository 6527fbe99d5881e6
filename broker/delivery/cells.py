"""Counts that say nothing about one person: subjects per day and cell, none below five, all others in steps.

A subject counts once in a cell, so that its presence moves a shown count by one step at most; every cell that there could be
is shown, also where nothing was counted; no sum is made of anything but what is shown. Hence nothing needs to be held
back beside the small cells: no total tells more than its parts.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

FEWEST = 5
"""Smaller counts are all shown alike, and larger ones in steps of it."""

MOST = 10_000
"""Subjects that a cell tells apart; from there on records count, in steps of one in ten."""


@dataclass(slots=True)
class Cell:
    """Subjects of one kind on one day; `close` once the day is over, to hold no subject any more."""

    _subjects: set[bytes] | None = field(default_factory=set)
    _more: int = 0

    def add(self, subject: bytes) -> None:
        """Count this subject, if it was not before."""
        if self._subjects is None or len(self._subjects) >= MOST:
            self._more += self._subjects is None or subject not in self._subjects
        else:
            self._subjects.add(subject)

    def close(self) -> None:
        """Keep the number only."""
        if self._subjects is not None:
            self._more, self._subjects = self._more + len(self._subjects), None

    @property
    def count(self) -> int:
        """Subjects; from `MOST` on, with records in it."""
        return self._more + len(self._subjects or ())


def shown(count: int) -> str:
    """A count as outsiders see it: `<5`, or the lower end of its step, such as `10+`."""
    return f"<{FEWEST}" if count < FEWEST else f"{_floor(count)}+"


def at_least(counts: Collection[int]) -> int:
    """Their sum as far as what is shown of them tells."""
    return sum(_floor(count) for count in counts)


def _floor(count: int) -> int:
    step = FEWEST
    if count >= MOST:
        step = 10 ** (len(str(count)) - 2)
    return count - count % step
