"""A map from keys of one length to bytes that holds no object per entry: a million entries must fit beside other work.

A dict of a million keys takes over 200 MB with its keys and values, whatever they are. Here some entries lie behind each
other in one bytes value, a shelf; a lookup searches its shelf in C, and a write makes its shelf anew.
"""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from struct import Struct

_SIZE = Struct("<I")
_size = _SIZE.unpack_from
_MOST = 16
"""Entries of a shelf on average at most: more take less memory, fewer less time."""


class PackedMap:
    """Bytes by keys of `width` bytes. Keys of another length are not in it; they may be asked for. In no order."""

    __slots__ = ("_count", "_head", "_mask", "_shelves", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._head = width + _SIZE.size
        self.clear()

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: bytes) -> bool:
        return self._place(self._shelves[hash(key) & self._mask], key) >= 0

    def __iter__(self) -> Iterator[bytes]:
        return (entry[: self._width] for shelf in self._shelves for entry in self._entries(shelf))

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        """Keys with their values; change nothing meanwhile."""
        width, head = self._width, self._head
        return ((entry[:width], entry[head:]) for shelf in self._shelves for entry in self._entries(shelf))

    def among(self, keys: AbstractSet[bytes]) -> set[bytes]:
        """Those of `keys` that are in it: for each that is not, one search and no call."""
        if not self._count:
            return set()
        shelves, mask = self._shelves, self._mask
        # What a shelf contains may also lie across its entries, or be a part of a value.
        return {key for key in keys if key in shelves[hash(key) & mask] and key in self}

    def get(self, key: bytes) -> bytes | None:
        """The value, None where there is none."""
        shelf = self._shelves[hash(key) & self._mask]
        if key not in shelf or (at := self._place(shelf, key)) < 0:
            return None
        return shelf[at + self._head : self._after(shelf, at)]

    def __setitem__(self, key: bytes, value: bytes) -> None:
        if len(key) != self._width:
            raise ValueError(f"a key has {self._width} bytes here")
        self._put(key, b"%b%b%b" % (key, _SIZE.pack(len(value)), value))
        if self._count > len(self._shelves) * _MOST:
            self._grow()

    def discard(self, key: bytes) -> None:
        """Forget an entry, if there is one."""
        self._put(key, b"")

    def clear(self) -> None:
        """Forget all entries."""
        self._shelves = [b""]
        self._mask = 0
        self._count = 0

    def _put(self, key: bytes, entry: bytes) -> None:
        number = hash(key) & self._mask
        shelf = self._shelves[number]
        at = self._place(shelf, key)
        if at < 0:
            self._shelves[number] = shelf + entry
            self._count += bool(entry)
        else:
            self._shelves[number] = shelf[:at] + entry + shelf[self._after(shelf, at) :]
            self._count -= not entry

    def _place(self, shelf: bytes, key: bytes) -> int:
        """Where the key's entry begins; -1 where there is none."""
        at, width, head = shelf.find(key), self._width, self._head
        if at < 0 or len(key) != width:
            return -1
        begin = 0
        while begin < at:
            begin += head + _size(shelf, begin + width)[0]
            if begin > at:  # it was found across entries, or in a value
                at = shelf.find(key, begin)
        return at

    def _after(self, shelf: bytes, at: int) -> int:
        return at + self._head + int(_size(shelf, at + self._width)[0])

    def _entries(self, shelf: bytes) -> Iterator[bytes]:
        at = 0
        while at < len(shelf):
            after = self._after(shelf, at)
            yield shelf[at:after]
            at = after

    def _grow(self) -> None:
        """Twice as many shelves: the entries of each go to it and to one more."""
        number, width = len(self._shelves), self._width
        for place in range(number):
            stay, go = list[bytes](), list[bytes]()
            for entry in self._entries(self._shelves[place]):
                (go if hash(entry[:width]) & number else stay).append(entry)
            self._shelves[place] = b"".join(stay)
            self._shelves.append(b"".join(go))
        self._mask = 2 * number - 1
