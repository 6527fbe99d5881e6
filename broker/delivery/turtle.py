"""Our own JSON-LD as Turtle (RDF 1.1, W3C Recommendation of 25 February 2014).

It reads the subset that `linked` and `tree` write: terms defined in place (also scoped to a property), values with a type
of their term or of their own, no prefixes and no lists. rdflib's parser is the specification; tests hold the two equal.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.schema.linked_terms import DCT, PROV, XSD

MEDIA_TYPE = "text/turtle"

_PREFIXES = {
    "dct": DCT,
    "ldes": "https://w3id.org/ldes#",
    "prov": PROV,
    "sh": "http://www.w3.org/ns/shacl#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "tree": "https://w3id.org/tree#",
    "xsd": XSD,
}
_LOCAL = re.compile(r"[A-Za-z][A-Za-z0-9_-]*", re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x20<>\"{}|\\^`]")


def turtle(document: Mapping[str, Any]) -> str:
    """The document's triples, each node that has an IRI as a paragraph of its own."""
    writer, nodes = _Writer(), document.get("@graph", [document])
    for node in nodes:
        writer.node(node, document["@context"], alone=True)
    used = "".join(f"@prefix {name}: <{_PREFIXES[name]}> .\n" for name in sorted(writer.prefixes))
    return used + "".join(writer.paragraphs)


@dataclass(slots=True)
class _Writer:
    paragraphs: list[str] = field(default_factory=list)
    prefixes: set[str] = field(default_factory=set)

    def node(self, node: Mapping[str, Any], terms: Mapping[str, Any], *, alone: bool = False) -> str:
        """What refers to the node; its statements become a paragraph if it has an IRI, or stands `alone`."""
        statements = list(self.statements(node, terms))
        named = node.get("@id")
        if named is None and not alone:
            return f"[ {' ; '.join(statements)} ]" if statements else "[]"
        subject = "[]" if named is None else self.iri(named)
        if statements:
            self.paragraphs.append(f"\n{subject} " + " ;\n    ".join(statements) + " .\n")
        return subject

    def statements(self, node: Mapping[str, Any], terms: Mapping[str, Any]) -> Iterator[str]:
        if classes := _listed(node.get("@type")):
            yield f"a {', '.join(map(self.iri, classes))}"
        for name, value in node.items():
            if name.startswith("@"):
                continue
            term = terms[name]
            scoped = {**terms, **term["@context"]} if "@context" in term else terms
            language = term.get("@language")
            written = [self.value(each, term.get("@type"), scoped, language) for each in _listed(value)]
            if written:
                yield f"{self.iri(term['@id'])} {', '.join(dict.fromkeys(written))}"

    def value(self, value: Any, type_: str | None, terms: Mapping[str, Any], language: str | None = None) -> str:
        match value:
            case Mapping() if "@value" in value:
                return self.literal(value["@value"], value.get("@type"))
            case Mapping():
                return self.node(value, terms)
            case str() if type_ == "@id":
                return self.iri(value)
            case str() if language is not None:
                return f"{self.literal(value, None)}@{language}"
            case _:
                return self.literal(value, type_)

    def literal(self, value: Any, type_: str | None) -> str:
        match value:
            case bool():
                return "true" if value else "false"
            case int() if type_ in {None, f"{XSD}integer"}:
                return str(value)
            case float():
                return _canonical(value) if type_ in {None, f"{XSD}double"} else self.literal(str(value), type_)
            case _:
                text = json.dumps(str(value), ensure_ascii=False)
                return text if type_ is None else f"{text}^^{self.iri(type_)}"

    def iri(self, iri: str) -> str:
        for name, space in _PREFIXES.items():
            if iri.startswith(space) and _LOCAL.fullmatch(iri, len(space)):
                self.prefixes.add(name)
                return f"{name}:{iri[len(space) :]}"
        return f"<{_UNSAFE.sub(lambda found: f'%{ord(found[0]):02X}', iri)}>"


def _listed(value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    return [each for each in values if each is not None]


def _canonical(number: float) -> str:
    """The canonical form of an `xsd:double`, which always has an exponent."""
    mantissa, exponent = f"{number:.15E}".split("E")
    whole, fraction = mantissa.split(".")
    return f"{whole}.{fraction.rstrip('0') or '0'}E{int(exponent)}"
