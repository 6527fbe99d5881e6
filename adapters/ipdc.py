"""Public services of authorities in the products and services catalogue (IPDC-LPDC, linked data) → dienst.v1.

The source is a folder, one file or the address of one document, each with any number of instances or of snapshots of
them (a snapshot says of which instance by dct:isVersionOf). JSON-LD contexts come from a folder that was
reviewed (`adapters.contexts`), never from the network.

Where a field is in one variant of Dutch only, it is plain Dutch, else the Dutch that says u, else the one that says je.
Deliberately not mapped: concepts (NOT_AN_INSTANCE: they are no service of anybody), the state of an edit (adms:status),
mu:uuid, other languages of the parts, and what a concept's tags and snapshot repeat (ipdc:conceptTag,
ext:hasVersionedSource).
"""

import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from rdflib import DCAT, DCTERMS, PROV, RDFS, Graph, Literal, Namespace
from rdflib.term import Node, URIRef

from adapters import contexts, rdf
from adapters.ipdc_parts import (
    ENGLISH,
    FORMAL,
    INFORMAL,
    IPDC,
    M8G,
    PLAIN,
    SCHEMA,
    contact,
    described,
    dutch,
    linked,
    parts,
    procedure,
    requirement,
    worded,
)
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, from_cursor, whole_seconds
from broker.errors import PoisonRecord

PRODUCT = "dienst.v1"
_SOURCES = MappingProxyType({PRODUCT: "abb"})
_CPSV = Namespace("http://purl.org/vocab/cpsv#")
_PAV = Namespace("http://purl.org/pav/")
_PS = Namespace("http://vocab.belgif.be/ns/publicservice#")
_CONCEPTS = "https://productencatalogus.data.vlaanderen.be/id/concept/"
_LANGUAGE = URIRef("http://publications.europa.eu/resource/authority/language")
_INSTANCES = (IPDC.InstancePublicService, IPDC.InstancePublicServiceSnapshot)
_CATALOGUE = (IPDC.ConceptualPublicService, IPDC.ConceptualPublicServiceSnapshot)
_TRUTH = MappingProxyType({"true": True, "1": True, "false": False, "0": False})


@dataclass(frozen=True, slots=True)
class IpdcAdapter:
    """Reads the instances at `source`."""

    source: str
    contexts: rdf.Contexts = field(default_factory=lambda: rdf.BUNDLED_CONTEXTS)
    name: str = "ipdc"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Per document: an item per instance or concept in the order of their IRIs, or one if it holds none."""
        found = [item for page in await rdf.documents_of(self.source) for item in items_of(page, self.contexts)]
        async for item, after in from_cursor(found, cursor):
            yield item, after


def build(source: str) -> IpdcAdapter:
    """The adapter for a folder, a file or a document on the web."""
    return IpdcAdapter(source, contexts.reviewed(os.environ))


def items_of(document: Document, contexts: rdf.Contexts = rdf.BUNDLED_CONTEXTS) -> list[Item]:
    """An item per instance and per concept of one document. Two documents about one instance are two statements."""
    try:
        graph = rdf.graph_of(document, contexts)
    except PoisonRecord as error:
        return [Broken(document.name, error.reason)]
    instances, concepts = (rdf.named(graph, *classes) for classes in (_INSTANCES, _CATALOGUE))
    items: list[Item] = [_item(graph, node, document) for node in instances]
    items += [Ignored(f"{document.name}#{node}", "NOT_AN_INSTANCE") for node in concepts]
    return items or [Ignored(document.name, "NOT_A_SERVICE" if len(graph) else "EMPTY_DOCUMENT")]


def _item(graph: Graph, instance: URIRef, document: Document) -> Item:
    source_id = f"{document.name}#{instance}"
    try:
        return Change(source_id, PRODUCT, _service(graph, instance, document.modified))
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path, PRODUCT)


def _service(graph: Graph, node: URIRef, modified: datetime) -> dict[str, Any]:
    def text(predicate: URIRef) -> str | None:
        return rdf.one(graph, node, predicate)

    def iris(predicate: URIRef) -> list[str]:
        return [str(found) for found in rdf.ordered(graph, node, predicate) if isinstance(found, URIRef)]

    return {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": _recorded(text(PROV.generatedAtTime) or text(SCHEMA.dateModified), modified),
        "corrects": None,
        "identificator": text(DCTERMS.isVersionOf) or str(node),
        "productnummer": text(SCHEMA.productID),
        "concept": text(DCTERMS.source),
        "naam": worded(graph, node, DCTERMS.title, PLAIN),
        "naamFormeel": worded(graph, node, DCTERMS.title, FORMAL),
        "naamInformeel": worded(graph, node, DCTERMS.title, INFORMAL),
        "naamEngels": worded(graph, node, DCTERMS.title, ENGLISH),
        "beschrijving": worded(graph, node, DCTERMS.description, PLAIN),
        "beschrijvingFormeel": worded(graph, node, DCTERMS.description, FORMAL),
        "beschrijvingInformeel": worded(graph, node, DCTERMS.description, INFORMAL),
        "beschrijvingEngels": worded(graph, node, DCTERMS.description, ENGLISH),
        "verdereBeschrijving": dutch(graph, node, IPDC.additionalDescription),
        "uitzonderingen": dutch(graph, node, IPDC.exception),
        "type": next(iter(_symbols(graph, node, DCTERMS.type, "Type", "type")), None),
        "doelgroepen": _symbols(graph, node, IPDC.targetAudience, "Doelgroep", "doelgroepen"),
        "themas": _symbols(graph, node, M8G.thematicArea, "Thema", "themas"),
        "bevoegdBestuursniveaus": _symbols(
            graph, node, IPDC.competentAuthorityLevel, "BevoegdBestuursniveau", "bevoegdBestuursniveaus"
        ),
        "uitvoerendBestuursniveaus": _symbols(
            graph, node, IPDC.executingAuthorityLevel, "UitvoerendBestuursniveau", "uitvoerendBestuursniveaus"
        ),
        "publicatiekanalen": _symbols(graph, node, IPDC.publicationMedium, "PublicatieKanaal", "publicatiekanalen"),
        "yourEuropeCategorieen": iris(IPDC.yourEuropeCategory),
        "bevoegdeOverheden": iris(M8G.hasCompetentAuthority),
        "uitvoerendeOverheden": iris(IPDC.hasExecutingAuthority),
        "aangemaaktDoor": text(_PAV.createdBy),
        "gebieden": iris(DCTERMS.spatial),
        "talen": sorted({*iris(DCTERMS.language), *iris(_LANGUAGE)}),
        "zoektermen": _keywords(graph, node),
        "aangemaakt": text(SCHEMA.dateCreated),
        "gewijzigd": text(SCHEMA.dateModified),
        "start": text(SCHEMA.startDate),
        "einde": text(SCHEMA.endDate),
        "gearchiveerd": _archived(text(IPDC.isArchived)),
        "voorwaarden": parts(graph, node, _PS.hasRequirement, "voorwaarden", requirement),
        "procedures": parts(graph, node, _CPSV.follows, "procedures", procedure),
        "kosten": parts(graph, node, M8G.hasCost, "kosten", described),
        "financieleVoordelen": parts(graph, node, _CPSV.produces, "financieleVoordelen", described),
        "contactgegevens": parts(graph, node, M8G.hasContactPoint, "contactgegevens", contact),
        "regelgeving": parts(graph, node, M8G.hasLegalResource, "regelgeving", linked),
        "regelgevingTekst": dutch(graph, node, IPDC.regulation),
        "tags": iris(IPDC.instanceTag),
        "websites": parts(graph, node, RDFS.seeAlso, "websites", linked),
    }


def _recorded(stated: str | None, modified: datetime) -> str:
    if stated is None:
        return whole_seconds(modified)
    try:
        found = datetime.fromisoformat(stated)
    except ValueError:
        raise PoisonRecord("TIME_INVALID", "recordedAt") from None
    return whole_seconds(found if found.tzinfo else found.replace(tzinfo=UTC))


def _symbols(graph: Graph, node: Node, predicate: URIRef, listed: str, path: str) -> list[str]:
    """Concepts of one list of the catalogue as symbols; raises `PoisonRecord` CONCEPT_UNKNOWN for any other."""
    found = [str(concept) for concept in rdf.ordered(graph, node, predicate)]
    beginning = f"{_CONCEPTS}{listed}/"
    if not all(concept.startswith(beginning) for concept in found):
        raise PoisonRecord("CONCEPT_UNKNOWN", path)
    return [concept.removeprefix(beginning) for concept in found]


def _keywords(graph: Graph, node: Node) -> list[str]:
    found = (word for word in graph.objects(node, DCAT.keyword) if isinstance(word, Literal))
    return sorted({str(word) for word in found if (word.language or PLAIN).lower().startswith(PLAIN)})


def _archived(stated: str | None) -> bool | None:
    if stated is not None and stated not in _TRUTH:
        raise PoisonRecord("CODE_UNKNOWN", "gearchiveerd")
    return None if stated is None else _TRUTH[stated]
