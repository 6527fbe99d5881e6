"""Instants that concern a subject when they come: packed by the hour, because a million files have ends."""

import heapq
from binascii import hexlify, unhexlify
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from broker.control.dossier_records import Place
from broker.model.keyed import DIGEST_BYTES

_HOUR_MS = 3_600_000
_HEAD = Struct(f">Q{DIGEST_BYTES}s")
_SIZE = Struct("<H")


class Due(NamedTuple):
    """At `at` (ms) a place is reconsidered; `aging`: only the day changes."""

    at: int
    place: Place
    aging: bool


class DueTimes:
    """Times to come, in order. Those of an hour become objects when it comes, until then they are rows of bytes."""

    def __init__(self) -> None:
        self._hours: dict[int, bytearray] = {}
        self._order: list[int] = []
        self._next: list[bytes] = []
        self._reached = -1  # the last hour in `_next`

    def add(self, due: Due) -> None:
        """One more, whenever it is."""
        row, hour = _packed(due), due.at // _HOUR_MS
        if hour <= self._reached:
            heapq.heappush(self._next, row)
            return
        if hour not in self._hours:
            self._hours[hour] = bytearray()
            heapq.heappush(self._order, hour)
        self._hours[hour] += _SIZE.pack(len(row)) + row

    def until(self, now_ms: int) -> Iterator[Due]:
        """Those up to `now_ms`, each once: by instant, then by place."""
        end = (now_ms + 1).to_bytes(8, "big")
        while True:
            while self._next and self._next[0] < end:
                yield _unpacked(heapq.heappop(self._next))
            if not self._order or self._order[0] * _HOUR_MS > now_ms:
                return
            self._reached = heapq.heappop(self._order)
            # Any that are left here are later than `now_ms`, which the hour's begin is not: there are none.
            self._next = sorted(_rows(self._hours.pop(self._reached)))


def _packed(due: Due) -> bytes:
    """Bytes in the order of the values: no name holds a byte as low as those behind it."""
    return b"%b%b\0%c" % (_HEAD.pack(due.at, unhexlify(due.place.subject)), due.place.agreement.encode(), due.aging)


def _unpacked(row: bytes) -> Due:
    at, subject = _HEAD.unpack_from(row)
    return Due(at, Place(hexlify(subject), row[_HEAD.size : -2].decode()), bool(row[-1]))


def _rows(packed: bytearray) -> Iterator[bytes]:
    at = 0
    while at < len(packed):
        (size,) = _SIZE.unpack_from(packed, at)
        at += _SIZE.size
        yield bytes(packed[at : at + size])
        at += size
