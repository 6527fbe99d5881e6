"""Where a reader of a raw topic stands: its offset, and how far each database that writes it was read.

Kafka Connect writes again what it had not noted before it died. A change that a database's log has before one that was
read is such a repetition: it is told by positions, never by values, and a cursor holds no more than these.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

Position = tuple[int, int]
"""Of a change in a database's log: where the transaction committed that came before its own, and its own place."""

_DIGEST = 8
_MOST_DATABASES = 16


@dataclass(frozen=True, slots=True)
class Cursor:
    """`offset` is the next message to be read (None: the oldest); `seen` the furthest position by digest of a database's name."""

    origin: str
    offset: int | None = None
    seen: Mapping[str, Position] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str | None, origin: str) -> "Cursor":
        """The cursor in `text`; one at the start where there is none, or where it is of another topic or file."""
        digest = short(origin)
        try:
            stated, offset, seen = json.loads(text or "null")
            made = cls(str(stated), int(offset), {name: (int(one), int(other)) for name, (one, other) in seen.items()})
        except (TypeError, ValueError, AttributeError):
            return cls(digest)
        return made if made.origin == digest else cls(digest)

    def text(self) -> str:
        """The cursor as the runner keeps it."""
        return json.dumps([self.origin, self.offset, self.seen], separators=(",", ":"))

    def behind(self, offset: int) -> "Cursor":
        """Further on in the topic."""
        return replace(self, offset=offset)

    def repeats(self, database: str, position: Position) -> bool:
        """Whether a change was read before: the database's log has it before one that was."""
        return position < self.seen.get(short(database), position)

    def knows(self, database: str) -> bool:
        """Whether a change of it was read since its last snapshot."""
        return short(database) in self.seen

    def read(self, database: str, position: Position) -> "Cursor":
        """A change was read."""
        others = {name: at for name, at in self.seen.items() if name != short(database)}
        kept = dict(list(others.items())[-(_MOST_DATABASES - 1) :])
        return replace(self, seen={**kept, short(database): position})

    def anew(self, database: str) -> "Cursor":
        """The database states everything again, from wherever its log is now."""
        if short(database) not in self.seen:
            return self
        return replace(self, seen={name: at for name, at in self.seen.items() if name != short(database)})


def short(name: str) -> str:
    """A digest that tells one name from another."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
