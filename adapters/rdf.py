"""Linked-data documents as graphs: Turtle, N-Quads, N-Triples and JSON-LD, without ever asking the network.

rdflib is told to leave literals as they are written (values are passed on, not rewritten), and its log of literals
that it cannot convert is closed, because that log quotes them.
"""

import json
import logging
import warnings
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import httpx
import rdflib
from rdflib import RDF, Graph
from rdflib.term import Node, URIRef

from adapters.sources import Document, documents, fetch, is_feed, local_path
from broker.errors import PoisonRecord
from broker.schema.oslo import Known, OnUnknown, Unknown, Vocabulary, admitted

logging.getLogger("rdflib.term").setLevel(logging.CRITICAL)

SUFFIXES = frozenset({".ttl", ".nq", ".nt", ".jsonld", ".json"})
ACCEPT = "text/turtle, application/n-quads;q=0.9, application/ld+json;q=0.8"
_FORMATS = {
    ".ttl": "turtle",
    ".nq": "nquads",
    ".nt": "nt",
    ".jsonld": "json-ld",
    ".json": "json-ld",
    "text/turtle": "turtle",
    "application/n-quads": "nquads",
    "application/n-triples": "nt",
    "application/ld+json": "json-ld",
    "application/json": "json-ld",
}

Contexts = Mapping[str, Mapping[str, Any]]
BUNDLED_CONTEXTS: Contexts = MappingProxyType({})
"""Contexts by address. One enters by review, never at run time: whoever writes a context decides what data mean."""


async def documents_of(source: str) -> list[Document]:
    """Every document of a folder, or the one of a file or an address; raises `Retriable`."""
    if is_feed(source):
        async with httpx.AsyncClient(headers={"accept": ACCEPT}) as client:
            return [await fetch(client, source)]
    return [document async for document in documents(local_path(source), SUFFIXES)]


def graph_of(document: Document, contexts: Contexts = BUNDLED_CONTEXTS) -> Graph:
    """All triples of a document. Raises `PoisonRecord`: DOCUMENT_TOO_LARGE, FORMAT_UNKNOWN, ENCODING_WRONG,
    RDF_MALFORMED or CONTEXT_UNKNOWN (a JSON-LD context that is not in `contexts`).
    """  # noqa: D205 - the reasons are the contract
    if document.body is None:
        raise PoisonRecord("DOCUMENT_TOO_LARGE")
    suffix = document.name[document.name.rfind(".") :] if "." in document.name else ""
    format_ = _FORMATS.get(document.media_type) or _FORMATS.get(suffix)
    if format_ is None:
        raise PoisonRecord("FORMAT_UNKNOWN")
    if not _is_text(document.body):
        raise PoisonRecord("ENCODING_WRONG")
    graph = Graph()
    text, base = document.body, document.name if "://" in document.name else None
    if format_ == "json-ld":
        text = _with_bundled_contexts(text, contexts)
    malformed = False
    rdflib.NORMALIZE_LITERALS = False  # here, because other libraries of a process switch it back
    try:
        with warnings.catch_warnings():
            # rdflib's parsers warn about rdflib; whoever turns warnings into errors would lose good documents.
            warnings.simplefilter("ignore", DeprecationWarning)
            if format_ == "nquads":
                graphs = rdflib.Dataset()
                graphs.parse(data=text, format=format_, publicID=base)
                graph += (quad[:3] for quad in graphs.quads())
            else:
                graph.parse(data=text, format=format_, publicID=base)
    except Exception:  # noqa: BLE001 - rdflib's parsers raise whatever they stumble over
        malformed = True
    if malformed:
        # Outside the handler, so that no traceback quotes the document.
        raise PoisonRecord("RDF_MALFORMED")
    return graph


def _is_text(body: bytes) -> bool:
    """Whether it is what each of these formats is made of, UTF-8; rdflib puts other letters in the place of the rest."""
    try:
        return "\0" not in body.decode()
    except UnicodeDecodeError:
        return False


def _with_bundled_contexts(body: bytes, contexts: Contexts) -> bytes:
    try:
        document = json.loads(body)
        document = _replace_contexts(document, contexts)
        return json.dumps(document).encode()
    except (ValueError, RecursionError):
        pass
    raise PoisonRecord("RDF_MALFORMED")


def _replace_contexts(node: Any, contexts: Contexts) -> Any:
    if isinstance(node, list):
        return [_replace_contexts(item, contexts) for item in node]
    if not isinstance(node, dict):
        return node
    if "@import" in node:
        raise PoisonRecord("CONTEXT_UNKNOWN")
    return {
        key: _context(value, contexts) if key == "@context" else _replace_contexts(value, contexts)
        for key, value in node.items()
    }


def _context(value: Any, contexts: Contexts) -> Any:
    if isinstance(value, str):
        if value not in contexts:
            raise PoisonRecord("CONTEXT_UNKNOWN")
        return dict(contexts[value])
    if isinstance(value, list):
        return [_context(item, contexts) for item in value]
    return _replace_contexts(value, contexts)


def in_our_terms(graph: Graph, terms: Vocabulary, policy: OnUnknown) -> tuple[Graph, tuple[Unknown, ...]]:
    """The graph with properties, classes and concepts under the IRIs that our schemas use, and what of it is unknown.

    What is unknown stays as it is and is told once, in the order of its IRI. Raises `PoisonRecord`: TERM_UNKNOWN or
    CONCEPT_UNKNOWN by policy, TERM_PLACEHOLDER or TERM_AMBIGUOUS always.
    """
    unknown: dict[str, Unknown] = {}

    def ours(found: Known | Unknown) -> URIRef:
        read = admitted(found, policy)
        if isinstance(read, Unknown):
            unknown[read.iri] = read
        return URIRef(read.iri)

    classes: dict[Node, list[str]] = {}
    for subject, named in graph.subject_objects(RDF.type):
        classes.setdefault(subject, []).append(str(ours(terms.class_(str(named)))))
    renamed = Graph()
    for subject, predicate, stated in graph:
        value = stated
        if predicate == RDF.type:
            value = ours(terms.class_(str(stated)))
        elif isinstance(stated, URIRef) and terms.is_coded(str(stated)):
            value = ours(terms.concept(str(stated)))
        if predicate != RDF.type:
            predicate = ours(terms.property(str(predicate), sorted(classes.get(subject, ()))))  # noqa: PLW2901 - renamed
        renamed.add((subject, predicate, value))
    return renamed, tuple(unknown[text] for text in sorted(unknown))


def named(graph: Graph, *classes: URIRef) -> list[URIRef]:
    """Nodes of any of these classes that have an IRI, in the order of their IRIs."""
    return sorted({node for each in classes for node in graph.subjects(RDF.type, each) if isinstance(node, URIRef)})


def one(graph: Graph, subject: Node, predicate: URIRef) -> str | None:
    """Text of one object; of several the first in code point order, so that a graph has one reading."""
    return min((str(found) for found in graph.objects(subject, predicate)), default=None)


def iri(node: Node) -> str | None:
    """IRI of a node; None for a blank node or a literal."""
    return str(node) if isinstance(node, URIRef) else None


def ordered(graph: Graph, subject: Node, predicate: URIRef) -> list[Node]:
    """Objects in the order of their text."""
    return sorted(graph.objects(subject, predicate), key=str)
