"""Our shapes, by a validator that is not ours: records of a type pass, and what is broken in any of these ways does not."""

from collections.abc import Callable
from random import Random

import pytest
from rdflib import RDF, XSD, BNode, Graph, Literal, Namespace, URIRef
from rdflib.term import Node

from broker.schema.avro import Schema
from broker.schema.identifier_forms import PATTERNS
from broker.schema.linked_terms import concepts_of, single
from broker.schema.samples import drawn, example
from broker.schema.types import Enumeration
from tests.unit.schema.published_types import TYPES, records, refusal, shape_of

ADMS = Namespace("http://www.w3.org/ns/adms#")
M8G = Namespace("http://data.europa.eu/m8g/")
PROV = Namespace("http://www.w3.org/ns/prov#")
Break = Callable[[Graph, Node, Schema], None]


def set_(found: Graph, root: Node, iri: str, value: Node) -> None:
    found.set((root, URIRef(iri), value))


def principal(schema: Schema) -> str:
    return schema.fields[schema.principal].iri


def nested(found: Graph, root: Node) -> tuple[URIRef, Node]:
    """The first of the nodes that the record holds."""
    return min((p, o) for p, o in found.predicate_objects(root) if isinstance(o, BNode) and isinstance(p, URIRef))


def malformed_identifier(found: Graph, root: Node, schema: Schema) -> None:
    iri = principal(schema)
    is_iri = isinstance(found.value(root, URIRef(iri)), URIRef)
    set_(found, root, iri, Literal("geen IRI") if is_iri else Literal("123") if _has_form(schema) else Literal(123))


def _has_form(schema: Schema) -> bool:
    return schema.principal in PATTERNS


def text_for_a_record(found: Graph, root: Node, _: Schema) -> None:
    path, _node = nested(found, root)
    set_(found, root, str(path), Literal("tekst"))


def record_of_another_class(found: Graph, root: Node, _: Schema) -> None:
    _path, node = nested(found, root)
    found.set((node, RDF.type, URIRef("https://data.example/ns#Ding")))


BREAKS: dict[str, Break] = {
    "a required field is absent": lambda found, root, _: found.remove((root, PROV.generatedAtTime, None)),
    "a field twice": lambda found, root, _: found.add((root, PROV.generatedAtTime, Literal("2020-01-01", datatype=XSD.date))),
    "the subject is absent": lambda found, root, schema: found.remove((root, URIRef(principal(schema)), None)),
    "the subject is of another form": malformed_identifier,
    "a symbol that the list does not have": lambda found, root, _: set_(found, root, ADMS.versionNotes, Literal("anders")),
    "text for a date": lambda found, root, _: set_(found, root, M8G.startTime, Literal("2008-13-00")),
    "a day that does not exist": lambda found, root, _: set_(found, root, M8G.startTime, Literal("2008-02-30", datatype=XSD.date)),
    "a number for text": lambda found, root, _: set_(found, root, PROV.wasRevisionOf, Literal(5)),
    "a property that the type does not have": lambda found, root, _: found.add((root, URIRef("https://data.example/ns#x"), Literal("x"))),
    "text for a record": text_for_a_record,
    "a record of another class": record_of_another_class,
    "an IRI for text": lambda found, root, _: set_(found, root, PROV.wasRevisionOf, URIRef("https://data.example/id/x/1")),
}  # fmt: skip


CODED = [
    (product, own.name)
    for product, schema in TYPES.items()
    for own in schema.root.fields
    if isinstance(inner := single(own.type), Enumeration) and concepts_of(inner)
]


def root_of(found: Graph, schema: Schema) -> Node:
    (root,) = found.subjects(RDF.type, URIRef(str(schema.root.attributes["iri"])))
    return root


def assert_accepted(product: str, count: int, seed: int) -> None:
    schema, dice = TYPES[product], Random(seed)
    found = records(schema, [example(schema), *(drawn(schema, dice) for _ in range(count - 1))])
    assert len(set(found.subjects(RDF.type, URIRef(str(schema.root.attributes["iri"]))))) == count
    assert not refusal(found, shape_of(product))


@pytest.mark.parametrize("product", TYPES)
def test_records_of_the_type_pass(product: str) -> None:
    assert_accepted(product, 50, seed=7)


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("product", TYPES)
def test_a_thousand_records_of_the_type_pass(product: str) -> None:
    for seed in range(20):
        assert_accepted(product, 50, seed)


# The property of `kind` is that of `gebeurtenis`, which is any text: in RDF the two cannot be told apart.
SHARED = ("hinder.v1", "a symbol that the list does not have")


@pytest.mark.parametrize(("product", "way"), sorted({(product, way) for product in TYPES for way in BREAKS} - {SHARED}))
def test_a_broken_record_is_refused(product: str, way: str) -> None:
    schema = TYPES[product]
    found = records(schema, [example(schema)])
    BREAKS[way](found, root_of(found, schema), schema)
    assert refusal(found, shape_of(product))


@pytest.mark.parametrize(("product", "name"), CODED)
def test_a_concept_outside_its_list_is_refused(product: str, name: str) -> None:
    schema = TYPES[product]
    (iri,) = (own.attributes["iri"] for own in schema.root.fields if own.name == name)
    found = records(schema, [example(schema)])
    set_(found, root_of(found, schema), iri, URIRef("https://data.vlaanderen.be/id/concept/verzonnen"))
    assert refusal(found, shape_of(product))


def test_a_text_in_a_language_that_the_type_does_not_have_is_refused() -> None:
    schema = TYPES["dienst.v1"]
    found = records(schema, [example(schema)])
    found.add((root_of(found, schema), URIRef("http://purl.org/dc/terms/title"), Literal("Prime", lang="fr")))
    assert refusal(found, shape_of("dienst.v1"))


@pytest.mark.parametrize("name", PATTERNS)
def test_an_identifier_is_refused_by_its_form_wherever_it_stands(name: str) -> None:
    held = [product for product, schema in TYPES.items() if name in schema.fields]
    assert held or name == "nis"  # which no record has at its top
    for product in held:
        schema = TYPES[product]
        found = records(schema, [example(schema) | {name: "x123"}])
        assert refusal(found, shape_of(product)), product
