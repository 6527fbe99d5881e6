"""Which optional fields a record has is read off its bytes as it would be off its decoded value."""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from broker.schema.avro import load_schema
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.presence import presence_of
from broker.schema.samples import drawn, example

SCHEMAS = sorted((Path(__file__).parents[3] / "schemas").glob("*.v1.avsc"))
FRAME = b"\x00\x00\x00\x00\x07"


def at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


@pytest.mark.parametrize("path", [each for each in SCHEMAS if "receipt" not in each.name], ids=lambda each: each.stem)
def test_what_is_there_is_what_decoding_finds(path: Path) -> None:
    schema = load_schema(path.read_text())
    encode, walker = compile_encode(schema), compile_walk(schema)
    presence, dice = presence_of(walker), random.Random(7)
    assert presence.paths
    for record in (example(schema), *(drawn(schema, dice) for _ in range(50))):
        value = FRAME + encode(record)
        found = presence.present(value, walker.walk(value))
        there = [name for bit, name in enumerate(presence.paths) if found >> bit & 1]
        assert there == [name for name in presence.paths if at(record, name) not in (None, [])]


def test_what_is_always_there_is_no_optional_field() -> None:
    schema = load_schema((SCHEMAS[0].parent / "persoon.v1.avsc").read_text())
    paths = presence_of(compile_walk(schema)).paths
    assert not {"kind", "recordedAt", schema.principal} & set(paths)
    assert {"validTo", "overlijden.datum", "naam.voornamen", "nationaliteiten"} <= set(paths)
