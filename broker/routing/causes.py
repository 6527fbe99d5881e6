"""Why subjects are reconsidered, in the order in which that came: rows of bytes, because a new owner may find a million."""

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from broker.control.dossier_records import Place
from broker.model import topics
from broker.model.packed_map import PackedMap
from broker.routing.places import PLACE_BYTES, Places

TIMER = "timer"
"""Stands for the source topic in the coordinates of what time alone caused; the offset is the due instant in ms."""

_ROW = Struct(f"<{PLACE_BYTES}sBqq")
"""Place, one of the following, offset, first."""

_GONE, _RECORD, _TIME, _DAY = range(4)
_NUMBER = Struct("<Q")


class Cause(NamedTuple):
    """Why one subject is reconsidered: a record of `subjects.dossiers`, or an instant that came.

    Its place names the agreement, or the product ("<source>/<product>") for all agreements on that.
    """

    place: Place
    topic: str
    offset: int
    """Of the last record about it, or the due instant (ms)."""
    aging: bool = False
    """Whether only the day changed: a subject of which the agency was never told is passed over."""
    first: int = -1
    """Offset of the first untold record about it, if there is one."""

    @property
    def source(self) -> str:
        """What a delivery id is made from in the place of a source topic; of all subjects, only this one has it."""
        return f"{TIMER}/{self.place.subject.decode()}" if self.topic == TIMER else self.topic


class Causes:
    """One cause per place; those with a record are in the order of their first ones."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._rows = bytearray()
        self._begin = 0  # number of the row that is first now
        self._numbers = PackedMap(PLACE_BYTES)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Iterator[Cause]:
        """In their order; change nothing meanwhile."""
        for at in range(0, len(self._rows), _ROW.size):
            packed, why, offset, first = _ROW.unpack_from(self._rows, at)
            if why != _GONE:
                topic = topics.DOSSIERS if why == _RECORD else TIMER
                yield Cause(self._places.place(packed), topic, offset, why == _DAY, first)

    def came(self, place: Place, at_ms: int, *, aging: bool) -> None:
        """Take an instant that came; whatever is known of the place already will tell it."""
        packed = self._places.packed(place)
        if packed not in self._numbers:
            self._append(packed, _DAY if aging else _TIME, at_ms, -1)

    def recorded(self, place: Place, offset: int) -> None:
        """Take a record.

        A place that only an instant concerned until now goes behind all others: what is told first are the first records,
        and a lane commits up to where all of them are.
        """
        packed = self._places.packed(place)
        number = self._numbers.get(packed)
        if number is not None:
            at = self._at(number)
            _, why, _, first = _ROW.unpack_from(self._rows, at)
            if why == _RECORD:
                _ROW.pack_into(self._rows, at, packed, _RECORD, offset, first)
                return
            self._remove(at, packed)
        self._append(packed, _RECORD, offset, offset)

    def remove(self, place: Place) -> None:
        """Forget one, which is there."""
        packed = self._places.packed(place)
        number = self._numbers.get(packed)
        if number is None:
            raise KeyError("no cause of that place")
        self._remove(self._at(number), packed)

    def first_record(self, after: int) -> int | None:
        """First offset of the first cause with a record behind so many causes; None where there is none."""
        for at in range(0, len(self._rows), _ROW.size):
            _, why, _, first = _ROW.unpack_from(self._rows, at)
            if why != _GONE:
                if after <= 0 and first >= 0:
                    return int(first)
                after -= 1
        return None

    def _append(self, packed: bytes, why: int, offset: int, first: int) -> None:
        self._numbers[packed] = _NUMBER.pack(self._begin + len(self._rows) // _ROW.size)
        self._rows += _ROW.pack(packed, why, offset, first)

    def _at(self, number: bytes) -> int:
        return (int(_NUMBER.unpack(number)[0]) - self._begin) * _ROW.size

    def _remove(self, at: int, packed: bytes) -> None:
        self._numbers.discard(packed)
        _ROW.pack_into(self._rows, at, packed, _GONE, 0, -1)
        gone = 0
        while gone < len(self._rows) and self._rows[gone + PLACE_BYTES] == _GONE:
            gone += _ROW.size
        if gone:
            del self._rows[:gone]
            self._begin += gone // _ROW.size
