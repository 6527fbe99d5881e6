"""What a next version may change, and what it may not: one line per rule, over the reviewed persoon.v1."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from broker.schema.avro import Schema, load_schema
from broker.schema.compatibility import COMPATIBLE, Rule, changes, next_version, refused, same_schema

TEXT = (Path(__file__).parents[3] / "schemas" / "persoon.v1.avsc").read_text()
OLD = load_schema(TEXT)

Edit = Callable[[dict[str, Any]], Any]


def field(document: dict[str, Any], path: str) -> dict[str, Any]:
    """The field at a dotted path, through nullable records and arrays of records."""
    record = document
    for name in path.split("."):
        found = next(each for each in record["fields"] if each["name"] == name)
        record = found["type"][1] if isinstance(found["type"], list) else found["type"]
        if isinstance(record, dict) and record["type"] == "array":
            record = record["items"]
    return found


def version(edit: Edit, product: str = "persoon.v2") -> Schema:
    document = json.loads(TEXT)
    document |= {"product": product, "namespace": f"be.vlaanderen.datanuts.{product}"}
    edit(document)
    return load_schema(json.dumps(document))


def found(edit: Edit) -> list[tuple[str, Rule]]:
    return [(change.path, change.rule) for change in changes(OLD, version(edit))]


def leaf(**more: Any) -> dict[str, Any]:
    stated = {"iri": "https://example.org/ns#nieuw", "class": "contact", "doc": "New."}
    return {"name": "nieuw", "type": ["null", "string"], "default": None, **stated, **more}


def at_end(document: dict[str, Any]) -> None:
    """One new field."""
    document["fields"].append(leaf())


def required(document: dict[str, Any]) -> None:
    new = leaf(type="string")
    del new["default"]
    document["fields"].append(new)


def without_default(document: dict[str, Any]) -> None:
    new = leaf()
    del new["default"]
    document["fields"].append(new)


def never_absent(document: dict[str, Any]) -> None:
    known = field(document, "naam.gebruikteVoornaam")
    known["type"] = "string"
    del known["default"]


def drop(path: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        document["fields"] = [each for each in document["fields"] if each["name"] != path]

    return edit


def change(path: str, **to: Any) -> Edit:
    return lambda document: field(document, path).update(to)


def enum(path: str, symbols: Callable[[list[str]], list[str]]) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        type_ = field(document, path)["type"]
        type_ = type_[1] if isinstance(type_, list) else type_
        type_["symbols"] = symbols(type_["symbols"])

    return edit


def rename_record(document: dict[str, Any]) -> None:
    document["name"] = "Mens"


CASES: list[tuple[str, Edit, str, Rule]] = [
    ("new optional field", lambda d: d["fields"].append(leaf()), "nieuw", Rule.FIELD_ADDED),
    ("new field, no default", without_default, "nieuw", Rule.FIELD_WITHOUT_DEFAULT),
    ("required field", required, "nieuw", Rule.FIELD_WITHOUT_DEFAULT),
    ("field removed", drop("vervangenDoor"), "vervangenDoor", Rule.FIELD_REMOVED),
    ("weaker class", change("naam.achternaam", **{"class": "public"}), "naam.achternaam", Rule.CLASS_WEAKENED),
    ("another regime", change("insz", **{"class": "social"}), "insz", Rule.CLASS_WEAKENED),
    (
        "stronger class",
        change("naam.achternaam", **{"class": "special"}),
        "naam.achternaam",
        Rule.CLASS_STRENGTHENED,
    ),
    ("reveals added", change("naam.achternaam", reveals="special"), "naam.achternaam", Rule.REVEALS_ADDED),
    ("reveals dropped", change("nationaliteiten.code", reveals=None), "nationaliteiten.code", Rule.REVEALS_DROPPED),
    ("marked as mentioned", change("naam.achternaam", subject="mentioned"), "naam.achternaam", Rule.SUBJECT_CHANGED),
    ("IRI", change("naam.achternaam", iri="https://example.org/ns#x"), "naam.achternaam", Rule.IRI_CHANGED),
    ("doc", change("naam.achternaam", doc="Surname."), "naam.achternaam", Rule.DOC_CHANGED),
    ("made optional", change("naam.achternaam", type=["null", "string"]), "naam.achternaam", Rule.MADE_OPTIONAL),
    ("made required", never_absent, "naam.gebruikteVoornaam", Rule.MADE_REQUIRED),
    (
        "identifier stated",
        change("verblijfplaats.gemeente.nis", identifier="nis"),
        "verblijfplaats.gemeente.nis",
        Rule.CONSTRAINT_CHANGED,
    ),
    ("another type", change("naam.achternaam", type="long"), "naam.achternaam", Rule.TYPE),
    ("record renamed", rename_record, "", Rule.NAME),
    ("symbol at the end", enum("geslacht", lambda s: [*s, "nieuw"]), "geslacht", Rule.SYMBOL_ADDED),
    ("symbol in front", enum("geslacht", lambda s: ["nieuw", *s]), "geslacht", Rule.SYMBOLS_MOVED),
    ("symbol removed", enum("geslacht", lambda s: s[:-1]), "geslacht", Rule.SYMBOLS_MOVED),
]


@pytest.mark.parametrize(("edit", "path", "rule"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_change_is_told_by_place_and_rule(edit: Edit, path: str, rule: Rule) -> None:
    told = found(edit)
    assert (path, rule) in told
    assert {each for _, each in told} == {rule}
    assert bool(refused(changes(OLD, version(edit)))) == (rule not in COMPATIBLE)


def test_the_same_text_under_the_next_name_changes_nothing() -> None:
    assert changes(OLD, version(lambda _: None)) == ()


def test_every_reason_is_for_a_person_and_quotes_path_and_rule() -> None:
    told = changes(OLD, version(change("naam.achternaam", type="long")))
    assert [str(each) for each in told] == [
        "naam.achternaam: it was string, a reader of long cannot read that: add another field [TYPE]"
    ]


def test_a_wider_number_is_read_a_narrower_one_is_not() -> None:
    narrow = version(lambda d: d["fields"].append(leaf(type=["null", "int"])))
    wide = version(lambda d: d["fields"].append(leaf(type=["null", "long"])))
    assert changes(narrow, wide) == ()
    assert [each.rule for each in changes(wide, narrow)] == [Rule.TYPE]


def test_a_date_is_not_the_number_it_is_written_as() -> None:
    date = {"type": "int", "logicalType": "date"}
    day, number = (version(lambda d, t=t: d["fields"].append(leaf(type=["null", t]))) for t in (date, "int"))
    assert [each.rule for each in changes(number, day)] == [Rule.TYPE]


def test_another_record_type_is_no_version() -> None:
    other = load_schema((Path(__file__).parents[3] / "schemas" / "adres.v1.avsc").read_text())
    assert Rule.RECORD_TYPE in {each.rule for each in changes(OLD, other)}


def test_an_equal_text_is_one_in_another_order_of_keys() -> None:
    turned = json.dumps(dict(reversed(json.loads(TEXT).items())), indent=2)
    assert same_schema(TEXT, turned)
    assert not same_schema(TEXT, TEXT.replace("Sex as registered.", "x"))


def test_versions_are_numbers() -> None:
    assert next_version("persoon.v9") == "persoon.v10"


def test_the_page_tells_every_rule_and_whether_it_is_allowed() -> None:
    page = (Path(__file__).parents[3] / "docs" / "registry.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| (allowed|refused) \|", page, re.MULTILINE))
    assert rows == {rule.value: "allowed" if rule in COMPATIBLE else "refused" for rule in Rule}


def test_an_identifier_of_one_kind_stays_one() -> None:
    held, other = (version(change("verblijfplaats.gemeente.nis", identifier=kind)) for kind in ("nis", "kbo"))
    for new in (other, version(lambda _: None)):
        assert [each.rule for each in changes(held, new)] == [Rule.IDENTIFIER_CHANGED]
