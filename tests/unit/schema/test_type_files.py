"""What is published about a type is current, and means in RDF what deliveries mean."""

import json
import re
import socket
from itertools import pairwise

import pytest
from rdflib import RDF, BNode, Literal, Namespace, URIRef

from broker.cli import type_files
from broker.schema import publication
from broker.schema.guard import walker_of
from broker.schema.inspection import inspect
from broker.schema.linked_terms import OWN_NAMESPACE, single
from broker.schema.reference import encode
from broker.schema.samples import example
from broker.schema.type_page import compact
from broker.schema.types import Record
from tests.unit.delivery.linked_data import kept
from tests.unit.schema.published_types import ROOT, TYPES, Json, graph

EVERY_TYPE = [
    "adres.v1", "dienst.v1", "diploma.v1", "dossier.v1", "gebouweenheid.v1", "gezin.v1", "hinder.v1", "mandataris.v1",
    "organisatie.v1", "perceel.v1", "persoon.v1", "steunmaatregel.v1", "vestiging.v1",
]  # fmt: skip
# Declared products never change: what these share, they go on sharing until a version 2.
FROZEN = {"adres.v1", "hinder.v1", "organisatie.v1", "persoon.v1"}


def stated_iris(record: Record, path: str = "") -> list[tuple[str, str, str]]:
    """Path, IRI and doc of every field."""
    found = []
    for own in record.fields:
        below = f"{path}.{own.name}"
        found.append((below, own.attributes["iri"], own.attributes["doc"]))
        inner = single(own.type)
        if isinstance(inner, Record):
            found += stated_iris(inner, below)
    return found


def test_every_type_is_here() -> None:
    assert list(TYPES) == EVERY_TYPE
    listed = (ROOT / "docs" / "types" / "README.md").read_text()
    assert re.findall(r"^\| \[([a-z]+\.v1)\]", listed, re.MULTILINE) == EVERY_TYPE


def test_the_published_files_are_current() -> None:
    assert not type_files.stale(ROOT), "run: python -m broker.cli.type_files"
    made = {path for schema in TYPES.values() for path in publication.type_files(schema)}
    there = {
        str(path.relative_to(ROOT))
        for folder in ("context", "shapes", "examples")
        for path in (ROOT / "schemas" / folder).iterdir()
    }
    there |= {f"docs/types/{path.name}" for path in (ROOT / "docs" / "types").iterdir() if path.name != "README.md"}
    assert there == made


@pytest.mark.parametrize("product", EVERY_TYPE)
def test_the_example_is_a_record_of_its_type(product: str) -> None:
    schema = TYPES[product]
    written = json.loads((ROOT / "schemas" / "examples" / f"{product}.json").read_text())
    value = b"\x00\x00\x00\x00\x01" + encode(schema.text, written)
    assert walker_of(schema.root).walk(value) == inspect(schema.root, value)
    assert "null" not in json.dumps(written), "an example leaves nothing out"


@pytest.mark.parametrize("product", EVERY_TYPE)
def test_a_parser_without_a_network_reads_the_example_with_the_published_context(
    product: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    context = json.loads((ROOT / "schemas" / "context" / f"{product}.jsonld").read_text())
    schema = TYPES[product]
    said = publication.document(schema, example(schema)) | context
    found = graph(json.dumps(said))
    (root,) = found.subjects(RDF.type, URIRef(said["@type"]))
    assert isinstance(root, BNode)
    named = {str(predicate) for predicate in found.predicates(root)} - {str(RDF.type)}
    assert named == {own.attributes["iri"] for own in schema.root.fields}


@pytest.mark.parametrize("product", EVERY_TYPE)
def test_deliveries_use_the_published_terms(product: str) -> None:
    assert kept(product).context() == publication.context(TYPES[product])


@pytest.mark.parametrize("product", EVERY_TYPE)
def test_what_no_standard_names_is_ours_and_says_so(product: str) -> None:
    schema = TYPES[product]
    stated = [("", str(schema.root.attributes["iri"]), str(schema.root.attributes["doc"])), *stated_iris(schema.root)]
    for path, iri, doc in stated:
        assert bool(re.search(r"\bours\b", doc)) == iri.startswith(OWN_NAMESPACE), path
        assert compact(iri) != iri or iri.startswith(str(RDF)), f"{path}: a namespace that nobody reviewed"


@pytest.mark.parametrize("product", sorted(set(EVERY_TYPE) - FROZEN))
def test_two_fields_of_a_new_type_are_told_apart_in_rdf(product: str) -> None:
    def check(record: Record) -> None:
        fields = sorted(record.fields, key=lambda own: str(own.attributes["iri"]))
        for one, other in pairwise(fields):
            same = one.attributes["iri"] == other.attributes["iri"]
            languages = {one.attributes.get("language"), other.attributes.get("language")}
            assert not same or len(languages - {None}) == 2, (one.name, other.name)
        for own in record.fields:
            if isinstance(inner := single(own.type), Record):
                check(inner)

    check(TYPES[product].root)


def test_texts_in_several_languages_are_told_apart() -> None:
    schema = TYPES["dienst.v1"]
    made: Json = example(schema) | {
        "naam": "Premie",
        "naamFormeel": "Uw premie",
        "naamEngels": "Grant",
        "naamInformeel": None,
    }
    found = graph(json.dumps(publication.document(schema, made)))
    (root,) = found.subjects(RDF.type, URIRef(str(schema.root.attributes["iri"])))
    dct = Namespace("http://purl.org/dc/terms/")
    assert set(found.objects(root, dct["title"])) == {
        Literal("Premie", lang="nl"), Literal("Uw premie", lang="nl-BE-x-formal"), Literal("Grant", lang="en"),
    }  # fmt: skip


def test_a_code_whose_iri_is_no_symbol_is_still_that_concept() -> None:
    schema = TYPES["mandataris.v1"]
    found = graph(json.dumps(publication.document(schema, example(schema) | {"status": "waarnemend"})))
    (status,) = found.objects(None, URIRef("http://data.vlaanderen.be/ns/mandaat#status"))
    assert status == URIRef(
        "http://data.vlaanderen.be/id/concept/MandatarisStatusCode/e1ca6edd-55e1-4288-92a5-53f4cf71946a"
    )


def test_a_stale_file_is_named(tmp_path: type_files.Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "gezin.v1.avsc").write_text((ROOT / "schemas" / "gezin.v1.avsc").read_text())
    found = type_files.stale(tmp_path)
    assert set(found) == {
        "schemas/context/gezin.v1.jsonld", "schemas/shapes/gezin.v1.ttl", "schemas/examples/gezin.v1.json", "docs/types/gezin.v1.md",
    }  # fmt: skip
    for path, text in found.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "docs/types/gezin.v1.md").write_text("anders")
    assert set(type_files.stale(tmp_path)) == {"docs/types/gezin.v1.md"}
