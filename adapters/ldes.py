"""GIPOD mobility hindrances from a Linked Data Event Stream → hinder.v1.

How streams are followed is in `adapters.ldes_stream`. A member is a version of a hindrance: its IRI is its source id.
`as:Delete` is a deletion. A stream that is not open to all gets the variable LDES_AUTHORIZATION of the environment as
its Authorization header.

Deliberately not mapped: schema:eventSchedule, gipod:isVergundDoor, adms:schemaAgency, labels of zone types. There is
no NIS code in the stream, and none is made up from the description.
"""

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rdflib import DC, DCTERMS, RDF, SKOS, Graph, Namespace
from rdflib.term import Node, URIRef

from adapters import contexts, rdf
from adapters.ldes_cursor import Paths
from adapters.ldes_stream import ACTIVITY, Member, Stream, instant, place
from adapters.sdk import Broken, Change, Item
from adapters.sources import whole_seconds
from adapters.web_auth import Secret, private
from broker.errors import Invalid, PoisonRecord

PRODUCT = "hinder.v1"
_SOURCES = MappingProxyType({PRODUCT: "gipod"})

_ADMS = Namespace("http://www.w3.org/ns/adms#")
_GEOSPARQL = Namespace("http://www.opengis.net/ont/geosparql#")
_GIPOD = Namespace("https://gipod.vlaanderen.be/ns/gipod#")
_LOCN = Namespace("http://www.w3.org/ns/locn#")
_M8G = Namespace("http://data.europa.eu/m8g/")
_MOBILITY = Namespace("https://data.vlaanderen.be/ns/mobiliteit#")

_CREDENTIAL = "LDES_AUTHORIZATION"
_TREE = Namespace("https://w3id.org/tree#")

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
        """Members in the order in which they were generated, as `Stream.items` gives them."""
        stream = Stream(self.source, self.contexts, _members, _holds, self._credential)
        async for item_and_cursor in stream.items(cursor):
            yield item_and_cursor

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


def _holds(graph: Graph) -> bool:
    member = next(graph.objects(None, _TREE.member), None)
    return member is not None or (None, RDF.type, _MOBILITY.Mobiliteitshinder) in graph


def _members(graph: Graph, document: str, paths: Paths) -> list[Member]:
    """Versions in a document, each with its place in time."""
    found = []
    hindrances = set(graph.subjects(RDF.type, _MOBILITY.Mobiliteitshinder, unique=True))
    for member in sorted(hindrances | set(graph.subjects(RDF.type, ACTIVITY.Delete, unique=True)), key=str):
        source_id = rdf.iri(member) or f"{document}#blank"
        read = _item if member in hindrances else _departure
        item = read(graph, member, source_id, paths)
        exact = rdf.one(graph, member, URIRef(paths.timestamp)) if isinstance(item, Change) else None
        sequence = rdf.one(graph, member, URIRef(paths.sequence)) if paths.sequence else None
        version_of = rdf.one(graph, member, URIRef(paths.version)) or source_id
        found.append(Member(place(exact, source_id, sequence or ""), source_id, version_of, item))
    return found


def _departure(graph: Graph, member: Node, source_id: str, paths: Paths) -> Item:
    """A version that says that its object is no more (LDES 1.0 §4.3)."""
    subject, at = (rdf.one(graph, member, URIRef(path)) for path in (paths.version, paths.timestamp))
    try:
        if subject is None or at is None:
            raise PoisonRecord("MEMBER_INCOMPLETE", "identificator" if subject is None else "recordedAt")  # noqa: TRY301
        instant(at, "recordedAt")
        return Change(source_id, PRODUCT, None, subject)
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path)


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
        "recordedAt": whole_seconds(instant(recorded, "recordedAt")),
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
