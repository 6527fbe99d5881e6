"""What a schema says about values beyond their type, and the check of a record before it is published.

Beside its type a field can state `identifier` (a kind of `broker.model.identifiers.CHECKS`, on text) and `minItems`,
`maxItems` (on an array). Code lists are enums. There are no patterns: a document brings no code, and no regular
expression knows a check digit.
"""

from collections.abc import Callable, Mapping
from typing import Any

from broker.errors import PoisonRecord, SchemaRefused
from broker.model.identifiers import CHECKS, is_canonical
from broker.schema.types import Array, Nullable, Primitive, Record, RecordField, Type, unwrapped

Check = Callable[[Any, str], None]
"""Raises `PoisonRecord` for a value, which stands at a path, that is not what its schema says."""

_BOUNDS = ("minItems", "maxItems")


def check_stated(root: Record, path: str = "") -> None:
    """Raise `SchemaRefused` (IDENTIFIER, ITEMS) for a constraint that nobody could hold."""
    for field in root.fields:
        below = f"{path}.{field.name}" if path else field.name
        kind, inner = field.attributes.get("identifier"), unwrapped(field.type)
        of_items = unwrapped(inner.items) if isinstance(inner, Array) else inner
        known = isinstance(kind, str) and kind in CHECKS
        if kind is not None and not (known and of_items == Primitive("string")):
            raise SchemaRefused("IDENTIFIER", below, f"`identifier` is one of {', '.join(CHECKS)}, on text")
        bounds = [field.attributes[name] for name in _BOUNDS if name in field.attributes]
        whole = all(isinstance(bound, int) and not isinstance(bound, bool) and bound >= 0 for bound in bounds)
        if bounds and not (isinstance(inner, Array) and whole and bounds == sorted(bounds)):
            raise SchemaRefused("ITEMS", below, "`minItems` and `maxItems` are whole numbers in order, on an array")
        if isinstance(of_items, Record):
            check_stated(of_items, below)


def compile_check(root: Record) -> Callable[[Mapping[str, Any]], None]:
    """Check of a whole record, as Python values that fit the schema; nothing is looked at where nothing is stated.

    It raises `PoisonRecord` with CONSTRAINT_INSZ, …_KBO, …_VESTIGING, …_NIS, …_OVO, …_PURI, …_MIN_ITEMS or …_MAX_ITEMS
    and the path.
    """
    check = _record(root)

    def checked(value: Mapping[str, Any]) -> None:
        if check is not None:
            check(value, "")

    return checked


def _record(record: Record) -> Check | None:
    members = [(field.name, held) for field in record.fields if (held := _member(field)) is not None]
    if not members:
        return None

    def check(value: Any, path: str) -> None:
        for name, inner in members:
            inner(value.get(name), f"{path}.{name}" if path else name)

    return check


def _member(field: RecordField) -> Check | None:
    inner = _typed(field.type, field.attributes.get("identifier"))
    low, high = (field.attributes.get(name) for name in _BOUNDS)
    if low is None and high is None:
        return inner

    def check(value: Any, path: str) -> None:
        if value is not None and low is not None and len(value) < low:
            raise PoisonRecord("CONSTRAINT_MIN_ITEMS", path)
        if value is not None and high is not None and len(value) > high:
            raise PoisonRecord("CONSTRAINT_MAX_ITEMS", path)
        if inner is not None:
            inner(value, path)

    return check


def _typed(type_: Type, kind: str | None) -> Check | None:
    match type_:
        case Nullable(inner=inner):
            return _unless_absent(_typed(inner, kind))
        case Array(items=items):
            return _each(_typed(items, kind))
        case Record():
            return _record(type_)
        case _:
            return None if kind is None else _identifier(kind)


def _identifier(kind: str) -> Check:
    code = f"CONSTRAINT_{kind.upper()}"

    def check(value: Any, path: str) -> None:
        if not is_canonical(kind, value):
            raise PoisonRecord(code, path)

    return check


def _unless_absent(inner: Check | None) -> Check | None:
    if inner is None:
        return None

    def check(value: Any, path: str) -> None:
        if value is not None:
            inner(value, path)

    return check


def _each(inner: Check | None) -> Check | None:
    if inner is None:
        return None

    def check(value: Any, path: str) -> None:
        for item in value:
            inner(item, path)

    return check
