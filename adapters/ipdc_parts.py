"""Parts of a service in the products and services catalogue: conditions, procedures, costs, ways to reach it, law."""

from collections.abc import Callable, Iterable
from typing import Any

from rdflib import DCTERMS, SH, Graph, Literal, Namespace
from rdflib.term import Node, URIRef

from adapters import rdf
from broker.errors import PoisonRecord

SCHEMA = Namespace("http://schema.org/")
M8G = Namespace("http://data.europa.eu/m8g/")
IPDC = Namespace("https://productencatalogus.data.vlaanderen.be/ns/ipdc-lpdc#")
_ADDRESS = Namespace("https://data.vlaanderen.be/ns/adres#")
_LOCN = Namespace("http://www.w3.org/ns/locn#")
_LARGEST_ORDER = 2**31 - 1

Value = dict[str, Any]

PLAIN, FORMAL, INFORMAL, ENGLISH = "nl", "nl-be-x-formal", "nl-be-x-informal", "en"
_DUTCH = (PLAIN, FORMAL, INFORMAL)


def worded(graph: Graph, node: Node, predicate: URIRef, language: str) -> str | None:
    """Text in exactly this language; of several the first in code point order."""
    texts = (found for found in graph.objects(node, predicate) if isinstance(found, Literal))
    return min((str(found) for found in texts if (found.language or "").lower() == language), default=None)


def dutch(graph: Graph, node: Node, predicate: URIRef) -> str | None:
    """Text in plain Dutch, else in the Dutch that says u, else in the one that says je."""
    return next((found for tag in _DUTCH if (found := worded(graph, node, predicate, tag)) is not None), None)


def place(graph: Graph, node: Node, field: str) -> int | None:
    """`sh:order`; raises `PoisonRecord` NUMBER_INVALID at the schema path `field`."""
    stated = rdf.one(graph, node, SH.order)
    if stated is None:
        return None
    if not (stated.isascii() and stated.isdecimal() and len(stated) < len(str(_LARGEST_ORDER))):
        raise PoisonRecord("NUMBER_INVALID", f"{field}.volgorde")
    return int(stated)


def parts(
    graph: Graph, node: Node, predicate: URIRef, field: str, made: Callable[[Graph, Node, str], Value]
) -> list[Value]:
    """What `made` makes of each object, in the order that they state, and else in that of their names."""
    found = [
        {**made(graph, part, field), "volgorde": place(graph, part, field)}
        for part in rdf.ordered(graph, node, predicate)
    ]
    return sorted(found, key=lambda value: (value["volgorde"] is None, value["volgorde"] or 0, value.get("naam") or ""))


def described(graph: Graph, node: Node, _field: str) -> Value:
    """Name and description in Dutch."""
    return {"naam": dutch(graph, node, DCTERMS.title), "beschrijving": dutch(graph, node, DCTERMS.description)}


def linked(graph: Graph, node: Node, field: str) -> Value:
    """Name, description and address on the web."""
    return {**described(graph, node, field), "url": rdf.one(graph, node, SCHEMA.url)}


def requirement(graph: Graph, node: Node, field: str) -> Value:
    """A condition, with what proves that it is met."""
    proofs = [described(graph, proof, field) for proof in rdf.ordered(graph, node, M8G.hasSupportingEvidence)]
    return {**described(graph, node, field), "bewijs": next(iter(proofs), None)}


def procedure(graph: Graph, node: Node, field: str) -> Value:
    """A procedure, with its websites."""
    return {
        **described(graph, node, field),
        "websites": parts(graph, node, IPDC.hasWebsite, f"{field}.websites", linked),
    }


def contact(graph: Graph, node: Node, _field: str) -> Value:
    """A way to reach the service."""
    return {
        "email": rdf.one(graph, node, SCHEMA.email),
        "telefoon": rdf.one(graph, node, SCHEMA.telephone),
        "website": rdf.one(graph, node, SCHEMA.url),
        "openingsuren": rdf.one(graph, node, SCHEMA.openingHours),
        "adres": next((_address(graph, address) for address in rdf.ordered(graph, node, IPDC.address)), None),
    }


def _address(graph: Graph, node: Node) -> Value:
    """The catalogue writes street and postal code under names of its own (schemas/aliases.yaml)."""
    return {
        "straatnaam": _first(dutch(graph, node, term) for term in (_LOCN.thoroughfare, _ADDRESS.Straatnaam)),
        "huisnummer": rdf.one(graph, node, _ADDRESS["Adresvoorstelling.huisnummer"]),
        "busnummer": rdf.one(graph, node, _ADDRESS["Adresvoorstelling.busnummer"]),
        "postcode": _first(rdf.one(graph, node, term) for term in (_LOCN.postCode, _ADDRESS.postcode)),
        "gemeentenaam": dutch(graph, node, _ADDRESS.gemeentenaam),
        "land": dutch(graph, node, _ADDRESS.land),
    }


def _first(stated: Iterable[str | None]) -> str | None:
    return next((text for text in stated if text is not None), None)
