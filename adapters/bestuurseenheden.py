"""Administrative units of local government (bestuurseenheden, Turtle) → organisatie.v1.

The subject is the KBO number, or the OVO code of a unit without one, or its IRI: see `identificator` in the schema.
The districts of Antwerp carry an establishment number where others carry their KBO number.
The source is a folder, one file or the address of one document; every reading is a whole snapshot.

Deliberately not mapped: betrokkenBestuur (worship boards), mu:uuid (repeats the IRI), isTrailUser, seeAlso, inScheme
and topConceptOf (bookkeeping of the application), and identifiers that are neither a KBO number nor an OVO code.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rdflib import DCTERMS, ORG, PROV, SKOS, Graph, Namespace
from rdflib.term import URIRef

from adapters import rdf
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, from_cursor, whole_seconds
from broker.errors import Invalid, PoisonRecord
from broker.model.identifiers import parse_establishment, parse_kbo, parse_ovo

PRODUCT = "organisatie.v1"
_SOURCES = MappingProxyType({PRODUCT: "abb"})
_BESLUIT = Namespace("http://data.vlaanderen.be/ns/besluit#")
_EXT = Namespace("http://mu.semte.ch/vocabularies/ext/")


@dataclass(frozen=True, slots=True)
class BestuurseenhedenAdapter:
    """Reads the units at `source`."""

    source: str
    name: str = "bestuurseenheden"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """One item per unit in the order of their IRIs, or per document that holds none."""
        found = [item for page in await rdf.documents_of(self.source) for item in items_of(page)]
        async for item, after in from_cursor(found, cursor):
            yield item, after


def build(source: str) -> BestuurseenhedenAdapter:
    """The adapter for a folder, a file or a document on the web."""
    return BestuurseenhedenAdapter(source)


def items_of(document: Document) -> list[Item]:
    """An item per unit of one document."""
    try:
        graph = rdf.graph_of(document)
    except PoisonRecord as error:
        return [Broken(document.name, error.reason)]
    units = rdf.named(graph, _BESLUIT.Bestuurseenheid)
    if not units:
        return [Ignored(document.name, "NOT_A_UNIT" if len(graph) else "EMPTY_DOCUMENT")]
    return [_item(graph, unit, whole_seconds(document.modified)) for unit in units]


def _item(graph: Graph, unit: URIRef, recorded: str) -> Item:
    try:
        return Change(str(unit), PRODUCT, _organisation(graph, unit, recorded))
    except PoisonRecord as error:
        return Broken(str(unit), error.reason, error.path)


def _organisation(graph: Graph, unit: URIRef, recorded: str) -> dict[str, Any]:
    label = rdf.one(graph, unit, SKOS.prefLabel)
    if label is None:
        raise PoisonRecord("FIELD_MISSING", "naam")
    (kbo, site), ovo = _numbers(graph, unit), _ovo(graph, unit)
    names = [("voorkeur", label), *(("alternatief", str(name)) for name in rdf.ordered(graph, unit, SKOS.altLabel))]
    return {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": recorded,
        "corrects": None,
        "identificator": kbo or ovo or str(unit),
        "iri": str(unit),
        "kbonummer": kbo,
        "ovocode": ovo,
        "vestigingsnummer": site,
        "naam": label,
        "namen": [{"naam": name, "taal": None, "soort": kind, "begin": None, "einde": None} for kind, name in names],
        "soort": None,
        "status": None,
        "rechtsvorm": None,
        "rechtstoestand": None,
        "classificatie": rdf.one(graph, unit, _BESLUIT.classificatie),
        "werkingsgebied": rdf.one(graph, unit, _BESLUIT.werkingsgebied),
        "provincie": rdf.one(graph, unit, _EXT.inProvincie),
        "suborganisaties": [str(node) for node in rdf.ordered(graph, unit, ORG.hasSubOrganization)],
        "afgeleidVan": [str(node) for node in rdf.ordered(graph, unit, PROV.wasDerivedFrom)],
        "start": None,
        "inschrijving": None,
        "stopzetting": None,
        "zetel": None,
        "contact": None,
        "vestigingen": [],
        "activiteiten": [],
    }


def _numbers(graph: Graph, unit: URIRef) -> tuple[str | None, str | None]:
    """KBO number and establishment number; at most one of them is there."""
    number = rdf.one(graph, unit, _EXT.kbonummer)
    if number is None:
        return None, None
    with suppress(Invalid):
        return parse_kbo(number), None
    try:
        return None, parse_establishment(number)
    except Invalid:
        raise PoisonRecord("KBO_INVALID", "kbonummer") from None


def _ovo(graph: Graph, unit: URIRef) -> str | None:
    for identifier in rdf.ordered(graph, unit, DCTERMS.identifier):
        try:
            return parse_ovo(str(identifier))
        except Invalid:
            continue
    return None
