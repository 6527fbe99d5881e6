"""A schema that grows gives nobody more: the bytes stay, and the report names exactly who could ask."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.errors import Invalid
from broker.model.agreement import (
    Agreement,
    Ceiling,
    FieldCeiling,
    FieldClass,
    Population,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.purpose import Purpose, Purposes
from broker.model.record import wire_header
from broker.policy.growth import growth
from broker.policy.limits import Limits
from broker.schema.avro import Schema, load_schema
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.projection import compile_projection

ROOT = Path(__file__).parents[3]
OLD_TEXT = json.loads((ROOT / "schemas" / "adres.v1.avsc").read_text())
OLD = load_schema(json.dumps(OLD_TEXT))
NEW_LEAF = "energielabel"


def grown() -> Schema:
    leaf = {
        "name": NEW_LEAF,
        "type": ["null", "string"],
        "default": None,
        "iri": "https://example.org/energielabel",
        "doc": "Energielabel van het gebouw.",
        "class": "financial",
    }
    return load_schema(json.dumps(OLD_TEXT | {"product": "adres.v2", "fields": [*OLD_TEXT["fields"], leaf]}))


def agreement(name: str, purpose: str, product: str = "adres.v1", source: str = "gemeente") -> Agreement:
    kept = (path for path, leaf in OLD.fields.items() if not leaf.repeated)
    return Agreement(
        id=name,
        version=1,
        title="",
        source=source,
        product=product,
        agency=f"agency-{name}",
        purpose=purpose,
        bases=(),
        fields=tuple(ReleasedField(path, Transform.KEEP, "") for path in kept),
        population=Population(),
        term=Term(datetime(2026, 1, 1, tzinfo=UTC), None),
    )


def limits() -> Limits:
    """`renovatie` may have the label as a band of itself, `taxatie` would if the purpose above it let it, others not."""
    purposes = (Purpose("taak", "", ""), Purpose("renovatie", "", ""), Purpose("taxatie", "", "", ("taak",)))
    label = {NEW_LEAF: FieldCeiling(NEW_LEAF, frozenset({Transform.PSEUDONYM}))}
    ceilings = (
        Ceiling("adres.v2", "renovatie", label, frozenset()),
        Ceiling("adres.v2", "taxatie", label, frozenset()),
        Ceiling("adres.v2", "taak", {}, frozenset()),
    )
    return Limits(
        Purposes({purpose.code: purpose for purpose in purposes}), {ceiling.key: ceiling for ceiling in ceilings}
    )


def test_the_report_lists_exactly_the_agreements_in_force_on_the_old_version() -> None:
    held = (
        agreement("c-onbekend", "verdwenen"),
        agreement("b-taxatie", "taxatie"),
        agreement("a-renovatie", "renovatie"),
        agreement("elders", "renovatie", source="andere-gemeente"),
        agreement("ander-product", "renovatie", product="hinder.v1"),
    )
    (added,) = growth(OLD, grown(), source="gemeente", agreements=held, limits=limits())
    assert (added.path, added.field_class, added.reveals) == (NEW_LEAF, FieldClass.FINANCIAL, None)
    assert [(each.agreement, each.transforms) for each in added.may_ask] == [
        ("a-renovatie", frozenset({Transform.PSEUDONYM}))
    ]
    assert [each.agreement for each in added.owner_first] == ["b-taxatie", "c-onbekend"]


def test_a_version_without_new_fields_reports_none() -> None:
    same = load_schema(json.dumps(OLD_TEXT | {"product": "adres.v2"}))
    assert growth(OLD, same, source="gemeente", agreements=(agreement("a", "taak"),), limits=limits()) == ()


def test_two_record_types_are_not_versions_of_each_other() -> None:
    other = load_schema((ROOT / "schemas" / "hinder.v1.avsc").read_text())
    with pytest.raises(Invalid, match=r"hinder\.v1 is not another version of adres\.v1"):
        growth(OLD, other, source="gemeente", agreements=(), limits=limits())


def _example(document: Any, named: dict[str, Any]) -> Any:  # noqa: PLR0911 - one line per type
    """Some value of an Avro type."""
    match document:
        case {"type": "record", "fields": fields}:
            named[document["name"]] = document
            return {field["name"]: _example(field["type"], named) for field in fields}
        case {"type": "enum", "symbols": [first, *_]}:
            named[document["name"]] = document
            return first
        case {"type": "array"}:
            return [_example(document["items"], named)]
        case {"type": inner}:
            return _example(inner, named)
        case ["null", inner]:
            return _example(inner, named)
        case "string":
            return "tekst"
        case "int" | "long":
            return 7
        case "double" | "float":
            return 1.5
        case "boolean":
            return True
        case name:
            return _example(named[str(name).rpartition(".")[2]], named)


def test_a_new_field_changes_no_delivered_byte() -> None:
    released = agreement("a", "taak").fields
    record = _example(OLD_TEXT, {})
    bodies = []
    for schema, value in ((OLD, record), (grown(), record | {NEW_LEAF: "B"})):
        walk, projection = compile_walk(schema), compile_projection(schema, released, pseudonym_key=None)
        framed = wire_header(1) + compile_encode(schema)(value)
        bodies.append(projection.cut(framed, walk.walk(framed), "2026-11-26", None))
        assert NEW_LEAF not in projection.egress
    assert bodies[0] == bodies[1]
