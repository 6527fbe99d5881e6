"""Schemas of products: the lint of our conventions, leaves by path, and literals as their encoded bytes.

A leaf path is dotted (`geboorte.datum`); an array of scalars is a leaf (`naam.voornamen`); below an array of records
the path goes through it (`nationaliteiten.code`). Only leaf paths can be named in an agreement.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from hashlib import sha256
from types import MappingProxyType
from typing import Any

from broker.errors import Invalid, SchemaRefused
from broker.model.agreement import FieldClass
from broker.model.decision import RECORD_KINDS
from broker.schema.constraints import check_stated
from broker.schema.linked_terms import OWN_NAMESPACE
from broker.schema.lint import parse_structure
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, Type, unwrapped

_PRODUCT = re.compile(r"[a-z][a-z0-9_-]*\.v[1-9][0-9]*", re.ASCII)
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,18}", re.ASCII)
_ROLES = (None, "principal", "mentioned")
_TEXT, _OPTIONAL_TEXT = Primitive("string"), Nullable(Primitive("string"))
_HEAD: tuple[tuple[str, Type | None], ...] = (
    ("kind", None),
    ("validFrom", _OPTIONAL_TEXT),
    ("validTo", _OPTIONAL_TEXT),
    ("recordedAt", _TEXT),
    ("corrects", _OPTIONAL_TEXT),
)
_KINDS = tuple(kind.value for kind in RECORD_KINDS)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_BITS = {"int": 32, "long": 64}


@dataclass(frozen=True, slots=True)
class Field:
    """One leaf. `type` is the Avro type name of one value without null; `repeated` = it is, or lies under, an array.

    `nullable` = its own type is a union with null, so that its bytes start with a branch byte; `optional` = it can be
    absent, by itself or because a record or array above it is null.
    """

    path: str
    type: str
    iri: str
    field_class: FieldClass
    reveals: str | None
    subject: str | None
    doc: str
    repeated: bool
    nullable: bool
    optional: bool
    logical: str | None = None
    symbols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Schema:
    """A product's schema that passed the lint; two schemas are equal if their canonical texts are."""

    text: str
    product: str = field(compare=False)
    name: str = field(compare=False)
    root: Record = field(compare=False, repr=False)
    fields: Mapping[str, Field] = field(compare=False, repr=False)
    principal: str = field(compare=False)
    fingerprint: str = field(compare=False)

    @property
    def about_person(self) -> bool:
        """Whether the subject is a natural person, known by national number."""
        return self.fields[self.principal].field_class is FieldClass.NATIONAL_NUMBER


@lru_cache(maxsize=256)
def load_schema(text: str) -> Schema:
    """A product's schema from its JSON text; raises `SchemaRefused(rule, path, message)`. The same text is read once.

    Rules, beside those of `lint.parse_structure`: PRODUCT, IRI, DOC, CLASS, REVEALS, SUBJECT, PRINCIPAL, HEAD,
    IDENTIFIER, ITEMS.
    """
    root, canonical = parse_structure(text)
    product = root.attributes.get("product")
    if not isinstance(product, str) or not _PRODUCT.fullmatch(product):
        raise SchemaRefused("PRODUCT", "", "`product` is a name and a version, such as persoon.v1")
    _stated(root.attributes, "")
    fields = {leaf.path: leaf for leaf in _leaves(root, "", repeated=False, optional=False)}
    principals = [leaf for leaf in fields.values() if leaf.subject == "principal"]
    if len(principals) != 1:
        raise SchemaRefused("PRINCIPAL", "", f"exactly one identifier is `subject: principal`, not {len(principals)}")
    principal = principals[0]
    if principal.type != "string" or principal.repeated or principal.optional:
        raise SchemaRefused("PRINCIPAL", principal.path, "the principal's identifier is a string that is always there")
    _check_head(root, fields)
    check_stated(root)
    return Schema(
        text=canonical,
        product=product,
        name=root.fullname,
        root=root,
        fields=MappingProxyType(fields),
        principal=principal.path,
        fingerprint=sha256(canonical.encode()).hexdigest(),
    )


def encode_literal(schema: Schema, path: str, text: str) -> bytes:
    """Bytes that a record holds at the single-valued leaf `path` where its value is `text`, branch byte included.

    Text of an enum is its symbol, of a boolean `true` or `false`, of an integer its decimal digits, of a date
    `2008-05-17`. Raises `Invalid` where the leaf cannot hold it, or is of a type without equality (float, bytes, …).
    """
    leaf = schema.fields.get(path)
    if leaf is None or leaf.repeated:
        raise Invalid(f"{path} is not a single-valued leaf of {schema.product}")
    body = _literal(leaf, text)
    if body is None:
        raise Invalid(f"{path} cannot hold this literal: it is of type {leaf.logical or leaf.type}")
    return b"\x02" + body if leaf.nullable else body


def varint(number: int) -> bytes:
    """Avro `long`: zig-zag, seven bits a byte, the lowest first; `number` fits 64 bits."""
    raw = (number << 1) ^ (number >> 63)
    out = bytearray()
    while raw > 0x7F:  # noqa: PLR2004 - seven bits
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    out.append(raw)
    return bytes(out)


def _literal(leaf: Field, text: str) -> bytes | None:
    match leaf.logical or leaf.type:
        case "string":
            return _text(text)
        case "boolean":
            return {"false": b"\x00", "true": b"\x01"}.get(text)
        case "enum":
            return varint(leaf.symbols.index(text)) if text in leaf.symbols else None
        case "date":
            return _date(text)
        case "int" | "long" as name if _INTEGER.fullmatch(text):
            half = 1 << (_BITS[name] - 1)
            return varint(int(text)) if -half <= int(text) < half else None
    return None


def _text(text: str) -> bytes | None:
    try:
        raw = text.encode()
    except UnicodeEncodeError:
        return None
    return varint(len(raw)) + raw


def _date(text: str) -> bytes | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return varint(day.toordinal() - _EPOCH_DAY) if text == day.isoformat() else None


def _leaves(record: Record, path: str, *, repeated: bool, optional: bool) -> Iterator[Field]:
    for member in record.fields:
        below = f"{path}.{member.name}" if path else member.name
        _stated(member.attributes, below)
        nullable = isinstance(member.type, Nullable)
        absent = optional or nullable
        inner, several = unwrapped(member.type), repeated
        if isinstance(inner, Array):
            inner, several = unwrapped(inner.items), True
        if isinstance(inner, Record):
            yield from _leaves(inner, below, repeated=several, optional=absent)
        elif not isinstance(inner, Array):
            yield _leaf(inner, member.attributes, below, repeated=several, nullable=nullable, optional=absent)


def _leaf(
    type_: Primitive | Enumeration | Fixed,
    attributes: Mapping[str, Any],
    path: str,
    *,
    repeated: bool,
    nullable: bool,
    optional: bool,
) -> Field:
    known = {member.value: member for member in FieldClass}
    field_class = known.get(str(attributes.get("class")))
    if field_class is None:
        raise SchemaRefused("CLASS", path, f"`class` is one of {', '.join(known)}")
    reveals, subject = attributes.get("reveals"), attributes.get("subject")
    if reveals not in (None, "special"):
        raise SchemaRefused("REVEALS", path, "`reveals` is special, or absent")
    if subject not in _ROLES or (subject is None and field_class is FieldClass.NATIONAL_NUMBER):
        raise SchemaRefused(
            "SUBJECT", path, "an identifier of a person is `subject: principal` or `subject: mentioned`"
        )
    return Field(
        path=path,
        type=type_.name,
        iri=attributes["iri"],
        field_class=field_class,
        reveals=reveals,
        subject=subject,
        doc=attributes["doc"],
        repeated=repeated,
        nullable=nullable,
        optional=optional,
        logical=type_.logical if isinstance(type_, Primitive) else None,
        symbols=type_.symbols if isinstance(type_, Enumeration) else (),
    )


def _stated(attributes: Mapping[str, Any], path: str) -> None:
    iri, doc = attributes.get("iri"), attributes.get("doc")
    if not isinstance(iri, str) or not ("://" in iri or iri.startswith(OWN_NAMESPACE)):
        raise SchemaRefused("IRI", path, "`iri` names the concept or property in full")
    if not isinstance(doc, str) or not doc.strip():
        raise SchemaRefused("DOC", path, "`doc` says what the value means")


def _check_head(root: Record, fields: Mapping[str, Field]) -> None:
    found = root.fields[: len(_HEAD)]
    for (name, expected), member in zip(_HEAD, found, strict=False):
        if member.name != name:
            raise SchemaRefused("HEAD", member.name, f"the first fields are {', '.join(name for name, _ in _HEAD)}")
        fits = member.type == expected or (
            expected is None and isinstance(member.type, Enumeration) and member.type.symbols == _KINDS
        )
        if not fits:
            raise SchemaRefused("HEAD", name, "is not of the type that every product gives it")
        if fields[name].field_class is not FieldClass.PUBLIC:
            raise SchemaRefused("HEAD", name, "is of class public")
    if len(found) < len(_HEAD):
        raise SchemaRefused("HEAD", "", f"the first fields are {', '.join(name for name, _ in _HEAD)}")
