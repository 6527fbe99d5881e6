"""GIPOD mobility hindrances from a Linked Data Event Stream → hinder.v1.

The source is a folder of pages or members, one file, or the address of a page (`tree:relation` is followed within the
same origin). A member is a version of a hindrance and never changes: its IRI is its source id, and where pages repeat
it the first reading stands.

Deliberately not mapped: schema:eventSchedule, gipod:isVergundDoor, adms:schemaAgency, labels of zone types. There is
no NIS code in the stream, and none is made up from the description.
"""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import httpx
from rdflib import DC, DCTERMS, PROV, RDF, SKOS, Graph, Namespace
from rdflib.term import Node, URIRef

from adapters import rdf
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import (
    Document,
    documents,
    fetch,
    from_cursor,
    is_feed,
    local_path,
    whole_seconds,
)
from adapters.web import same_origin
from broker.errors import PoisonRecord

PRODUCT = "hinder.v1"
_SOURCES = MappingProxyType({PRODUCT: "gipod"})

_ADMS = Namespace("http://www.w3.org/ns/adms#")
_GEOSPARQL = Namespace("http://www.opengis.net/ont/geosparql#")
_GIPOD = Namespace("https://gipod.vlaanderen.be/ns/gipod#")
_LOCN = Namespace("http://www.w3.org/ns/locn#")
_M8G = Namespace("http://data.europa.eu/m8g/")
_MOBILITY = Namespace("https://data.vlaanderen.be/ns/mobiliteit#")
_TREE = Namespace("https://w3id.org/tree#")

_NUMBER = re.compile(r"([0-9]+)")
_KINDS = {
    "MobilityHindranceWasImportedFromLegacy": "snapshot",
    "MobilityHindranceWasRegistered": "added",
    "MobilityHindranceWasCancelled": "cancelled",
    "MobilityHindranceWasDeleted": "cancelled",
    "MobilityHindranceWasRemoved": "cancelled",
    None: "snapshot",
}


@dataclass(frozen=True, slots=True)
class LdesAdapter:
    """Reads the members at `source`; JSON-LD contexts come from `contexts` only."""

    source: str
    contexts: rdf.Contexts = field(default_factory=lambda: rdf.BUNDLED_CONTEXTS)
    name: str = "ldes"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Members in the order in which they were generated, within the folder or within each page of a feed.

        The cursor of a feed is the page to read next: a page that is complete is not read again, the last one is.
        """
        reading = _Reading(self.contexts)
        if not is_feed(self.source):
            async for page in documents(local_path(self.source), rdf.SUFFIXES):
                reading.add(page)
            async for item, after in from_cursor(reading.taken(), cursor):
                yield item, after
            return
        waiting, seen = [cursor or self.source], set[str]()
        async with httpx.AsyncClient(headers={"accept": rdf.ACCEPT}) as client:
            while waiting:
                url = waiting.pop(0)
                seen.add(url)
                page = await fetch(client, url)
                following = reading.add(page)
                waiting += [link for link in following if link not in seen and link not in waiting]
                found = reading.taken()
                for index, item in enumerate(found, 1):
                    yield item, waiting[0] if waiting and index == len(found) else url


def build(source: str) -> LdesAdapter:
    """The adapter for a folder, a file or a page of a stream."""
    return LdesAdapter(source)


@dataclass(slots=True)
class _Reading:
    """Items read so far and not taken yet, and the first reading of every member."""

    contexts: rdf.Contexts
    _items: list[tuple[tuple[Any, ...], Item]] = field(default_factory=list)
    _first: dict[str, Item] = field(default_factory=dict)

    def add(self, page: Document) -> list[str]:
        """Reads one document; the addresses of the pages that follow it within its origin."""
        try:
            graph = rdf.graph_of(page, self.contexts)
        except PoisonRecord as error:
            self._items.append((_place(None, page.name), Broken(page.name, error.reason)))
            return []
        members = sorted(graph.subjects(RDF.type, _MOBILITY.Mobiliteitshinder, unique=True), key=str)
        for member in members:
            source_id = rdf.iri(member) or f"{page.name}#blank"
            item = self._first.setdefault(source_id, _item(graph, member, source_id))
            recorded = item.value["recordedAt"] if isinstance(item, Change) and item.value else None
            exact = rdf.one(graph, member, PROV.generatedAtTime) if recorded else None
            self._items.append((_place(exact, source_id), item))
        if not members:
            reason = "NOT_A_MEMBER" if len(graph) else "EMPTY_DOCUMENT"
            self._items.append((_place(None, page.name), Ignored(page.name, reason)))
        links = {str(node) for predicate in (_TREE.node, _TREE.view) for node in graph.objects(None, predicate)}
        return [target for link in sorted(links, key=_natural) if (target := same_origin(page.name, link))]

    def taken(self) -> list[Item]:
        """Items that were not taken yet, in the order in which members were generated."""
        items = [item for _, item in sorted(self._items, key=lambda placed: placed[0])]
        self._items.clear()
        return items


def _place(generated: str | None, name: str) -> tuple[Any, ...]:
    """Sort key: what has no instant comes first; versions made at one instant are told apart by their number."""
    instant = datetime.min.replace(tzinfo=UTC) if generated is None else _instant(generated, "recordedAt")
    return instant, _natural(name)


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts = _NUMBER.split(name)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def _item(graph: Graph, member: Node, source_id: str) -> Item:
    try:
        return Change(source_id, PRODUCT, _hinder(graph, member, source_id))
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path)


def _hinder(graph: Graph, member: Node, version: str) -> dict[str, Any]:
    subject = rdf.one(graph, member, DCTERMS.isVersionOf)
    recorded = rdf.one(graph, member, PROV.generatedAtTime)
    if subject is None or recorded is None:
        raise PoisonRecord("MEMBER_INCOMPLETE", "identificator" if subject is None else "recordedAt")
    event = rdf.one(graph, member, _ADMS.versionNotes)
    managers, makers, changers = (
        [_organisation(graph, node) for node in rdf.ordered(graph, member, predicate)]
        for predicate in (_MOBILITY.beheerder, DC.creator, DC.contributor)
    )
    return {
        "kind": _KINDS.get(event, "changed"),
        "validFrom": None,
        "validTo": None,
        "recordedAt": whole_seconds(_instant(recorded, "recordedAt")),
        "corrects": None,
        "identificator": subject,
        "versie": version,
        "gipodId": rdf.one(graph, member, _GIPOD.gipodId),
        "gebeurtenis": event,
        "omschrijving": rdf.one(graph, member, DCTERMS.description),
        "status": next(
            (_labelled(graph, node) for node in rdf.ordered(graph, member, _MOBILITY["Inname.status"])), None
        ),
        "aangemaakt": rdf.one(graph, member, DCTERMS.created),
        "gewijzigd": rdf.one(graph, member, DCTERMS.modified),
        "beheerder": next(iter(managers), None),
        "aangemaaktDoor": next(iter(makers), None),
        "gewijzigdDoor": next(iter(changers), None),
        "contactorganisaties": [
            _organisation(graph, node) for node in rdf.ordered(graph, member, _MOBILITY.contactOrganisatie)
        ],
        "perioden": sorted(
            (_period(graph, node) for node in graph.objects(member, _MOBILITY.periode)),
            key=lambda period: (period["begin"] or "", period["einde"] or ""),
        ),
        "locatie": None,
        "zones": sorted(
            (_zone(graph, node) for node in graph.objects(member, _MOBILITY.zone)),
            key=lambda zone: (zone["iri"] or "", zone["geometrie"] or ""),
        ),
        "oorzaken": [
            {"iri": str(cause), "soort": rdf.one(graph, cause, RDF.type)}
            for cause in sorted(graph.subjects(_MOBILITY["Inname.heeftGevolg"], member, unique=True), key=str)
            if isinstance(cause, URIRef)
        ],
    }


def _organisation(graph: Graph, node: Node) -> dict[str, Any]:
    """The stream writes an organisation as a version (a blank node) of its IRI, or as its IRI."""
    known = rdf.one(graph, node, DCTERMS.isVersionOf) or rdf.iri(node)
    return {"iri": known, "naam": rdf.one(graph, node, SKOS.prefLabel)}


def _labelled(graph: Graph, node: Node) -> dict[str, Any]:
    return {"iri": rdf.iri(node), "omschrijving": rdf.one(graph, node, SKOS.prefLabel)}


def _period(graph: Graph, node: Node) -> dict[str, Any]:
    return {"begin": rdf.one(graph, node, _M8G.startTime), "einde": rdf.one(graph, node, _M8G.endTime)}


def _zone(graph: Graph, node: Node) -> dict[str, Any]:
    shapes = (rdf.one(graph, shape, _GEOSPARQL.asWKT) for shape in rdf.ordered(graph, node, _LOCN.geometry))
    return {
        "iri": rdf.iri(node),
        "type": rdf.one(graph, node, _MOBILITY["Zone.type"]),
        "geometrie": min((shape for shape in shapes if shape is not None), default=None),
        "gevolgen": [
            {"iri": str(effect), "omschrijving": rdf.one(graph, effect, SKOS.prefLabel)}
            for effect in rdf.ordered(graph, node, _MOBILITY.gevolg)
            if isinstance(effect, URIRef)
        ],
    }


def _instant(text: str, path: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise PoisonRecord("TIME_INVALID", path) from None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
