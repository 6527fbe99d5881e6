"""The files of a new adapter: a mapping that fits its product, made-up data for it, a test that passes.

Nobody in the sample exists: INSZ are test numbers (month + 60), KBO numbers are not handed out, IRIs are under `example`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

from adapters.mapped import FILE
from adapters.mapping_values import IDENTIFIERS
from adapters.scaffold_kinds import TEMPLATES, Cell, Template
from adapters.synthetic_names import FAMILY_NAMES, LEUVEN, MUNICIPALITIES, STREETS, WOMEN, Municipality
from broker.model.identifiers import make_test_insz
from broker.schema.avro import Schema
from broker.schema.types import Array, Enumeration, Nullable, Record, RecordField, unwrapped

ROWS = 20

_HEAD = ("kind", "validFrom", "validTo", "recordedAt", "corrects")
_BORN = date(1980, 1, 1)
_NUMBER = 19_100_000
"""First of the KBO numbers of the sample: numbers from 19… are not handed out."""

Make = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the sample and the rule that reads it; without `make` the rule is fixed."""

    name: str
    rule: str
    make: Make | None = None
    is_list: bool = False


def files(
    name: str, schema: Schema, organisation: str, kind: str, *, wanted: Collection[str], fixed: Mapping[str, str]
) -> dict[str, str]:
    """Texts by relative path. `wanted` are leaves that are filled though they may be absent, `fixed` the values of some."""
    template, columns = TEMPLATES[kind], dict[str, Column]()
    lines = list(_lines(schema, (name, frozenset(wanted), fixed, columns, template)))
    filled = [column for column in columns.values() if column.make is not None]
    number, changed = Column("nummer", "", str), Column("gewijzigd", "", lambda each: f"2026-01-{each:02}T08:00:00Z")
    shown = {column.name: column for column in (number, *filled, changed)}.values()
    rows = [_row(shown, each, template) for each in range(1, ROWS + 1)]
    sample, text = template.sample(name, [[column.name for column in shown], *rows])
    snapshot = "# snapshot: true # what is read is the whole population: who is missing is deleted"
    head = [
        f"# How rows become records of {schema.product}: docs/adapters.md is the language.",
        f"# Try it: datanuts adapter check {name}",
        f"adapter: {name}",
        f"product: {schema.product}",
        f"organisation: {organisation}",
        "source:",
        *(f"  {line}" for line in template.source(name)),
        "",
        f"id: {template.id}",
        f"recordedAt: {template.recorded_at}",
        "# kind: {const: changed}",
        *([snapshot] if template.snapshot else []),
        f"# delete_when: {{{template.path('status')}: geschrapt}}",
        "",
        "fields:",
    ]
    module = name.replace("-", "_")
    return {
        FILE: "\n".join([*head, *lines]) + "\n",
        sample: text,
        f"test_{module}.py": template.test.format(name=name, rows=ROWS),
    }


def _row(columns: Iterable[Column], number: int, template: Template) -> list[Cell]:
    texts = ((column, column.make(number)) for column in columns if column.make is not None)
    return [text.split("|") if column.is_list and not template.split else text for column, text in texts]


_Given = tuple[str, frozenset[str], Mapping[str, str], dict[str, Column], Template]


def _lines(schema: Schema, given: _Given) -> Iterator[str]:
    for member in schema.root.fields:
        if member.name not in _HEAD:
            yield from _member(member, member.name, schema, given, needed=True)


def _member(member: RecordField, path: str, schema: Schema, given: _Given, *, needed: bool) -> Iterator[str]:
    """A field's lines: as they hold, where it must be there or is wanted; else as a comment."""
    name, wanted, fixed, columns, template = given
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
    column = _column(member, path, schema, name, fixed, template, is_list=item is not None)
    if used:
        columns[path] = column
    yield f"  {'' if used else '# '}{path}: {column.rule}"


def _column(
    member: RecordField,
    path: str,
    schema: Schema,
    name: str,
    fixed: Mapping[str, str],
    template: Template,
    *,
    is_list: bool,
) -> Column:
    called = path.replace(".", "_")
    source = template.path(called)
    rule = f'{{from: {source}, split: "|"}}' if is_list and template.split else source
    place = next((each for each in MUNICIPALITIES if each.nis in fixed.values()), LEUVEN)
    inner = unwrapped(member.type)
    item = unwrapped(inner.items) if isinstance(inner, Array) else inner
    leaf = schema.fields[path]
    known = str(member.attributes.get("identifier", "insz" if leaf.field_class == "national-number" else ""))
    if path in fixed:
        return Column(called, source, lambda _number: fixed[path])
    if isinstance(item, Enumeration):
        symbols = item.symbols
        return Column(called, f"{rule} # {', '.join(symbols)}", lambda number: symbols[number % len(symbols)], is_list)
    if is_list:
        make: Make = lambda number: f"{_word(path, number, place)}|{_word(path, number + 1, place)}"  # noqa: E731 - one of three
        return Column(called, rule, make, is_list)
    if known in IDENTIFIERS or "KBO number" in leaf.doc:
        return Column(called, source, _IDENTIFIERS.get(known, _kbo))
    if leaf.doc.startswith("IRI") and (leaf.subject == "principal" or not isinstance(member.type, Nullable)):
        concept = path.replace(".", "-").lower()
        filled = f"{{{template.path('nummer')}}}"
        return Column(called, f'{{template: "https://{name}.example/id/{concept}/{filled}"}}')
    return Column(called, source, _VALUES.get(leaf.logical or leaf.type, lambda number: _word(path, number, place)))


def _kbo(number: int) -> str:
    first = _NUMBER + number
    return f"{first}{97 - first % 97:02}"


_IDENTIFIERS: Mapping[str, Make] = MappingProxyType(
    {
        "insz": lambda number: make_test_insz(_BORN + timedelta(days=number), 2 * number + 1),
        "kbo": _kbo,
        "vestiging": lambda number: f"{21_000_000 + number}{97 - (21_000_000 + number) % 97:02}",
        "nis": lambda _number: LEUVEN.nis,
        "ovo": lambda number: f"OVO9{number:05}",
        "puri": lambda number: f"https://fictief.example/id/ding/{number}",
    }
)
_VALUES: Mapping[str, Make] = MappingProxyType(
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
