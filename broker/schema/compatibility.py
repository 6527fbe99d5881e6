"""What a new version of a product changes, change by change, and whether what was made for the old one can go on.

Two sets of rules. Avro's, for `BACKWARD` (Avro 1.12 specification, "Schema Resolution"): a reader of the new version
reads records of the old one. Ours: a field stays what it is in law and in meaning (class, subject, IRI), and an enum
grows at its end only, because populations and keys of lanes are compared as bytes. A new field is compatible and reaches
nobody: default deny.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.model.agreement import FieldClass
from broker.schema.avro import Schema
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, RecordField, Type, unwrapped


class Rule(StrEnum):
    """What was changed; stable codes."""

    RECORD_TYPE = "RECORD_TYPE"
    NAME = "NAME"
    TYPE = "TYPE"
    MADE_REQUIRED = "MADE_REQUIRED"
    MADE_OPTIONAL = "MADE_OPTIONAL"
    FIELD_ADDED = "FIELD_ADDED"
    FIELD_WITHOUT_DEFAULT = "FIELD_WITHOUT_DEFAULT"
    FIELD_REMOVED = "FIELD_REMOVED"
    SYMBOL_ADDED = "SYMBOL_ADDED"
    SYMBOLS_MOVED = "SYMBOLS_MOVED"
    CLASS_STRENGTHENED = "CLASS_STRENGTHENED"
    CLASS_WEAKENED = "CLASS_WEAKENED"
    REVEALS_ADDED = "REVEALS_ADDED"
    REVEALS_DROPPED = "REVEALS_DROPPED"
    SUBJECT_CHANGED = "SUBJECT_CHANGED"
    IRI_CHANGED = "IRI_CHANGED"
    CONSTRAINT_CHANGED = "CONSTRAINT_CHANGED"
    IDENTIFIER_CHANGED = "IDENTIFIER_CHANGED"
    DOC_CHANGED = "DOC_CHANGED"


COMPATIBLE = frozenset(
    {
        Rule.MADE_OPTIONAL,
        Rule.FIELD_ADDED,
        Rule.FIELD_REMOVED,
        Rule.SYMBOL_ADDED,
        Rule.CLASS_STRENGTHENED,
        Rule.REVEALS_ADDED,
        Rule.CONSTRAINT_CHANGED,
        Rule.DOC_CHANGED,
    }
)
"""Changes that a next version may make."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change at one place (dotted path, empty for the record itself); `reason` is for whoever writes the schema."""

    path: str
    rule: Rule
    reason: str

    @property
    def compatible(self) -> bool:
        """Whether a next version may make it."""
        return self.rule in COMPATIBLE

    def __str__(self) -> str:
        """One readable line."""
        return f"{self.path or 'record'}: {self.reason} [{self.rule}]"


_PROMOTED = {
    ("int", "long"), ("int", "float"), ("int", "double"), ("long", "float"), ("long", "double"), ("float", "double"),
}  # fmt: skip
"""Numbers that a reader takes for wider ones; it takes texts for bytes too, but those would be other values to compare."""

_OF_ITS_OWN = frozenset({FieldClass.NATIONAL_NUMBER, FieldClass.SOCIAL, FieldClass.SPECIAL, FieldClass.CRIMINAL})
"""Classes for each of which the law asks something of its own: none of them replaces another."""


def changes(old: Schema, new: Schema) -> tuple[Change, ...]:
    """Everything that `new` changes, in the order of the new schema, what it removes last in each record."""
    return tuple(_changes(old, new))


def refused(found: Sequence[Change]) -> tuple[Change, ...]:
    """Those that a next version may not make."""
    return tuple(change for change in found if not change.compatible)


def same_schema(one: str, other: str) -> bool:
    """Whether two JSON texts of schemas say the same, in whatever order of keys and with whatever white space."""
    return bool(json.loads(one) == json.loads(other))


def version_of(product: str) -> tuple[str, int]:
    """Record type and number of a product's version: `persoon.v2` is (`persoon`, 2)."""
    stem, _, number = product.rpartition(".v")
    return stem, int(number)


def next_version(product: str) -> str:
    """Name of the version after this one."""
    stem, number = version_of(product)
    return f"{stem}.v{number + 1}"


def _changes(old: Schema, new: Schema) -> Iterator[Change]:
    if version_of(old.product)[0] != version_of(new.product)[0]:
        yield Change("", Rule.RECORD_TYPE, f"{new.product} is no version of {old.product}")
    yield from _named(old.root, new.root, "")
    yield from _stated(old.root.attributes, new.root.attributes, "")
    yield from _members(old.root, new.root, "")


def _members(old: Record, new: Record, path: str) -> Iterator[Change]:
    before = {field.name: field for field in old.fields}
    for field in new.fields:
        below = f"{path}.{field.name}" if path else field.name
        known = before.pop(field.name, None)
        if known is None:
            yield _added(field, below)
            continue
        yield from _stated(known.attributes, field.attributes, below)
        yield from _marked(known, field, below)
        yield from _typed(known.type, field.type, below)
    for name in before:
        yield Change(f"{path}.{name}" if path else name, Rule.FIELD_REMOVED, "the field is no longer there")


def _added(field: RecordField, path: str) -> Change:
    if isinstance(field.type, Nullable) and "default" in field.attributes:
        return Change(path, Rule.FIELD_ADDED, "new: nobody receives it until a ceiling and an agreement name it")
    return Change(
        path,
        Rule.FIELD_WITHOUT_DEFAULT,
        'records of the old version do not have it: make it ["null", …] with "default": null',
    )


def _typed(old: Type, new: Type, path: str) -> Iterator[Change]:
    if isinstance(old, Nullable) and not isinstance(new, Nullable):
        yield Change(path, Rule.MADE_REQUIRED, "it can be absent in records of the old version: keep it nullable")
    elif isinstance(new, Nullable) and not isinstance(old, Nullable):
        yield Change(path, Rule.MADE_OPTIONAL, "it can be absent now")
    before, after = unwrapped(old), unwrapped(new)
    match before, after:
        case Primitive(), Primitive():
            if before != after and (before.logical or after.logical or (before.name, after.name) not in _PROMOTED):
                yield _other_type(before.logical or before.name, after.logical or after.name, path)
        case Enumeration(), Enumeration():
            yield from _named(before, after, path)
            yield from _symbols(before.symbols, after.symbols, path)
        case Fixed(), Fixed():
            yield from _named(before, after, path)
            if before.size != after.size:
                yield _other_type(f"{before.size} bytes", f"{after.size} bytes", path)
        case Record(), Record():
            yield from _named(before, after, path)
            yield from _stated(before.attributes, after.attributes, path)
            yield from _members(before, after, path)
        case Array(), Array():
            yield from _typed(before.items, after.items, path)
        case _:
            yield _other_type(_called(before), _called(after), path)


def _named(old: Record | Enumeration | Fixed, new: Record | Enumeration | Fixed, path: str) -> Iterator[Change]:
    """Avro compares names without their namespace, which may hold a version."""
    before, after = (each.fullname.rpartition(".")[2] for each in (old, new))
    if before != after:
        yield Change(path, Rule.NAME, f"its type was called {before}, now {after}: a reader takes it for another")


def _symbols(old: Sequence[str], new: Sequence[str], path: str) -> Iterator[Change]:
    if tuple(new[: len(old)]) != tuple(old):
        yield Change(path, Rule.SYMBOLS_MOVED, "keep the symbols as they are and in their order: add at the end only")
    else:
        for symbol in new[len(old) :]:
            yield Change(path, Rule.SYMBOL_ADDED, f"{symbol} is new")


def _stated(old: Any, new: Any, path: str) -> Iterator[Change]:
    """What a field or a record type says about itself, beside its type."""
    if old.get("iri") != new.get("iri"):
        yield Change(path, Rule.IRI_CHANGED, "it would mean something else: give another meaning another field")
    if old.get("doc") != new.get("doc"):
        yield Change(path, Rule.DOC_CHANGED, "the documentation is another: it may not mean something else")


def _marked(old: RecordField, new: RecordField, path: str) -> Iterator[Change]:
    before, after = old.attributes, new.attributes
    if before.get("class") != after.get("class") and not isinstance(unwrapped(new.type), Record):
        yield from _classed(before.get("class"), after.get("class"), path)
    if before.get("reveals") and not after.get("reveals"):
        yield Change(path, Rule.REVEALS_DROPPED, "a value that implied special data still does: keep `reveals`")
    elif after.get("reveals") and not before.get("reveals"):
        yield Change(path, Rule.REVEALS_ADDED, "it implies special data now: agreements need an art. 9 ground")
    if before.get("subject") != after.get("subject"):
        yield Change(path, Rule.SUBJECT_CHANGED, "whom an identifier names cannot change: add another field")
    if before.get("identifier") and before.get("identifier") != after.get("identifier"):
        yield Change(path, Rule.IDENTIFIER_CHANGED, "it held one kind of identifier: keep that, or add another field")
    elif any(before.get(name) != after.get(name) for name in ("identifier", "minItems", "maxItems")):
        yield Change(path, Rule.CONSTRAINT_CHANGED, "what is checked at the door is another")


def _classed(old: Any, new: Any, path: str) -> Iterator[Change]:
    known = {member.value: member for member in FieldClass}
    before, after = known.get(str(old)), known.get(str(new))
    if before is None or after is None:  # of a record that was a leaf: its type says so
        return
    if _weight(after) > _weight(before):
        yield Change(
            path, Rule.CLASS_STRENGTHENED, f"{before} is {after} now: ceilings and agreements are looked at anew"
        )
    else:
        yield Change(
            path, Rule.CLASS_WEAKENED, f"{before} may not become {after}: the law asks no less for it than before"
        )


def _weight(field_class: FieldClass) -> int:
    if field_class is FieldClass.PUBLIC:
        return 0
    return 2 if field_class in _OF_ITS_OWN else 1


def _other_type(old: str, new: str, path: str) -> Change:
    return Change(path, Rule.TYPE, f"it was {old}, a reader of {new} cannot read that: add another field")


def _called(type_: Type) -> str:
    match type_:
        case Record():
            return "a record"
        case Array():
            return "an array"
        case Primitive(name=name) | Enumeration(name=name) | Fixed(name=name):
            return name
        case Nullable(inner=inner):
            return _called(inner)
