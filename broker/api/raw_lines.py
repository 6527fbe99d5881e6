"""Pushes at the door: whether each line is one JSON object within bounds, and where a file is cut into the pieces it is written in.

What an object must hold is not looked at: that is in the mapping, which the adapter's runner reads.
"""

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Never

from broker.api.dossier_lines import split
from broker.api.limits import LARGEST_BODY
from broker.control.intake_keys import Piece

LONGEST_OBJECT = LARGEST_BODY
"""Bytes of one object, alone or as a line."""

DEEPEST = 32
"""Lists and objects within each other."""

LINES_AT_ONCE, BYTES_AT_ONCE = 1_000, 1 << 20
"""A piece is full with so many lines, or before the line that would make it larger: wherever the network cut the body."""

_ADVICE = "send it in parts, each with an Idempotency-Key of its own; what came before this is written"


@dataclass(frozen=True, slots=True)
class Wrong:
    """Why a line is not taken, in a stable code and for a person; never with a value of it."""

    code: str
    problem: str


_TOO_LARGE = Wrong("DOCUMENT_TOO_LARGE", f"an object has at most {LONGEST_OBJECT} bytes")
_NOT_UTF8 = Wrong("ENCODING_WRONG", "this is not UTF-8")
_MALFORMED = Wrong("JSON_MALFORMED", "this is not JSON (RFC 8259)")
_NO_OBJECT = Wrong("VALUE_NOT_OBJECT", "this is JSON, but not one object")
_TOO_DEEP = Wrong("JSON_TOO_DEEP", f"lists and objects lie at most {DEEPEST} deep in each other")


def wrong(line: bytes) -> Wrong | None:
    """Why `line` is not one JSON object within bounds; None if it is."""
    if len(line) > LONGEST_OBJECT:
        return _TOO_LARGE
    try:
        held = json.loads(line.decode(), parse_constant=_no_number)
    except UnicodeDecodeError:
        return _NOT_UTF8
    except RecursionError:
        return _TOO_DEEP
    except ValueError:
        return _MALFORMED
    if not isinstance(held, dict):
        return _NO_OBJECT
    return _TOO_DEEP if _deeper(held) else None


@dataclass(frozen=True, slots=True)
class Looked:
    """A piece, and what is told of its lines: their numbers in the file and why those that are not taken are not."""

    piece: Piece
    outcomes: Sequence[tuple[int, Wrong | None]]


@dataclass(slots=True)
class _Filling:
    """The piece that lines are put into."""

    number: int = 0
    size: int = 0
    lines: list[bytes] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    outcomes: list[tuple[int, Wrong | None]] = field(default_factory=list)

    def is_full_for(self, line: bytes) -> bool:
        return len(self.lines) >= LINES_AT_ONCE or (bool(self.lines) and self.size + len(line) > BYTES_AT_ONCE)

    def put(self, place: int, line: bytes) -> None:
        self.lines.append(line)
        self.size += len(line)
        if line.strip():
            found = wrong(line)
            self.outcomes.append((place, found))
            if found is None:
                self.taken.append(line)

    def looked(self, *, last: bool) -> Looked:
        return Looked(Piece(self.number, self.lines, self.taken, last=last), self.outcomes)


async def pieces(chunks: AsyncIterator[bytes]) -> AsyncIterator[Looked]:
    """The pieces of a file as it comes in; the last one says so. Holds two pieces at most.

    The same file has the same pieces. Raises `TooLarge` once the file is.
    """
    filling, place = _Filling(), 0
    async for lines in split(chunks, longest=LONGEST_OBJECT, advice=_ADVICE):
        for line in lines:
            place += 1
            stated = line[: LONGEST_OBJECT + 1]  # how much more there is of an overlong one depends on the network
            if filling.is_full_for(stated):
                yield filling.looked(last=False)
                filling = _Filling(filling.number + 1)
            filling.put(place, stated)
    yield filling.looked(last=True)


def _no_number(_name: str) -> Never:
    raise ValueError("NaN and Infinity are no JSON")


def _deeper(value: Any) -> bool:
    level, depth = [value], 1
    while level := [
        inner
        for each in level
        for inner in (each.values() if isinstance(each, dict) else each)
        if isinstance(inner, dict | list)
    ]:
        depth += 1
        if depth > DEEPEST:
            return True
    return False
