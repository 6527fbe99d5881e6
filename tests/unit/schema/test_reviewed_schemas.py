"""The schemas of this repository pass their own lint, and guard what fastavro writes for them."""

import json
from pathlib import Path
from typing import Any

import pytest

from broker.schema.avro import load_schema
from broker.schema.guard import walker_of
from broker.schema.inspection import inspect
from broker.schema.lint import parse_structure
from broker.schema.reference import encode

SCHEMAS = sorted((Path(__file__).parents[3] / "schemas").glob("*.avsc"))


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.name)
def test_a_reviewed_schema_passes_the_lint(path: Path, dice: Any) -> None:
    text = path.read_text()
    root, canonical = parse_structure(text)
    if "product" in json.loads(text):
        assert load_schema(text).product == path.name.removesuffix(".avsc")
    walker, drawn = walker_of(root), dice(7, 5)
    for _ in range(20):
        value = b"\x00\x00\x00\x00\x01" + encode(canonical, drawn.record(json.loads(text)))
        assert walker.walk(value) == inspect(root, value)
