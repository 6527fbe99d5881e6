"""Where a reading of a database stands: numbers of its own making, never a value of a row.

They are written in hexadecimal, so that none can be taken for a national number.
"""

import json
from dataclasses import dataclass

from adapters.postgres_outbox import Place

_HALF = 32

START = Place()


@dataclass(frozen=True, slots=True)
class OutboxCursor:
    """Behind a row of the outbox, as read under one mapping of one table; `node` of the table's file."""

    fingerprint: str
    place: Place = START
    node: int = 0

    @classmethod
    def of(cls, text: str | None, fingerprint: str) -> "OutboxCursor":
        """The cursor in `text`; the start where there is none, or where it is of another mapping or table."""
        made = _read(text, fingerprint, 3)
        return cls(fingerprint, Place(*made[:2]), made[2]) if made is not None else cls(fingerprint)

    def text(self) -> str:
        """The cursor as the runner keeps it."""
        return _written(self.fingerprint, self.place.transaction, self.place.position, self.node)


@dataclass(frozen=True, slots=True)
class SlotCursor:
    """Every transaction that ended before the log position `over` was read, and `items` of the one that commits at `commit`."""

    fingerprint: str
    over: int
    commit: int = 0
    items: int = 0

    @classmethod
    def of(cls, text: str | None, fingerprint: str) -> "SlotCursor | None":
        """The cursor in `text`; None where there is none, or where it is of another mapping."""
        made = _read(text, fingerprint, 3)
        return cls(fingerprint, *made) if made is not None else None

    def text(self) -> str:
        """The cursor as the runner keeps it."""
        return _written(self.fingerprint, self.over, self.commit, self.items)


def lsn(position: int) -> str:
    """A position in the write-ahead log as PostgreSQL writes it (type `pg_lsn`)."""
    return f"{position >> _HALF:X}/{position & 0xFFFFFFFF:X}"


def _written(fingerprint: str, *numbers: int) -> str:
    return json.dumps([fingerprint, *(f"x{number:x}" for number in numbers)], separators=(",", ":"))


def _read(text: str | None, fingerprint: str, count: int) -> list[int] | None:
    try:
        own, *numbers = json.loads(text or "null")
        made = [int(number[1:], 16) for number in numbers]
    except (TypeError, ValueError, RecursionError):
        return None
    return made if own == fingerprint and len(made) == count and all(0 <= each < 1 << 64 for each in made) else None
