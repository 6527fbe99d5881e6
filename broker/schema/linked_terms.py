"""A schema's fields as RDF: the properties and classes its IRIs name, their terms in JSON-LD, and its values as nodes.

JSON-LD 1.1 (W3C Recommendation of 16 July 2020). Deliveries (`broker.delivery.linked`) and published types
(`broker.schema.publication`) take their terms from here, so that a field means the same wherever it is read. The JSON
text of a schema says all: a field's `iri`; a `doc` that begins with "IRI of" where its values are IRIs; a `language`
for texts in one language; the concepts of a code list (`concepts_of`).
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

DCT, PROV, XSD = "http://purl.org/dc/terms/", "http://www.w3.org/ns/prov#", "http://www.w3.org/2001/XMLSchema#"
OWN_NAMESPACE = "urn:datanuts:"
"""What IRIs of ours begin with: a term that no standard has is never given an IRI of somebody else's namespace."""

EDTF = "http://id.loc.gov/datatypes/edtf/EDTF"
"""Extended date/time format (ISO 8601-2), for a date of which the year, or only a month, is unknown."""

TEMPORAL = frozenset(
    {
        *(f"http://data.europa.eu/m8g/{name}" for name in ("startTime", "endTime")),
        *(f"{DCT}{name}" for name in ("created", "modified", "issued", "date")),
        *(f"http://schema.org/{name}" for name in ("dateCreated", "dateModified", "startDate", "endDate")),
        *(f"http://data.vlaanderen.be/ns/mandaat#{name}" for name in ("start", "einde")),
        "https://data.vlaanderen.be/ns/persoon#datum",
        f"{PROV}generatedAtTime",
    }
)
"""Properties whose text is a date or an instant, as far as it is known."""

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


@dataclass(frozen=True, slots=True, eq=False)
class Property:
    """A field as an RDF property. `datatype` is fixed by the schema, `@id` where values are IRIs; None where it is not.

    `language` is that of all its texts, as a BCP 47 tag, where the schema states one.
    """

    name: str
    iri: str
    datatype: str | None
    language: str | None
    repeated: bool
    node: "NodeType | None"
    convert: Callable[[Any], Any]
    open: bool

    def term(self) -> Json:
        """Its definition in a context."""
        if self.node:
            return {"@id": self.iri, "@context": self.node.context()}
        typed = {"@type": self.datatype} if self.datatype else {}
        return {"@id": self.iri, **typed} | ({"@language": self.language} if self.language else {})


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
        inner = single(member.type)
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
            language=None if node else member.attributes.get("language"),
            repeated=repeated,
            node=node,
            convert=_each(convert) if repeated else _unless_null(convert),
            open=node.open if node else member.attributes.get("class") == FieldClass.PUBLIC,
        )


def concepts_of(enum: Enumeration) -> Mapping[str, str]:
    """IRI of the concept behind each symbol of a code list; empty where the list has none.

    Its property `concepts` names them, or its doc is one address with `{symbol}` in it.
    """
    if stated := enum.attributes.get("concepts"):
        return dict(stated)
    template = str(enum.attributes.get("doc", ""))
    if "://" not in template or "{symbol}" not in template:
        return {}
    return {symbol: template.replace("{symbol}", symbol) for symbol in enum.symbols}


def single(type_: Type) -> Primitive | Enumeration | Fixed | Record:
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
        concepts = concepts_of(type_)
        return ("@id", lambda symbol: concepts[symbol]) if concepts else (None, _same)
    if stated.get("derived") == Transform.YEAR:
        return f"{XSD}gYear", _same
    if type_ == Primitive("string"):
        if str(stated.get("doc", "")).startswith(_IRIS):
            return "@id", _iri
        return None, _temporal if iri in TEMPORAL else _same
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
