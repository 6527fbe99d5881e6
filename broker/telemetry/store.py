"""Finished spans of one installation where no collector is configured: a bounded SQLite file that its processes share."""

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

FILE = "spans.db"
MOST_KEPT = 50_000
"""Spans; the oldest go first. About 10 MB."""

_MOST_FOUND = 200
_WAIT_S = 5.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
    id INTEGER PRIMARY KEY, trace BLOB NOT NULL, name TEXT NOT NULL, service TEXT NOT NULL,
    start_ns INTEGER NOT NULL, end_ns INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS spans_by_trace ON spans (trace);
"""


@dataclass(frozen=True, slots=True)
class StoredSpan:
    """One finished step of one trace (32 hex); times in nanoseconds since the epoch."""

    trace: str
    name: str
    service: str
    start_ns: int
    end_ns: int

    @property
    def start_ms(self) -> float:
        """Epoch milliseconds."""
        return self.start_ns / 1e6

    @property
    def duration_ms(self) -> float:
        """Milliseconds."""
        return (self.end_ns - self.start_ns) / 1e6


@dataclass(frozen=True, slots=True)
class SpanStore:
    """The file at `path` (0600, made at the first write); any number of processes and threads may use it at once."""

    path: Path
    most_kept: int = MOST_KEPT

    def add(self, spans: Iterable[StoredSpan]) -> None:
        """Keep spans and drop the oldest beyond the bound; raises `OSError` or `sqlite3.Error` if that fails."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite's other files take over this one's mode
        rows = [(bytes.fromhex(span.trace), span.name, span.service, span.start_ns, span.end_ns) for span in spans]
        with self._open() as store:
            store.execute("PRAGMA journal_mode = WAL")
            store.executescript(_SCHEMA)
            with store:
                store.executemany(
                    "INSERT INTO spans (trace, name, service, start_ns, end_ns) VALUES (?, ?, ?, ?, ?)", rows
                )
                # Ids have no gaps: the newest gets the highest, and only the oldest go.
                store.execute("DELETE FROM spans WHERE id <= (SELECT max(id) FROM spans) - ?", (self.most_kept,))

    def find(self, trace_id: str) -> Sequence[StoredSpan]:
        """Spans of one trace (32 hex), oldest first, at most 200; none where nothing was ever kept."""
        if not self.path.exists():
            return ()
        with self._open() as store:
            rows = store.execute(
                "SELECT name, service, start_ns, end_ns FROM spans WHERE trace = ? ORDER BY start_ns, id LIMIT ?",
                (bytes.fromhex(trace_id), _MOST_FOUND),
            )
            return tuple(StoredSpan(trace_id, *row) for row in rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        store = sqlite3.connect(self.path, timeout=_WAIT_S)
        try:
            store.execute("PRAGMA synchronous = NORMAL")
            yield store
        finally:
            store.close()


@dataclass(frozen=True, slots=True)
class NoSpans:
    """Stands in where spans are kept elsewhere, or nowhere."""

    def find(self, trace_id: str) -> Sequence[StoredSpan]:  # noqa: ARG002 - the shape of a store
        """None."""
        return ()
