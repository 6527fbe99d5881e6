"""JSON text to resolved Avro types, refusing everything that a record must not be able to say.

Refused by structure: maps, unions other than `["null", X]`, recursion, values of zero bytes (a seven-byte array of
nulls keeps a decoder busy for ever), aliases and defaults (a reader must not be able to rename or invent a value).
Avro 1.12 specification, <https://avro.apache.org/docs/1.12.0/specification/>.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Never

from broker.errors import SchemaRefused
from broker.schema.types import (
    Array,
    Enumeration,
    Fixed,
    Nullable,
    Primitive,
    Record,
    RecordField,
    Scalar,
    Type,
    unwrapped,
)

MAX_TEXT = 1 << 20
MAX_FIELDS = 500
MAX_DEPTH = 12
MAX_FIXED = 1 << 20

_PRIMITIVES = frozenset({"boolean", "int", "long", "float", "double", "string", "bytes"})
_LOGICAL = {"date": "int", "timestamp-millis": "long"}
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


def parse_structure(text: str) -> tuple[Record, str]:
    """Resolved record type and canonical text (no white space, key order kept) of an Avro schema in JSON.

    Raises `SchemaRefused` with one of the rules JSON_MALFORMED, JSON_DUPLICATE_KEY, TOO_LARGE, NOT_A_RECORD,
    NAME_INVALID, NAME_TAKEN, TYPE_UNKNOWN, MAP, UNION, RECURSIVE, ZERO_BYTES, NESTED_ARRAY, ALIASES, DEFAULT,
    LOGICAL_TYPE, SYMBOLS, TOO_MANY_FIELDS, TOO_DEEP.
    """
    if len(text) > MAX_TEXT:
        raise SchemaRefused("TOO_LARGE", "", f"a schema has at most {MAX_TEXT} characters")
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
        canonical = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        canonical.encode()
        parsed = _Parser().type(document, "", "")
    except (ValueError, RecursionError):
        # Outside the handler, so that no traceback quotes the text.
        parsed, canonical = None, ""
    if parsed is None:
        raise SchemaRefused("JSON_MALFORMED", "", "a schema is one JSON document in UTF-8")
    if not isinstance(parsed, Record):
        raise SchemaRefused("NOT_A_RECORD", "", "the top level of a schema is a record")
    _Extent().measure(parsed, "", 1)
    return parsed, canonical


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise SchemaRefused("JSON_DUPLICATE_KEY", "", "a JSON object names a key twice")
    return found


def _no_constant(_: str) -> Never:
    raise ValueError


@dataclass(slots=True)
class _Extent:
    """Counts fields with every named type written out, so that references cannot multiply unseen."""

    fields: int = 0

    def measure(self, record: Record, path: str, depth: int) -> None:
        for member in record.fields:
            below = _below(path, member.name)
            self.fields += 1
            if self.fields > MAX_FIELDS:
                raise SchemaRefused("TOO_MANY_FIELDS", below, f"a schema has at most {MAX_FIELDS} fields")
            level, inner = depth, unwrapped(member.type)
            if isinstance(inner, Array):
                level, inner = level + 1, unwrapped(inner.items)
            if isinstance(inner, Record):
                level += 1
            if level > MAX_DEPTH:
                raise SchemaRefused("TOO_DEEP", below, f"records and arrays nest at most {MAX_DEPTH} deep")
            if isinstance(inner, Record):
                self.measure(inner, below, level)


@dataclass(slots=True)
class _Parser:
    """One pass over the JSON; `named` maps full names to their type, or to None while being defined."""

    named: dict[str, Scalar | Record | None] = field(default_factory=dict)

    def type(self, node: Any, namespace: str, path: str) -> Type:
        if isinstance(node, list):
            return self._union(node, namespace, path)
        if isinstance(node, str):
            node = {"type": node}
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            raise SchemaRefused("TYPE_UNKNOWN", path, "not an Avro type")
        _refuse_rewriting(node, path)
        name, logical = node["type"], node.get("logicalType")
        if logical is not None and (not isinstance(logical, str) or _LOGICAL.get(logical) != name):
            raise SchemaRefused("LOGICAL_TYPE", path, "logical types are date (int) and timestamp-millis (long)")
        if name in _PRIMITIVES:
            return Primitive(name, logical)
        compound = {"record": self._record, "array": self._array, "enum": self._enum, "fixed": self._fixed}
        return compound.get(name, self._reference)(node, namespace, path)

    def _union(self, node: list[Any], namespace: str, path: str) -> Type:
        if len(node) != 2 or node[0] != "null" or node[1] == "null" or isinstance(node[1], list):  # noqa: PLR2004 - a pair
            raise SchemaRefused("UNION", path, 'the only union is ["null", X]')
        inner = self.type(node[1], namespace, path)
        if isinstance(inner, Nullable):
            raise SchemaRefused("UNION", path, 'the only union is ["null", X]')
        return Nullable(inner)

    def _reference(self, node: Mapping[str, Any], namespace: str, path: str) -> Type:
        name = node["type"]
        if name == "null":
            raise SchemaRefused("ZERO_BYTES", path, 'null stands only in ["null", X]')
        if name == "map":
            raise SchemaRefused("MAP", path, "use an array of records: the keys of a map have no meaning of their own")
        fullname = name if "." in name or not namespace else f"{namespace}.{name}"
        if fullname not in self.named:
            raise SchemaRefused("TYPE_UNKNOWN", path, "names a type that is not defined before it")
        found = self.named[fullname]
        if found is None:
            raise SchemaRefused("RECURSIVE", path, "a record cannot contain itself")
        return found

    def _record(self, node: Mapping[str, Any], namespace: str, path: str) -> Type:
        fullname, inside = self._define(node, namespace, path)
        members = node.get("fields")
        if not isinstance(members, list) or not members:
            raise SchemaRefused("ZERO_BYTES", path, "a record has at least one field")
        fields, seen = [], set()
        for member in members:
            name = member.get("name") if isinstance(member, dict) else None
            if not isinstance(name, str) or not _IDENTIFIER.fullmatch(name) or "type" not in member:
                raise SchemaRefused("NAME_INVALID", path, "a field has a type, and a name of letters, digits and _")
            below = _below(path, name)
            if name in seen:
                raise SchemaRefused("NAME_TAKEN", below, "a field of this name exists already")
            seen.add(name)
            _refuse_rewriting(member, below)
            type_ = self.type(member["type"], inside, below)
            if "default" in member and not isinstance(type_, Nullable):
                raise SchemaRefused("DEFAULT", below, "a default is null, on a nullable field")
            attributes = {key: value for key, value in member.items() if key not in {"name", "type"}}
            fields.append(RecordField(name, type_, attributes))
        record = Record(fullname, tuple(fields), _attributes(node, "fields"))
        self.named[fullname] = record
        return record

    def _array(self, node: Mapping[str, Any], namespace: str, path: str) -> Type:
        if "items" not in node:
            raise SchemaRefused("TYPE_UNKNOWN", path, "an array has items")
        items = self.type(node["items"], namespace, path)
        if isinstance(items, Array) or (isinstance(items, Nullable) and isinstance(items.inner, Array)):
            raise SchemaRefused("NESTED_ARRAY", path, "an array does not hold arrays: put a record between")
        return Array(items)

    def _enum(self, node: Mapping[str, Any], namespace: str, path: str) -> Type:
        fullname, _ = self._define(node, namespace, path)
        symbols = node.get("symbols")
        valid = isinstance(symbols, list) and all(isinstance(s, str) and _IDENTIFIER.fullmatch(s) for s in symbols)
        if not isinstance(symbols, list) or not valid or not symbols or len(set(symbols)) != len(symbols):
            raise SchemaRefused("SYMBOLS", path, "an enum has distinct symbols of letters, digits and _")
        enum = Enumeration(fullname, tuple(symbols), _attributes(node, "symbols"))
        self.named[fullname] = enum
        return enum

    def _fixed(self, node: Mapping[str, Any], namespace: str, path: str) -> Type:
        fullname, _ = self._define(node, namespace, path)
        size = node.get("size")
        if not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= MAX_FIXED:
            raise SchemaRefused("ZERO_BYTES", path, f"a fixed has 1 to {MAX_FIXED} bytes")
        fixed = Fixed(fullname, size, _attributes(node, "size"))
        self.named[fullname] = fixed
        return fixed

    def _define(self, node: Mapping[str, Any], namespace: str, path: str) -> tuple[str, str]:
        """Full name of a named type and the namespace inside it."""
        name, space = node.get("name"), node.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(space, str):
            raise SchemaRefused("NAME_INVALID", path, "a record, enum or fixed has a name")
        fullname = name if "." in name or not space else f"{space}.{name}"
        if not all(_IDENTIFIER.fullmatch(part) for part in fullname.split(".")) or fullname in _PRIMITIVES:
            raise SchemaRefused("NAME_INVALID", path, "a name is letters, digits and _, not starting with a digit")
        if fullname in self.named:
            raise SchemaRefused("NAME_TAKEN", path, "a type of this name exists already")
        self.named[fullname] = None
        return fullname, fullname.rpartition(".")[0]


def _refuse_rewriting(node: Mapping[str, Any], path: str) -> None:
    if "aliases" in node:
        raise SchemaRefused("ALIASES", path, "a reader must not be able to take one name for another")
    if node.get("default") is not None:
        raise SchemaRefused("DEFAULT", path, "a reader must not be able to invent a value")


def _attributes(node: Mapping[str, Any], content: str) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in {"type", "name", "namespace", content}}


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
