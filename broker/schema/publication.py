"""What is published about a type beside its schema, all made from it: context, shape, example, and its page.

`python -m broker.cli.type_files` writes these files; a test holds them current.
"""

import json
from collections.abc import Mapping

from broker.schema.avro import Schema
from broker.schema.linked_terms import OWN_NAMESPACE, Json, node_type
from broker.schema.samples import example
from broker.schema.shapes import shapes
from broker.schema.type_page import page


def context(schema: Schema) -> Json:
    """The type's terms in JSON-LD: those that deliveries of it use."""
    return node_type(schema.text, OWN_NAMESPACE).context()


def document(schema: Schema, record: Json) -> Json:
    """A complete record as JSON-LD, with its context written out; the node has no IRI."""
    type_ = node_type(schema.text, OWN_NAMESPACE)
    return {"@context": type_.context(), **type_.node(record)}


def type_files(schema: Schema) -> Mapping[str, str]:
    """Text of every file by its path from the root of the checkout."""
    product = schema.product
    return {
        f"schemas/context/{product}.jsonld": _json({"@context": context(schema)}),
        f"schemas/shapes/{product}.ttl": shapes(schema),
        f"schemas/examples/{product}.json": _json(example(schema)),
        f"docs/types/{product}.md": page(schema),
    }


def _json(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"
