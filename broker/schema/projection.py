"""Projections: an agreement's fields compiled against a schema, to an egress schema and the function that cuts bytes.

An Avro record has no names or tags: a subset of its fields in writer order is a subset of its bytes. So a cut joins the
slices of what is kept, neighbours as one slice, and appends the derived values. `reference` is the specification.
"""

import re
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import count
from typing import TYPE_CHECKING

from broker.errors import Invalid
from broker.model.agreement import ReleasedField, Transform
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.avro import Field, Schema
from broker.schema.derivation import Derive, derivation
from broker.schema.egress import NOTIFICATION, egress_text
from broker.schema.emitter import Emitter, execute
from broker.schema.fit import argument_misfit, type_misfit
from broker.schema.guard import Offsets
from broker.schema.types import Array, Nullable, Record, Slot, SlotKind, Type, slots, unwrapped

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_UNNAMED = frozenset({Transform.KEEP, Transform.NOTIFY_ONLY})
_BESIDE_NOTIFICATION = frozenset({Transform.NOTIFY_ONLY, Transform.OWN_REFERENCE})


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """One agreement against one schema.

    `cut(value, offsets, on, reference)`: Avro body, without wire frame, of a framed value with its cut points; `on` is
    the Belgian calendar day (`2026-11-24`) of the decision, `reference` the agency's own reference or None. Raises
    `NotYetKnown` where a pseudonym is asked and no key was given.
    """

    _alike: "_Alike"
    _key: bytes | None = field(repr=False)
    cut: Callable[[bytes, Offsets, str, str | None], bytes] = field(init=False, repr=False)

    if not TYPE_CHECKING:  # else every name would be an attribute

        def __getattr__(self, name: str) -> object:
            """Make the cutter when it is first asked for: of thousands of agreements, few are told anything at once."""
            if name != "cut":
                raise AttributeError(name)
            cut = self._alike.cutter(self._key)
            object.__setattr__(self, "cut", cut)
            return cut

    @property
    def egress(self) -> str:
        """JSON text of the schema of what `cut` returns."""
        return self._alike.egress

    @property
    def plain(self) -> "Plain | None":
        """The cut as data, where it is as simple as that."""
        return self._alike.plain


@dataclass(frozen=True, slots=True)
class Plain:
    """A cut that joins stretches of a value, then pseudonyms of some of its texts: for whoever cuts by other means.

    A span is the first cut point and the last; a pseudonym the slot of its text.
    """

    spans: tuple[tuple[int, int], ...]
    pseudonyms: tuple[tuple[int, Field], ...]


def compile_projection(schema: Schema, fields: Sequence[ReleasedField], *, pseudonym_key: bytes | None) -> Projection:
    """Projection of `fields`; without `pseudonym_key` a pseudonym still has its egress schema, but nothing can be cut.

    Raises `Invalid`, naming the path, for an unknown path or one that is no leaf, a transform or arguments that do not
    fit (`broker.schema.fit`), a path kept twice, a name that is missing, taken or no identifier, `notify-only` beside
    anything but an own reference, and for fields that release nothing.
    """
    alike = _alike(
        schema, tuple(ReleasedField(each.path, each.transform, "", each.name, each.arguments) for each in fields)
    )
    return Projection(alike, pseudonym_key)


@dataclass(frozen=True, slots=True, eq=False)
class _Alike:
    """What agreements share that release the same fields: all but the key behind their pseudonyms.

    `make` takes the derivations in order and returns the cutter; those of `keyed` are made for each key anew.
    """

    egress: str
    make: Callable[..., Callable[[bytes, Offsets, str, str | None], bytes]]
    derivations: tuple[Derive, ...]
    keyed: Mapping[int, tuple[ReleasedField, Field]]
    plain: Plain | None

    def cutter(self, pseudonym_key: bytes | None) -> Callable[[bytes, Offsets, str, str | None], bytes]:
        """The cutter of one agreement."""
        given = list(self.derivations)
        for place, (released, leaf) in self.keyed.items():
            given[place] = derivation(released, leaf, pseudonym_key)
        return self.make(*given)


@lru_cache(maxsize=1024)
def _alike(schema: Schema, fields: tuple[ReleasedField, ...]) -> _Alike:
    """Generated once: thousands of agreements are instances of a few templates."""
    kept, derived = _checked(schema, fields)
    cutter = _Cutter(frozenset(kept))
    stretches = tuple(slots(schema.root))
    points = [f"o[{i}]" for i in range(len(stretches) + 1)]
    parts = cutter.parts(stretches, points)
    places = {stretch.path: place for place, stretch in enumerate(stretches)}
    for number, released in enumerate(derived):
        if released.transform is Transform.OWN_REFERENCE:
            parts.append(f"D{number}(b'', t, r)")
        else:
            place = places[released.path]
            parts.append(f"D{number}(b[o[{place}]:o[{place + 1}]], t, r)")
    if not derived and len(kept) == len(schema.fields):
        parts = [f"b[{WIRE_HEADER_BYTES}:]"]
    result = parts[0] if len(parts) == 1 else "j((" + ", ".join(parts) + "))"
    cutter.emitter.environment["j"] = b"".join
    names = ", ".join(f"D{number}" for number in range(len(derived)))
    cutter.emitter.lines += [f"def make({names}):", " def cut(b, o, t, r):", f"  return {result}", " return cut"]
    leaves = [(released, schema.fields[released.path]) for released in derived]
    return _Alike(
        egress=egress_text(schema, kept, derived),
        make=execute(cutter.emitter, "make"),
        derivations=tuple(derivation(released, leaf, None) for released, leaf in leaves),
        keyed={place: each for place, each in enumerate(leaves) if each[0].transform is Transform.PSEUDONYM},
        plain=_plain(cutter.spans(stretches), leaves, places),
    )


def _plain(
    spans: Sequence[tuple[int, int]] | None, leaves: Sequence[tuple[ReleasedField, Field]], places: Mapping[str, int]
) -> Plain | None:
    if spans is None or any(released.transform is not Transform.PSEUDONYM for released, _ in leaves):
        return None
    return Plain(tuple(spans), tuple((places[released.path], leaf) for released, leaf in leaves))


def _checked(schema: Schema, fields: Sequence[ReleasedField]) -> tuple[list[str], list[ReleasedField]]:
    kept: list[str] = [NOTIFICATION] if _is_notification(schema, fields) else []
    derived: list[ReleasedField] = []
    taken = {member.name for member in schema.root.fields}
    for released in fields:
        path = released.path
        leaf = schema.fields.get(path)
        if leaf is None:
            raise Invalid(f"{path} is not a leaf of {schema.product}")
        misfit = argument_misfit(released) or type_misfit(released.transform, leaf) or _name_misfit(released, taken)
        if misfit is not None:
            raise Invalid(f"{path}: {misfit}")
        if released.name is not None:
            taken.add(released.name)
            derived.append(released)
        elif released.transform is Transform.KEEP:
            if path in kept:
                raise Invalid(f"{path} is named twice")
            kept.append(path)
    if not kept and not derived:
        raise Invalid(f"no field of {schema.product} is released")
    return kept, derived


def _name_misfit(released: ReleasedField, taken: Container[str]) -> str | None:
    if released.transform in _UNNAMED:
        return None if released.name is None else f"{released.transform} gives no name to a value"
    if released.name is None or not _IDENTIFIER.fullmatch(released.name):
        return f"{released.transform} needs a name of letters, digits and _"
    return f"the name {released.name} is taken" if released.name in taken else None


def _is_notification(schema: Schema, fields: Sequence[ReleasedField]) -> bool:
    """Whether these fields only notify; raises `Invalid` where they do that and more."""
    notifying = [released.path for released in fields if released.transform is Transform.NOTIFY_ONLY]
    if notifying and notifying != [schema.principal]:
        raise Invalid(f"notify-only is for {schema.principal}, once")
    if notifying and any(released.transform not in _BESIDE_NOTIFICATION for released in fields):
        raise Invalid(f"{schema.principal}: notify-only leaves room for an own reference only")
    return bool(notifying)


@dataclass(slots=True)
class _Cutter:
    """Emits what joins the kept stretches; an array of which some leaves are kept gets a function of its own."""

    kept: frozenset[str]
    emitter: Emitter = field(default_factory=lambda: Emitter(guarded=True))
    numbers: Iterator[int] = field(default_factory=count)

    def parts(self, stretches: Sequence[Slot], points: Sequence[str]) -> list[str]:
        """Expressions of bytes; `points[i]` and `points[i + 1]` enclose stretch i."""
        return [
            f"b[{points[piece[0]]}:{points[piece[1]]}]"
            if isinstance(piece, tuple)
            else f"{self._items(stretches[piece])}(b, {points[piece]}, {points[piece + 1]})"
            for piece in self._pieces(stretches)
        ]

    def spans(self, stretches: Sequence[Slot]) -> Sequence[tuple[int, int]] | None:
        """First and last point of each run that is kept whole; None where part of a stretch is kept."""
        pieces = list(self._pieces(stretches))
        spans = [piece for piece in pieces if isinstance(piece, tuple)]
        return spans if len(spans) == len(pieces) else None

    def _pieces(self, stretches: Sequence[Slot]) -> Iterator[tuple[int, int] | int]:
        """Runs of stretches that are kept whole, as their first and last point, and stretches of which a part is kept."""
        begin: int | None = None
        for place, stretch in enumerate(stretches):
            whole, some = self._keeps(stretch)
            if whole and begin is None:
                begin = place
            if not whole and begin is not None:
                yield begin, place
                begin = None
            if some and not whole:
                yield place
        if begin is not None:
            yield begin, len(stretches)

    def _keeps(self, stretch: Slot) -> tuple[bool, bool]:
        """Whether the whole stretch is kept, and whether any of it is."""
        below = f"{stretch.path}."
        match stretch.kind:
            case SlotKind.LEAF:
                whole = some = stretch.path in self.kept
            case SlotKind.BRANCH:
                whole = some = any(path.startswith(below) for path in self.kept)
            case SlotKind.ITEMS:
                leaves = frozenset(_leaf_paths(stretch.type, stretch.path))
                whole, some = leaves <= self.kept, not leaves.isdisjoint(self.kept)
        return whole, some

    def _items(self, stretch: Slot) -> str:
        """Name of a generated function that prunes one encoded array of records, between two positions."""
        array = unwrapped(stretch.type)
        items = array.items if isinstance(array, Array) else None
        record = unwrapped(items) if items is not None else None
        if items is None or not isinstance(record, Record):
            raise TypeError(stretch.kind)
        name = f"A{next(self.numbers)}"
        stretches = tuple(slots(record, stretch.path))
        parts = self.parts(stretches, [f"a{i}" for i in range(len(stretches) + 1)])
        walk = Emitter(guarded=True)
        last = walk.record(record, "a0", (f"a{i}" for i in count(1)), 2 + isinstance(items, Nullable))
        self.emitter.environment |= walk.environment
        lines = [
            f"def {name}(b, s, e):",
            # Nothing (below a null record), a null or no items.
            " if e - s < 2:",
            "  return b[s:e]",
            f" n, q = C(b, s + {int(isinstance(stretch.type, Nullable))})",
            " if not n:",
            "  return b[s:e]",
            " w = [b[s:q]]",
            " for _ in range(n):",
        ]
        if isinstance(items, Nullable):
            lines += ["  w.append(b[q:q + 1])", "  q += 1", "  if b[q - 1]:"]
            indent = "   "
        else:
            indent = "  "
        lines += [f"{indent}a0 = q", *walk.lines, f"{indent}w += ({', '.join(parts)},)", f"{indent}q = {last}"]
        lines += [" w.append(b[q:q + 1])", " return j(w)"]
        self.emitter.lines += lines
        return name


def _leaf_paths(type_: Type, path: str) -> Iterator[str]:
    inner = unwrapped(type_)
    if isinstance(inner, Array):
        inner = unwrapped(inner.items)
    if isinstance(inner, Record):
        for member in inner.fields:
            yield from _leaf_paths(member.type, f"{path}.{member.name}")
    else:
        yield path
