"""Messages of PostgreSQL's `pgoutput` plugin, version 1 of its protocol, from bytes to values.

PostgreSQL manual §55.9, "Logical Replication Message Formats". Numbers are big-endian, texts end with a zero byte.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any

from adapters.postgres_values import Cell
from broker.errors import Fatal

UNCHANGED = "COLUMN_UNCHANGED"
"""Why a cell is not told: the change did not touch a large value, which the server therefore did not write."""

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_KEY = 1
"""Flag of a column that is part of the replica identity."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: whether it is part of the replica identity, its name, the number of its type."""

    key: bool
    name: str
    type: int


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it was when the changes that follow were made."""

    oid: int
    schema: str
    name: str
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class Begin:
    """A transaction that commits at `commit`, a position in the log."""

    commit: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Commit:
    """Its end; `end` is the position behind it."""

    end: int


@dataclass(frozen=True, slots=True)
class Insert:
    """A new row."""

    relation: int
    row: tuple[Cell, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Update:
    """A row as it is now. `before` is the old one: the whole (`whole`), or its key where that changed, or None."""

    relation: int
    row: tuple[Cell, ...] = field(repr=False)
    before: tuple[Cell, ...] | None = field(repr=False)
    whole: bool


@dataclass(frozen=True, slots=True)
class Delete:
    """A row that is gone: the whole of it, or only its key."""

    relation: int
    before: tuple[Cell, ...] = field(repr=False)
    whole: bool


@dataclass(frozen=True, slots=True)
class Truncate:
    """Tables of which every row is gone."""

    relations: tuple[int, ...]


Message = Relation | Begin | Commit | Insert | Update | Delete | Truncate


def message(data: bytes) -> Message | None:
    """The message in `data`; None for one that says nothing of rows (origins, types). Raises `Fatal` where it is none."""
    try:
        return None if data[:1] in _SILENT else _READS[data[:1]](_Reader(data))
    except (struct.error, ValueError, LookupError, OverflowError):
        pass
    raise Fatal("the replication slot gives something else than pgoutput messages of version 1")


def _begin(read: "_Reader") -> Begin:
    commit, micros, _ = read.numbers("!qqi")
    return Begin(commit, _EPOCH + timedelta(microseconds=micros))


def _relation(read: "_Reader") -> Relation:
    oid, schema, name = *read.numbers("!I"), read.text(), read.text()
    _, count = read.numbers("!bh")
    return Relation(oid, schema, name, tuple(read.columns(count)))


def _insert(read: "_Reader") -> Insert:
    relation, _ = read.numbers("!Ic")
    return Insert(relation, read.cells())


def _update(read: "_Reader") -> Update:
    relation, part = read.numbers("!Ic")
    before = read.cells() if part in {b"K", b"O"} else None
    if before is not None:
        read.numbers("!c")
    return Update(relation, read.cells(), before, part == b"O")


def _delete(read: "_Reader") -> Delete:
    relation, part = read.numbers("!Ic")
    return Delete(relation, read.cells(), part == b"O")


def _truncate(read: "_Reader") -> Truncate:
    count, _ = read.numbers("!ib")
    return Truncate(read.numbers(f"!{count}I"))


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 1

    def numbers(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._data, self._at)
        self._at += struct.calcsize(form)
        return found

    def text(self) -> str:
        end = self._data.index(b"\0", self._at)
        found, self._at = self._data[self._at : end].decode(), end + 1
        return found

    def columns(self, count: int) -> Iterator[Column]:
        for _ in range(count):
            (flags,) = self.numbers("!b")
            name = self.text()
            oid, _ = self.numbers("!Ii")
            yield Column(bool(flags & _KEY), name, oid)

    def cells(self) -> tuple[Cell, ...]:
        (count,) = self.numbers("!h")
        return tuple(self._cell() for _ in range(count))

    def _cell(self) -> Cell:
        kind = self._data[self._at : self._at + 1]
        self._at += 1
        if kind == b"n":
            return None
        if kind == b"u":
            return UNCHANGED
        if kind != b"t":
            raise ValueError
        (length,) = self.numbers("!i")
        found = self._data[self._at : self._at + length]
        if len(found) != length:
            raise ValueError
        self._at += length
        return found


_SILENT = frozenset({b"O", b"Y", b"M"})
_READS: Mapping[bytes, Callable[[_Reader], Message]] = MappingProxyType(
    {
        b"B": _begin,
        b"C": lambda read: Commit(read.numbers("!bqqq")[2]),
        b"R": _relation,
        b"I": _insert,
        b"U": _update,
        b"D": _delete,
        b"T": _truncate,
    }
)
