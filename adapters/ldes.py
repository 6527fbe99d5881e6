"""GIPOD mobility hindrances from a Linked Data Event Stream → hinder.v1.

The source is a folder of pages or members, one file, or the address of a page or a stream (`adapters.ldes_pages`). A
member is a version of a hindrance and never changes: its IRI is its source id, and where pages repeat it the first
reading stands. A version that an earlier page had a later one of is not published: the last word stays the last. That
holds within one reading, so take a view that is fragmented by time or into pages. `as:Delete` is a deletion. A stream
that is not open to all gets the variable LDES_AUTHORIZATION of the environment as its Authorization header.

Deliberately not mapped: schema:eventSchedule, gipod:isVergundDoor, adms:schemaAgency, labels of zone types. There is
no NIS code in the stream, and none is made up from the description.
"""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from rdflib import DC, DCTERMS, RDF, SKOS, Graph, Namespace
from rdflib.term import Node, URIRef

from adapters import contexts, rdf
from adapters.ldes_cursor import Paths
from adapters.ldes_pages import Page, Walk
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import (
    Document,
    documents,
    from_cursor,
    is_feed,
    local_path,
    whole_seconds,
)
from adapters.web_auth import Secret, private
from broker.errors import Invalid, PoisonRecord

PRODUCT = "hinder.v1"
_SOURCES = MappingProxyType({PRODUCT: "gipod"})

_AS = Namespace("https://www.w3.org/ns/activitystreams#")
_ADMS = Namespace("http://www.w3.org/ns/adms#")
_GEOSPARQL = Namespace("http://www.opengis.net/ont/geosparql#")
_GIPOD = Namespace("https://gipod.vlaanderen.be/ns/gipod#")
_LOCN = Namespace("http://www.w3.org/ns/locn#")
_M8G = Namespace("http://data.europa.eu/m8g/")
_MOBILITY = Namespace("https://data.vlaanderen.be/ns/mobiliteit#")

_CREDENTIAL = "LDES_AUTHORIZATION"
_MOST_REMEMBERED = 1_000_000
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


_Name = tuple[tuple[int, int, str], ...]
_Order = tuple[datetime, _Name, _Name]
_Placed = tuple[_Order, Item]
"""An item after its sort key: when it was generated, its place in the sequence, its name in natural order."""


@dataclass(frozen=True, slots=True)
class LdesAdapter:
    """Reads the members at `source`; JSON-LD contexts come from `contexts` only."""

    source: str
    contexts: rdf.Contexts = field(default_factory=lambda: rdf.BUNDLED_CONTEXTS)
    name: str = "ldes"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Members in the order in which they were generated, within the folder or within each page of a feed.

        The cursor of a feed is the pages to read next: one that cannot change is not read again, others are if they
        did. After a kill the page that was being read is read again, and what was published of it is recognised.
        """
        if not is_feed(self.source):
            folder = _Folder(self.contexts)
            async for document in documents(local_path(self.source), rdf.SUFFIXES):
                folder.add(document)
            async for item, after in from_cursor(folder.items(), cursor):
                yield item, after
            return
        headers = self._credential()
        walk, feed = Walk(self.source, self.contexts, _natural, _holds), _Feed()
        async with httpx.AsyncClient(headers=headers) as client, aclosing(walk.pages(client, cursor)) as pages:
            async for page in pages:
                found = feed.items(page)
                for number, item in enumerate(found, 1):
                    yield item, page.after if number == len(found) else page.before

    def _credential(self) -> dict[str, str]:
        """The header, which goes to no other origin: no page is read from one."""
        if not os.environ.get(_CREDENTIAL):
            return {}
        if not private(self.source):
            raise Invalid(f"a credential goes over https only: give the https address, or unset {_CREDENTIAL}")
        return {"authorization": Secret(env=_CREDENTIAL).read(Path())}


def build(source: str) -> LdesAdapter:
    """The adapter for a folder, a file or a page of a stream."""
    return LdesAdapter(source, contexts.reviewed(os.environ))


@dataclass(slots=True)
class _Folder:
    """Items of the documents of a folder, and the first reading of every member."""

    contexts: rdf.Contexts
    _items: list[_Placed] = field(default_factory=list)
    _first: dict[str, Item] = field(default_factory=dict)

    def add(self, page: Document) -> None:
        """Read one document."""
        try:
            graph = rdf.graph_of(page, self.contexts)
        except PoisonRecord as error:
            self._items.append((_place(None, page.name), Broken(page.name, error.reason)))
            return
        found = _members(graph, page.name, Paths())
        self._items += [(place, self._first.setdefault(_id_of(item), item)) for place, item in found]
        if not found:
            reason = "NOT_A_MEMBER" if len(graph) else "EMPTY_DOCUMENT"
            self._items.append((_place(None, page.name), Ignored(page.name, reason)))

    def items(self) -> list[Item]:
        """All of them, in the order in which members were generated."""
        return [item for _, item in sorted(self._items, key=lambda placed: placed[0])]


@dataclass(slots=True)
class _Feed:
    """What a reading of pages remembers: which members it saw, and of each subject the latest version."""

    _members: set[bytes] = field(default_factory=set)
    _latest: dict[bytes, tuple[datetime, _Name]] = field(default_factory=dict)

    def items(self, page: Page) -> list[Item]:
        """Items of one page, in the order in which members were generated."""
        if page.graph is None:
            return [Broken(page.url, page.broken)]
        found = sorted(_members(page.graph, page.url, page.paths), key=lambda placed: placed[0])
        return [self._told(order[:2], item) for order, item in found]

    def _told(self, order: tuple[datetime, _Name], item: Item) -> Item:
        source_id = _id_of(item)
        member = _digest(source_id)
        if member in self._members:
            return Ignored(source_id, "MEMBER_REPEATED")
        if len(self._members) >= _MOST_REMEMBERED:
            self._members.clear()
            self._latest.clear()
        self._members.add(member)
        if isinstance(item, Change):
            subject = _digest(str(item.value["identificator"] if item.value is not None else item.subject))
            if order < self._latest.get(subject, order):
                return Ignored(source_id, "VERSION_SUPERSEDED")
            self._latest[subject] = order
        return item


def _id_of(item: Item) -> str:
    return item.source_id if isinstance(item, Change | Broken | Ignored) else ""


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _holds(graph: Graph) -> bool:
    member = next(graph.objects(None, _TREE.member), None)
    return member is not None or (None, RDF.type, _MOBILITY.Mobiliteitshinder) in graph


def _members(graph: Graph, document: str, paths: Paths) -> list[_Placed]:
    """Versions in a document, each with its place in time."""
    found = []
    hindrances = set(graph.subjects(RDF.type, _MOBILITY.Mobiliteitshinder, unique=True))
    for member in sorted(hindrances | set(graph.subjects(RDF.type, _AS.Delete, unique=True)), key=str):
        source_id = rdf.iri(member) or f"{document}#blank"
        read = _item if member in hindrances else _departure
        item = read(graph, member, source_id, paths)
        exact = rdf.one(graph, member, URIRef(paths.timestamp)) if isinstance(item, Change) else None
        sequence = rdf.one(graph, member, URIRef(paths.sequence)) if paths.sequence else None
        found.append((_place(exact, source_id, sequence or ""), item))
    return found


def _departure(graph: Graph, member: Node, source_id: str, paths: Paths) -> Item:
    """A version that says that its object is no more (LDES 1.0 §4.3)."""
    subject, at = (rdf.one(graph, member, URIRef(path)) for path in (paths.version, paths.timestamp))
    try:
        if subject is None or at is None:
            raise PoisonRecord("MEMBER_INCOMPLETE", "identificator" if subject is None else "recordedAt")  # noqa: TRY301
        _instant(at, "recordedAt")
        return Change(source_id, PRODUCT, None, subject)
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path)


def _place(generated: str | None, name: str, sequence: str = "") -> _Order:
    """Sort key: what has no instant comes first; versions made at one instant are told apart by what the stream says of
    their sequence, or by the number in their name.
    """  # noqa: D205 - one sentence
    instant = datetime.min.replace(tzinfo=UTC) if generated is None else _instant(generated, "recordedAt")
    return instant, _natural(sequence), _natural(name)


def _natural(name: str) -> _Name:
    parts = _NUMBER.split(name)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def _item(graph: Graph, member: Node, source_id: str, paths: Paths) -> Item:
    try:
        return Change(source_id, PRODUCT, _hinder(graph, member, source_id, paths))
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path)


def _hinder(graph: Graph, member: Node, version: str, paths: Paths) -> dict[str, Any]:
    subject, recorded = (rdf.one(graph, member, URIRef(path)) for path in (paths.version, paths.timestamp))
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
