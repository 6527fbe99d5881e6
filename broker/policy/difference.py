"""What differs between two agreement documents, clause by clause, in document order.

Items of a list are known by what they are, not by where they stand: a field by path and name, an instrument by kind and
reference, a recipient or processor by name. So an inserted field is one line, and not a change of all that follow.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from broker.model.agreement import Agreement
from broker.policy.documents import agreement_document

_IDENTITY: Mapping[str, Callable[[Any], str]] = {
    "fields": lambda item: item["path"] + (f" as {item['name']}" if "name" in item else ""),
    "bases": lambda item: f"{item['instrument']} {item['reference']}",
    "conditions.recipients": lambda item: item["name"],
    "conditions.processors": lambda item: f"{item['side']} {item['name']}",
    "conditions.security": str,
}
"""By path of the list; the parts of a constraint have no identity and are compared as one clause."""


class Label(StrEnum):
    """What happened to a clause."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    REORDERED = "reordered"


class Difference(NamedTuple):
    """One clause that is not the same: where it stands, and its JSON value before and after (None where it is absent)."""

    path: str
    label: Label
    before: Any
    after: Any


def difference(before: Agreement, after: Agreement) -> tuple[Difference, ...]:
    """Every clause in which two agreements differ; empty exactly if they are equal."""
    return tuple(_of_objects("", agreement_document(before), agreement_document(after)))


def _of_objects(path: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys((*before, *after)):
        at = f"{path}.{name}" if path else name
        yield from _of_values(at, before.get(name), after.get(name))


def _of_values(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if before == after:
        return
    if path in _IDENTITY:
        yield from _of_lists(path, before or [], after or [])
    elif isinstance(before, Mapping) and isinstance(after, Mapping) and path != "population.where":
        yield from _of_objects(path, before, after)
    else:
        label = Label.ADDED if before is None else Label.REMOVED if after is None else Label.CHANGED
        yield Difference(path, label, before, after)


def _of_lists(path: str, before: Sequence[Any], after: Sequence[Any]) -> Iterator[Difference]:
    old, new = _named(path, before), _named(path, after)
    for name in dict.fromkeys((*old, *new)):
        at = f"{path}[{name}]"
        was, now = old.get(name), new.get(name)
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            yield from _of_objects(at, was, now)
        else:
            yield from _of_values(at, was, now)
    kept = [name for name in old if name in new], [name for name in new if name in old]
    if kept[0] != kept[1]:
        yield Difference(path, Label.REORDERED, *kept)


def _named(path: str, items: Sequence[Any]) -> dict[str, Any]:
    """Items by identity; of several alike, the later ones are numbered."""
    found: dict[str, Any] = {}
    for item in items:
        name = wanted = _IDENTITY[path](item)
        count = 1
        while name in found:
            count += 1
            name = f"{wanted} #{count}"
        found[name] = item
    return found
