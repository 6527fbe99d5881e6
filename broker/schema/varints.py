"""Variable-length integers of Avro on untrusted bytes: only the shortest encoding is accepted.

The generated walkers read single-byte values inline, through tables, and come here for the rest. Every function takes
the bytes and a position; `IndexError` means that they end too early, `Malformed` that they are not canonical.
"""

from collections.abc import Callable

from broker.schema.types import Enumeration

MAX_BYTES = 10
CONTINUES = 0x80
"""From here on a byte has another one after it."""
_LAST_OF_64 = 0x01
_HALF_INT = 1 << 31
_DAYS = (-719_162, 2_932_896)
_MILLISECONDS = (-62_135_596_800_000, 253_402_300_799_999)


class Malformed(Exception):
    """Bytes that are no canonical encoding. Never leaves this room: the inspection then finds out reason and place."""


def read(value: bytes, at: int) -> tuple[int, int]:
    """The integer at `at` and the position after it."""
    raw = shift = 0
    start = at
    while (byte := value[at]) >= CONTINUES:
        raw |= (byte & 0x7F) << shift
        shift += 7
        at += 1
        if at - start >= MAX_BYTES:
            raise Malformed
    if at > start and (byte == 0 or (at - start == MAX_BYTES - 1 and byte > _LAST_OF_64)):
        raise Malformed
    raw |= byte << shift
    return (raw >> 1) ^ -(raw & 1), at + 1


def long_size(value: bytes, at: int) -> int:
    """Encoded size of a `long`."""
    return read(value, at)[1] - at


def int_size(value: bytes, at: int) -> int:
    """Encoded size of an `int`: 32 bits."""
    return _bounded(value, at, -_HALF_INT, _HALF_INT - 1)


def date_size(value: bytes, at: int) -> int:
    """Encoded size of a date: a day of the years 1 to 9999, so that every calendar can show it."""
    return _bounded(value, at, *_DAYS)


def millisecond_size(value: bytes, at: int) -> int:
    """Encoded size of a timestamp in milliseconds of the years 1 to 9999."""
    return _bounded(value, at, *_MILLISECONDS)


def _bounded(value: bytes, at: int, low: int, high: int) -> int:
    number, after = read(value, at)
    if not low <= number <= high:
        raise Malformed
    return after - at


def bytes_size(value: bytes, at: int) -> int:
    """Encoded size of `bytes`, length included."""
    length, after = read(value, at)
    if not 0 <= length <= len(value) - after:
        raise Malformed
    return after - at + length


def text_size(value: bytes, at: int) -> int:
    """Encoded size of a `string`, length included; `UnicodeDecodeError` where it is not UTF-8."""
    length, after = read(value, at)
    if not 0 <= length <= len(value) - after:
        raise Malformed
    value[after : after + length].decode()
    return after - at + length


def count(value: bytes, at: int) -> tuple[int, int]:
    """Item count of an array's only block, and the position after it; a negative count is not canonical."""
    number, after = read(value, at)
    if number < 0:
        raise Malformed
    return number, after


def index_size(enum: Enumeration) -> Callable[[bytes, int], int]:
    """Function that gives the encoded size of this enum's index."""
    last = len(enum.symbols) - 1

    def size(value: bytes, at: int) -> int:
        return _bounded(value, at, 0, last)

    return size


def content(raw: bytes) -> bytes:
    """UTF-8 text of an encoded string that passed the guard."""
    if raw[0] < CONTINUES:
        return raw[1:]
    return raw[read(raw, 0)[1] :]
