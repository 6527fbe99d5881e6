"""A walk that tries a pattern first accepts, refuses and cuts as the inspection says, whatever points it is asked for."""

import json
import random
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.errors import Invalid, PoisonRecord
from broker.model.agreement import ReleasedField, Transform
from broker.schema.acceptance import Acceptance, acceptance
from broker.schema.avro import Schema, load_schema
from broker.schema.encoding import compile_encode
from broker.schema.guard import attempting, compile_select, compile_walk, walker_of
from broker.schema.inspection import inspect
from broker.schema.lint import parse_structure
from broker.schema.projection import compile_projection
from broker.schema.reference import encode
from broker.schema.samples import drawn, example
from tests.unit.schema.test_walker_equals_fastavro import FRAME, Refusal, mutate, outcome

TYPES = sorted(each for each in (Path(__file__).parents[3] / "schemas").glob("*.v1.avsc") if "receipt" not in each.name)


class Tried:
    """A walk that tries the pattern of a type first, for some of the type's cut points."""

    def __init__(self, schema: Schema, points: set[int] | None = None) -> None:
        walker = compile_walk(schema)
        self.root, self.points = schema.root, set(range(len(walker.slots) + 1)) if points is None else points
        self.pattern = acceptance(schema.root, self.points)
        self.walk = attempting(walker.walk, lambda: self.pattern, after=0)

    def agrees(self, value: bytes) -> bool:
        """Whether the pattern takes a value; in any case the walk does as the inspection."""
        expected, found = outcome(partial(inspect, self.root), value), outcome(self.walk, value)
        if isinstance(expected, Refusal):
            assert found == expected
            return False
        assert {point: found[point] for point in self.points} == {point: expected[point] for point in self.points}
        return self.pattern.accept(value) is not None


def some_points(dice: Any, schema: Schema) -> set[int]:
    share = dice.choice((0.0, 0.1, 0.5, 1.0))
    return {point for point in range(len(compile_walk(schema).slots) + 1) if dice.random() < share}


@settings(deadline=None, max_examples=settings.default.max_examples)
@given(seed=st.integers(0, 2**64 - 1), size=st.integers(1, 6))
def test_of_generated_types_it_takes_canonical_values_only(dice: Any, seed: int, size: int) -> None:
    made = dice(seed, size)
    schema: Schema = made.schema()
    tried = Tried(schema, some_points(made.random, schema))
    for _ in range(5):
        value = FRAME + encode(schema.text, made.record(json.loads(schema.text)))
        tried.agrees(value)
        for _ in range(5):
            tried.agrees(mutate(made.random, value))


@pytest.mark.parametrize("path", TYPES, ids=lambda path: path.stem)
def test_of_a_published_type_it_takes_canonical_values_only(path: Path) -> None:
    schema, dice = load_schema(path.read_text()), random.Random(path.stem)
    encoded, tried = compile_encode(schema), Tried(schema, some_points(dice, schema))
    for record in (example(schema), *(drawn(schema, dice) for _ in range(10))):
        value = FRAME + encoded(record)
        tried.agrees(value)
        for _ in range(10):
            tried.agrees(mutate(dice, value))


def test_it_takes_persons_whatever_is_absent(person_schema: Schema, someone: Any) -> None:
    texts = ("", "x", "é" * 31, "x" * 63)
    absent = [
        {},
        {"geboorte": None},
        {"verblijfplaats": None, "nationaliteiten": []},
        {"partner": {"insz": "08651712329"}, "validTo": "2020-00-00"},
    ]
    tried = Tried(person_schema)
    for text, other in product(texts, absent):
        record = {**someone, "naam": {"achternaam": text, "voornamen": [text] * 3}, "sinds": 5, **other}
        assert tried.agrees(FRAME + encode(person_schema.text, record))


@pytest.mark.parametrize("text", ["x" * 64, "x" * 9000])
def test_what_it_does_not_know_is_walked(person_schema: Schema, someone: Any, text: str) -> None:
    record = {**someone, "naam": {"achternaam": text, "voornamen": []}, "sinds": 5}
    assert not Tried(person_schema).agrees(FRAME + encode(person_schema.text, record))


def test_two_torn_texts_are_no_utf8(person_schema: Schema, someone: Any) -> None:
    record = {**someone, "naam": {"achternaam": "x", "voornamen": ["\x7f"]}, "sinds": 5}
    value = FRAME + encode(person_schema.text, record)
    torn = value.replace(b"\x02x\x02\x02\x7f", b"\x02\xc3\x02\x02\xa9")
    assert torn != value
    tried = Tried(person_schema)
    assert tried.pattern.accept(torn) is not None
    with pytest.raises(PoisonRecord, match=r"UTF8_INVALID at naam\.achternaam") as caught:
        tried.walk(torn)
    assert caught.value.__context__ is None  # holds no byte of the record


@pytest.mark.parametrize("name", ["double", "float", "bytes"])
def test_a_type_of_which_no_value_is_known_is_walked(name: str) -> None:
    fields = [{"name": f"f{i}", "type": "string"} for i in range(99)] + [{"name": "last", "type": name}]
    walker = walker_of(parse_structure(json.dumps({"type": "record", "name": "R", "fields": fields}))[0])
    assert walker.focused({1}) == walker.walk
    fields[-1]["type"] = "boolean"
    walker = walker_of(parse_structure(json.dumps({"type": "record", "name": "R", "fields": fields}))[0])
    assert walker.focused({1}) != walker.walk
    assert walker.focused(range(99)) == walker.walk


def test_a_focused_walk_tells_the_points_of_a_selection_and_a_projection_and_no_others() -> None:
    schema = load_schema(next(path for path in TYPES if path.stem == "persoon.v1").read_text())
    walker, encoded, dice = compile_walk(schema), compile_encode(schema), random.Random(7)
    kept = [ReleasedField(path, Transform.KEEP, "") for path in ("naam.achternaam", "verblijfplaats.postcode")]
    fields = [*kept, ReleasedField("geboorte.datum", Transform.YEAR, "", "jaar")]
    projection = compile_projection(schema, fields, pseudonym_key=None)
    paths = ["insz", "verblijfplaats.gemeente.nis", "overlijden.datum"]
    select = compile_select(walker, paths)
    walk = walker.focused(walker.points(paths) | projection.points, after=3)
    for _ in range(40):
        value = FRAME + encoded(drawn(schema, dice))
        all_, offsets = walker.walk(value), walk(value)
        assert select(value, offsets) == select(value, all_)
        assert projection.cut(value, offsets, "2026-11-26", None) == projection.cut(value, all_, "2026-11-26", None)
        assert walker.text(value, offsets, "insz") == walker.text(value, all_, "insz")
    assert isinstance(offsets, dict)
    with pytest.raises(KeyError):
        compile_select(walker, ["geslacht"])(value, offsets)
    with pytest.raises(Invalid, match="kinderen"):
        walker.points(["kinderen"])


def test_attempts_that_fail_in_a_row_become_few(person_schema: Schema, someone: Any) -> None:
    walker, attempts = compile_walk(person_schema), 0
    pattern = acceptance(person_schema.root, ())

    def counted(value: bytes) -> Any:
        nonlocal attempts
        attempts += 1
        return pattern.accept(value)

    walk = attempting(walker.walk, lambda: Acceptance(counted, pattern.cut), after=10)
    usual, long, longest = (
        FRAME + encode(person_schema.text, {**someone, "sinds": 5, "recordedAt": "x" * size})
        for size in (20, 64, 20_000)
    )
    # None before so many were walked, then every one, then few.
    for value, times, expected in (
        (usual, 10, 0),
        (usual, 20, 20),
        (longest, 20, 20),
        (long, 512, 29),
        (long, 512, 30),
    ):
        for _ in range(times):
            walk(value)
        assert attempts == expected
    for _ in range(1024):
        walk(usual)
    before = attempts
    for _ in range(10):
        walk(usual)
    assert attempts == before + 10
