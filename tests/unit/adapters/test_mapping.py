"""The mapping language: what each word makes of a row, and every mistake told with its line, its path and what to do."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from adapters.mapped import load_mapping
from adapters.mapping import load
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, MappingRefused
from broker.schema.avro import load_schema
from broker.schema.encoding import compile_encode
from tests.unit.adapters.wiring import ROOT, schema

TYPES = [
    ("tekst", ["null", "string"]),
    ("geheel", ["null", "int"]),
    ("breuk", ["null", "double"]),
    ("ja", ["null", "boolean"]),
    ("dag", ["null", {"type": "int", "logicalType": "date"}]),
    ("moment", ["null", {"type": "long", "logicalType": "timestamp-millis"}]),
    ("keuze", ["null", {"type": "enum", "name": "Keuze", "symbols": ["rood", "groen"]}]),
    ("rauw", ["null", "bytes"]),
]


def all_types() -> str:
    """A product with a leaf of every type, optional, beside a head and an identifier."""
    text = json.loads((Path(__file__).parents[3] / "schemas" / "adres.v1.avsc").read_text())
    about = {"iri": "https://voorbeeld.example/ns#x", "class": "public", "doc": "A value."}
    group = {
        "type": "record",
        "name": "Groep",
        "fields": [{"name": "code", "type": "string", **about}],
        **_no_class(about),
    }
    extra = [{"name": name, "type": type_, "default": None, **about} for name, type_ in TYPES]
    extra.append({"name": "lijst", "type": {"type": "array", "items": "string"}, **about})
    extra.append({"name": "groepen", "type": {"type": "array", "items": group}, **about})
    head = [field for field in text["fields"] if field["name"] in _HEAD]
    return json.dumps({**text, "product": "proef.v1", "namespace": "x.proef.v1", "fields": head + extra})


_HEAD = ("kind", "validFrom", "validTo", "recordedAt", "corrects", "identificator")


def _no_class(about: dict[str, str]) -> dict[str, str]:
    return {name: text for name, text in about.items() if name != "class"}


HEAD = """\
adapter: proef
product: proef.v1
organisation: stad-gent
source: {kind: csv}
id: nr
recordedAt: {const: "2026-01-01T00:00:00Z"}
fields:
  identificator: {template: "https://voorbeeld.example/id/{nr}"}
"""
LISTS = "  lijst: {const: []}\n  groepen: {const: []}\n"


def compiled(rules: str, *, head: str = HEAD, flat: bool = False, folder: Path = Path()) -> Any:
    products = {"proef.v1": load_schema(all_types())}
    return load(folder / "mapping.yaml", head + rules, lambda product: products[product], flat=lambda _kind: flat)


def made(rule: str, row: dict[str, Any], field: str) -> Any:
    """What one rule makes of a row: the value, or the reason at its path."""
    others = "".join(line for line in LISTS.splitlines(keepends=True) if not line.strip().startswith(f"{field}:"))
    item = compiled(f"  {field}: {rule}\n{others}").item({"nr": "1", **row}, "rij 1")
    if isinstance(item, Broken):
        return item.reason, item.path
    compile_encode(load_schema(all_types()))(item.value)
    return item.value[field]


INSTANT = "2026-02-28T23:00:00Z"
WORDS = [
    ("a", {"a": " x "}, "tekst", "x"),
    ("{from: a, trim: false}", {"a": " x "}, "tekst", " x "),
    ("a", {"a": "  "}, "tekst", None),
    ("a", {}, "tekst", None),
    ("a", {"a": 9000}, "tekst", "9000"),
    ("a", {"a": True}, "tekst", ("VALUE_NOT_TEXT", "tekst")),
    ("a", {"a": {"b": 1}}, "tekst", ("VALUE_NOT_TEXT", "tekst")),
    ("{from: a, required: true}", {"a": ""}, "tekst", ("FIELD_MISSING", "tekst")),
    ("/a/0/b~1c", {"a": [{"b/c": "x"}]}, "tekst", "x"),
    ("/a/7/b", {"a": [{"b": "x"}]}, "tekst", None),
    ('{from: "@id"}', {"@id": "x"}, "tekst", "x"),
    ("{const: x}", {}, "tekst", "x"),
    ("{const: null}", {}, "tekst", None),
    ('{template: "{a}-{b}"}', {"a": "é", "b": "2"}, "tekst", "é-2"),
    ('{template: "{a}-{b}"}', {"a": "1"}, "tekst", None),
    ('{template: "https://x.example/{a}"}', {"a": "a b/c"}, "tekst", "https://x.example/a%20b%2Fc"),
    ("[{from: a}, {from: b}, {const: z}]", {"b": "y"}, "tekst", "y"),
    ("[{from: a}, {from: b}, {const: z}]", {}, "tekst", "z"),
    ("{from: a, when: {soort: [x, y]}}", {"a": "1", "soort": "y"}, "tekst", "1"),
    ("{from: a, when: {soort: x}}", {"a": "1", "soort": "xx"}, "tekst", None),
    ("{from: a, when: {actief: true}}", {"a": "1", "actief": True}, "tekst", "1"),
    ("{from: a, when: {n: 3}}", {"a": "1", "n": "3"}, "tekst", "1"),
    ("{from: a, codes: {M: man}}", {"a": "M"}, "tekst", "man"),
    ("{from: a, codes: {M: man}}", {"a": "Q"}, "tekst", ("CODE_UNKNOWN", "tekst")),
    ("{from: a, codes: {1: rood}}", {"a": "1"}, "keuze", "rood"),
    ("{from: a, codes: {1: rood}}", {"a": 1}, "keuze", "rood"),
    ("{from: a, codes: {1: rood}, default: groen}", {"a": "9"}, "keuze", "groen"),
    ("{from: a, codes: {1: rood}, default: groen}", {}, "keuze", None),
    ('{from: a, codes: {"": groen}}', {"a": ""}, "keuze", "groen"),
    ("a", {"a": "groen"}, "keuze", "groen"),
    ("a", {"a": "Groen"}, "keuze", ("CODE_UNKNOWN", "keuze")),
    ("a", {"a": "12"}, "geheel", 12),
    ("a", {"a": -3}, "geheel", -3),
    ("a", {"a": 1.5}, "geheel", ("NUMBER_INVALID", "geheel")),
    ("a", {"a": "12,0"}, "geheel", ("NUMBER_INVALID", "geheel")),
    ("a", {"a": True}, "geheel", ("NUMBER_INVALID", "geheel")),
    ('{from: a, number: {decimal: ",", thousands: "."}}', {"a": "1.234,50"}, "breuk", 1234.5),
    ('{from: a, number: {decimal: ",", thousands: "."}}', {"a": "1.23,50"}, "breuk", ("NUMBER_INVALID", "breuk")),
    ("a", {"a": float("nan")}, "breuk", ("NUMBER_INVALID", "breuk")),
    ("a", {"a": "true"}, "ja", True),
    ("a", {"a": False}, "ja", False),
    ("a", {"a": "J"}, "ja", ("VALUE_NOT_BOOLEAN", "ja")),
    ("{from: a, codes: {J: true, N: false}}", {"a": "N"}, "ja", False),
    ("{from: a, date: DD/MM/YYYY}", {"a": "17/05/2008"}, "tekst", "2008-05-17"),
    ("{from: a, date: DD/MM/YYYY}", {"a": "00/00/2000"}, "tekst", "2000-00-00"),
    ("{from: a, date: DD/MM/YYYY}", {"a": "31/02/2000"}, "tekst", ("DATE_INVALID", "tekst")),
    ("{from: a, date: DD/MM/YYYY}", {"a": "05/00/2000"}, "tekst", ("DATE_INVALID", "tekst")),
    ("{from: a, date: D-M-YYYY}", {"a": "3-5-2008"}, "tekst", "2008-05-03"),
    ("{from: a, date: [YYYYMMDD, YYYY]}", {"a": "1950"}, "tekst", "1950-00-00"),
    ("{from: a, date: [YYYYMMDD, YYYY]}", {"a": "19500102"}, "tekst", "1950-01-02"),
    ("{from: a, date: iso}", {"a": "2008-05-00"}, "tekst", "2008-05-00"),
    ("{from: a, date: iso}", {"a": "2008-W05-1"}, "tekst", ("DATE_INVALID", "tekst")),
    ("{from: a, date: iso}", {"a": "2026-03-01T00:00:00"}, "tekst", INSTANT),
    ("{from: a, date: iso, zone: UTC}", {"a": "2026-03-01T00:00:00"}, "tekst", "2026-03-01T00:00:00Z"),
    ("{from: a, date: iso}", {"a": "2026-03-01T00:00:00.123+01:00"}, "tekst", INSTANT),
    ('{from: a, date: "DD/MM/YYYY hh:mm"}', {"a": "01/03/2026 00:00"}, "tekst", INSTANT),
    ('{from: a, date: "DD/MM/YYYY hh:mm"}', {"a": "01/03/2026 24:00"}, "tekst", ("DATE_INVALID", "tekst")),
    ("{const: '2026-03-01'}", {}, "dag", date(2026, 3, 1)),
    ("a", {"a": "2000-00-00"}, "dag", ("DATE_INVALID", "dag")),
    ("{from: a, identifier: kbo}", {"a": "0566.988.259"}, "tekst", "0566988259"),
    ("{from: a, identifier: kbo}", {"a": "0566.988.258"}, "tekst", ("KBO_INVALID", "tekst")),
    ('{from: a, split: ","}', {"a": "x, y,,"}, "lijst", ["x", "y"]),
    ('{from: a, split: ","}', {}, "lijst", []),
    ("a", {"a": ["x", " y "]}, "lijst", ["x", "y"]),
    ("a", {"a": "x"}, "lijst", ("VALUE_NOT_LIST", "lijst")),
    ("{const: [x]}", {}, "lijst", ["x"]),
    ("{each: rijen, fields: {code: c}}", {"rijen": [{"c": "1"}, {"c": ""}, {"c": 2}]}, "groepen", [{"code": "1"}, {"code": "2"}]),
    ("{each: /a/rijen, fields: {code: /c}}", {"a": {"rijen": [{"c": "1"}]}}, "groepen", [{"code": "1"}]),
    ("{each: a, fields: {code: .}}", {"a": ["x"]}, "groepen", [{"code": "x"}]),
    ('{each: a, split: ";", fields: {code: .}}', {"a": "x; y"}, "groepen", [{"code": "x"}, {"code": "y"}]),
    ("{each: ., fields: {code: c}}", {"c": "1"}, "groepen", [{"code": "1"}]),
    ("{each: ., fields: {code: c}}", {}, "groepen", []),
    ("{each: ., fields: {code: c}, required: true}", {}, "groepen", ("FIELD_MISSING", "groepen")),
    ("{each: c, fields: {code: .}}", {"c": "1"}, "groepen", ("VALUE_NOT_LIST", "groepen")),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "row", "field", "expected"), WORDS)
def test_each_word_makes_a_value_or_a_reason_with_the_fields_path(rule, row, field, expected) -> None:
    assert made(rule, row, field) == expected


def test_days_and_instants_have_their_own_types() -> None:
    assert made("a", {"a": "2008-05-17"}, "dag").isoformat() == "2008-05-17"
    assert made("{from: a, date: YYYYMMDD}", {"a": "20260301"}, "moment").isoformat() == "2026-03-01T00:00:00+01:00"


def test_python_is_a_function_of_the_row_and_tells_nothing_of_its_failure(tmp_path: Path) -> None:
    (tmp_path / "eigen.py").write_text(
        "from broker.errors import PoisonRecord\n"
        "def samen(row): return row['a'] + row['b']\n"
        "def weiger(row): raise PoisonRecord('TOO_OLD')\n"
    )
    rules = "  tekst: {python: eigen:samen}\n" + LISTS
    mapping = compiled(rules, folder=tmp_path)
    assert mapping.item({"nr": "1", "a": "x", "b": "y"}, "").value["tekst"] == "xy"
    failed = mapping.item({"nr": "1", "a": "84621512345"}, "")
    assert (failed.reason, failed.path) == ("PYTHON_FAILED", "tekst")
    refused = compiled(rules.replace("samen", "weiger"), folder=tmp_path).item({"nr": "1"}, "")
    assert (refused.reason, refused.path) == ("TOO_OLD", "tekst")


def test_a_group_that_may_be_absent_is_there_once_the_row_gives_some_of_it() -> None:
    text = """\
adapter: werken
product: hinder.v1
organisation: stad-gent
source: {kind: csv}
id: nr
kind: {from: soort, codes: {N: added, W: changed}}
recordedAt: stand
fields:
  identificator: {template: "https://x.example/id/{nr}"}
  versie: {template: "https://x.example/id/{nr}/1"}
  locatie.straatnaam: straat
  locatie.gemeente.nis: {const: "44021"}
  status.omschrijving: {const: lopend}
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {each: /zones, fields: {iri: "@id", gevolgen: {each: gevolgen, fields: {iri: .}}}}
  oorzaken: {const: []}
"""
    mapping = load(Path("m.yaml"), text, schema, flat=lambda _kind: False)
    row = {"nr": 1, "soort": "N", "stand": "2026-03-01", "zones": [{"@id": "z", "gevolgen": ["g", "h"]}]}
    without = mapping.item(row, "").value
    assert without["locatie"] is None, "a constant alone is no address"
    assert without["status"] == {"omschrijving": "lopend"}, "a group of constants is stated"
    assert (without["kind"], without["recordedAt"]) == ("added", INSTANT)
    assert without["zones"] == [{"iri": "z", "gevolgen": [{"iri": "g"}, {"iri": "h"}]}]
    given = mapping.item({**row, "straat": "Zilverdrakenstraat"}, "").value
    assert given["locatie"] == {"straatnaam": "Zilverdrakenstraat", "gemeente": {"nis": "44021"}}
    compile_encode(schema("hinder.v1"))(given)
    gone = mapping.item({"nr": 1, "stand": "2026-03-01"}, "")
    assert (gone.reason, gone.path) == ("FIELD_MISSING", "kind")


def test_rows_that_are_skipped_deleted_or_nobody() -> None:
    head = HEAD.replace("fields:", "delete_when: {status: [weg, dood]}\nskip_when: {status: test}\nfields:")
    mapping = compiled(LISTS, head=head)
    assert mapping.item({"nr": "7", "status": "weg"}, "f#1") == Change(
        "7", "proef.v1", None, "https://voorbeeld.example/id/7"
    )
    assert mapping.item({"nr": "7", "status": "test"}, "f#1") == Ignored("f#1", "ROW_SKIPPED")
    assert mapping.item({"status": "weg"}, "f#1") == Broken("f#1", "ID_MISSING", "id", "proef.v1")
    other = compiled(LISTS, head=head.replace("fields:", "subject: {const: s}\nfields:"))
    assert other.item({"nr": "7", "status": "weg"}, "").subject == "s"


def test_an_insz_is_made_canonical_or_refused_without_being_told() -> None:
    text = (
        "adapter: a\nproduct: persoon.v1\norganisation: o\nsource: {kind: csv}\nid: n\nrecordedAt: {const: '2026-01-01T00:00:00Z'}\n"
        "fields:\n  insz: n\n  naam.achternaam: a\n  naam.voornamen: {const: []}\n  geslacht: {const: onbekend}\n"
        "  geboorte.datum: {const: '0000-00-00'}\n"
    )
    text += "".join(
        f"  {name}: {{const: []}}\n" for name in ("nationaliteiten", "statussen", "gezinsleden", "ouders", "kinderen")
    )
    mapping = load(Path("m.yaml"), text, schema, flat=lambda _kind: True)
    assert mapping.item({"n": "80.61.02-003.07", "a": "x"}, "").value["insz"] == "80610200307"
    wrong = mapping.item({"n": "80610200308", "a": "x"}, "")
    assert (wrong.reason, wrong.path) == ("INSZ_INVALID", "insz")
    assert "80610200308" not in wrong.reason + wrong.path


MISTAKES = [
    ("  lijst: {const: []}\n", "groepen", "needs this field: add a line `groepen: {const: []}", 7),
    (LISTS + "  tekts: a\n", "tekts", "no such field: did you mean tekst?", 11),
    (LISTS + "  tekst.x: a\n", "tekst.x", "has nothing below it", 11),
    (LISTS + "  groepen.code: a\n", "groepen.code", "is a list: map it with `each` and `fields`", 11),
    (LISTS + "  kind: a\n", "kind", "stands beside `fields`", 11),
    (LISTS + "  rauw: a\n", "rauw", "cannot be mapped", 11),
    (LISTS + "  keuze: {const: blauw}\n", "keuze", "`blauw` is no symbol; there are rood, groen", 11),
    (LISTS + "  keuze: {from: a, codes: {1: blauw}}\n", "keuze", "`blauw` is no symbol", 11),
    (LISTS + "  keuze: {from: a, codes: {1: rood}, default: blauw}\n", "keuze", "`blauw` is no symbol", 11),
    (LISTS + "  keuze: {from: a, default: rood}\n", "keuze", "`default` is for codes", 11),
    (LISTS + "  tekst: {const: 5}\n", "tekst", "takes a string, in quotes", 11),
    (LISTS + "  geheel: {const: '5'}\n", "geheel", "takes a int", 11),
    (LISTS + "  ja: {const: 1}\n", "ja", "takes a boolean", 11),
    (LISTS + "  geheel: {from: a, date: YYYY}\n", "geheel", "`date` does not fit a field of type int", 11),
    (LISTS + "  tekst: {from: a, number: true}\n", "tekst", "`number` does not fit", 11),
    (LISTS + "  tekst: {from: a, split: x}\n", "tekst", "`split` does not fit", 11),
    (LISTS + "  tekst: {each: a, fields: {}}\n", "tekst", "`each` does not fit", 11),
    (LISTS + "  tekst: {from: a, date: MM/DD}\n", "tekst", "a date format has YYYY", 11),
    (LISTS + "  tekst: {from: a, date: YYYY-DD}\n", "tekst", "with a day has a month", 11),
    (LISTS + "  tekst: {from: a, date: YYYY/YYYY}\n", "tekst", "each part once", 11),
    (LISTS + "  tekst: {from: a, date: YYYY-MMM}\n", "tekst", "each part once", 11),
    (LISTS + "  tekst: {from: a, date: jjjj}\n", "tekst", "not of j", 11),
    (LISTS + "  tekst: {from: a, date: iso, zone: Europe/Gent}\n", "tekst", "no time zone Europe/Gent", 11),
    (LISTS + "  tekst: {from: a, const: b}\n", "tekst", "exactly one of from, const", 11),
    (LISTS + "  tekst: {trim: true}\n", "tekst", "exactly one of from, const", 11),
    (LISTS + "  tekst: {form: a}\n", "tekst", "`form` is no word here; known are from", 11),
    (LISTS + "  tekst: {from: 5}\n", "tekst", "`from`", 11),
    (LISTS + "  tekst: 5\n", "tekst", "a fixed value is {const: 5}", 11),
    (LISTS + "  tekst: {template: x}\n", "tekst", "a fixed value is `const`", 11),
    (LISTS + "  tekst: {template: '{a'}\n", "tekst", "braces are for source paths", 11),
    (LISTS + "  tekst: {template: '{a}', codes: {a: b}}\n", "tekst", "`codes` does not go with `template`", 11),
    (LISTS + "  tekst: {from: a, identifier: rrn}\n", "tekst", "`identifier`", 11),
    (LISTS + "  geheel: {from: a, identifier: kbo}\n", "geheel", "`identifier` does not fit", 11),
    (LISTS + "  tekst: {python: os.system}\n", "tekst", "`python` is module:function", 11),
    (LISTS + "  tekst: {python: 'nergens:f'}\n", "tekst", "cannot be imported", 11),
    (LISTS + "  tekst: {python: 'json:nergens'}\n", "tekst", "has no such function", 11),
    (LISTS + "  tekst: {from: /a}\n", "tekst", "a file of rows has columns only", 11),
    ("  groepen: {const: []}\n  lijst: a\n", "lijst", "say how a text is split", 10),
    ("  lijst: {const: []}\n  groepen: a\n", "groepen", "is a list of groups", 10),
    ("  lijst: {const: []}\n  groepen: {each: .}\n", "groepen", "`each` and `fields` go together", 10),
    ("  lijst: {const: []}\n  groepen: {each: ., fields: {cod: a}}\n", "groepen.cod", "did you mean code?", 10),
    ("  lijst: {const: []}\n  groepen: {each: ., fields: {}}\n", "groepen.code", "the product needs this field", 10),
]  # fmt: skip


@pytest.mark.parametrize(("rules", "path", "told", "line"), MISTAKES)
def test_a_mistake_is_told_with_its_line_its_path_and_what_to_do(rules, path, told, line) -> None:
    with pytest.raises(MappingRefused) as refused:
        compiled(rules, flat=True)
    assert [found for found in refused.value.findings if found[1] == path and told in found[2] and found[0] == line], (
        refused.value.findings
    )


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(MappingRefused) as refused:
        compiled("  tekts: a\n  keuze: {const: blauw}\n  geheel: {from: a, date: YYYY}\n")
    assert [(line, path) for line, path, _ in refused.value.findings] == [
        (7, "groepen"), (7, "lijst"), (9, "tekts"), (10, "keuze"), (11, "geheel"),
    ]  # fmt: skip
    assert "mapping.yaml:9: tekts: " in str(refused.value)


HEADS = [
    ("adapter: proef", "adapter: Proef P", "adapter", "slug", 1),
    ("organisation: stad-gent\n", "", "organisation", "missing: add it", 1),
    ("id: nr", "ident: nr", "id", "missing: add it", 1),
    ("id: nr", "id: nr\nidd: nr", "idd", "is no word here", 6),
    ("id: nr", "id: nr\nid: nr", "", "`id` is there twice", 6),
    ("id: nr", "id: &a nr", "", "anchors, aliases and tags", 5),
    ("id: nr", "id: [", "", "not YAML", 7),
    ("id: nr", "id: nr\nshrink: allowed", "shrink", "is for snapshots", 6),
    ("id: nr", "id: nr\nsnapshot: true\ndelete_when: {a: b}", "delete_when", "drop one of the two", 7),
    ('{const: "2026-01-01T00:00:00Z"}', '"@modified"', "recordedAt", "add `kind: {const: snapshot}`", 6),
    ('{const: "2026-01-01T00:00:00Z"}', "{const: gisteren}", "recordedAt", "ISO 8601", 6),
]


@pytest.mark.parametrize(("before", "after", "path", "told", "line"), HEADS)
def test_what_stands_beside_the_fields_is_checked_too(before, after, path, told, line) -> None:
    with pytest.raises(MappingRefused) as refused:
        compiled(LISTS, head=HEAD.replace(before, after))
    assert [found for found in refused.value.findings if found[1] == path and told in found[2] and found[0] == line], (
        refused.value.findings
    )


def test_a_file_that_is_no_mapping_at_all(tmp_path: Path) -> None:
    for text in ("", "- a\n", "a" * 300_000, "[" * 5000):
        with pytest.raises(MappingRefused):
            load(Path("m.yaml"), text, schema, flat=lambda _kind: True)
    with pytest.raises(Invalid, match="cannot be read"):
        load_mapping(tmp_path / "nergens.yaml", schema)


def test_the_time_of_a_file_is_no_time_of_a_change() -> None:
    head = HEAD.replace('{const: "2026-01-01T00:00:00Z"}', '"@modified"').replace("id: nr", "id: nr\nsnapshot: true")
    item = compiled(LISTS, head=head).item({"nr": "1", "@modified": "2026-03-01T00:00:00Z"}, "")
    assert (item.value["kind"], item.value["recordedAt"]) == ("snapshot", "2026-03-01T00:00:00Z")


def test_the_example_of_the_documentation_is_one() -> None:
    text = (ROOT / "docs" / "adapters.md").read_text().split("```yaml\n")[1].split("```")[0]
    mapping = load(Path("m.yaml"), text, schema, flat=lambda _kind: True)
    row = {
        "nummer": "1",
        "versie": "2",
        "gewijzigd": "01/03/2026 09:30",
        "soort": "W",
        "oorzaken": "a|b",
        "van": "2026-04-01",
    }
    value = mapping.item(row, "").value
    compile_encode(schema("hinder.v1"))(value)
    assert (value["kind"], value["recordedAt"]) == ("changed", "2026-03-01T08:30:00Z")
    assert value["oorzaken"] == [{"iri": "a"}, {"iri": "b"}]
    assert mapping.item({**row, "status": "geweigerd"}, "").subject == "https://gent.example/id/hinder/1"
