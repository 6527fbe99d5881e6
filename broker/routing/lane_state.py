"""What a lane remembers of each subject: the encoded values that populations and attestations use (design §1, §2).

Derived data: it can be rebuilt from the compacted source topic, so it is written after the commit, without fsync, and
thrown away when it is damaged. Only the instants of the decisions are not in that topic: they outlive a change of paths.
It is personal data: the file is created with mode 0600.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType

from broker.policy.engine import Previous
from broker.routing.derived_file import at_once, open_derived

_CHUNK = 500
"""Keys per SELECT: below SQLite's historical limit of 999 variables."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS subject (
  topic TEXT NOT NULL, key BLOB NOT NULL, at INTEGER NOT NULL, entry BLOB, offset INTEGER NOT NULL,
  PRIMARY KEY (topic, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS position (
  topic TEXT PRIMARY KEY, next INTEGER NOT NULL, paths TEXT NOT NULL, retried INTEGER NOT NULL
);
"""

_KEEP = """
INSERT INTO subject VALUES (?, ?, ?, ?, ?)
ON CONFLICT (topic, key) DO UPDATE
SET at = max(at, excluded.at), entry = excluded.entry, offset = excluded.offset
"""

_DROP = """
INSERT INTO subject VALUES (?, ?, 0, NULL, ?)
ON CONFLICT (topic, key) DO UPDATE SET entry = NULL, offset = excluded.offset
"""
"""Where a subject was deleted stays known, so that a record from before it is not taken for the latest."""

_ALL = "SELECT key, at, entry, offset FROM subject WHERE topic = ? AND entry IS NOT NULL"

_FORMAT = 3
"""Files of another format are thrown away."""


@dataclass(frozen=True, slots=True)
class Absorbed:
    """How far the state of one source topic reaches: every record before offset `next` is in it."""

    topic: str
    next: int
    paths: tuple[str, ...]


class LaneState:
    """State of one lane over all its source topics, in one SQLite file (`None`: in memory)."""

    def __init__(self, path: Path | None) -> None:
        self._db = open_derived(path, _SCHEMA, _FORMAT)

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def absorbed(self, topic: str, paths: tuple[str, ...]) -> int:
        """Next offset of `topic` to absorb; 0 where nothing was kept or other paths were (their values are forgotten)."""
        row = self._db.execute("SELECT next, paths FROM position WHERE topic = ?", (topic,)).fetchone()
        if row is None:
            return 0
        if row[1] != _joined(paths):
            self.forget(topic)
            return 0
        return int(row[0])

    def forget(self, topic: str) -> None:
        """Drop all values of `topic`; when its subjects were last decided stays known, as no log could tell."""
        with at_once(self._db):
            self._db.execute("UPDATE subject SET entry = NULL WHERE topic = ?", (topic,))
            self._db.execute("DELETE FROM position WHERE topic = ?", (topic,))

    def read(self, topic: str, keys: Collection[bytes]) -> dict[bytes, Previous]:
        """Last known values of the subjects `keys`; subjects never seen or deleted are absent."""
        found: dict[bytes, Previous] = {}
        remaining = iter(keys)
        while chunk := list(islice(remaining, _CHUNK)):
            marks = ",".join("?" * len(chunk))
            query = f"{_ALL} AND key IN ({marks})"
            for key, at, entry, offset in self._db.execute(query, (topic, *chunk)):
                found[key] = Previous(_unpack(entry), at, offset)
        return found

    def all(self, topic: str) -> Iterator[tuple[bytes, Previous]]:
        """Every subject of a topic; nothing may be written meanwhile."""
        for key, at, entry, offset in self._db.execute(_ALL, (topic,)):
            yield key, Previous(_unpack(entry), at, offset)

    def newest(self, topic: str, key: bytes) -> int:
        """Offset of the last record of a subject that was routed, a deletion included; -1 where there was none."""
        query = "SELECT offset FROM subject WHERE topic = ? AND key = ?"
        row = self._db.execute(query, (topic, key)).fetchone()
        return -1 if row is None else int(row[0])

    def retried(self, topic: str) -> int:
        """Epoch of the last retry of a quarantined record that is in the state; -1 for none."""
        row = self._db.execute("SELECT retried FROM position WHERE topic = ?", (topic,)).fetchone()
        return -1 if row is None else int(row[0])

    def amend(self, topic: str, changes: Mapping[bytes, Previous | None], *, retried: int) -> None:
        """Take in what a committed retry made of a subject, unless it is in the state already, or newer records are."""
        with at_once(self._db):
            if self.retried(topic) >= retried:
                return
            for key, now in changes.items():
                if now is not None and self.newest(topic, key) <= now.offset:
                    self._db.execute(_KEEP, (topic, key, now.at, _pack(now.values), now.offset))
            self._db.execute("UPDATE position SET retried = ? WHERE topic = ?", (retried, topic))

    def write(
        self,
        changes: Mapping[str, Mapping[bytes, Previous | None]],
        positions: Iterable[Absorbed],
        deletions: Mapping[str, Mapping[bytes, int]] = MappingProxyType({}),
    ) -> None:
        """Absorb committed records up to `positions`: `changes[topic][key]` is the new state of a subject, None = deleted.

        `deletions`: at which offsets, where it matters.

        A topic that is further already, or kept for other paths, is left as it is: an owner that was fenced meanwhile
        may come late, and the present one reads the gap again by itself. Instants never go back.
        """
        with at_once(self._db):
            for position in positions:
                if not self._moves(position):
                    continue
                subjects = changes.get(position.topic, {})
                kept = [
                    (position.topic, key, now.at, _pack(now.values), now.offset)
                    for key, now in subjects.items()
                    if now is not None
                ]
                places = deletions.get(position.topic, {})
                gone = [(position.topic, key, places.get(key, -1)) for key, now in subjects.items() if now is None]
                self._db.executemany(_KEEP, kept)
                self._db.executemany(_DROP, gone)
                row = (position.topic, position.next, _joined(position.paths), self.retried(position.topic))
                self._db.execute("INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?)", row)

    def _moves(self, to: Absorbed) -> bool:
        row = self._db.execute("SELECT next, paths FROM position WHERE topic = ?", (to.topic,)).fetchone()
        return row is None or (row[0] < to.next and row[1] == _joined(to.paths))


def _joined(paths: tuple[str, ...]) -> str:
    return "\n".join(paths)


def _pack(values: tuple[bytes, ...]) -> bytes:
    return b"".join(len(value).to_bytes(4, "big") + value for value in values)


def _unpack(entry: bytes) -> tuple[bytes, ...]:
    values, at = [], 0
    while at < len(entry):
        size = int.from_bytes(entry[at : at + 4], "big")
        values.append(entry[at + 4 : at + 4 + size])
        at += 4 + size
    return tuple(values)
