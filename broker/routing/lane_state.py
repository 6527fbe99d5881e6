"""What a lane remembers of each subject: the encoded values that populations and attestations use (design §1, §2).

Derived data: it can be rebuilt from the compacted source topic, so it is written after the commit, without fsync, and
thrown away when it is damaged. Only the instants of the decisions are not in that topic: they outlive a change of paths.
It is personal data: the file is created with mode 0600.

Every routed record is read and written here, so what is done per subject is done in C. Under the 16 bytes that its lane
key spells lie two numbers, then its values in the form of `marshal` (only ever read from this file), nothing where it was
deleted. The native core reads and writes these entries as they are.
"""

import json
import marshal
import struct
from binascii import hexlify, unhexlify
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from broker.model.keyed import DIGEST_BYTES
from broker.native.following import Row
from broker.policy.engine import Previous
from broker.routing.derived_map import DerivedMap, Table, Transaction

_FORMAT = 5
"""Files of another format are thrown away."""

_MARSHAL = 2
"""The last form without references, which would cost time and are of no use here; every Python reads it."""

_CHUNK = 10_000
_HEX = frozenset(b"0123456789abcdef")

_HEAD = struct.Struct("=qq")
"""Instant of the decision and offset of the record, before the values."""

Entry = tuple[tuple[bytes, ...] | None, int, int]
"""Values (None: deleted, or forgotten), instant of the decision, offset of the record."""


class Routed(NamedTuple):
    """What was routed at once of a topic's records: the entries that are to be kept of it, and the records left over."""

    rows: Sequence[Row]
    rest: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Absorbed:
    """How far the state of one source topic reaches: every record before offset `next` is in it."""

    topic: str
    next: int
    paths: tuple[str, ...]


class _Position(NamedTuple):
    """What is kept of a topic as a whole; `paths` None: its values are forgotten. No subject's instant is after `latest`."""

    next: int = 0
    paths: str | None = None
    retried: int = -1
    latest: int = 0


class LaneState:
    """State of one lane over all its source topics, in one LMDB file (`None`: kept nowhere)."""

    def __init__(self, path: Path | None) -> None:
        self._file = DerivedMap(path, _FORMAT)
        self._positions = self._file.table("position")
        self._tables: dict[str, Table] = {}

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def absorbed(self, topic: str, paths: tuple[str, ...]) -> int:
        """Next offset of `topic` to absorb; 0 where nothing was kept or other paths were (their values are forgotten)."""
        held = self._held(topic)
        if held.paths not in (None, _joined(paths)):
            self.forget(topic)
            return 0
        return held.next

    def forget(self, topic: str) -> None:
        """Drop all values of `topic`; when its subjects were last decided stays known, as no log could tell."""
        table = self._table(topic)
        with self._file.at_once() as transaction:
            cursor = transaction.cursor(table)
            more = cursor.first()
            while more:
                chunk = list(islice(cursor.iternext(), _CHUNK))
                rows = [(key, entry[: _HEAD.size]) for key, entry in chunk]
                transaction.cursor(table).putmulti(rows)
                more = cursor.set_range(chunk[-1][0]) and cursor.next()
            self._keep(transaction, topic, _Position(latest=self._position(transaction, topic).latest))

    def read(self, topic: str, keys: Collection[bytes]) -> dict[bytes, Previous]:
        """Last known values of the subjects `keys`; subjects never seen or deleted are absent, and what is no lane key."""
        return {hexlify(key): _previous(entry) for key, entry in self.rows(topic, _packed(keys)) if entry[_HEAD.size :]}

    def rows(self, topic: str, packed: Sequence[bytes]) -> Sequence[Row]:
        """What is kept of subjects, deleted ones too, by their packed keys, which are sorted."""
        table = self._table(topic)
        with self._file.read() as transaction:
            found: Sequence[Row] = transaction.cursor(table).getmulti(packed)
        return found

    def all(self, topic: str) -> Iterator[tuple[bytes, Previous]]:
        """Every subject of a topic, as it was at the first; in the order of their keys."""
        table = self._table(topic)
        with self._file.read() as transaction:
            for key, entry in transaction.cursor(table):
                if entry[_HEAD.size :]:
                    yield hexlify(key), _previous(entry)

    def newest(self, topic: str, key: bytes) -> int:
        """Offset of the last record of a subject that was routed, a deletion included; -1 where there was none."""
        table = self._table(topic)
        with self._file.read() as transaction:
            found = _stored(transaction, table, (key,)).get(key)
        return -1 if found is None else found[2]

    def retried(self, topic: str) -> int:
        """Epoch of the last retry of a quarantined record that is in the state; -1 for none."""
        return self._held(topic).retried

    def amend(self, topic: str, changes: Mapping[bytes, Previous | None], *, retried: int) -> None:
        """Take in what a committed retry made of a subject, unless it is in the state already, or newer records are."""
        table = self._table(topic)
        with self._file.at_once() as transaction:
            held = self._position(transaction, topic)
            if held.retried >= retried:
                return
            places = {key: offset for key, (_, _, offset) in _stored(transaction, table, changes).items()}
            kept = ((key, now) for key, now in changes.items() if now is not None)
            later = {key: now for key, now in kept if places.get(key, -1) <= now.offset}
            latest = _put(transaction, table, later, {}, held.latest)
            # Of a topic that was forgotten nothing else is known: it will be read whole.
            retried = -1 if held.paths is None else retried
            self._keep(transaction, topic, held._replace(retried=retried, latest=latest))

    def write(
        self,
        changes: Mapping[str, Mapping[bytes, Previous | None]],
        positions: Iterable[Absorbed],
        deletions: Mapping[str, Mapping[bytes, int]] = MappingProxyType({}),
        rows: Mapping[str, Sequence[Row]] = MappingProxyType({}),
    ) -> None:
        """Absorb committed records up to `positions`: `changes[topic][key]` is the new state of a subject, None = deleted.

        `deletions`: at which offsets, where it matters. `rows`: other subjects' new entries as they are, no instant of which
        is before the one that was kept of the subject, or after those of `changes` and what the topic had.

        A topic that is further already, or kept for other paths, is left as it is: an owner that was fenced meanwhile
        may come late, and the present one reads the gap again by itself. Instants never go back.
        """
        tables = {topic: self._table(topic) for topic in changes}
        with self._file.at_once() as transaction:
            for to in positions:
                held = self._position(transaction, to.topic)
                paths, latest = _joined(to.paths), held.latest
                if held.paths is not None and (held.next >= to.next or held.paths != paths):
                    continue
                if subjects := changes.get(to.topic):
                    latest = _put(transaction, tables[to.topic], subjects, deletions.get(to.topic, {}), latest)
                if ready := rows.get(to.topic):
                    transaction.cursor(tables[to.topic]).putmulti(ready)
                    latest = max(latest, *(_HEAD.unpack_from(entry)[0] for _, entry in ready))
                self._keep(transaction, to.topic, _Position(to.next, paths, held.retried, latest))

    def _table(self, topic: str) -> Table:
        if topic not in self._tables:
            self._tables[topic] = self._file.table(topic)
        return self._tables[topic]

    def _held(self, topic: str) -> _Position:
        with self._file.read() as transaction:
            return self._position(transaction, topic)

    def _position(self, transaction: Transaction, topic: str) -> _Position:
        row = transaction.get(topic.encode(), db=self._positions)
        return _Position() if row is None else _Position(*json.loads(row))

    def _keep(self, transaction: Transaction, topic: str, position: _Position) -> None:
        transaction.put(topic.encode(), json.dumps(position).encode(), db=self._positions)


def _put(
    transaction: Transaction,
    table: Table,
    changes: Mapping[bytes, Previous | None],
    places: Mapping[bytes, int],
    latest: int,
) -> int:
    """Write subjects; `latest` is the latest instant that any of the topic has, and what it is then is returned."""
    instants = [now.at for now in changes.values() if now is not None]
    entries: Iterable[tuple[bytes, Any]] = changes.items()
    if len(instants) < len(changes) or min(instants, default=latest) < latest:
        # Only then may what is kept be later: that is a replay, or a deletion, which has no instant of its own.
        known = _stored(transaction, table, changes)
        entries = [(key, _settled(now, known.get(key), places.get(key, -1))) for key, now in changes.items()]
    rows = [(unhexlify(key), _packed_entry(entry[1], entry[2], _packed_values(entry[0]))) for key, entry in entries]
    rows.sort()
    transaction.cursor(table).putmulti(rows)
    return max(latest, max(instants, default=latest))


def _settled(now: Previous | None, held: Entry | None, place: int) -> Entry:
    """What is to be kept where `held` was. Where a subject was deleted stays known: a record from before is not the latest."""
    at = 0 if held is None else held[1]
    if now is None:
        return None, at, place
    return now.values, now.at if held is None else max(at, now.at), now.offset


def _stored(transaction: Transaction, table: Table, keys: Collection[bytes]) -> Mapping[bytes, Entry]:
    found = transaction.cursor(table).getmulti(_packed(keys))
    return {hexlify(key): _loaded(entry) for key, entry in found}


def _packed_values(values: tuple[bytes, ...] | None) -> bytes:
    """Values as an entry has them."""
    return b"" if values is None else marshal.dumps(values, _MARSHAL)


def unpacked_values(values: bytes) -> tuple[bytes, ...]:
    """Values by what `_packed_values` made of them."""
    found: tuple[bytes, ...] = marshal.loads(values)  # noqa: S302 - from our own file
    return found


def _packed_entry(at: int, offset: int, values: bytes) -> bytes:
    """What is kept of a subject; `values` as `_packed_values` gives them."""
    return _HEAD.pack(at, offset) + values


def _loaded(entry: bytes) -> Entry:
    at, offset = _HEAD.unpack_from(entry)
    values = entry[_HEAD.size :]
    return (unpacked_values(values) if values else None), at, offset


def _previous(entry: bytes) -> Previous:
    return Previous(unpacked_values(entry[_HEAD.size :]), *_HEAD.unpack_from(entry))


def _packed(keys: Collection[bytes]) -> list[bytes]:
    """The bytes that lane keys are the hexadecimal form of, sorted, as the table is; what is no lane key is passed over."""
    try:
        packed = list(map(unhexlify, keys))
    except ValueError:
        packed = [unhexlify(key) for key in keys if len(key) % 2 == 0 and _HEX.issuperset(key)]
    return sorted(key for key in packed if len(key) == DIGEST_BYTES)


def _joined(paths: tuple[str, ...]) -> str:
    return "\n".join(paths)
