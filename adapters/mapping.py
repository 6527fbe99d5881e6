"""Mapping files: one YAML document that says how a source's rows become records of one product.

It is read once, compared with the product's schema as a whole, and compiled to functions; it holds no program of its
own. `docs/adapters.md` is the language, docs/adr/2026-11-26-mapping-language.md why it is so small.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from adapters import mapping_form, mapping_text
from adapters.change_row import ChangeRow
from adapters.mapping_errors import MappingRefused
from adapters.mapping_form import Document
from adapters.mapping_paths import Paths, Pointers
from adapters.mapping_records import Members, explained_paths
from adapters.mapping_rules import TEXT, Scope, Target, compile_rule, predicate
from adapters.mapping_text import Text
from adapters.mapping_values import Get
from adapters.sdk import Broken, Change, Ignored, Item
from broker.errors import PoisonRecord
from broker.schema.avro import Schema

MODIFIED = "@modified"
"""Column that file adapters add to every row: when the file was written, RFC 3339 in UTC."""


_OF_THE_RUN = frozenset({"clock_tolerance_s", "drift"})


@dataclass(frozen=True, slots=True)
class Step:
    """One rule as `--explain` shows it: the field, the source paths it reads, the rule itself, its line."""

    path: str
    sources: tuple[str, ...]
    rule: str
    line: int


@dataclass(frozen=True, slots=True)
class ProductMapping:
    """A mapping file that fits its product: turns a row into an item. Made by `load`."""

    file: Path
    adapter: str
    product: str
    organisation: str
    snapshot: bool
    shrink: bool
    """Whether a snapshot may lack more than half of what was known."""
    clock_tolerance_s: int | None
    """Seconds by which the source's clock may be ahead; None: what the installation says."""
    drift_stops: bool
    """Whether a run ends where the source drifts (`adapters.drift`)."""
    source: Mapping[str, Any]
    columns: Mapping[str, int]
    """Columns that the rules read, each with the line of the first rule that does; filled for sources of rows only."""
    steps: tuple[Step, ...] = field(repr=False)
    text: Text = field(repr=False)
    paths: Paths = field(repr=False)
    """What its source paths mean."""
    fingerprint: str
    """Changes with the file: what was read under another mapping is read again."""
    _id: Get = field(repr=False)
    _subject: Get = field(repr=False)
    _value: Callable[[Any], dict[str, Any]] = field(repr=False)
    _deleted: Callable[[Any], bool] = field(repr=False)
    _skipped: Callable[[Any], bool] = field(repr=False)

    def item(self, row: Any, place: str, *, gone: bool = False) -> Item:
        """What `row` states. `place` names the row where it has no id of its own (a file and a number).

        A row that does not fit is `Broken` with a stable reason and the path of the target field. One of which the
        source says that it is `gone` (a `ChangeRow` says so itself) is a deletion.
        """
        source_id = place
        try:
            if self._skipped(row):
                return Ignored(place, "ROW_SKIPPED")
            if (own := self._id(row)) is None:
                return Broken(place, "ID_MISSING", "id", self.product)
            source_id = own
            if gone or (isinstance(row, ChangeRow) and row.gone) or self._deleted(row):
                subject = self._subject(row)
                return Change(source_id, self.product, None, subject)
            return Change(source_id, self.product, self._value(row))
        except PoisonRecord as poison:
            return Broken(source_id, poison.reason, poison.path, self.product)

    def field_of(self, column: str) -> str:
        """A field that is made from the source path `column`; empty where none is."""
        return next((step.path for step in self.steps if column in step.sources), "")

    def identifies(self, row: Any) -> bool:
        """Whether the row says which one it is, however broken the rest of it, or is skipped."""
        try:
            return self._skipped(row) or self._id(row) is not None
        except PoisonRecord:
            return False


def load(
    path: Path,
    text: str,
    schema_of: Callable[[str], Schema],
    *,
    flat: Callable[[str], bool],
    paths: Callable[[Mapping[str, Any]], Paths] = lambda _source: Pointers(),
) -> ProductMapping:
    """The mapping in `text`, read from `path`; `schema_of` gives a product's schema, or raises `Invalid`.

    `flat` tells of a kind of source whether its rows are columns of text, `paths` what paths mean, by the words of
    `source`. Raises `MappingRefused` with all mistakes.
    """
    read = mapping_text.read(text, str(path))
    form, findings = mapping_form.document(read)
    if form is None:
        raise MappingRefused(str(path), tuple(findings))
    scope = Scope(path.parent, flat(str(form.source.get("kind"))), paths(form.source))
    compiled = _compiled(path, read, form, schema_of(form.product), scope)
    if isinstance(compiled, Scope):
        raise MappingRefused(str(path), tuple(sorted(set(compiled.findings))))
    return compiled


def _compiled(path: Path, text: Text, form: Document, schema: Schema, scope: Scope) -> ProductMapping | Scope:
    stated = dict(form.fields)
    for name, own in (("kind", form.kind), ("recordedAt", form.recorded_at)):
        if name in stated:
            scope.wrong(text.line(("fields", name)), name, f"`{name}` stands beside `fields`, not in it")
        stated[name] = own
    if form.kind is None:
        stated["kind"] = {"const": "snapshot" if form.snapshot else "changed"}
    members = Members(text, scope)
    value = members.compile(schema.root, stated)
    principal = schema.principal
    subject = form.subject if form.subject is not None else stated.get(principal)
    place = ("subject",) if form.subject is not None else ("fields", principal)
    found = ProductMapping(
        path,
        form.adapter,
        form.product,
        form.organisation,
        form.snapshot,
        form.shrink == "allowed",
        form.clock_tolerance_s,
        form.drift == "stop",
        form.source,
        scope.columns,
        tuple(Step(*each) for each in explained_paths(members)),
        text,
        scope.paths,
        _fingerprint(text),
        _single(form.id, ("id",), Target("id", TEXT), text, scope),
        _single(subject, place, members.target(schema.root, principal), text, scope)
        if subject is not None
        else _nothing,
        value,
        _holds(form.delete_when, "delete_when", text, scope),
        _holds(form.skip_when, "skip_when", text, scope),
    )
    _check_time(form, text, scope)
    if form.delete_when is not None and form.snapshot:
        scope.wrong(
            text.line(("delete_when",)), "delete_when", "a snapshot deletes who is not in it: drop one of the two"
        )
    if form.shrink == "allowed" and not form.snapshot:
        scope.wrong(text.line(("shrink",)), "shrink", "is for snapshots: add `snapshot: true`, or drop it")
    return scope if scope.findings else found


def _fingerprint(text: Text) -> str:
    """Of all words but those that change no record."""
    made = {name: word for name, word in text.data.items() if name not in _OF_THE_RUN}
    return sha256(repr(made).encode()).hexdigest()[:8]


def _check_time(form: Document, text: Text, scope: Scope) -> None:
    """A file's time changes with every copy: only of a snapshot is it not part of what is stated."""
    rule = form.recorded_at if isinstance(form.recorded_at, Mapping) else {"from": form.recorded_at}
    kind = form.kind if isinstance(form.kind, Mapping) else {"const": "snapshot" if form.snapshot else "changed"}
    if rule.get("from") == MODIFIED and kind.get("const") != "snapshot":
        told = f"{MODIFIED} would publish every row again after each copy of the file: add `kind: {{const: snapshot}}`"
        scope.wrong(text.line(("recordedAt",)), "recordedAt", told)


def _single(stated: Any, place: mapping_text.Place, target: Target, text: Text, scope: Scope) -> Get:
    rule, findings = mapping_form.rule(stated, text, place, target.path)
    scope.findings += findings
    return _nothing if rule is None else compile_rule(rule, target, text.line(place), scope)


def _holds(when: Any, name: str, text: Text, scope: Scope) -> Callable[[Any], bool]:
    if when is None:
        return lambda _row: False
    return predicate(when, text.line((name,)), name, scope, inner=False)


def _nothing(_row: Any) -> None:
    return None
