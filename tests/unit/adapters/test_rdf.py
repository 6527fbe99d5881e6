"""Linked data are read as they are written."""

from datetime import UTC, datetime

import rdflib
from rdflib import URIRef

from adapters.rdf import graph_of, one
from adapters.sources import Document


def test_an_instant_stays_as_it_is_written_whoever_else_in_the_process_uses_rdflib(monkeypatch) -> None:
    monkeypatch.setattr(rdflib, "NORMALIZE_LITERALS", True)  # as pyshacl leaves it
    text = '<urn:a> <urn:end> "2026-11-27T00:00:00Z"^^<http://www.w3.org/2001/XMLSchema#dateTime> .'
    graph = graph_of(Document("end.ttl", "text/turtle", text.encode(), datetime(2026, 11, 26, tzinfo=UTC)))
    assert one(graph, URIRef("urn:a"), URIRef("urn:end")) == "2026-11-27T00:00:00Z"
