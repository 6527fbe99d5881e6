"""The guard: untrusted bytes become cut points, or a `PoisonRecord`, before any decoder sees them.

One pass over the framed value accepts exactly the canonical encodings of the schema (`inspection` is the
specification) and yields where each leaf starts and ends, so that matching and cutting work on the encoded bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from types import MappingProxyType
from typing import NoReturn

from broker.errors import Invalid, PoisonRecord
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.avro import Schema
from broker.schema.emitter import Emitter, execute
from broker.schema.inspection import MAX_RECORD, inspect
from broker.schema.types import Nullable, Record, Slot, SlotKind, slots
from broker.schema.varints import content

Offsets = tuple[int, ...]
"""Cut points of one framed value: slot i of the walker lies in [offsets[i], offsets[i + 1])."""

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Walker:
    """Generated guard of one schema; `walk(framed value)` gives its cut points or raises `PoisonRecord(reason, path)`.

    `slots` are the stretches between the cut points. The branch byte of a nullable record is a slot of its own, and the
    leaves below a null are empty.
    """

    walk: Callable[[bytes], Offsets]
    slots: tuple[Slot, ...]
    _places: Mapping[str, int] = field(repr=False)

    def span(self, path: str) -> Span:
        """Indexes into the offsets between which the encoded leaf lies; `Invalid` for what is no leaf, or below an array."""
        place = self._places.get(path)
        if place is None:
            raise Invalid(f"{path} is not a leaf that a record holds at one place")
        return place, place + 1

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
        _places=MappingProxyType({s.path: i for i, s in enumerate(stretches) if s.kind is SlotKind.LEAF}),
    )


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
