"""What the successor of a product asks of one agreement: whether its protocol text must change, why, where, and by when.

An agreement is signed over a text and over a product. The text must change where it names the product, and where a released
or selected field is not in the successor what it was: absent, under another name, of another class or type, with another
meaning, or held to a stricter constraint. What else the successor changes of those fields is for the agency's programs.

When: no law and no article of the protocol sets a period for this, so the rule is the owner's announcement. What follows is
signed `notice_days` before the sunset; an agreement whose own term (article 7) is over by then needs nothing.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache

from broker.errors import Invalid
from broker.model.agreement import Agreement, AllOf, AnyOf, Constraint
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.product_life import Deprecation
from broker.policy import documents
from broker.policy.compiler import leaves_of
from broker.policy.protocol_clauses import Clause, differing
from broker.policy.protocol_text import agreed_text, render
from broker.schema.avro import Field, Schema
from broker.schema.compatibility import Change, Rule, changes
from broker.schema.types import Array, Record, RecordField, unwrapped


class Reason(StrEnum):
    """Why a protocol text must change; stable codes."""

    PRODUCT_NAMED = "PRODUCT_NAMED"
    FIELD_ABSENT = "FIELD_ABSENT"
    FIELD_RENAMED = "FIELD_RENAMED"
    CLASS_CHANGED = "CLASS_CHANGED"
    TYPE_CHANGED = "TYPE_CHANGED"
    MEANING_CHANGED = "MEANING_CHANGED"
    CONSTRAINT_STRICTER = "CONSTRAINT_STRICTER"


class By(StrEnum):
    """Which rule sets the day; stable codes."""

    NOTICE = "NOTICE"
    SUNSET = "SUNSET"
    TERM = "TERM"


RULES: Mapping[By, str] = {
    By.NOTICE: "what follows is signed as many days before the sunset as the owner announced (the protocol sets no period)",
    By.SUNSET: "the text may stay as it is; its agency reads the successor by the sunset (the owner's announcement)",
    By.TERM: "its own term ends before that (article 7 of the protocol): nothing has to follow",
}
"""Each rule with its source, for a person."""

_REASON_OF: Mapping[Rule, Reason] = {
    Rule.NAME: Reason.TYPE_CHANGED,
    Rule.TYPE: Reason.TYPE_CHANGED,
    Rule.SUBJECT_CHANGED: Reason.MEANING_CHANGED,
    Rule.IRI_CHANGED: Reason.MEANING_CHANGED,
    Rule.DOC_CHANGED: Reason.MEANING_CHANGED,
    Rule.CLASS_STRENGTHENED: Reason.CLASS_CHANGED,
    Rule.CLASS_WEAKENED: Reason.CLASS_CHANGED,
    Rule.REVEALS_ADDED: Reason.CLASS_CHANGED,
    Rule.REVEALS_DROPPED: Reason.CLASS_CHANGED,
    Rule.MADE_REQUIRED: Reason.CONSTRAINT_STRICTER,
    Rule.SYMBOLS_MOVED: Reason.CONSTRAINT_STRICTER,
    Rule.IDENTIFIER_CHANGED: Reason.CONSTRAINT_STRICTER,
}
"""What a change of a field is for the text; `CONSTRAINT_CHANGED` only where it is stricter, the others are for programs."""

_OF_THE_LEAF = frozenset(
    {Rule.NAME, Rule.IRI_CHANGED, Rule.DOC_CHANGED, Rule.MADE_REQUIRED, Rule.SUBJECT_CHANGED, Rule.FIELD_REMOVED}
)
"""Changes of a group that say nothing about the leaves below it."""


@dataclass(frozen=True, slots=True)
class Ground:
    """One reason why the text must change; `path` is empty for the product itself, `to` where a renamed field is now."""

    reason: Reason
    path: str
    text: str
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Deadline:
    """By when, and under which rule; `at` None where nothing follows: the product has no successor, and all ends."""

    at: datetime | None
    rule: By


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of one agreement; `for_programs` are changes of its fields that the text does not say."""

    grounds: tuple[Ground, ...]
    clauses: tuple[Clause, ...]
    for_programs: tuple[Change, ...]

    @property
    def text_must_change(self) -> bool:
        """Whether its protocol is signed anew."""
        return bool(self.grounds)


def asked(entry: AgreementEntry, state: ControlState, old: Schema, new: Schema) -> Asked:
    """What moving an agreement from `old` to `new` asks; texts are rendered under `state`, which knows both products.

    `new` may be any later schema, also one that `compatibility` refuses. A draft that has no text yet, such as for a purpose
    that nobody knows, is looked at by its fields only.
    """
    agreement = documents.agreement(entry.document)
    try:
        text = agreed_text(entry, state)
        after = render(moved(agreement, new.product, names(old, new)), state)
    except Invalid:
        text = after = ""
    grounds = (*_named(text, old.product), *grounds_of_fields(agreement, old, new))
    told = dict.fromkeys(change for _, change in _touched(agreement, old, new) if _reason(change, old, new) is None)
    for_programs = tuple(change for change in told if change.rule not in {Rule.FIELD_REMOVED, Rule.FIELD_ADDED})
    return Asked(grounds, differing(text, after), for_programs)


def grounds_of_fields(agreement: Agreement, old: Schema, new: Schema) -> tuple[Ground, ...]:
    """Every reason that lies in a field which the agreement releases or selects by, in its order."""
    renamed = names(old, new)
    grounds = [ground for path in used(agreement) for ground in _of_field(path, old, new, renamed)]
    known = {(each.path, each.reason) for each in grounds}
    more = (
        Ground(reason, path, change.reason)
        for path, change in _touched(agreement, old, new)
        if path in new.fields and (reason := _reason(change, old, new)) is not None
    )
    return (*grounds, *dict.fromkeys(each for each in more if (each.path, each.reason) not in known))


@lru_cache(maxsize=16)
def _changes(old: Schema, new: Schema) -> tuple[Change, ...]:
    """Asked for every agreement on the product."""
    return changes(old, new)


def _touched(agreement: Agreement, old: Schema, new: Schema) -> tuple[tuple[str, Change], ...]:
    """Changes of the fields that an agreement uses, each with the path of the field."""
    changed = _changes(old, new)
    return tuple((path, change) for path in used(agreement) for change in changed if _touches(change, path))


def deadline(agreement: Agreement, told: Deprecation, *, text_must_change: bool) -> Deadline:
    """By when an agreement is to have moved."""
    end = agreement.term.end
    last = told.sunset - timedelta(days=told.notice_days) if text_must_change else told.sunset
    if end is not None and end <= told.sunset:
        return Deadline(end, By.TERM)
    if told.successor is None:
        return Deadline(None, By.SUNSET)
    return Deadline(last, By.NOTICE if text_must_change else By.SUNSET)


def used(agreement: Agreement) -> tuple[str, ...]:
    """Paths that an agreement releases or selects by, in its order."""
    selected = (leaf.path for leaf in leaves_of(agreement.population.where))
    return tuple(dict.fromkeys((*(released.path for released in agreement.fields), *selected)))


def names(old: Schema, new: Schema) -> dict[str, str]:
    """Leaves that `new` has under another path: the only new one of the same meaning (IRI) and type."""
    came = [leaf for path, leaf in new.fields.items() if path not in old.fields]
    found = {}
    for path, leaf in old.fields.items():
        alike = [other.path for other in came if (other.iri, other.type) == (leaf.iri, leaf.type)]
        if path not in new.fields and len(alike) == 1:
            found[path] = alike[0]
    return found


def moved(agreement: Agreement, product: str, renamed: Mapping[str, str]) -> Agreement:
    """The agreement on another product, with the paths it releases and selects by under the names that they have there."""
    fields = tuple(replace(released, path=renamed.get(released.path, released.path)) for released in agreement.fields)
    population = replace(agreement.population, where=_renamed(agreement.population.where, renamed))
    return replace(agreement, product=product, fields=fields, population=population)


def _renamed(where: Constraint, renamed: Mapping[str, str]) -> Constraint:
    match where:
        case AllOf(parts=parts) | AnyOf(parts=parts):
            return replace(where, parts=tuple(_renamed(part, renamed) for part in parts))
        case _:
            return replace(where, path=renamed.get(where.path, where.path))


def _named(text: str, product: str) -> Iterator[Ground]:
    if re.search(rf"(?<![\w.-]){re.escape(product)}(?!\d)", text):
        yield Ground(Reason.PRODUCT_NAMED, "", f"the text names {product}: it says which data are shared, and of what")


def _of_field(path: str, old: Schema, new: Schema, renamed: Mapping[str, str]) -> Iterator[Ground]:
    """What the leaf itself, or its not being there, says."""
    before, after = old.fields.get(path), new.fields.get(path)
    if before is None:
        return
    if path in renamed:
        yield Ground(Reason.FIELD_RENAMED, path, f"it is called {renamed[path]} there", renamed[path])
        yield from _of_leaf(before, new.fields[renamed[path]])
    elif after is None:
        yield Ground(Reason.FIELD_ABSENT, path, "the successor has no such field: do without it, or ask for another")
    else:
        yield from _of_leaf(before, after)


def _of_leaf(before: Field, after: Field) -> Iterator[Ground]:
    if before.field_class is not after.field_class:
        text = f"its class was {before.field_class}, and is {after.field_class}"
        yield Ground(Reason.CLASS_CHANGED, before.path, text)
    if (before.type, before.logical, before.repeated) != (after.type, after.logical, after.repeated):
        yield Ground(Reason.TYPE_CHANGED, before.path, f"its values were {_shape(before)}, and are {_shape(after)}")


def _shape(leaf: Field) -> str:
    return f"{'a list of ' if leaf.repeated else ''}{leaf.logical or leaf.type}"


def _touches(change: Change, path: str) -> bool:
    """Whether a change at some place is one of this leaf: at it, or of a group that it lies in."""
    if change.path == path:
        return True
    above = path.startswith(f"{change.path}.") if change.path else False
    return above and change.rule not in _OF_THE_LEAF


def _reason(change: Change, old: Schema, new: Schema) -> Reason | None:
    if change.rule is Rule.CONSTRAINT_CHANGED:
        stricter = _stricter(_field_at(old, change.path), _field_at(new, change.path))
        return Reason.CONSTRAINT_STRICTER if stricter else None
    return _REASON_OF.get(change.rule)


def _stricter(before: RecordField | None, after: RecordField | None) -> bool:
    """Whether values that the old version took are refused by the new one."""
    if before is None or after is None:
        return False
    was, now = before.attributes, after.attributes
    kind = now.get("identifier") is not None and now.get("identifier") != was.get("identifier")
    least = (now.get("minItems") or 0) > (was.get("minItems") or 0)
    most = now.get("maxItems") is not None and (was.get("maxItems") is None or now["maxItems"] < was["maxItems"])
    return kind or least or most


def _field_at(schema: Schema, path: str) -> RecordField | None:
    record, found = schema.root, None
    for name in path.split("."):
        found = next((each for each in record.fields if each.name == name), None)
        if found is None:
            return None
        inner = unwrapped(found.type)
        inner = unwrapped(inner.items) if isinstance(inner, Array) else inner
        if isinstance(inner, Record):
            record = inner
    return found
