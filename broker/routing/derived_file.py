"""SQLite files of derived data: whole after a kill, thrown away when damaged or of another format, readable by their owner only."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def open_derived(path: Path | None, schema: str, version: int, *, pragmas: str = "") -> sqlite3.Connection:
    """Connection to a file with this schema (None: in memory); one that is damaged or has another version begins anew."""
    if path is None:
        return _connected(None, schema, version, pragmas)
    path.parent.mkdir(parents=True, exist_ok=True)
    _make(path)
    try:
        return _connected(path, schema, version, pragmas)
    except sqlite3.DatabaseError:
        remove_derived(path)
        _make(path)
        return _connected(path, schema, version, pragmas)


def remove_derived(path: Path) -> None:
    """Remove a file and what SQLite keeps beside it."""
    for part in ("", "-wal", "-shm"):
        path.with_name(path.name + part).unlink(missing_ok=True)


@contextmanager
def at_once(db: sqlite3.Connection) -> Iterator[None]:
    """All that the block writes, or nothing of it."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        db.execute("ROLLBACK")
        raise
    db.execute("COMMIT")


def _make(path: Path) -> None:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _connected(path: Path | None, schema: str, version: int, pragmas: str) -> sqlite3.Connection:
    db = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
    try:
        # A process may be killed at any moment: the write-ahead log keeps the file whole then. Without fsync a power cut
        # may cost its tail, which is read again from where it was derived.
        db.executescript(f"PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF; {pragmas}")
        _require_version(db, version)
        db.executescript(f"{schema} PRAGMA user_version={version};")
    except BaseException:
        db.close()
        raise
    return db


def _require_version(db: sqlite3.Connection, version: int) -> None:
    (held,) = db.execute("PRAGMA user_version").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and held != version:
        raise sqlite3.DatabaseError("another format")
