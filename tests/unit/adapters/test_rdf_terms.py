"""A document of another generation of OSLO, read in our terms; what is unknown in it is told or refused."""

from datetime import UTC, datetime

import pytest
from rdflib import RDF, Graph, Literal, Namespace, URIRef

from adapters.rdf import graph_of, in_our_terms
from adapters.sources import Document
from broker.errors import PoisonRecord
from broker.policy.yamltext import load
from broker.schema.oslo import OnUnknown, Unknown, Why, vocabulary
from tests.unit.schema.published_types import ROOT, TYPES

TERMS = vocabulary(load((ROOT / "schemas" / "aliases.yaml").read_text()), TYPES.values())
GEBOUW = Namespace("https://data.vlaanderen.be/ns/gebouw#")
UNIT = URIRef("https://data.vlaanderen.be/id/gebouweenheid/1")
PREFIXES = """
@prefix adres: <https://data.vlaanderen.be/ns/adres#> .
@prefix dct: <http://purl.org/dc/terms/> .
@prefix gebouw: <https://data.vlaanderen.be/ns/gebouw#> .
@prefix impl: <https://implementatie.data.vlaanderen.be/ns/gebouw#> .
"""
OF_2022 = """<https://data.vlaanderen.be/id/gebouweenheid/1> a gebouw:Gebouweenheid ;
    gebouw:Gebouweenheid.status <https://data.vlaanderen.be/doc/concept/gebouweenheidstatus/gerealiseerd> ;
    gebouw:Gebouweenheid.bestaatUit <https://data.vlaanderen.be/id/gebouw/2> ;
    gebouw:Gebouweenheid.adres <https://data.vlaanderen.be/id/adres/3> ."""
OF_2026 = """<https://data.vlaanderen.be/id/gebouweenheid/1> a gebouw:Gebouweenheid ;
    gebouw:Gebouweenheid.status <https://data.vlaanderen.be/id/concept/gebouweenheidstatus/gerealiseerd> ;
    dct:isPartOf <https://data.vlaanderen.be/id/gebouw/2> ;
    impl:toegekendAdres <https://data.vlaanderen.be/id/adres/3> ."""


def read(turtle: str) -> Graph:
    body = (PREFIXES + turtle).encode()
    return graph_of(Document("eenheid.ttl", "text/turtle", body, datetime.now(UTC)))


def test_two_generations_of_one_register_are_one_graph() -> None:
    (old, _), (new, unknown) = (in_our_terms(read(text), TERMS, OnUnknown.REFUSE) for text in (OF_2022, OF_2026))
    assert set(old) == set(new)
    assert not unknown
    assert (UNIT, GEBOUW["Gebouweenheid.bestaatUit"], URIRef("https://data.vlaanderen.be/id/gebouw/2")) in new


def test_what_is_unknown_is_kept_and_told() -> None:
    graph = read(OF_2026)
    other = URIRef("https://data.example/ns#kleur")
    made_up = URIRef("https://data.vlaanderen.be/id/concept/gebouweenheidstatus/gesloopt")
    graph.set((UNIT, GEBOUW["Gebouweenheid.status"], made_up))
    graph.add((UNIT, other, Literal("rood")))
    found, unknown = in_our_terms(graph, TERMS, OnUnknown.WARN)
    assert (UNIT, other, Literal("rood")) in found
    assert unknown == (Unknown(str(other), Why.UNKNOWN), Unknown(str(made_up), Why.UNKNOWN_CONCEPT))
    with pytest.raises(PoisonRecord) as refused:
        in_our_terms(graph, TERMS, OnUnknown.REFUSE)
    assert refused.value.reason in {"TERM_UNKNOWN", "CONCEPT_UNKNOWN"}
    assert "kleur" not in str(refused.value)


def test_a_placeholder_stops_the_document() -> None:
    graph = read(OF_2026)
    graph.add((UNIT, URIRef("http://todo.com/aangevraagdBij"), Literal("x")))
    with pytest.raises(PoisonRecord, match=r"^TERM_PLACEHOLDER$"):
        in_our_terms(graph, TERMS, OnUnknown.WARN)


def test_an_unknown_class_is_told() -> None:
    graph = read(OF_2026)
    graph.add((UNIT, RDF.type, URIRef("https://data.example/ns#Kot")))
    _, unknown = in_our_terms(graph, TERMS, OnUnknown.WARN)
    assert unknown == (Unknown("https://data.example/ns#Kot", Why.UNKNOWN),)
