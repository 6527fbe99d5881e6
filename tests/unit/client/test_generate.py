"""Generated models: what the schema says, safe whatever it says, and fit for every agreement of the repository."""

import ast
import importlib.util
import json
import random
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from adapters.synthetic import people
from broker.client.generate import generate
from broker.client.typed import reader
from broker.errors import Invalid
from broker.policy import documents
from broker.schema.avro import load_schema
from broker.schema.projection import compile_projection
from broker.schema.reference import decode, encode, project

ROOT = Path(__file__).parents[3]
AGREEMENTS = sorted((ROOT / "policies" / "agreements").glob("*.yaml"))
RUFF = Path(sys.executable).with_name("ruff")
ALL_BUT = "INP001,N815,D203,D213,COM812,CPY"
"""Where the module is put, the names that the data has, and rules that contradict others."""


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Persoon", "namespace": "be.test", "fields": list(fields)} | more


def module(schema: Any, **given: Any) -> str:
    return generate(json.dumps(schema), **{"agreement": "inwoners-gent", "version": 1} | given)


def loaded(text: str, folder: Path, name: str = "made") -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"made_{folder.name}_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made  # where the class's docstrings are looked up
    spec.loader.exec_module(made)
    return made


def root_of(made: ModuleType) -> type[BaseModel]:
    return next(reversed([value for value in vars(made).values() if getattr(value, "__module__", "") == made.__name__]))


def egress_of(path: Path) -> tuple[Any, Any, str]:
    agreement = documents.agreement(path.read_text())
    schema = load_schema((ROOT / "schemas" / f"{agreement.product}.avsc").read_text())
    return agreement, schema, compile_projection(schema, agreement.fields, pseudonym_key=None).egress


@pytest.mark.parametrize("path", AGREEMENTS, ids=lambda path: path.stem)
def test_every_agreement_of_the_repository_has_models_that_fit_its_deliveries(path: Path, tmp_path: Path) -> None:
    agreement, schema, egress = egress_of(path)
    root = root_of(loaded(generate(egress, agreement=agreement.id, version=1), tmp_path))
    read = reader(agreement.id, root)
    for person in people(random.Random(3), 20, on=date(2026, 11, 24)):
        body = project(
            schema,
            egress,
            agreement.fields,
            encode(schema.text, person),
            on="2026-11-24",
            reference="P-17",
            pseudonym_key=b"k" * 32,
        )
        data = decode(egress, body)
        assert read(data).model_dump(by_alias=True) == data


def test_all_of_them_are_formatted_and_clean_for_anyone(tmp_path: Path) -> None:
    for path in AGREEMENTS:
        agreement, _, egress = egress_of(path)
        (tmp_path / f"{path.stem.replace('-', '_')}.py").write_text(generate(egress, agreement=agreement.id, version=3))
    (tmp_path / "everything.py").write_text(module(EVERYTHING))
    check = [RUFF, "check", "--isolated", "--no-cache", "--select", "ALL", "--ignore", ALL_BUT, tmp_path]
    for command in (check, *([RUFF, "format", "--isolated", "--check", *width, tmp_path] for width in WIDTHS)):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


WIDTHS = ([], ["--line-length", "120"])
EVERYTHING = record(
    {"name": "soort", "type": {"type": "enum", "name": "Soort", "symbols": ["een", "twee"], "doc": "Which one."}},
    {"name": "enig", "type": {"type": "enum", "name": "Enig", "symbols": ["een"]}},
    {"name": "nogmaals", "type": ["null", "Soort"], "iri": "https://data.example/ns#soort"},
    {"name": "geboren", "type": {"type": "int", "logicalType": "date"}},
    {"name": "gewijzigd", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "aantal", "type": "long"},
    {"name": "deel", "type": ["null", "double"]},
    {"name": "actief", "type": "boolean"},
    {"name": "beeld", "type": ["null", "bytes"]},
    {"name": "digest", "type": {"type": "fixed", "name": "Digest", "size": 2}},
    {"name": "namen", "type": {"type": "array", "items": "string"}},
    {
        "name": "adressen",
        "type": {
            "type": "array",
            "items": {"type": "record", "name": "Adres", "fields": [{"name": "class", "type": "int"}]},
        },
    },
    {"name": "model_x", "type": ["null", "string"], "doc": "One of pydantic's own words."},
)


def test_every_type_becomes_what_json_has_of_it(tmp_path: Path) -> None:
    read = reader("a", root_of(loaded(module(EVERYTHING), tmp_path)))
    made = read(
        {
            "soort": "twee",
            "enig": "een",
            "nogmaals": None,
            "geboren": "1980-02-03",
            "gewijzigd": "2026-11-26T08:00:00+00:00",
            "aantal": 1 << 40,
            "deel": 0.5,
            "actief": True,
            "beeld": "AQI=",
            "digest": "//8=",
            "namen": ["a", "b"],
            "adressen": [{"class": 1}],
            "model_x": None,
            "nieuw": "a field of a later version",
        }
    )
    assert (made.soort, made.geboren, made.gewijzigd) == (
        "twee",
        date(1980, 2, 3),
        datetime(2026, 11, 26, 8, tzinfo=UTC),
    )
    assert (made.beeld, made.digest, made.adressen[0].class_) == (b"\1\2", b"\xff\xff", 1)
    with pytest.raises(Invalid, match=r"soort \[literal_error\]"):
        read({**made.model_dump(by_alias=True, mode="json"), "soort": "drie"})


def test_docs_and_iris_can_be_read_from_the_model(tmp_path: Path) -> None:
    person = record(
        {"name": "naam", "type": "string", "doc": "Family name.", "iri": "http://xmlns.com/foaf/0.1/familyName"},
        doc="A person.",
        iri="https://data.vlaanderen.be/ns/persoon#Persoon",
    )
    root = root_of(loaded(module(person), tmp_path))
    assert root.model_fields["naam"].description == "Family name.\n\nIRI: http://xmlns.com/foaf/0.1/familyName"
    assert "IRI: https://data.vlaanderen.be/ns/persoon#Persoon" in (root.__doc__ or "")


def test_equal_names_of_different_types_stay_apart(tmp_path: Path) -> None:
    def inner(space: str, name: str) -> dict[str, Any]:
        return {"type": "record", "name": "Naam", "namespace": space, "fields": [{"name": name, "type": "string"}]}

    both = record({"name": "a", "type": inner("een", "x")}, {"name": "b", "type": inner("twee", "y")})
    read = reader("a", root_of(loaded(module(both), tmp_path)))
    assert read({"a": {"x": "1"}, "b": {"y": "2"}}).b.y == "2"


@pytest.mark.parametrize(
    "schema",
    [
        record({"name": "a: int = __import__('os').getpid()\n    b", "type": "int"}),
        record({"name": "naam", "type": "int"}, name='X(BaseModel):\n    """'),
        record({"name": "naam", "type": "int"}, namespace="be.test; import os"),
        record({"name": "naam", "type": {"type": "enum", "name": "E", "symbols": ['a"]\nimport os\n#']}}),
        record({"name": "naam", "type": "Persoon"}),
        record({"name": "naam", "type": ["null", "be.test.Persoon"]}),
        record({"name": "naam", "type": ["string", "null"]}),
        record({"name": "naam", "type": {"type": "map", "values": "string"}}),
        record({"name": "n" * 65, "type": "int"}),
        record(),
        {"type": "enum", "name": "E", "symbols": ["a"]},
        ["null", "string"],
        None,
    ],
)
def test_a_schema_that_is_not_one_is_refused(schema: Any) -> None:
    with pytest.raises(Invalid):
        module(schema)


def test_an_endless_nesting_is_refused() -> None:
    with pytest.raises(Invalid):
        generate("[" * 100_000, agreement="a", version=1)
    deep: Any = "int"
    for _ in range(60):
        deep = {"type": "array", "items": deep}
    with pytest.raises(Invalid):
        module(record({"name": "diep", "type": deep}))


hostile = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        ['"""', "\\", '\\"""\nimport os', "\u2028import os", "{__import__}", "a" * 300, "# ruff: noqa", "\ud800"]
    ),
)
names = st.one_of(
    st.from_regex(r"\A[A-Za-z_][A-Za-z0-9_]{0,12}\Z"),
    st.sampled_from(
        ["class", "None", "self", "model_config", "copy", "str", "BaseModel", "__init__", "_", "Field", "date"]
    ),
    hostile,
)


@settings(max_examples=80)
@given(
    st.lists(st.tuples(names, hostile, hostile, names), min_size=1, max_size=4, unique_by=lambda each: each[0]),
    names,
    hostile,
)
def test_whatever_a_schema_says_becomes_models_only(
    fields: list[tuple[str, str, str, str]], name: str, doc: str
) -> None:
    inner = [
        {"name": own, "type": {"type": "enum", "name": f"E{number}", "symbols": [symbol]}, "doc": text, "iri": iri}
        for number, (own, text, iri, symbol) in enumerate(fields)
    ]
    try:
        text = module(record(*inner, name=name, doc=doc))
    except Invalid:
        return
    tree = ast.parse(text)
    allowed = (ast.ImportFrom, ast.ClassDef, ast.Assign, ast.Expr)
    assert all(isinstance(node, allowed) for node in tree.body)
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call)}
    assert calls <= {"ConfigDict", "Field"}
    assert {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)} <= {"typing", "pydantic"}
    space: dict[str, Any] = {"__name__": "made"}
    exec(compile(text, "made.py", "exec"), space)  # noqa: S102 - shown above to define models and nothing else
    root = next(reversed([value for value in space.values() if isinstance(value, type)]))
    data = {own: symbol for own, _, _, symbol in fields}
    assert root.model_validate(data).model_dump(by_alias=True) == data
