"""Quality figures of a product: how fresh, how complete, how much of it was set aside. No figure tells of one subject.

Counts are taken in fives before anything is made of them, and nothing is told of fewer than five: a share then moves by
one record only where a five is crossed, and that of a field that one person has, or lacks, is that of nobody, or everybody.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FEWEST = 5
"""Records below which there is no figure."""

_HUNDRED = 100


@dataclass(frozen=True, slots=True)
class Quality:
    """Of one product at the instant `at`; None stands for a figure that is not told, or that nobody can know.

    `whole`: all records of the product were read; otherwise some figures follow later. `subjects` are those with a record
    now, to two digits. `last_record` is when the last record was published, whole minutes; `last_pass` when an adapter last
    reached the end of its source. `median_s` and `p95_s` are of the seconds between a record's `recordedAt` and its
    publication, over the last 24 hours. `completeness` is by path of an optional field: percentage of subjects whose
    record has it. `set_aside_day` and `set_aside` are percentages of the items that were offered in the last 24 hours, and
    of all.
    """

    at: datetime
    whole: bool
    subjects: int | None = None
    last_record: datetime | None = None
    last_pass: datetime | None = None
    median_s: int | None = None
    p95_s: int | None = None
    completeness: Mapping[str, int] = field(default_factory=dict)
    set_aside_day: int | None = None
    set_aside: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The JSON object of the catalogue; instants are RFC 3339 in UTC."""
        return {
            "at": _stated(self.at),
            "whole": self.whole,
            "subjects": self.subjects,
            "freshness": {
                "lastRecord": _stated(self.last_record),
                "lastPass": _stated(self.last_pass),
                "medianSeconds": self.median_s,
                "p95Seconds": self.p95_s,
            },
            "completeness": dict(sorted(self.completeness.items())),
            "quarantine": {"lastDayPercent": self.set_aside_day, "inAllPercent": self.set_aside},
        }


def share(part: int, whole: int) -> int | None:
    """Whole percentage that `part` is of `whole`, both counted in fives; None of fewer than five."""
    if whole < FEWEST:
        return None
    return round(_HUNDRED * _fives(min(part, whole)) / _fives(whole))


def about(count: int) -> int | None:
    """A count to two digits, to fives below a hundred; None for fewer than five."""
    if count < FEWEST:
        return None
    return _fives(count) if count < _HUNDRED else two_digits(count)


def two_digits(number: float) -> int:
    """A number that is not negative, to two digits."""
    whole = round(number)
    step: int = 10 ** max(0, len(str(whole)) - 2)
    return round(whole / step) * step


def _fives(count: int) -> int:
    return (count + FEWEST // 2) // FEWEST * FEWEST


def _stated(at: datetime | None) -> str | None:
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")
