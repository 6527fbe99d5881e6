"""The reviewed types, and what they publish, as somebody else's RDF tools read it."""

import json
import warnings
from pathlib import Path
from typing import Any

import pyshacl
from rdflib import Graph

from broker.schema.avro import Schema, load_schema
from broker.schema.publication import document

ROOT = Path(__file__).parents[3]
TYPES: dict[str, Schema] = {
    path.name.removesuffix(".avsc"): load_schema(path.read_text())
    for path in sorted((ROOT / "schemas").glob("*.avsc"))
    if path.name != "receipt.v1.avsc"
}
Json = dict[str, Any]


def graph(text: str, form: str = "json-ld") -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's parser warns about rdflib
        return Graph().parse(data=text, format=form)


def records(schema: Schema, made: list[Json]) -> Graph:
    """All records in one graph, each a node of its own."""
    nodes = [document(schema, record) for record in made]
    contexts = [node.pop("@context") for node in nodes]
    return graph(json.dumps({"@context": contexts[0], "@graph": nodes}))


def shape_of(product: str) -> Graph:
    """The published shape."""
    return graph((ROOT / "schemas" / "shapes" / f"{product}.ttl").read_text(), "turtle")


def refusal(found: Graph, shape: Graph) -> str:
    """What a validator that is not ours has against a graph; empty where it accepts it."""
    conforms, _, report = pyshacl.validate(found, shacl_graph=shape)
    return "" if conforms else str(report)
