"""Deliveries without some of their fields, for a subject whose consent leaves these out.

The egress schema stays: a field that is left out is null, or a list without items. That is only possible where the
schema allows it, so that whoever registers a consent asks `can_leave_out` first.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from broker.errors import Invalid
from broker.schema.reference import decode, encode


class _Place(NamedTuple):
    """A field, and what stands in it when it is left out."""

    path: tuple[str, ...]
    blank: Any


@lru_cache(maxsize=4096)
def can_leave_out(egress: str, key: str) -> bool:
    """Whether the field `key` (a dotted path, or a derived value's name) of the egress schema can be left out."""
    try:
        _place(json.loads(egress), key)
    except Invalid:
        return False
    return True


def leave_out(egress: str, keys: Collection[str]) -> Callable[[bytes], bytes]:
    """Function from a delivery's Avro body to the same without these fields; raises `Invalid` for one that must be there.

    It decodes, unlike a cut: few subjects limit what they agree to.
    """
    schema = json.loads(egress)
    places = [_place(schema, key) for key in sorted(keys)]

    def without(body: bytes) -> bytes:
        record = decode(egress, body)
        for place in places:
            for holder in _holders(record, place.path[:-1]):
                holder[place.path[-1]] = place.blank
        return encode(egress, record)

    return without


def _place(schema: Mapping[str, Any], key: str) -> _Place:
    named = {fullname: type_ for type_ in _types(schema) if (fullname := _fullname(type_))}
    path = tuple(key.split("."))
    type_: Any = schema
    for name in path:
        record = _inner(type_, named)
        members = {member["name"]: member["type"] for member in record.get("fields", ())}
        if name not in members:
            raise Invalid(f"{key} is no field of this agreement's deliveries")
        type_ = members[name]
    if isinstance(type_, list) and "null" in type_:
        return _Place(path, None)
    if isinstance(type_, Mapping) and type_.get("type") == "array":
        return _Place(path, [])
    raise Invalid(f"{key} is in every record of this product: it cannot be left out")


def _inner(type_: Any, named: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record that a type holds: itself, under null, or as items."""
    if isinstance(type_, list):
        return _inner(next(branch for branch in type_ if branch != "null"), named)
    if isinstance(type_, str):
        known: Mapping[str, Any] = named.get(type_, {})
        return known
    held: Mapping[str, Any] = type_
    return _inner(held["items"], named) if held.get("type") == "array" else held


def _types(type_: Any) -> Iterator[Mapping[str, Any]]:
    """Every type that is written out in a schema."""
    if isinstance(type_, Mapping):
        yield type_
        for below in (type_.get("items"), *(member["type"] for member in type_.get("fields", ()))):
            yield from _types(below)
    elif isinstance(type_, Sequence) and not isinstance(type_, str):
        for branch in type_:
            yield from _types(branch)


def _fullname(type_: Mapping[str, Any]) -> str | None:
    name, space = type_.get("name"), type_.get("namespace")
    return f"{space}.{name}" if name and space else name


def _holders(record: Any, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """The records at a path, however many."""
    if isinstance(record, list):
        for item in record:
            yield from _holders(item, path)
    elif record is not None and path:
        yield from _holders(record[path[0]], path[1:])
    elif record is not None:
        yield record
