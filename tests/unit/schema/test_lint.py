"""What a schema may not say, and how its literals are encoded."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from broker.errors import Invalid, SchemaRefused
from broker.model.agreement import FieldClass
from broker.schema.avro import Schema, encode_literal, load_schema
from broker.schema.lint import parse_structure
from broker.schema.reference import encode

Json = dict[str, Any]


def rule(document: Any) -> tuple[str, str]:
    text = document if isinstance(document, str) else json.dumps(document)
    with pytest.raises(SchemaRefused) as caught:
        load_schema(text)
    return caught.value.rule, caught.value.path


def test_a_product_schema_gives_leaves_by_path(person_schema: Schema) -> None:
    fields = person_schema.fields
    assert person_schema.product == "voorbeeld.v1"
    assert person_schema.name == "be.vlaanderen.voorbeeld.v1.Thing"
    assert list(fields)[:6] == ["kind", "validFrom", "validTo", "recordedAt", "corrects", "insz"]
    assert "geboorte" not in fields
    names, code, date = fields["naam.voornamen"], fields["nationaliteiten.code"], fields["geboorte.datum"]
    assert (names.type, names.repeated, names.nullable, names.optional) == ("string", True, False, False)
    assert (code.repeated, code.reveals, code.field_class) == (True, "special", FieldClass.IDENTIFYING)
    assert (date.repeated, date.nullable, date.optional) == (False, True, True)
    nis = fields["verblijfplaats.nis"]
    assert (nis.nullable, nis.optional) == (False, True)
    assert fields["partner.insz"].subject == "mentioned"


def test_text_is_canonical_and_keeps_its_key_order(person: Json) -> None:
    spaced = load_schema(json.dumps(person, indent=3))
    assert spaced == load_schema(json.dumps(person))
    assert spaced.text.startswith('{"type":"record","name":"Thing","namespace":')
    assert len(spaced.fingerprint) == 64
    other = {**person, "doc": "Another thing."}
    assert load_schema(json.dumps(other)).fingerprint != spaced.fingerprint


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ({"type": "map", "values": "string"}, "MAP"),
        ("map", "MAP"),
        ("null", "ZERO_BYTES"),
        (["string", "null"], "UNION"),
        (["null", "string", "int"], "UNION"),
        (["null"], "UNION"),
        (["null", ["null", "int"]], "UNION"),
        ([], "UNION"),
        ("Thing", "RECURSIVE"),
        (["null", "be.vlaanderen.voorbeeld.v1.Thing"], "RECURSIVE"),
        ({"type": "array", "items": "Thing"}, "RECURSIVE"),
        ({"type": "array", "items": "null"}, "ZERO_BYTES"),
        ({"type": "record", "name": "Nothing", "fields": []}, "ZERO_BYTES"),
        ({"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}}, "ZERO_BYTES"),
        ({"type": "fixed", "name": "F", "size": 0}, "ZERO_BYTES"),
        ({"type": "fixed", "name": "F", "size": True}, "ZERO_BYTES"),
        ({"type": "fixed", "name": "F", "size": 1 << 40}, "ZERO_BYTES"),
        ({"type": "array", "items": {"type": "array", "items": "int"}}, "NESTED_ARRAY"),
        ({"type": "array", "items": ["null", {"type": "array", "items": "int"}]}, "NESTED_ARRAY"),
        ({"type": "array"}, "TYPE_UNKNOWN"),
        ("Unheard", "TYPE_UNKNOWN"),
        ("../x", "TYPE_UNKNOWN"),
        (7, "TYPE_UNKNOWN"),
        (None, "TYPE_UNKNOWN"),
        ({"type": {"type": "string"}}, "TYPE_UNKNOWN"),
        ({"type": "bytes", "logicalType": "decimal", "precision": 4}, "LOGICAL_TYPE"),
        ({"type": "string", "logicalType": "date"}, "LOGICAL_TYPE"),
        ({"type": "string", "logicalType": ["date"]}, "LOGICAL_TYPE"),
        ({"type": "enum", "name": "E", "symbols": []}, "SYMBOLS"),
        ({"type": "enum", "name": "E", "symbols": ["A", "A"]}, "SYMBOLS"),
        ({"type": "enum", "name": "E", "symbols": ["A-B"]}, "SYMBOLS"),
        ({"type": "enum", "name": "E", "symbols": "AB"}, "SYMBOLS"),
        ({"type": "enum", "name": "E", "symbols": ["A"], "default": "A"}, "DEFAULT"),
        ({"type": "enum", "name": "RecordKind", "symbols": ["A"]}, "NAME_TAKEN"),
        ({"type": "enum", "name": "E", "symbols": ["A"], "aliases": ["F"]}, "ALIASES"),
        ({"type": "enum", "name": "a/b", "symbols": ["A"]}, "NAME_INVALID"),
        ({"type": "enum", "symbols": ["A"]}, "NAME_INVALID"),
    ],
)
def test_a_type_that_cannot_be_guarded_is_refused(person: Json, member: Any, type_: Any, expected: str) -> None:
    document = {**person, "fields": [*person["fields"], member("extra", type_)]}
    assert rule(document) == (expected, "extra")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iri": None}, "IRI"),
        ({"iri": "persoon"}, "IRI"),
        ({"iri": "persoon:naam"}, "IRI"),
        ({"doc": " "}, "DOC"),
        ({"class": None}, "CLASS"),
        ({"class": "secret"}, "CLASS"),
        ({"class": ["public"]}, "CLASS"),
        ({"reveals": "everything"}, "REVEALS"),
        ({"subject": "other"}, "SUBJECT"),
        ({"class": "national-number"}, "SUBJECT"),
        ({"aliases": ["insz"]}, "ALIASES"),
        ({"default": "x"}, "DEFAULT"),
        ({"default": None}, "DEFAULT"),  # on a field that cannot be null
        ({"name": "insz"}, "NAME_TAKEN"),
        ({"name": "1st"}, "NAME_INVALID"),
        ({"name": "a.b"}, "NAME_INVALID"),
        ({"name": "straat\n"}, "NAME_INVALID"),
        ({"subject": "principal"}, "PRINCIPAL"),
    ],
)
def test_a_field_that_says_too_little_or_too_much_is_refused(
    person: Json, member: Any, change: Json, expected: str
) -> None:
    field = {**member("extra", "string"), **change}
    assert rule({**person, "fields": [*person["fields"], field]})[0] == expected


def test_null_is_the_one_default(person: Json, member: Any) -> None:
    field = {**member("extra", ["null", "string"]), "default": None}
    assert load_schema(json.dumps({**person, "fields": [*person["fields"], field]})).fields["extra"].nullable


@pytest.mark.parametrize("principal", [["null", "string"], "int", {"type": "array", "items": "string"}])
def test_the_principal_is_one_text_that_is_always_there(
    as_product: Callable[..., Json], member: Any, principal: Any
) -> None:
    document = as_product([member("nr", principal, "national-number", subject="principal")])
    assert rule(document) == ("PRINCIPAL", "nr")
    assert rule(as_product([member("nr", "string")])) == ("PRINCIPAL", "")


def test_every_product_starts_with_the_same_five_fields(person: Json) -> None:
    for place in range(5):
        document = copy.deepcopy(person)
        del document["fields"][place]
        assert rule(document)[0] == "HEAD"
    document = copy.deepcopy(person)
    document["fields"][0]["type"]["symbols"].reverse()
    assert rule(document) == ("HEAD", "kind")
    document = copy.deepcopy(person)
    document["fields"][3]["class"] = "contact"
    assert rule(document) == ("HEAD", "recordedAt")


def test_a_product_names_itself_and_its_concept(person: Json) -> None:
    assert rule({**person, "product": "persoon"})[0] == "PRODUCT"
    assert rule({**person, "product": "../persoon.v1"})[0] == "PRODUCT"
    assert rule({key: value for key, value in person.items() if key != "iri"}) == ("IRI", "")
    assert rule({**person, "aliases": ["Other"]})[0] == "ALIASES"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "JSON_MALFORMED"),
        ("{", "JSON_MALFORMED"),
        ('{"a": NaN}', "JSON_MALFORMED"),
        ('{"type": "record", "doc": "\\ud800"}', "JSON_MALFORMED"),
        ("[" * 100_000, "JSON_MALFORMED"),
        ('{"type": "record", "type": "record"}', "JSON_DUPLICATE_KEY"),
        (" " * (1 << 20) + "{}", "TOO_LARGE"),
        ('"string"', "NOT_A_RECORD"),
        ('["null", "string"]', "NOT_A_RECORD"),
    ],
    ids=range(9),
)
def test_a_text_that_is_no_schema_is_refused(text: str, expected: str) -> None:
    assert rule(text)[0] == expected


def test_fields_and_depth_are_bounded_also_through_references() -> None:
    wide = [{"name": f"f{n}", "type": "int"} for n in range(501)]
    assert rule({"type": "record", "name": "Wide", "fields": wide})[0] == "TOO_MANY_FIELDS"
    fields: list[Json] = [{"name": "f0", "type": {"type": "record", "name": "R0", "fields": wide[:2]}}]
    for n in range(1, 40):  # each holds its predecessor twice
        inside = [{"name": "a", "type": f"R{n - 1}"}, {"name": "b", "type": f"R{n - 1}"}]
        fields.append({"name": f"f{n}", "type": {"type": "record", "name": f"R{n}", "fields": inside}})
    assert rule({"type": "record", "name": "Doubling", "fields": fields})[0] == "TOO_MANY_FIELDS"
    deep: Any = "int"
    for n in range(13):
        deep = {"type": "record", "name": f"D{n}", "fields": [{"name": "a", "type": deep}]}
    assert rule(deep)[0] == "TOO_DEEP"


def test_a_schema_that_is_no_product_has_a_structure() -> None:
    digest = {"type": "fixed", "name": "Digest", "size": 16}
    fields = [{"name": "a", "type": digest}, {"name": "b", "type": ["null", "Digest"]}]
    root, text = parse_structure(json.dumps({"type": "record", "name": "Receipt", "fields": fields}))
    assert root.fields[1].name == "b"
    assert json.loads(text)["name"] == "Receipt"


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("insz", "08651712329", "08651712329"),
        ("naam.achternaam", "Ðoe é", "Ðoe é"),
        ("geboorte.datum", "2008-00-00", "2008-00-00"),
        ("verblijfplaats.nis", "44021", "44021"),
        ("kind", "cancelled", "cancelled"),
        ("overleden", "true", True),
        ("overleden", "false", False),
        ("volgnummer", "-2147483648", -(2**31)),
        ("volgnummer", "64", 64),
        ("sinds", "2024-02-29", 19_782),
    ],
)
def test_a_literal_is_what_a_record_holds(
    person_schema: Schema, someone: Json, path: str, text: str, value: Any
) -> None:
    record = copy.deepcopy(someone)
    *above, last = path.split(".")
    holder = record
    for name in above:
        holder = holder[name]
    holder[last] = value
    literal = encode_literal(person_schema, path, text)
    assert literal in encode(person_schema.text, record)
    assert literal.startswith(b"\x02") == person_schema.fields[path].nullable or path == "kind"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("kind", "left-population"),
        ("overleden", "True"),
        ("volgnummer", "2147483648"),
        ("volgnummer", "07"),
        ("volgnummer", "-0x1"),
        ("volgnummer", "\u0667"),
        ("volgnummer", "-0"),
        ("sinds", "2023-02-29"),
        ("sinds", "20240229"),
        ("insz", "\ud800"),
        ("naam.voornamen", "Jo"),
        ("nationaliteiten.code", "150"),
        ("geboorte", "x"),
        ("nergens", "x"),
    ],
)
def test_a_literal_that_the_leaf_cannot_hold_is_invalid_and_not_quoted(
    person_schema: Schema, path: str, text: str
) -> None:
    with pytest.raises(Invalid) as caught:
        encode_literal(person_schema, path, text)
    assert path in str(caught.value)
    assert len(text) < 4 or text not in str(caught.value)
