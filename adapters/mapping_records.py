"""The fields of a mapping compared with a record's schema as a whole, and compiled to one function of the row.

A record that may be absent is there if one of its fields has a value that the row gave; constants alone do not make it
(unless it has nothing else). A field that must be there and is not is FIELD_MISSING, once its record is there.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from adapters import mapping_form
from adapters.mapping_form import UNSET, Rule
from adapters.mapping_rules import Scope, Target, compile_rule, predicate
from adapters.mapping_text import Place, Text
from adapters.mapping_values import SELF, placeholders
from broker.errors import Invalid, PoisonRecord
from broker.schema.types import Array, Nullable, Record, RecordField, unwrapped

Value = dict[str, Any]


class Made(NamedTuple):
    """A value, whether the row gave any of it, and the path of what must be there and is not."""

    value: Any
    given: bool
    missing: str | None = None


Make = Callable[[Any], Made]
"""Function of the row to what it makes of one field or record."""


@dataclass(slots=True)
class Node:
    """What a mapping says at and below one path. `place` is where in the document it says it."""

    place: Place = ()
    stated: Any = UNSET
    below: dict[str, "Node"] = field(default_factory=dict)


@dataclass(slots=True)
class Members:
    """Compiles `fields`; every mistake is a finding of `scope`."""

    text: Text
    scope: Scope
    rules: list[tuple[str, Rule, int]] = field(default_factory=list)

    def compile(self, root: Record, stated: Mapping[str, Any]) -> Callable[[Any], Value]:
        """Function of a row to the product's value; raises `PoisonRecord` with the target's path."""
        make = self._record(root, self._tree(root, stated, ("fields",), ""), "", inner=False)

        def value(row: Any) -> Value:
            made = make(row)
            if made.missing is not None:
                raise PoisonRecord("FIELD_MISSING", made.missing)
            found: Value = made.value
            return found

        return value

    def target(self, root: Record, path: str) -> Target:
        """The leaf at `path`, which is there."""
        here: Any = root
        steps = path.split(".")
        for name in steps[:-1]:
            here = unwrapped(next(each.type for each in here.fields if each.name == name))
        made = Target.of(next(each for each in here.fields if each.name == steps[-1]), path)
        if made is None:
            raise Invalid(f"{path} is no leaf")
        return made

    def _line(self, node: Node) -> int:
        return self.text.line(node.place)

    def _tree(self, record: Record, stated: Mapping[str, Any], place: Place, above: str) -> Node:
        """The stated paths as a tree; a path that the schema does not have is a finding."""
        root = Node(place)
        for path, rule in stated.items():
            here, node = record, root
            where: Place = (path,) if place == ("fields",) and path in {"kind", "recordedAt"} else (*place, path)
            steps = path.split(".")
            for number, name in enumerate(steps):
                member = next((each for each in here.fields if each.name == name), None)
                if member is None:
                    near = get_close_matches(name, [each.name for each in here.fields], 1, 0.6)
                    known = (
                        f"did you mean {near[0]}?" if near else f"there are {', '.join(e.name for e in here.fields)}"
                    )
                    self.scope.wrong(self.text.line(where), f"{above}{path}", f"the product has no such field: {known}")
                    break
                node = node.below.setdefault(name, Node(where))
                inner = unwrapped(member.type)
                if number + 1 == len(steps):
                    node.stated = rule
                elif isinstance(inner, Record):
                    here = inner
                else:
                    self._not_below(member, f"{above}{path}", ".".join(steps[: number + 1]), where)
                    break
        return root

    def _not_below(self, member: RecordField, path: str, upper: str, place: Place) -> None:
        is_list = isinstance(unwrapped(member.type), Array)
        told = f"{upper} is a list: map it with `each` and `fields`" if is_list else f"{upper} has nothing below it"
        self.scope.wrong(self.text.line(place), path, told)

    def _record(self, record: Record, node: Node, path: str, *, inner: bool) -> Make:
        """Members in the schema's order."""
        members: list[tuple[str, Make, bool, str]] = []
        for member in record.fields:
            below = f"{path}.{member.name}" if path else member.name
            needed = "default" not in member.attributes
            said = node.below.get(member.name)
            if said is None:
                record_type = unwrapped(member.type)
                if needed and isinstance(record_type, Record):
                    said = Node(node.place)  # its own members say what is missing
                elif needed:
                    self._missing(member, below, node)
                    continue
                else:
                    continue
            members.append((member.name, self._member(member, said, below, inner=inner), needed, below))

        def make(row: Any) -> Made:
            value: Value = {}
            given, missing = False, None
            for name, member, needed, below in members:
                found, some, lacking = member(row)
                given = given or some
                if missing is None and (lacking is not None or (needed and found is None)):
                    missing = lacking or below
                value[name] = found
            return Made(value, given, missing)

        return make

    def _missing(self, member: RecordField, path: str, node: Node) -> None:
        is_list = isinstance(unwrapped(member.type), Array)
        example = "{const: []} if the source has none" if is_list else "{from: a column}, {const: …} or {template: …}"
        line = self._line(node) if node.place else 1
        self.scope.wrong(line, path, f"the product needs this field: add a line `{path}: {example}`")

    def _member(self, member: RecordField, node: Node, path: str, *, inner: bool) -> Make:
        type_ = unwrapped(member.type)
        optional = isinstance(member.type, Nullable)
        if isinstance(type_, Record):
            return self._group(type_, node, path, optional=optional, inner=inner)
        if isinstance(type_, Array) and isinstance(item := unwrapped(type_.items), Record):
            return self._list(item, node, path, inner=inner)
        target = Target.of(member, path)
        if target is None:
            self.scope.wrong(
                self._line(node),
                path,
                f"a field of type {type_.name if not isinstance(type_, Array) else 'array'} cannot be mapped",
            )
            return _absent
        alternatives = node.stated if isinstance(node.stated, list) else [node.stated]
        parts, required = [], False
        for number, each in enumerate(alternatives):
            place = (*node.place, number) if isinstance(node.stated, list) else node.place
            rule = self._rule(each, place, path)
            if rule is not None:
                get = compile_rule(rule, target, self.text.line(place), self.scope, inner=inner)
                parts.append((get, rule.const is UNSET))
                required = required or rule.required
        if not alternatives:
            self.scope.wrong(self._line(node), path, "a list of rules has at least one; an empty list is {const: []}")

        def make(row: Any) -> Made:
            for get, given in parts:
                if (found := get(row)) is not None and found != []:
                    return Made(found, given)
            empty: list[Any] | None = [] if target.is_list and not optional else None
            return Made(empty, given=False, missing=path if required else None)

        return make

    def _rule(self, stated: Any, place: Place, path: str) -> Rule | None:
        rule, findings = mapping_form.rule(stated, self.text, place, path)
        self.scope.findings += findings
        if rule is not None:
            self.rules.append((path, rule, self.text.line(place)))
        return rule

    def _group(self, record: Record, node: Node, path: str, *, optional: bool, inner: bool) -> Make:
        """A record: its fields, each by its own path; or null, where it may be absent."""
        if node.stated is not UNSET:
            if optional and node.stated == {"const": None}:
                return _absent
            first = record.fields[0].name
            self.scope.wrong(self._line(node), path, f"is a group: map its fields, as `{path}.{first}`")
            return _absent
        before = len(self.rules)
        make = self._record(record, node, path, inner=inner)
        fixed = len(self.rules) > before and all(rule.const is not UNSET for _, rule, _ in self.rules[before:])
        if not optional:
            return make

        def maybe(row: Any) -> Made:
            made = make(row)
            return made if made.given or fixed else Made(None, given=False)

        return maybe

    def _list(self, record: Record, node: Node, path: str, *, inner: bool) -> Make:
        """A list of records: `each` element of the source's list, or the row itself as the only one."""
        if node.stated is UNSET:  # only something below it was stated, which is a finding already
            return _absent
        line = self._line(node)
        rule = self._rule(node.stated, node.place, path)
        if rule is None:
            return _absent
        if rule.each is None or rule.fields is None:
            if rule.const != []:
                first = record.fields[0].name
                told = f"is a list of groups: {{each: ., fields: {{{first}: …}}}}, or {{const: []}}"
                self.scope.wrong(line, path, told)
            return lambda _row: Made([], given=False)
        words = rule.model_fields_set - {"each", "fields", "when", "required", "split"}
        if words:
            self.scope.wrong(line, path, f"`{min(words)}` does not go with `each`")
        whole = rule.each == SELF
        get = self.scope.getter(rule.each, line, path, inner=inner, several=not whole)
        holds = predicate(rule.when, line, path, self.scope, inner=inner)
        kept = len(self.rules)
        tree = self._tree(record, rule.fields, (*node.place, "fields"), f"{path}.")
        element = self._record(record, tree, path, inner=inner or not whole)
        del self.rules[kept:]  # the list is shown as one
        split, required = rule.split, rule.required

        def make(row: Any) -> Made:
            found = []
            for each in _elements(get(row), split, path, whole=whole) if holds(row) else ():
                value, given, missing = element(each)
                if given and missing is not None:
                    raise PoisonRecord("FIELD_MISSING", missing)
                if given:
                    found.append(value)
            return Made(found, bool(found), path if required and not found else None)

        return make


def explained_paths(members: Members) -> Iterator[tuple[str, tuple[str, ...], str, int]]:
    """Of every rule: the field, the source paths it reads, the rule in words, its line."""
    for path, rule, line in members.rules:
        if rule.template is not None:
            try:
                sources = tuple(placeholders(rule.template))
            except Invalid:
                sources = ()
        else:
            sources = tuple(source for source in (rule.source, rule.each) if source is not None and source != SELF)
        if rule.each is not None and not sources:
            inside = (each.get("from") if isinstance(each, Mapping) else each for each in (rule.fields or {}).values())
            sources = tuple(source for source in inside if isinstance(source, str))
        yield path, sources, rule.told(), line


def _elements(found: Any, split: str | None, path: str, *, whole: bool) -> list[Any]:
    if whole:
        return [found]
    if isinstance(found, str):
        if split is None and found.strip():
            raise PoisonRecord("VALUE_NOT_LIST", path)
        return [each.strip() for each in found.split(split) if each.strip()] if split else []
    if found is None:
        return []
    if not isinstance(found, list):
        raise PoisonRecord("VALUE_NOT_LIST", path)
    return found


def _absent(_row: Any) -> Made:
    return Made(None, given=False)
