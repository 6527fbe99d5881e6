"""Constraints that a schema states: refused where nobody could hold them, held by every record before it is published."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from adapters.publication import Publication
from adapters.sdk import Change
from broker.errors import PoisonRecord, SchemaRefused
from broker.model.identifiers import CHECKS
from broker.schema.avro import Schema, load_schema

TEXT = json.loads((Path(__file__).parents[3] / "schemas" / "hinder.v1.avsc").read_text())
HEAD = TEXT["fields"][:5]
SAID = {"iri": "https://example.org/n", "class": "public", "doc": "D."}


def field(name: str, type_: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": type_, **SAID, **more}


def schema(*more: dict[str, Any]) -> Schema:
    principal = field("id", "string", subject="principal")
    return load_schema(json.dumps(TEXT | {"fields": [*HEAD, principal, *more]}))


def published(stated: Schema, **values: Any) -> None:
    value: Mapping[str, Any] = {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": "2026-11-26T00:00:00Z",
        "corrects": None,
        "id": "https://example.org/id/x/1",
        **values,
    }
    Publication("bron", stated, 1, k_lane=b"l" * 32, lanes=2).state(Change("-", "hinder.v1", value))


def refused(stated: Schema, **values: Any) -> tuple[str, str]:
    with pytest.raises(PoisonRecord) as poison:
        published(stated, **values)
    return poison.value.reason, poison.value.path


GOOD = {
    "kbo": "0207437468",
    "vestiging": "2000000042",
    "nis": "44021",
    "ovo": "OVO002067",
    "puri": "https://data.vlaanderen.be/id/adres/1",
}
BAD = {
    "insz": ["85673003385", "85.67.30-033.84", "8567300338", ""],
    "kbo": ["0207437469", "207437468", "0207.437.468"],
    "vestiging": ["2000000043", "0207437468"],
    "nis": ["4402", "44021 "],
    "ovo": ["ovo002067", "OVO2067"],
    "puri": ["https://data.vlaanderen.be/doc/adres/1", "adres/1"],
}


def good(kind: str) -> str:
    """A canonical identifier of each kind, the person's with check digits of a test number."""
    if kind != "insz":
        return GOOD[kind]
    first = "856730033"
    return f"{first}{97 - int(first) % 97:02}"


@pytest.mark.parametrize("kind", CHECKS)
def test_an_identifier_is_canonical_or_the_record_is_set_aside(kind: str) -> None:
    stated = schema(field("code", "string", identifier=kind))
    published(stated, code=good(kind))
    for text in BAD[kind]:
        assert refused(stated, code=text) == (f"CONSTRAINT_{kind.upper()}", "code")


def test_it_is_held_in_lists_below_records_and_only_where_there_is_something() -> None:
    inner = {"type": "record", "name": "Deel", **SAID, "fields": [field("nis", ["null", "string"], identifier="nis")]}
    stated = schema(
        field("delen", {"type": "array", "items": inner}, maxItems=2),
        field("codes", {"type": "array", "items": "string"}, identifier="ovo", minItems=1),
        field("deel", ["null", "Deel"]),
    )
    fine: dict[str, Any] = {"delen": [{"nis": None}, {"nis": "44021"}], "codes": ["OVO002067"], "deel": None}
    published(stated, **fine)
    assert refused(stated, **fine | {"delen": [{"nis": "1"}]}) == ("CONSTRAINT_NIS", "delen.nis")
    assert refused(stated, **fine | {"deel": {"nis": "1"}}) == ("CONSTRAINT_NIS", "deel.nis")
    assert refused(stated, **fine | {"delen": [{"nis": None}] * 3}) == ("CONSTRAINT_MAX_ITEMS", "delen")
    assert refused(stated, **fine | {"codes": []}) == ("CONSTRAINT_MIN_ITEMS", "codes")
    assert refused(stated, **fine | {"codes": ["OVO002067", "x"]}) == ("CONSTRAINT_OVO", "codes")


def test_a_refusal_holds_no_value() -> None:
    with pytest.raises(PoisonRecord) as poison:
        published(schema(field("code", "string", identifier="kbo")), code="geheim")
    assert "geheim" not in str(poison.value)


ARRAY = {"type": "array", "items": "string"}


@pytest.mark.parametrize(
    ("stated", "rule"),
    [
        (field("x", "string", identifier="bsn"), "IDENTIFIER"),
        (field("x", "string", identifier=["insz"]), "IDENTIFIER"),
        (field("x", "string", identifier={"pattern": ".*"}), "IDENTIFIER"),
        (field("x", "long", identifier="nis"), "IDENTIFIER"),
        (field("x", {"type": "array", "items": "long"}, identifier="nis"), "IDENTIFIER"),
        (field("x", "string", minItems=1), "ITEMS"),
        (field("x", ARRAY, minItems=-1), "ITEMS"),
        (field("x", ARRAY, minItems=True), "ITEMS"),
        (field("x", ARRAY, maxItems="3"), "ITEMS"),
        (field("x", ARRAY, minItems=3, maxItems=2), "ITEMS"),
    ],
)
def test_a_constraint_that_nobody_could_hold_is_refused(stated: dict[str, Any], rule: str) -> None:
    with pytest.raises(SchemaRefused) as caught:
        schema(stated)
    assert (caught.value.rule, caught.value.path) == (rule, "x")
