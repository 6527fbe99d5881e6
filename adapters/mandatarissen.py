"""Holders of mandates of local authorities (mandatarissen, linked data) → mandataris.v1.

The source is a folder, one file or the address of one document; every reading is a whole snapshot. Persons have an IRI
here and no other identifier. An end of 0001-01-01 is how some sources write that there is none.

Deliberately not mapped: mu:uuid (repeats the IRI) and ext:generatedFrom (bookkeeping of the application).
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rdflib import FOAF, ORG, Graph, Namespace
from rdflib.term import Node, URIRef

from adapters import rdf
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, from_cursor, whole_seconds
from broker.errors import PoisonRecord

PRODUCT = "mandataris.v1"
_SOURCES = MappingProxyType({PRODUCT: "abb"})
_MANDATE = Namespace("http://data.vlaanderen.be/ns/mandaat#")
_PERSON = Namespace("https://data.vlaanderen.be/ns/persoon#")
_OPEN_END = "0001-01-01"
_STATUS = "http://data.vlaanderen.be/id/concept/MandatarisStatusCode/"
_STATUSES = MappingProxyType(
    {
        f"{_STATUS}21063a5b-912c-4241-841c-cc7fb3c73e75": "effectief",
        f"{_STATUS}c301248f-0199-45ca-b3e5-4c596731d5fe": "verhinderd",
        f"{_STATUS}e1ca6edd-55e1-4288-92a5-53f4cf71946a": "waarnemend",
        f"{_STATUS}aacb3fed-b51d-4e0b-a411-f3fa641da1b3": "titelvoerend",
        f"{_STATUS}b8866fa2-d61c-4e3d-afaf-8a29eaaa7fb9": "beeindigd",
    }
)


@dataclass(frozen=True, slots=True)
class MandatarissenAdapter:
    """Reads the holders of mandates at `source`."""

    source: str
    name: str = "mandatarissen"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """One item per holder in the order of their IRIs, or per document that has none."""
        found = [item for page in await rdf.documents_of(self.source) for item in items_of(page)]
        async for item, after in from_cursor(found, cursor):
            yield item, after


def build(source: str) -> MandatarissenAdapter:
    """The adapter for a folder, a file or a document on the web."""
    return MandatarissenAdapter(source)


def items_of(document: Document) -> list[Item]:
    """An item per holder of a mandate in one document."""
    try:
        graph = rdf.graph_of(document)
    except PoisonRecord as error:
        return [Broken(document.name, error.reason)]
    holders = rdf.named(graph, _MANDATE.Mandataris)
    if not holders:
        return [Ignored(document.name, "NOT_A_HOLDER" if len(graph) else "EMPTY_DOCUMENT")]
    return [_item(graph, holder, whole_seconds(document.modified)) for holder in holders]


def _item(graph: Graph, holder: URIRef, recorded: str) -> Item:
    try:
        return Change(str(holder), PRODUCT, _mandataris(graph, holder, recorded))
    except PoisonRecord as error:
        return Broken(str(holder), error.reason, error.path, PRODUCT)


def _mandataris(graph: Graph, holder: URIRef, recorded: str) -> dict[str, Any]:
    end = rdf.one(graph, holder, _MANDATE.einde)
    return {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": recorded,
        "corrects": None,
        "identificator": str(holder),
        "persoon": next(
            (_person(graph, node) for node in rdf.ordered(graph, holder, _MANDATE.isBestuurlijkeAliasVan)), None
        ),
        "mandaat": next((_mandate(graph, node) for node in rdf.ordered(graph, holder, ORG.holds)), None),
        "start": rdf.one(graph, holder, _MANDATE.start),
        "einde": None if end is None or end.startswith(_OPEN_END) else end,
        "status": _status(rdf.one(graph, holder, _MANDATE.status)),
        "rangorde": rdf.one(graph, holder, _MANDATE.rangorde),
        "beleidsdomeinen": [str(node) for node in rdf.ordered(graph, holder, _MANDATE.beleidsdomein)],
        "lidmaatschap": rdf.one(graph, holder, ORG.hasMembership),
    }


def _person(graph: Graph, node: Node) -> dict[str, Any]:
    return {
        "iri": rdf.iri(node),
        "achternaam": rdf.one(graph, node, FOAF.familyName),
        "gebruikteVoornaam": rdf.one(graph, node, _PERSON.gebruikteVoornaam),
    }


def _mandate(graph: Graph, node: Node) -> dict[str, Any]:
    known = rdf.iri(node)
    if known is None:
        raise PoisonRecord("FIELD_MISSING", "mandaat.iri")
    bodies = sorted(graph.subjects(ORG.hasPost, node), key=str) or rdf.ordered(graph, node, ORG.postIn)
    return {
        "iri": known,
        "functie": rdf.one(graph, node, ORG.role),
        "orgaan": next((str(body) for body in bodies if isinstance(body, URIRef)), None),
    }


def _status(stated: str | None) -> str | None:
    if stated is None:
        return None
    found = _STATUSES.get(stated.replace("https:", "http:", 1))
    if found is None:
        raise PoisonRecord("CONCEPT_UNKNOWN", "status")
    return found
