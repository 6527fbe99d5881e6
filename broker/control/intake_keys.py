"""Which requests of sources' programs came before, by their idempotency keys; how that stands in the topic `intake.keys`.

partition   the slot of the request (`slot_of`)
key         <request, 16 bytes><number of the piece, 4 bytes>: a request is written in pieces, numbered from 0 on;
            ff ff ff ff says that it came whole
value       <epoch milliseconds, 8 bytes><digest of the piece, 16 bytes>; integers are big-endian

Both digests are keyed: neither an idempotency key nor a request can be guessed from them. A key counts for 24 hours from
its first piece on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from broker.errors import KeyReused
from broker.model.keyed import DIGEST_BYTES, digest
from broker.model.topics import INTAKE_SLOTS

KEPT_MS = 24 * 3600 * 1000
"""How long an idempotency key is remembered."""

_INSTANT_BYTES, _NUMBER_BYTES = 8, 4
_WHOLE = b"\xff" * _NUMBER_BYTES
_OPEN, _ENDED = b"\x00", b"\x01"
_HEAD = _INSTANT_BYTES + 1
_REUSED = (
    "this Idempotency-Key came before with another request: take a new key for another request, or send the same again"
)


@dataclass(frozen=True, slots=True)
class Pushed:
    """A request of an organisation for its raw source `name`; `key` is its idempotency key, None without one."""

    organisation: str
    name: str
    form: Literal["object", "bulk"]
    key: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Piece:
    """Part of a request: all its `lines` as they came, those of them that are `taken`, and whether it is the `last` part."""

    number: int
    lines: Sequence[bytes] = field(repr=False)
    taken: Sequence[bytes] = field(repr=False)
    last: bool


def request_of(k_intake: bytes, pushed: Pushed, key: str) -> bytes:
    """What is kept of an idempotency key: 16 bytes, another for every raw source."""
    return digest(k_intake, b"intake-key", pushed.organisation.encode(), pushed.name.encode(), key.encode())


def content_of(k_intake: bytes, pushed: Pushed, piece: Piece) -> bytes:
    """What is kept of a piece: 16 bytes, another where any byte of it differs, or where it is not as far from the end."""
    end = b"last" if piece.last else b"more"
    return digest(k_intake, b"intake-piece", pushed.form.encode(), end, *piece.lines)


def slot_of(request: bytes) -> int:
    """Slot of a request: its pieces are written by whoever holds the slot, one after the other."""
    return request[0] % INTAKE_SLOTS


def encode(request: bytes, piece: Piece, content: bytes, at_ms: int) -> Sequence[tuple[bytes, bytes]]:
    """Keys and values that say that the piece is written."""
    value = at_ms.to_bytes(_INSTANT_BYTES, "big") + content
    rows = [(request + piece.number.to_bytes(_NUMBER_BYTES, "big"), value)]
    return [*rows, (request + _WHOLE, value)] if piece.last else rows


class KnownRequests:
    """The requests of one slot that count now: some 0.2 kB each."""

    def __init__(self, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._held: dict[bytes, bytes] = {}

    def __len__(self) -> int:
        return len(self._held)

    def apply(self, key: bytes | None, value: bytes | None) -> None:
        """Take in a record of the topic, in their order; one that is known, or none of ours, changes nothing."""
        if key is None or value is None or len(key) != DIGEST_BYTES + _NUMBER_BYTES:
            return
        if len(value) != _INSTANT_BYTES + DIGEST_BYTES:
            return
        request, number = key[:DIGEST_BYTES], key[DIGEST_BYTES:]
        at, content = value[:_INSTANT_BYTES], value[_INSTANT_BYTES:]
        held = self._held.get(request)
        if number == _WHOLE:
            if held is not None:
                self._held[request] = held[:_INSTANT_BYTES] + _ENDED + held[_HEAD:]
        elif int.from_bytes(number, "big") == 0:
            if held is None or held[:_INSTANT_BYTES] != at:
                self._held.pop(request, None)  # it goes to the end: they are forgotten from the front
                self._held[request] = at + _OPEN + content
        elif held is not None and int.from_bytes(number, "big") == _count(held):
            self._held[request] = held + content
        self._forget()

    def has(self, request: bytes, piece: Piece, content: bytes) -> bool:
        """Whether this piece is written; raises `KeyReused` where the request's key came with another one."""
        self._forget()
        held = self._held.get(request)
        if held is None:
            return False
        if piece.number < _count(held):
            start = _HEAD + piece.number * DIGEST_BYTES
            if held[start : start + DIGEST_BYTES] != content:
                raise KeyReused(_REUSED)
            return True
        if held[_INSTANT_BYTES:_HEAD] == _ENDED:
            raise KeyReused(_REUSED)
        return False

    def _forget(self) -> None:
        before = self._now_ms() - KEPT_MS
        while self._held:
            first = next(iter(self._held))
            if int.from_bytes(self._held[first][:_INSTANT_BYTES], "big") >= before:
                return
            del self._held[first]


def _count(held: bytes) -> int:
    return (len(held) - _HEAD) // DIGEST_BYTES
