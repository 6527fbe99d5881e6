"""Which lane keys have a record now, per topic, in a file of this process alone.

Derived from compacted topics: written without fsync, thrown away when it is damaged or may have missed a deletion. A
keyed hash of a subject is personal data: folder and files are this user's only. Every method may block on the disk, and
may be called from any thread.
"""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from threading import Lock

from broker.model.keyed import DIGEST_BYTES
from broker.routing.derived_file import at_once, open_derived, remove_derived

_CHUNK = 500
"""Keys per SELECT: below SQLite's historical limit of 999 variables."""

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS topic (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, since INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS lane (topic INTEGER, lane INTEGER, next INTEGER NOT NULL, PRIMARY KEY (topic, lane));
CREATE TABLE IF NOT EXISTS subject (topic INTEGER, key BLOB, PRIMARY KEY (topic, key)) WITHOUT ROWID;
"""

_AMONG = "SELECT key FROM subject WHERE topic = (SELECT id FROM topic WHERE name = ?) AND key IN"


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a topic was read: the next offset of each lane; and since when (epoch seconds) null values must still be there."""

    next: Mapping[int, int]
    since: int


class KeyIndex:
    """The first file in `folder` that no other process holds; it is this process's until `close`."""

    def __init__(self, folder: Path) -> None:
        self._turn = Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path, self._held = _free(folder)
        self._db = self._open()

    def close(self) -> None:
        """Close the file and let another process have it."""
        with self._turn:
            self._db.close()
            os.close(self._held)

    def start_again(self) -> None:
        """Throw everything away: the file is damaged."""
        with self._turn:
            self._db.close()
            remove_derived(self._path)
            self._db = self._open()

    def reached(self, topic: str) -> Reached | None:
        """How far `topic` was read; None: not at all."""
        with self._turn:
            row = self._db.execute("SELECT id, since FROM topic WHERE name = ?", (topic,)).fetchone()
            if row is None:
                return None
            return Reached(dict(self._db.execute("SELECT lane, next FROM lane WHERE topic = ?", row[:1])), row[1])

    def begin(self, topic: str, since: int) -> Reached:
        """Drop all keys of `topic`, to read it from its beginning."""
        with self._at_once():
            number = self._number(topic)
            for table in ("subject", "lane"):
                self._db.execute(f"DELETE FROM {table} WHERE topic = ?", (number,))  # noqa: S608 - names of ours
            self._db.execute("UPDATE topic SET since = ? WHERE id = ?", (since, number))
        return Reached({}, since)

    def write(self, topic: str, changes: Mapping[bytes, bool], to: Reached) -> None:
        """Take in what was read up to there: by key whether there is a record now.

        What is no lane key is passed over: no subject can be asked for by it.
        """
        packed = sorted((key, there) for raw, there in changes.items() if (key := _packed(raw)) is not None)
        with self._at_once():
            number = self._number(topic)
            there = [(number, key) for key, kept in packed if kept]
            gone = [(number, key) for key, kept in packed if not kept]
            self._db.executemany("INSERT OR IGNORE INTO subject VALUES (?, ?)", there)
            self._db.executemany("DELETE FROM subject WHERE topic = ? AND key = ?", gone)
            rows = [(number, lane, offset) for lane, offset in to.next.items()]
            self._db.executemany("INSERT OR REPLACE INTO lane VALUES (?, ?, ?)", rows)
            self._db.execute("UPDATE topic SET since = ? WHERE id = ?", (to.since, number))

    def among(self, topic: str, keys: Collection[bytes]) -> frozenset[bytes]:
        """Those of `keys` that have a record."""
        asked = {packed: key for key in keys if (packed := _packed(key)) is not None}
        found: list[bytes] = []
        remaining = iter(sorted(asked))
        with self._turn:
            while chunk := list(islice(remaining, _CHUNK)):
                marks = ",".join("?" * len(chunk))
                rows = self._db.execute(f"{_AMONG} ({marks})", (topic, *chunk))
                found += (asked[key] for (key,) in rows)
        return frozenset(found)

    def _number(self, topic: str) -> int:
        self._db.execute("INSERT OR IGNORE INTO topic (name, since) VALUES (?, 0)", (topic,))
        return int(self._db.execute("SELECT id FROM topic WHERE name = ?", (topic,)).fetchone()[0])

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        with self._turn, at_once(self._db):
            yield

    def _open(self) -> sqlite3.Connection:
        return open_derived(self._path, _SCHEMA, _FORMAT, pragmas="PRAGMA cache_size=-65536;")


def _free(folder: Path) -> tuple[Path, int]:
    """The first file that nobody holds, and the descriptor by which it is held; the kernel lets go of a dead process's."""
    for number in count():
        held = os.open(folder / f"{number}.lock", os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(held)
        else:
            return folder / f"{number}.sqlite", held
    raise AssertionError


def _packed(key: bytes) -> bytes | None:
    """The 16 bytes that a lane key is the hexadecimal form of."""
    try:
        packed = bytes.fromhex(key.decode())
    except ValueError:
        return None
    return packed if len(packed) == DIGEST_BYTES else None
