"""The guard: untrusted bytes become cut points, or a `PoisonRecord`, before any decoder sees them.

One pass over the framed value accepts exactly the canonical encodings of the schema (`inspection` is the
specification) and yields where each leaf starts and ends, so that matching and cutting work on the encoded bytes.

Who walks many records of a large type and cuts at few of their points has the walker focused on those: a pattern
(`acceptance`) then takes the usual record in two thirds of the time, and what it does not take the generated walk judges.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import NoReturn

from broker.errors import Invalid, PoisonRecord
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.acceptance import Acceptance, acceptance, has_pattern
from broker.schema.avro import Schema
from broker.schema.emitter import Emitter, execute
from broker.schema.inspection import MAX_RECORD, inspect
from broker.schema.types import Nullable, Record, Slot, SlotKind, slots
from broker.schema.varints import content

Offsets = tuple[int, ...] | Mapping[int, int]
"""Cut points of one framed value by number: slot i of the walker lies in [offsets[i], offsets[i + 1])."""

Span = tuple[int, int]

_LEAST_SLOTS = 40
_SLOTS_PER_POINT = 4
"""With fewer slots, or fewer for each point that is to be told, a pattern gains nothing on the generated walk."""

_BEFORE_COMPILING = 1_000
_LONGEST_TRIED = 1 << 14
_LONGEST_PAUSE = 1 << 10


@dataclass(frozen=True, slots=True, eq=False)
class Walker:
    """Generated guard of one schema; `walk(framed value)` gives its cut points or raises `PoisonRecord(reason, path)`.

    `slots` are the stretches between the cut points. The branch byte of a nullable record is a slot of its own, and the
    leaves below a null are empty.
    """

    walk: Callable[[bytes], tuple[int, ...]]
    slots: tuple[Slot, ...]
    _root: Record = field(repr=False)
    _places: Mapping[str, int] = field(repr=False)

    def span(self, path: str) -> Span:
        """Indexes into the offsets between which the encoded leaf lies; `Invalid` for what is no leaf, or below an array."""
        place = self._places.get(path)
        if place is None:
            raise Invalid(f"{path} is not a leaf that a record holds at one place")
        return place, place + 1

    def points(self, paths: Iterable[str]) -> frozenset[int]:
        """The cut points between which these leaves lie; raises as `span`."""
        return frozenset(point for path in paths for point in self.span(path))

    def focused(self, points: Collection[int], *, after: int = _BEFORE_COMPILING) -> Callable[[bytes], Offsets]:
        """A walk that accepts and refuses the same and is faster for usual records; it may tell these cut points only.

        Asking its offsets for another raises `KeyError`. The pattern is compiled, which takes a tenth of a second, once
        `after` records were walked: many processes know a schema and see few of its records.
        """
        gains = len(self.slots) >= max(_LEAST_SLOTS, _SLOTS_PER_POINT * len(points))
        if not gains or not has_pattern(self._root):
            return self.walk
        return attempting(self.walk, partial(acceptance, self._root, frozenset(points)), after=after)

    def text(self, value: bytes, offsets: Offsets, path: str) -> bytes:
        """UTF-8 text of a string leaf, without its length; empty where it is absent."""
        place = self._places[path]
        start, end = offsets[place], offsets[place + 1]
        if isinstance(self.slots[place].type, Nullable):
            start += 1
        return content(value[start:end]) if start < end else b""


def compile_walk(schema: Schema) -> Walker:
    """Walker of a product's schema."""
    return walker_of(schema.root)


def walker_of(root: Record) -> Walker:
    """Walker of any record type that passed `lint.parse_structure`."""
    stretches = tuple(slots(root))
    emitter = Emitter(guarded=False)
    emitter.lines = [
        "def walk(b):",
        " try:",
        f"  if len(b) > {MAX_RECORD} or b[0]:",
        "   raise E",
        f"  p0 = m = {WIRE_HEADER_BYTES}",
    ]
    last = emitter.record(root, "p0", (f"p{i}" for i in count(1)), 2)
    emitter.lines += [
        f"  if {last} != len(b):",
        "   raise E",
        "  b[m:].decode()",
        "  return (" + ", ".join(f"p{i}" for i in range(len(stretches) + 1)) + ",)",
        " except (E, IndexError, UnicodeDecodeError):",
        "  pass",
        # Outside the handler, so that no traceback holds on to the record.
        " P(b)",
    ]
    emitter.environment["P"] = partial(_poison, root)
    return Walker(
        walk=execute(emitter, "walk"),
        slots=stretches,
        _root=root,
        _places=MappingProxyType({s.path: i for i, s in enumerate(stretches) if s.kind is SlotKind.LEAF}),
    )


def attempting(
    walk: Callable[[bytes], Offsets], compiled: Callable[[], Acceptance], *, after: int
) -> Callable[[bytes], Offsets]:
    """`walk`, with an attempt by pattern before it; where attempts fail in a row, fewer and fewer are made."""
    pattern: Acceptance | None = None
    skipped, pause = after, 1

    def attempt(value: bytes) -> Offsets:
        nonlocal pattern, skipped, pause
        if skipped or len(value) > _LONGEST_TRIED:
            skipped -= skipped > 0
            return walk(value)
        if pattern is None:
            pattern = compiled()
        found = pattern.accept(value)
        if found is None:
            skipped, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            return walk(value)
        pause = 1
        try:
            value[WIRE_HEADER_BYTES:].decode()
            return pattern.cut(found.regs)
        except UnicodeDecodeError:
            pass
        # Outside the handler, so that no traceback holds on to the record.
        return walk(value)

    return attempt


def _poison(root: Record, value: bytes) -> NoReturn:
    inspect(root, value)
    raise PoisonRecord("NOT_CANONICAL")


def compile_select(walker: Walker, paths: Sequence[str]) -> Callable[[bytes, Offsets], tuple[bytes, ...]]:
    """Function of a framed value and its offsets to the encoded bytes of `paths`, in that order.

    Bytes include the branch byte of a nullable leaf; they are empty where a parent is null. Raises `Invalid` for a path
    without a place of its own.
    """
    spans = [walker.span(path) for path in paths]
    emitter = Emitter(guarded=True)
    parts = "".join(f"b[o[{start}]:o[{end}]], " for start, end in spans)
    emitter.lines = ["def select(b, o):", f" return ({parts})"]
    return execute(emitter, "select")
