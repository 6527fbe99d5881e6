"""One rule compiled for one field: checked against the field's type, then a function of the row.

Every mistake is a finding; what is returned beside findings is not used.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters import mapping_values as values
from adapters.mapping_errors import Finding
from adapters.mapping_form import UNSET, Literals, NumberForm, Rule
from adapters.mapping_paths import Paths, Pointers
from adapters.mapping_values import Get, Misfit
from broker.errors import Invalid, PoisonRecord, Skip
from broker.schema.types import Array, Enumeration, Primitive, RecordField, unwrapped

Convert = Callable[[Any], Any]
Predicate = Callable[[Any], bool]


@dataclass(slots=True)
class Scope:
    """What compiling needs to know of its file. `flat`: the source's rows are columns of text, without anything nested."""

    folder: Path
    flat: bool
    paths: Paths = field(default_factory=Pointers)
    findings: list[Finding] = field(default_factory=list)
    columns: dict[str, int] = field(default_factory=dict)
    """Columns that rules read, each with the line of the first one."""

    def wrong(self, line: int, path: str, text: str) -> None:
        """Note a mistake."""
        self.findings.append(Finding(line, path, text))

    def getter(self, source: str, line: int, path: str, *, inner: bool, several: bool = False) -> Get:
        """Reads `source` of the row, or (`inner`) of an element of a list: one value, or the list of `several`."""
        if self.flat and source.startswith("/"):
            self.wrong(line, path, f"`{source}`: a file of rows has columns only, named without `/`")
        elif self.flat and not inner and source != values.SELF:
            self.columns.setdefault(source, line)
        if told := self.paths.wrong(source):
            self.wrong(line, path, f"`{source}`: {told}")
            return lambda _row: None
        return self.paths.several(source) if several else self.paths.one(source)


@dataclass(frozen=True, slots=True)
class Target:
    """A leaf to be given a value. `is_list` = an array of scalars; `instant` = text that must be an RFC 3339 instant."""

    path: str
    type: Primitive | Enumeration
    is_list: bool = False
    identifier: str | None = None
    instant: bool = False

    @classmethod
    def of(cls, member: RecordField, path: str) -> "Target | None":
        """The leaf that a schema's field is; None for a record, an array of records, or bytes."""
        inner, is_list = unwrapped(member.type), False
        if isinstance(inner, Array):
            inner, is_list = unwrapped(inner.items), True
        if not isinstance(inner, Primitive | Enumeration) or inner.name == "bytes":
            return None
        known = "insz" if member.attributes.get("class") == "national-number" else member.attributes.get("identifier")
        return cls(path, inner, is_list, known, instant=path == "recordedAt")

    @property
    def kind(self) -> str:
        """Name of the type that a value has."""
        return (self.type.logical if isinstance(self.type, Primitive) else None) or self.type.name


TEXT = Primitive("string")
_DATED = {"string", "date", "timestamp-millis"}
_NUMBERS = {"int", "long", "float", "double"}
_CONSTANTS: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "date": (str,),
    "timestamp-millis": (str,),
    "boolean": (bool,),
    "int": (int,),
    "long": (int,),
    "float": (int,),
    "double": (int,),
}


def compile_rule(rule: Rule, target: Target, line: int, scope: Scope, *, inner: bool = False) -> Get:
    """The target's value in a row; None where the row has none. Raises `PoisonRecord` with the target's path."""
    path = target.path
    _check_words(rule, target, line, scope)
    if rule.const is not UNSET:
        return _constant(rule, target, line, scope)
    convert = _conversion(rule, target, line, scope)
    read = _reader(rule, target, line, scope, inner=inner)
    holds = predicate(rule.when, line, path, scope, inner=inner)

    def value(row: Any) -> Any:
        try:
            if not holds(row):
                return None
            found = read(row)
            if found is None:
                return None
            return [convert(each) for each in found] if target.is_list else convert(found)
        except Misfit as misfit:
            reason = misfit.reason
        raise PoisonRecord(reason, path)

    return value


def predicate(when: Mapping[str, Literals] | None, line: int, path: str, scope: Scope, *, inner: bool) -> Predicate:
    """Whether a row has, at every source path, one of the stated literals; equality of trimmed texts, nothing else."""
    tests = []
    for source, stated in (when or {}).items():
        allowed = {_plain(each) for each in (stated if isinstance(stated, list) else [stated])}
        tests.append((scope.getter(source, line, path, inner=inner), allowed))
    return lambda row: all(_plain(get(row)) in allowed for get, allowed in tests)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).strip()


def _check_words(rule: Rule, target: Target, line: int, scope: Scope) -> None:
    """Words that this type of field, or this way of making a value, has no use for."""
    kind, path = target.kind, target.path
    misplaced = {
        "date": rule.date is not None and kind not in _DATED,
        "number": rule.number is not None and kind not in _NUMBERS,
        "split": rule.split is not None and not target.is_list,
        "identifier": rule.identifier is not None and kind != "string",
        "template": rule.template is not None and (kind != "string" or target.is_list),
        "codes": rule.codes is not None and kind not in {"enum", "string", "boolean"},
        "each": rule.each is not None,
    }
    for word, wrong in misplaced.items():
        if wrong:
            scope.wrong(line, path, f"`{word}` does not fit a field of type {'array of ' * target.is_list}{kind}")
    if rule.default is not UNSET and rule.codes is None:
        scope.wrong(
            line, path, "`default` is for codes that are not in `codes`; for an absent value give a list of rules"
        )
    if rule.codes is not None and (rule.date or rule.number):
        scope.wrong(line, path, "`codes` goes without `date` and `number`")
    unused = {
        "template": ("codes", "date", "number", "split"),
        "python": ("codes", "date", "number", "split", "identifier"),
    }
    for making, words in unused.items():
        if getattr(rule, making) is not None and (there := [word for word in words if getattr(rule, word) is not None]):
            scope.wrong(line, path, f"`{there[0]}` does not go with `{making}`")
    if scope.flat and target.is_list and rule.source is not None and rule.split is None:
        scope.wrong(line, path, 'is a list: say how a text is split, as split: ","')


def _constant(rule: Rule, target: Target, line: int, scope: Scope) -> Get:
    stated, several = rule.const, target.is_list
    holds = predicate(rule.when, line, target.path, scope, inner=False)
    if stated is None:
        return lambda _row: None
    if several and not isinstance(stated, list):
        scope.wrong(line, target.path, "is a list: write the constant as [a, b]")
    for each in stated if several and isinstance(stated, list) else [stated]:
        fixed(each, target, line, scope)
    if isinstance(stated, str) and (target.instant or target.kind in {"date", "timestamp-millis"}):
        try:
            stated = _through(_dated(rule, target, line, scope), stated)
        except Misfit:
            scope.wrong(line, target.path, "takes a date or an instant in ISO 8601, as '2026-01-01T00:00:00Z'")
    return lambda row: stated if holds(row) else None


def fixed(stated: Any, target: Target, line: int, scope: Scope) -> None:
    """Find what keeps `stated` from being a value of the target."""
    if isinstance(target.type, Enumeration):
        if stated not in target.type.symbols:
            scope.wrong(line, target.path, f"`{stated}` is no symbol; there are {', '.join(target.type.symbols)}")
    elif type(stated) not in _CONSTANTS.get(target.kind, ()):
        quotes = ", in quotes" if target.kind == "string" else ""
        scope.wrong(line, target.path, f"takes a {target.kind}{quotes}")
    elif target.identifier is not None:
        try:
            values.identifier(target.identifier)(stated)
        except Misfit:
            scope.wrong(line, target.path, f"the constant is no valid {target.identifier}")


def _reader(rule: Rule, target: Target, line: int, scope: Scope, *, inner: bool) -> Get:
    """What the row has, as text where text is wanted; a list for a list."""
    plain = _plain_reader(rule, target)
    if rule.template is not None:
        return _template(rule.template, target.path, line, scope, inner=inner)
    if rule.python is not None:
        return _function(rule.python, target.path, line, scope)
    get = scope.getter(rule.source or values.SELF, line, target.path, inner=inner, several=target.is_list)
    own = scope.paths.one(values.SELF)
    absent = "" if rule.codes is not None and "" in rule.codes else None
    if not target.is_list:
        return lambda row: absent if (found := plain(get(row))) is None else found

    def several(row: Any) -> Any:
        found = get(row)
        if isinstance(found, str) and rule.split is not None:
            found = found.split(rule.split)
        if found is not None and not isinstance(found, list):
            if isinstance(found, str) and not found.strip():
                return []
            raise Misfit("VALUE_NOT_LIST")
        return [one for each in found or () if (one := plain(own(each))) is not None]

    return several


def _plain_reader(rule: Rule, target: Target) -> Convert:
    """One value as text, unless the field or its codes take what JSON has beside text."""
    as_it_is = target.kind != "string" and rule.codes is None and rule.date is None
    truth = rule.codes is not None

    def plain(value: Any) -> Any:
        if (as_it_is and not isinstance(value, str)) or (truth and isinstance(value, bool)):
            return value
        return values.text(value, trim=rule.trim)

    return plain


def _template(template: str, path: str, line: int, scope: Scope, *, inner: bool) -> Get:
    try:
        sources = values.placeholders(template)
    except Invalid as error:
        scope.wrong(line, path, f"`template`: {error}")
        return lambda _row: None
    gets = [scope.getter(source, line, path, inner=inner) for source in sources]
    if not gets:
        scope.wrong(line, path, "`template` has no {source path}: a fixed value is `const`")

    def made(row: Any) -> str | None:
        parts = [values.text(get(row)) for get in gets]
        known = [part for part in parts if part is not None]
        return values.filled(template, known) if len(known) == len(parts) else None

    return made


def _function(stated: str, path: str, line: int, scope: Scope) -> Get:
    """The author's own function; what it raises is a reason if it is one of ours, and never shown otherwise."""
    call = _imported(stated, path, line, scope)

    def made(row: Any) -> Any:
        try:
            return call(row)
        except (PoisonRecord, Skip) as refused:
            reason = refused.reason
        except Exception:  # noqa: BLE001 - whatever somebody else's function raises; its text could quote the row
            reason = "PYTHON_FAILED"
        raise Misfit(reason)

    return made


def _imported(stated: str, path: str, line: int, scope: Scope) -> Callable[[Any], Any]:
    name, _, function = stated.partition(":")
    if not (function.isidentifier() and all(part.isidentifier() for part in name.split("."))):
        scope.wrong(line, path, "`python` is module:function")
        return lambda _row: None
    file = scope.folder / f"{name}.py"
    try:
        if file.is_file():
            spec = importlib.util.spec_from_file_location(f"_mapping_{name}", file)
            if spec is None or spec.loader is None:
                raise ImportError(name)  # noqa: TRY301 - handled with the other ways it fails
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(name)
        found = getattr(module, function)
    except Exception as error:  # noqa: BLE001 - importing runs somebody else's program
        known = (
            "has no such function"
            if isinstance(error, AttributeError)
            else f"cannot be imported: {type(error).__name__}"
        )
        scope.wrong(
            line, path, f"`python`: {name} {known}; it is a module on PYTHONPATH, or {name}.py beside the mapping"
        )
        return lambda _row: None
    call: Callable[[Any], Any] = found
    return call


def _conversion(rule: Rule, target: Target, line: int, scope: Scope) -> Convert:
    """From what the row has to what the schema takes."""
    steps: list[Convert] = []
    if rule.codes is not None:
        for symbol in (*rule.codes.values(), *([] if rule.default is UNSET else [rule.default])):
            fixed(symbol, target, line, scope)
        steps.append(values.codes(rule.codes, None if rule.default is UNSET else rule.default))
    elif target.kind in _NUMBERS and rule.python is None:
        form = rule.number if isinstance(rule.number, NumberForm) else NumberForm()
        steps.append(values.number(form.decimal, form.thousands, whole=target.kind in {"int", "long"}))
    elif target.kind == "boolean" and rule.python is None:
        steps.append(values.boolean)
    elif rule.date is not None or ((target.instant or target.kind in _DATED - {"string"}) and rule.python is None):
        steps += _dated(rule, target, line, scope)
    elif isinstance(target.type, Enumeration) and rule.python is None:
        steps.append(values.codes({symbol: symbol for symbol in target.type.symbols}))
    name = rule.identifier or target.identifier
    if name is not None and name in values.IDENTIFIERS and target.kind == "string":
        steps.append(values.identifier(name))
    return lambda value: _through(steps, value)


def _dated(rule: Rule, target: Target, line: int, scope: Scope) -> list[Convert]:
    stated = rule.date or "iso"
    try:
        zone = ZoneInfo(rule.zone)
        forms = [values.date_form(each) for each in ([stated] if isinstance(stated, str) else stated)]
    except (ZoneInfoNotFoundError, ValueError):
        scope.wrong(line, target.path, f"`zone`: no time zone {rule.zone}; one is Europe/Brussels")
        return []
    except Invalid as error:
        scope.wrong(line, target.path, f"`date`: {error}")
        return []
    read = values.moment(forms, zone)
    match target.kind:
        case "date":
            return [read, values.as_day]
        case "timestamp-millis":
            return [read, values.as_instant(zone)]
    return [read, values.as_instant(zone), values.as_text] if target.instant else [read, values.as_text]


def _through(steps: Sequence[Convert], value: Any) -> Any:
    for step in steps:
        value = step(value)
    return value
