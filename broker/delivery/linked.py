"""Deliveries as linked data: JSON-LD 1.1 (W3C Recommendation of 16 July 2020) by the OSLO IRIs of their egress schema.

The context is written out, so that nobody has to fetch one and we never do. A member is a version: its IRI is made from
the delivery id, that of what it is a version of from the key of the subject in this stream, so that neither says who it
is. Names with a hyphen are the envelope's, which no Avro field can have; the others are the agreement's fields.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from broker.model.agreement import FieldClass, Transform
from broker.schema.lint import parse_structure
from broker.schema.types import Array, Enumeration, Fixed, Primitive, Record, RecordField, Type, unwrapped

Json = dict[str, Any]

MEDIA_TYPE = "application/ld+json"
DCT, PROV, XSD = "http://purl.org/dc/terms/", "http://www.w3.org/ns/prov#", "http://www.w3.org/2001/XMLSchema#"
VERSION_OF, GENERATED_AT = f"{DCT}isVersionOf", f"{PROV}generatedAtTime"
_ACTIVITIES = "https://www.w3.org/ns/activitystreams#"
DELETE = f"{_ACTIVITIES}Delete"
"""Class of a version that tells that the subject left (`ldes:versionDeleteObject`, LDES 1.0 §4.3)."""

PAGE = f"{_ACTIVITIES}OrderedCollectionPage"
"""Class of a page of items."""

EDTF = "http://id.loc.gov/datatypes/edtf/EDTF"
"""Extended date/time format (ISO 8601-2), for a date of which the year, or only a month, is unknown."""

_TEMPORAL = frozenset(
    {
        *(f"http://data.europa.eu/m8g/{name}" for name in ("startTime", "endTime")),
        *(f"{DCT}{name}" for name in ("created", "modified", "issued", "date")),
        "https://data.vlaanderen.be/ns/persoon#datum",
        GENERATED_AT,
    }
)
_OF_THE_SOURCE = frozenset({VERSION_OF, GENERATED_AT})
"""Properties that a member has by its envelope: what a record says with them is about the version at the source."""

_IRIS = ("IRI ", "IRIs ")
"""How the doc of a field begins whose values are IRIs."""

_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`]+")
_DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})", re.ASCII)
_INSTANT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]+)?(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?",
    re.ASCII,
)
_DATATYPES = {
    "date": f"{XSD}date",
    "timestamp-millis": f"{XSD}dateTime",
    "float": f"{XSD}double",
    "double": f"{XSD}double",
    "bytes": f"{XSD}base64Binary",
    "fixed": f"{XSD}base64Binary",
}


@dataclass(frozen=True, slots=True)
class Iris:
    """IRIs of one agreement's stream. `base` is what the installation's own IRIs begin with."""

    base: str
    agreement: str

    def version(self, delivery: str) -> str:
        """Of one delivery."""
        return f"{self.base}agreement/{self.agreement}/delivery/{delivery}"

    def entity(self, key: str) -> str:
        """Of what all deliveries with this key are versions of."""
        return f"{self.base}agreement/{self.agreement}/subject/{key}"


@dataclass(frozen=True, slots=True, eq=False)
class Property:
    """A field as an RDF property. `datatype` is fixed by the schema, `@id` where values are IRIs; None where it is not."""

    name: str
    iri: str
    datatype: str | None
    repeated: bool
    node: "NodeType | None"
    convert: Callable[[Any], Any]
    open: bool

    def term(self) -> Json:
        """Its definition in a context."""
        own = {"@context": self.node.context()} if self.node else {"@type": self.datatype} if self.datatype else {}
        return {"@id": self.iri, **own}


@dataclass(frozen=True, slots=True, eq=False)
class NodeType:
    """A record as a class of nodes; `iri` is None where the schema names no class."""

    iri: str | None
    properties: tuple[Property, ...]

    def context(self) -> Json:
        """Terms of its fields, the nested ones scoped to theirs."""
        return {each.name: each.term() for each in self.properties}

    def node(self, value: Mapping[str, Any]) -> Json:
        """A nested record as a node; it gets no IRI, because it holds for this version of its member only."""
        typed = {"@type": self.iri} if self.iri else {}
        return typed | {each.name: each.convert(value[each.name]) for each in self.properties}

    @property
    def open(self) -> bool:
        """Whether every field is kept as it is and of class public."""
        return all(each.open for each in self.properties)


@lru_cache(maxsize=256)
def node_type(egress: str, base: str) -> NodeType:
    """What the JSON text of an egress schema delivers; a derived value has a property of the installation's own."""
    root, _ = parse_structure(egress)
    product = str(root.attributes.get("product", root.fullname))
    return _Compiler(f"{base}field/{product}/").node(root)


def context(base: str) -> Json:
    """Terms of the envelope."""
    own = {
        "delivery-kind": "kind",
        "delivery-reason": "reason",
        "delivery-sequence": "sequence",
        "event-type": "eventType",
        "agreement-version": "agreementVersion",
        "pseudonym-epoch": "pseudonymEpoch",
        "policy-epoch": "policyEpoch",
        "trace-parent": "traceparent",
        "stream-cursor": "cursor",
        "stream-key": "key",
    }
    return {
        "is-version-of": {"@id": VERSION_OF, "@type": "@id"},
        "generated-at": {"@id": GENERATED_AT, "@type": f"{XSD}dateTime"},
        "primary-source": {"@id": f"{PROV}hadPrimarySource"},
        **{name: {"@id": f"{base}term/{word}"} for name, word in own.items()},
    }


def page_context(base: str, type_: NodeType | None) -> Json:
    """Terms of a page of items, whose fields are those of `type_`."""
    items = {"@id": f"{_ACTIVITIES}items", "@container": "@list"} | ({"@context": type_.context()} if type_ else {})
    own = {name: {"@id": f"{base}term/{name}"} for name in ("agreement", "next")}
    return context(base) | own | {"items": items}


_ENVELOPE = {
    "kind": "delivery-kind",
    "reason": "delivery-reason",
    "sequence": "delivery-sequence",
    "type": "event-type",
    "agreementVersion": "agreement-version",
    "pseudonymEpoch": "pseudonym-epoch",
    "epoch": "policy-epoch",
    "traceparent": "trace-parent",
    "cursor": "stream-cursor",
}


def member(item: Mapping[str, Any], iris: Iris, type_: NodeType | None) -> Json:
    """One item (`streams.item`) as a node; `type_` is None where it has no data.

    A departure is a version of class `as:Delete`; what is about the agreement is a node without an IRI.
    """
    data = item.get("data")
    if item.get("id"):
        class_ = DELETE if type_ is None else type_.iri
        node: Json = {"@id": iris.version(item["id"])} | ({"@type": class_} if class_ else {})
        node |= {"is-version-of": iris.entity(item["key"]), "generated-at": item["time"]}
    else:
        node = {"stream-key": item["key"]}
    node |= {term: item[name] for name, term in _ENVELOPE.items() if name in item}
    if type_ is not None and data is not None:
        values = {each: each.convert(data[each.name]) for each in type_.properties}
        node |= {each.name: value for each, value in values.items() if each.iri not in _OF_THE_SOURCE}
        if stated := {each.name: value for each, value in values.items() if each.iri in _OF_THE_SOURCE}:
            node["primary-source"] = stated
    return node


@dataclass(frozen=True, slots=True)
class _Compiler:
    own: str

    def node(self, record: Record, path: str = "") -> NodeType:
        iri = record.attributes.get("iri")
        return NodeType(iri, tuple(self.property(each, path) for each in record.fields))

    def property(self, member: RecordField, path: str) -> Property:
        below = f"{path}.{member.name}" if path else member.name
        iri = str(member.attributes.get("iri") or f"{self.own}{below}")
        repeated = isinstance(unwrapped(member.type), Array)
        node = None
        inner = _single(member.type)
        if isinstance(inner, Record):
            node = self.node(inner, below)
            convert: Callable[[Any], Any] = node.node
            datatype = None
        else:
            datatype, convert = _scalar(inner, iri, member.attributes)
        return Property(
            name=member.name,
            iri=iri,
            datatype=datatype,
            repeated=repeated,
            node=node,
            convert=_each(convert) if repeated else _unless_null(convert),
            open=node.open if node else member.attributes.get("class") == FieldClass.PUBLIC,
        )


def _single(type_: Type) -> Primitive | Enumeration | Fixed | Record:
    """The type of one value, without null and array."""
    inner = unwrapped(type_)
    inner = unwrapped(inner.items) if isinstance(inner, Array) else inner
    if isinstance(inner, Array):
        raise TypeError(inner)  # the lint refuses it
    return inner


def _scalar(
    type_: Primitive | Enumeration | Fixed, iri: str, stated: Mapping[str, Any]
) -> tuple[str | None, Callable[[Any], Any]]:
    if isinstance(type_, Enumeration):
        template = str(type_.attributes.get("doc", ""))
        coded = "://" in template and "{symbol}" in template
        return ("@id", lambda symbol: template.replace("{symbol}", symbol)) if coded else (None, _same)
    if stated.get("derived") == Transform.YEAR:
        return f"{XSD}gYear", _same
    if type_ == Primitive("string"):
        if str(stated.get("doc", "")).startswith(_IRIS):
            return "@id", _iri
        return None, _temporal if iri in _TEMPORAL else _same
    logical = type_.logical if isinstance(type_, Primitive) else None
    return _DATATYPES.get(logical or type_.name), _same


def _same(value: Any) -> Any:
    return value


def _each(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    one = _unless_null(convert)
    return _unless_null(lambda values: [one(value) for value in values])


def _unless_null(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else convert(value)


def _iri(text: str) -> Any:
    """What is no absolute IRI stays text: as an IRI it would be taken relative to wherever the page was fetched."""
    return text if _ABSOLUTE.fullmatch(text) else {"@value": text}


def _temporal(text: str) -> Any:
    """A date as far as it is known, or an instant, with the datatype that says so; other text stays text."""
    if found := _DATE.fullmatch(text):
        year, month, day = found.groups()
        if year == "0000" or (month == "00" and day != "00"):
            return {"@value": "-".join(_edtf(found.groups())), "@type": EDTF} if _plausible(month, day) else text
        if month == "00":
            return {"@value": year, "@type": f"{XSD}gYear"}
        if day == "00":
            return {"@value": f"{year}-{month}", "@type": f"{XSD}gYearMonth"} if _plausible(month, day) else text
        return {"@value": text, "@type": f"{XSD}date"} if _exists(year, month, day) else text
    if (found := _INSTANT.fullmatch(text)) and _exists(*found.groups()[:3]):
        return {"@value": text, "@type": f"{XSD}dateTime"}
    return text


def _edtf(parts: tuple[str, ...]) -> Iterator[str]:
    return ("X" * len(part) if not int(part) else part for part in parts)


def _plausible(month: str, day: str) -> bool:
    return int(month) <= 12 and int(day) <= 31  # noqa: PLR2004 - of any year


def _exists(year: str, month: str, day: str) -> bool:
    known = int(year) > 0 and 1 <= int(month) <= 12  # noqa: PLR2004 - months
    return known and 1 <= int(day) <= monthrange(int(year), int(month))[1]
