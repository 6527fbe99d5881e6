"""The files in a log of dossiers, held in memory: a million must fit beside a lane's other work.

A subject's files are one bytes value in a packed map, where a file takes some 100 bytes; it becomes an object when
somebody asks for it.
"""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from struct import Struct

from broker.control.dossier_records import Place, decode, file_of, key_of, place_of
from broker.model.agreement import Dossier
from broker.model.keyed import DIGEST_BYTES
from broker.model.packed_map import PackedMap

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_HEAD = Struct("<II8sqqq")
"""Of one file: bytes of the reference behind it, number of its words, file, begin, end, registered (µs since 1970)."""

_OPEN = (1 << 63) - 1


class DossierBook:
    """The files in some lanes, by subject: the last record of every key counts, so a compacted log tells the same.

    A record that is none of ours, or whose value is damaged, leaves no file: without one nothing is delivered.
    """

    def __init__(self) -> None:
        self._files = PackedMap(2 * DIGEST_BYTES)
        self._words: list[tuple[str, str]] = []  # agreement and capacity: few, so that a file holds a number for them
        self._numbers: dict[tuple[str, str], int] = {}
        self.count = 0
        """Files, whether open or not."""

    def apply(self, key: bytes | None, value: bytes | None, appended_ms: int | None = None) -> Place | None:
        """Take one record, in the order of the log; a null value forgets the file. Raises nothing.

        Returns whose file it may have changed, None for a record that is none of ours. No file ends before the log knew
        it (`appended_ms`, LogAppendTime): until then lanes released on an open file, and must see that afterwards to say
        that the subject left.
        """
        place = place_of(key)
        if place is None or key is None:
            return None
        file, kept = file_of(key), list[bytes]()
        if held := self._files.get(place.subject):
            entries = _entries(held)
            kept = [entry for entry in entries if self._rank(entry) != (place.agreement, file)]
            self.count -= len(entries) - len(kept)
        dossier = None if value is None else decode(place, value)
        if dossier is not None:
            if dossier.end is not None and appended_ms is not None:
                dossier = replace(dossier, end=max(dossier.end, _EPOCH + timedelta(milliseconds=appended_ms + 1)))
            kept.append(self._packed(file, dossier))
            self.count += 1
        if kept:
            kept.sort(key=self._rank)
            self._files[place.subject] = b"".join(kept)
        else:
            self._files.discard(place.subject)
        return place

    def of(self, subject: bytes) -> Sequence[Dossier]:
        """Files on the subject with this lane key, under whatever agreement; by agreement."""
        held = self._files.get(subject)
        return () if held is None else self.opened(subject, held)

    def instants(self, place: Place) -> Sequence[int]:
        """When the files of a place open and end, as `milliseconds` of them; in no order."""
        found: list[int] = []
        for entry in _entries(self._files.get(place.subject) or b""):
            _, words, _, begin, end, registered = _HEAD.unpack_from(entry)
            if self._words[words][0] == place.agreement:
                found += [-(-micros // 1000) for micros in (max(begin, registered), end) if micros != _OPEN]
        return found

    def packed(self, subject: bytes) -> bytes:
        """Those files as bytes, of which this book makes the same files later."""
        return self._files.get(subject) or b""

    def opened(self, subject: bytes, packed: bytes) -> Sequence[Dossier]:
        """What `of` was when `packed` was these bytes."""
        return tuple([self._unpacked(subject, entry) for entry in _entries(packed)])

    def among(self, subjects: AbstractSet[bytes]) -> set[bytes]:
        """Those of `subjects` with files."""
        return self._files.among(subjects)

    def subjects(self) -> Sequence[bytes]:
        """Lane keys of the subjects with files, in order."""
        return sorted(self._files)

    def open_at(self, instant: datetime) -> int:
        """Number of files that are open at `instant`, or will be."""
        at = _micros(instant)
        return sum(_HEAD.unpack_from(entry)[4] > at for _, held in self._files.items() for entry in _entries(held))

    def past(self, instant: datetime) -> Sequence[bytes]:
        """Keys of the records of files that were neither open nor registered since `instant`."""
        at = _micros(instant)
        return [key for key, end, registered in self._records() if end < at and registered < at]

    def record_keys(self) -> Sequence[bytes]:
        """Keys of the records of all files."""
        return [key for key, _, _ in self._records()]

    def _records(self) -> Iterator[tuple[bytes, int, int]]:
        """Of every file its record's key, its end and when it was registered."""
        for subject, held in self._files.items():
            for entry in _entries(held):
                _, words, file, _, end, registered = _HEAD.unpack_from(entry)
                yield key_of(Place(subject, self._words[words][0]), file), end, registered

    def _rank(self, entry: bytes) -> tuple[str, bytes]:
        """What an entry is known by, and its place among its subject's."""
        _, words, file, *_ = _HEAD.unpack_from(entry)
        return self._words[words][0], file

    def _packed(self, file: bytes, dossier: Dossier) -> bytes:
        words = (dossier.agreement, dossier.capacity)
        number = self._numbers.get(words)
        if number is None:
            number = self._numbers[words] = len(self._words)
            self._words.append(words)
        reference = dossier.reference.encode()
        end = _OPEN if dossier.end is None else _micros(dossier.end)
        head = (len(reference), number, file, _micros(dossier.begin), end, _micros(dossier.registered))
        return _HEAD.pack(*head) + reference

    def _unpacked(self, subject: bytes, entry: bytes) -> Dossier:
        _, words, _, begin, end, registered = _HEAD.unpack_from(entry)
        agreement, capacity = self._words[words]
        reference = entry[_HEAD.size :].decode()
        until = None if end == _OPEN else _instant(end)
        return Dossier(agreement, subject, capacity, reference, _instant(begin), until, _instant(registered))


class AgencyFiles:
    """The files of all lanes by agreement, in an order that can be gone through page by page, however many there are.

    That order is by lane key; since these are hashes, a book for each of their first two digits holds 1/256 of the files.
    """

    def __init__(self) -> None:
        self._books: dict[tuple[str, bytes], DossierBook] = {}

    def apply(self, key: bytes | None, value: bytes | None, *_: object) -> None:
        """As `DossierBook.apply`, but a file ends when its agency says: what lanes did until the log knew is theirs."""
        place = place_of(key)
        if place is not None:
            shelf = (place.agreement, place.subject[:2])
            book = self._books.get(shelf)
            if book is None:
                book = self._books[shelf] = DossierBook()
            book.apply(key, value)

    def of(self, agreement: str, subject: bytes) -> Sequence[Dossier]:
        """Files on the subject under the agreement."""
        book = self._books.get((agreement, subject[:2]))
        return () if book is None else book.of(subject)

    def page(self, agreement: str, after: bytes, limit: int) -> Sequence[Dossier]:
        """Files on the subjects after lane key `after`, all of each subject's, until there are `limit` or no more."""
        found: list[Dossier] = []
        for book in self.under(agreement, after):
            for subject in book.subjects():
                if len(found) >= limit:
                    return found
                if subject > after:
                    found += book.of(subject)
        return found

    def under(self, agreement: str, after: bytes = b"") -> Iterator[DossierBook]:
        """The agreement's books in order, from the one that holds `after` on."""
        for number in range(int(after[:2] or b"0", 16), 256):
            book = self._books.get((agreement, b"%02x" % number))
            if book is not None:
                yield book

    def books(self) -> Sequence[DossierBook]:
        """All books."""
        return list(self._books.values())


def _entries(held: bytes) -> Sequence[bytes]:
    """The files of one subject."""
    if held and _HEAD.size + int.from_bytes(held[:4], "little") == len(held):
        return (held,)
    found, start = [], 0
    while start < len(held):
        size = _HEAD.size + int.from_bytes(held[start : start + 4], "little")
        found.append(held[start : start + size])
        start += size
    return found


def _micros(at: datetime) -> int:
    return (at - _EPOCH) // _MICROSECOND


def _instant(micros: int) -> datetime:
    return _EPOCH + timedelta(microseconds=micros)
