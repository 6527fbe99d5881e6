"""A pattern that takes most canonical encodings of a record type in one call of `re`, for the guard to try first.

What it takes is canonical, if the whole is UTF-8; that it does not take a value says nothing. It knows texts below 64
bytes, numbers of one byte and arrays of up to three items, so that every structural byte is below 0x80: see `emitter`
for why the texts may then be checked at once. Pattern and source hold integers and fixed names, nothing of a schema.

Nothing is tried twice: each alternative begins with a byte of its own, and groups and counts are atomic, so that bytes
made to fail cost one pass at most. Neighbours of one type share a pattern with a count, as compiling is what costs:
30 to 100 ms for a type of 50 to 90 fields.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, groupby
from typing import Any

from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, Type, unwrapped

Region = tuple[int, int]

_ONE_BYTE = 64
"""Whole numbers below this take one byte."""

_MOST_ITEMS = 3
# Tried in this order: days, codes, names and identifiers of eleven digits are what a record has most of.
_USUAL = (10, 4, 5, 3, 2, 11)
_SIZES = (*_USUAL, *(size for size in range(_ONE_BYTE) if size not in _USUAL))


@dataclass(frozen=True, slots=True)
class Acceptance:
    """`accept(value)` matches a framed value that is canonical if it is UTF-8; None for any other, and for some of those.

    `cut(match.regs)` has the wanted cut points by number, and with them the first and the last.
    """

    accept: Callable[[bytes], re.Match[bytes] | None]
    cut: Callable[[tuple[Region, ...]], Mapping[int, int]]


def acceptance(root: Record, points: Collection[int]) -> Acceptance:
    """Pattern that tells where these cut points of `root`, which has a pattern, are."""
    outline = _Outline(set(points))
    body = _joined(outline.record(root, []))
    pattern = re.compile(b"\\x00.{%d}" % (WIRE_HEADER_BYTES - 1) + body, re.DOTALL)
    namespace: dict[str, Any] = {}
    exec("\n".join(outline.cut()), namespace)  # noqa: S102 - integers and fixed names only
    return Acceptance(pattern.fullmatch, namespace["cut"])


def has_pattern(type_: Type) -> bool:
    """Whether a pattern can take any value of the type."""
    match type_:
        case Fixed():
            return False
        case Primitive(name=name):
            return name not in {"bytes", "float", "double"}
        case Record(fields=fields):
            return all(has_pattern(member.type) for member in fields)
        case _:
            return True


@dataclass(slots=True)
class _Optional:
    """The wanted points inside a nullable record and outside of those within; all of them are at `end` if it is null."""

    points: list[int] = field(default_factory=list)
    end: int = 0


@dataclass(slots=True)
class _Outline:
    """The pattern of a record, member by member; notes in what order its groups tell the wanted points."""

    wanted: set[int]
    place: int = 0
    """Of the next slot."""
    groups: list[Region] = field(default_factory=list)
    """The points that each group begins and ends at; one point twice where the group is empty."""
    optionals: list[_Optional] = field(default_factory=list)
    """The outer before the inner."""

    def record(self, record: Record, inside: list[int]) -> list[bytes]:
        """Parts of the record's pattern; adds to `inside` what is told of its own."""
        parts: list[bytes] = []
        last = record.fields[-1]
        for member in record.fields:
            inner = unwrapped(member.type)
            if not isinstance(inner, Record):
                parts += self._leaf(member.type, inside, last=member is last)
                continue
            parts += self._point(inside)
            if isinstance(member.type, Nullable):
                self.place += 1
                parts.append(self._optional(inner))
            else:
                parts += self.record(inner, inside)
        return parts

    def _leaf(self, type_: Type, inside: list[int], *, last: bool) -> list[bytes]:
        pattern, place = _pattern(type_), self.place
        # The end of a record's last leaf is told behind the record, which may be null.
        if last or not self._untold(place) or place + 1 not in self.wanted:
            parts = [*self._point(inside), pattern]
        else:
            self.groups.append((place, place + 1))
            inside += place, place + 1
            parts = [b"(" + pattern + b")"]
        self.place += 1
        return parts

    def _point(self, inside: list[int]) -> list[bytes]:
        if not self._untold(self.place):
            return []
        self.groups.append((self.place, self.place))
        inside.append(self.place)
        return [b"()"]

    def _untold(self, point: int) -> bool:
        told = 0 if not self.groups else self.groups[-1][1]
        return point in self.wanted and point > told

    def _optional(self, record: Record) -> bytes:
        optional = _Optional()
        self.optionals.append(optional)
        body = _joined(self.record(record, optional.points))
        optional.end = self.place
        if optional.points:
            self.wanted.add(self.place)
        return _nullable(body)

    def cut(self) -> list[str]:
        """Source of a function of the match's regions to the cut points; to be asked for once the whole has been read."""
        pairs = ((f"p{start}" if start < end else "_", f"p{end}") for start, end in self.groups)
        lines = [
            "def cut(r):",
            f" (_, p{self.place})," + "".join(f" ({start}, {end})," for start, end in pairs) + " = r",
        ]
        for optional in self.optionals:
            if optional.points:
                lines.append(f" if p{optional.points[0]} < 0:")
                lines.append("  " + " = ".join(f"p{point}" for point in optional.points) + f" = p{optional.end}")
        told = sorted({*chain.from_iterable(self.groups), self.place})
        lines.append(f" return {{0: {WIRE_HEADER_BYTES}, " + ", ".join(f"{point}: p{point}" for point in told) + "}")
        return lines


def _pattern(type_: Type) -> bytes:  # noqa: PLR0911 - one per type
    match type_:
        case Nullable(inner=inner):
            return _nullable(_pattern(inner))
        case Record(fields=fields):
            return _joined([_pattern(member.type) for member in fields])
        case Array(items=items):
            item = _pattern(items)
            return _one_of(
                [b"\\x00", *(_number(n) + _joined([item] * n) + b"\\x00" for n in range(1, _MOST_ITEMS + 1))]
            )
        case Enumeration(symbols=symbols):
            return b"[" + b"".join(map(_number, range(min(len(symbols), _ONE_BYTE)))) + b"]"
        case Primitive(name="string"):
            return _TEXT
        case Primitive(name="boolean"):
            return rb"[\x00\x01]"
        case Primitive(name="int" | "long"):
            return rb"[\x00-\x7f]"
        case _:
            return b"(?!)"


def _nullable(inner: bytes) -> bytes:
    return _one_of([b"\\x00", b"\\x02" + inner])


def _joined(parts: Iterable[bytes]) -> bytes:
    """Parts one after another, equal neighbours as one with a count."""
    counted = ((part, len(list(same))) for part, same in groupby(parts))
    return b"".join(part if count == 1 else b"(?:%b){%d}+" % (part, count) for part, count in counted)


def _one_of(alternatives: Iterable[bytes]) -> bytes:
    return b"(?>" + b"|".join(alternatives) + b")"


def _number(value: int) -> bytes:
    return b"\\x%02x" % (value << 1)


_TEXT = _one_of(_number(size) + (b".{%d}+" % size if size else b"") for size in _SIZES)
