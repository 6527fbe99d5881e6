"""The files of a new adapter: a mapping that fits its product, made-up data for it, a test that passes.

Nobody in the sample exists: INSZ are test numbers (month + 60), KBO numbers are not handed out, IRIs are under `example`.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from adapters.mapped import FILE
from adapters.mapping_values import IDENTIFIERS
from adapters.synthetic_names import FAMILY_NAMES, LEUVEN, MUNICIPALITIES, STREETS, WOMEN, Municipality
from broker.model.identifiers import make_test_insz
from broker.schema.avro import Schema
from broker.schema.types import Array, Enumeration, Nullable, Record, RecordField, unwrapped

ROWS = 20

_HEAD = ("kind", "validFrom", "validTo", "recordedAt", "corrects")
_BORN = date(1980, 1, 1)
_NUMBER = 19_100_000
"""First of the KBO numbers of the sample: numbers from 19… are not handed out."""

Cell = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the sample and the rule that reads it; without `cell` the rule is fixed."""

    name: str
    rule: str
    cell: Cell | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """What a kind of source adds: lines below `source:`, and the sample as a file (name, text) of it."""

    source: Callable[[str], Sequence[str]]
    sample: Callable[[str, Sequence[Sequence[str]]], tuple[str, str]]


def _csv(name: str, rows: Sequence[Sequence[str]]) -> tuple[str, str]:
    out = io.StringIO()
    csv.writer(out, delimiter=";", lineterminator="\n").writerows(rows)
    return f"sample/{name}.csv", out.getvalue()


TEMPLATES: Mapping[str, Template] = MappingProxyType(
    {
        "csv": Template(
            lambda _name: (
                "kind: csv",
                "path: sample # a folder or a file, relative to this one; --source goes before it",
                "# separator, quote and encoding are seen from the file; state them if they are known:",
                '# separator: ";"',
                "# encoding: cp1252",
            ),
            _csv,
        )
    }
)
"""By kind of source: `datanuts adapter new --from KIND`."""


def files(
    name: str, schema: Schema, organisation: str, kind: str, *, wanted: Collection[str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """Texts by relative path. `wanted` are leaves that are filled though they may be absent, `fixed` the values of some."""
    columns: dict[str, Column] = {}
    lines = list(_lines(schema, name, frozenset(wanted), fixed, columns))
    shown = {column.name: column.cell for column in columns.values() if column.cell is not None}
    shown = {"nummer": str, **shown, "gewijzigd": lambda number: f"2026-01-{number:02}T08:00:00Z"}
    rows = [list(shown), *([cell(number) for cell in shown.values()] for number in range(1, ROWS + 1))]
    template = TEMPLATES[kind]
    sample, text = template.sample(name, rows)
    head = [
        f"# How rows become records of {schema.product}: docs/adapters.md is the language.",
        f"# Try it: datanuts adapter check {name}",
        f"adapter: {name}",
        f"product: {schema.product}",
        f"organisation: {organisation}",
        "source:",
        *(f"  {line}" for line in template.source(name)),
        "",
        "id: nummer # which row it is, the same on every reading",
        "recordedAt: gewijzigd # when the source stated it; without such a column: @modified, with kind snapshot",
        "# kind: {const: changed}",
        "# snapshot: true # each file is the whole population: who is missing is deleted",
        "# delete_when: {status: geschrapt}",
        "",
        "fields:",
    ]
    module = name.replace("-", "_")
    return {
        FILE: "\n".join([*head, *lines]) + "\n",
        sample: text,
        f"test_{module}.py": _TEST.format(name=name, rows=ROWS),
    }


def _lines(
    schema: Schema, name: str, wanted: frozenset[str], fixed: Mapping[str, str], columns: dict[str, Column]
) -> Iterator[str]:
    for member in schema.root.fields:
        if member.name not in _HEAD:
            yield from _member(member, member.name, schema, (name, wanted, fixed, columns), needed=True)


_Given = tuple[str, frozenset[str], Mapping[str, str], dict[str, Column]]


def _member(member: RecordField, path: str, schema: Schema, given: _Given, *, needed: bool) -> Iterator[str]:
    """A field's lines: as they hold, where it must be there or is wanted; else as a comment."""
    name, wanted, fixed, columns = given
    inner = unwrapped(member.type)
    needed = needed and "default" not in member.attributes
    used = needed or any(path == each or each.startswith(f"{path}.") for each in wanted)
    if isinstance(inner, Record):
        for below in inner.fields:
            yield from _member(below, f"{path}.{below.name}", schema, given, needed=used)
        return
    yield f"  # {member.attributes['doc']} [{member.attributes['class']}]"
    item = unwrapped(inner.items) if isinstance(inner, Array) else None
    if isinstance(item, Record):
        yield f"  {'' if needed else '# '}{path}: {{const: []}} # or {{each: ., fields: {{{item.fields[0].name}: a column}}}}"
        return
    column = _column(member, path, schema, name, fixed, is_list=item is not None)
    if used:
        columns[path] = column
    yield f"  {'' if used else '# '}{path}: {column.rule}"


def _column(
    member: RecordField, path: str, schema: Schema, name: str, fixed: Mapping[str, str], *, is_list: bool
) -> Column:
    called = path.replace(".", "_")
    place = next((each for each in MUNICIPALITIES if each.nis in fixed.values()), LEUVEN)
    inner = unwrapped(member.type)
    item = unwrapped(inner.items) if isinstance(inner, Array) else inner
    leaf = schema.fields[path]
    known = str(member.attributes.get("identifier", "insz" if leaf.field_class == "national-number" else ""))
    if path in fixed:
        return Column(called, called, lambda _number: fixed[path])
    if isinstance(item, Enumeration):
        rule = f'{{from: {called}, split: "|"}}' if is_list else called
        symbols = item.symbols
        return Column(called, f"{rule} # {', '.join(symbols)}", lambda number: symbols[number % len(symbols)])
    if is_list:
        cell: Cell = lambda number: f"{_word(path, number, place)}|{_word(path, number + 1, place)}"  # noqa: E731 - one of three
        return Column(called, f'{{from: {called}, split: "|"}}', cell)
    if known in IDENTIFIERS or "KBO number" in leaf.doc:
        return Column(called, called, _IDENTIFIERS.get(known, _kbo))
    if leaf.doc.startswith("IRI") and (leaf.subject == "principal" or not isinstance(member.type, Nullable)):
        concept = path.replace(".", "-").lower()
        return Column(called, f'{{template: "https://{name}.example/id/{concept}/{{nummer}}"}}')
    return Column(called, called, _VALUES.get(leaf.logical or leaf.type, lambda number: _word(path, number, place)))


def _kbo(number: int) -> str:
    first = _NUMBER + number
    return f"{first}{97 - first % 97:02}"


_IDENTIFIERS: Mapping[str, Cell] = MappingProxyType(
    {
        "insz": lambda number: make_test_insz(_BORN + timedelta(days=number), 2 * number + 1),
        "kbo": _kbo,
        "vestiging": lambda number: f"{21_000_000 + number}{97 - (21_000_000 + number) % 97:02}",
        "nis": lambda _number: LEUVEN.nis,
        "ovo": lambda number: f"OVO9{number:05}",
        "puri": lambda number: f"https://fictief.example/id/ding/{number}",
    }
)
_VALUES: Mapping[str, Cell] = MappingProxyType(
    {
        "boolean": lambda number: "true" if number % 2 else "false",
        "int": str,
        "long": str,
        "float": str,
        "double": str,
        "date": lambda number: (_BORN + timedelta(days=number)).isoformat(),
        "timestamp-millis": lambda number: f"2026-01-{number:02}T08:00:00Z",
    }
)


def _word(path: str, number: int, place: Municipality) -> str:
    """A made-up value that looks like what the field's name says."""
    last = path.rpartition(".")[2].lower()
    known = {
        "achternaam": FAMILY_NAMES[number],
        "voornamen": WOMEN[number],
        "straatnaam": STREETS[number],
        "huisnummer": str(number),
        "busnummer": "",
        "postcode": place.postcodes[0],
        "nis": place.nis,
        "datum": (_BORN + timedelta(days=number)).isoformat(),
        "begin": "2026-01-01",
    }
    if ".gemeente.naam" in path or path == "gemeente.naam":
        return place.name
    return known.get(last, f"{last} {number}")


_TEST = '''"""The mapping on its sample: change both, and say here what must come out."""

import json
from pathlib import Path

from broker.cli.main import main

HERE = Path(__file__).parent


def test_every_row_of_the_sample_becomes_a_record(capsys):
    assert main(["adapter", "check", str(HERE), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["read"], told["published"], told["quarantined"]) == ({rows}, {rows}, {{}})
'''
