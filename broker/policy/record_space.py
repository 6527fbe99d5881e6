"""Whether there is a record on which one constraint holds and another does not: decided exactly, with such a record.

A constraint sees a value only through its tests. On a text they cut the code point order at a few points: the texts
they mention, and where the texts with a prefix end. Between two neighbouring points no test tells two texts apart, so
one text from each gap stands for all of them; likewise one number that nobody mentions, every symbol of an enumeration,
and null where the leaf, or a record above it, may be null. A path's values are then a short list, a test is a set of its
places (the bits of an integer), and case analysis over the ands and ors, with pruning, finds a record or proves that
there is none.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count, pairwise

from broker.errors import Invalid
from broker.model.agreement import AllOf, AnyOf, Constraint, Equals, Prefix, Range
from broker.policy.compiler import leaves_of
from broker.schema.avro import Field, Schema, encode_literal
from broker.schema.types import SlotKind, slots

MOST_LOOKS = 500_000
"""Tests that one question may look at; beyond it the question is refused. Agreements of daily life take hundreds."""

NOBODY = AnyOf(())

_DEEPEST = 200
_SURROGATES = range(0xD800, 0xE000)
_LAST_CHARACTER = "\U0010ffff"

Record = Mapping[str, str | None]
"""Values by leaf path, null as None; text as in a constraint."""


@dataclass(frozen=True, slots=True)
class _Values:
    """The values of one path that stand for all: `texts` in order, then null at the place after the last, if it can be.

    `points` are the places of the texts that the constraints mention themselves: an example reads better with these.
    """

    texts: Sequence[str]
    points: int
    null: int

    @property
    def every(self) -> int:
        return (1 << len(self.texts)) - 1 | self.null

    def holding(self, test: Equals | Range | Prefix) -> int:
        """Places of the values on which the test holds."""
        match test:
            case Equals(values=accepted):
                places = ((bisect_left(self.texts, text), text) for text in frozenset(accepted))
                return sum(
                    1 << place for place, text in places if place < len(self.texts) and self.texts[place] == text
                )
            case Range(low=low, high=high):
                first = 0 if low is None else bisect_left(self.texts, low)
                after = len(self.texts) if high is None else bisect_right(self.texts, high)
            case Prefix(prefix=prefix):
                end = _after_prefix(prefix)
                first = bisect_left(self.texts, prefix)
                after = len(self.texts) if end is None else bisect_left(self.texts, end)
        return (1 << after) - (1 << first) if first < after else 0

    def example(self, places: int) -> str | None:
        """One of the values at `places`: one that is mentioned, else any, else null."""
        texts = places & self.points or places & ~self.null
        return self.texts[(texts & -texts).bit_length() - 1] if texts else None


@dataclass(frozen=True, slots=True)
class _Test:
    path: str
    places: int


@dataclass(frozen=True, slots=True)
class _Group:
    """All of, or any of, its parts; there are at least two."""

    every: bool
    parts: tuple["_Formula", ...]


_Formula = bool | _Test | _Group


class Space:
    """The records of a schema, as far as some constraints can tell them apart.

    Raises `Invalid`, naming the path, for one that no constraint can look at: not a single-valued leaf, a type without
    equality, range or prefix on what is no text.
    """

    def __init__(self, schema: Schema, constraints: Iterable[Constraint]) -> None:
        tests: dict[str, list[Equals | Range | Prefix]] = {}
        for constraint in constraints:
            for test in leaves_of(constraint):
                tests.setdefault(test.path, []).append(test)
        branches = [slot.path for slot in slots(schema.root) if slot.kind is SlotKind.BRANCH]
        self._schema = schema
        self._values = {path: _values(schema, path, tests[path]) for path in sorted(tests)}
        self._above = {path: _deepest_above(path, branches) for path in tests}

    def record(self, inside: Constraint, outside: Constraint = NOBODY) -> Record | None:
        """A record on which `inside` holds and `outside` does not, on all paths of the space; None if there is none.

        Both are made of tests on the space's paths. Raises `Invalid` where the cases are too many to go through.
        """
        formula = self._group((self._formula(inside, holds=True), self._formula(outside, holds=False)), every=True)
        everything = {path: values.every for path, values in self._values.items()}
        return _Search(self, MOST_LOOKS).solve((formula,), everything, _DEEPEST)

    def _formula(self, where: Constraint, *, holds: bool) -> _Formula:
        if isinstance(where, AllOf | AnyOf):
            parts = tuple(self._formula(part, holds=holds) for part in where.parts)
            return self._group(parts, every=isinstance(where, AllOf) == holds)
        values = self._values[where.path]
        places = values.holding(where)
        return self._test(where.path, places if holds else values.every & ~places)

    def _test(self, path: str, places: int) -> _Formula:
        if places in (0, self._values[path].every):
            return bool(places)
        return _Test(path, places)

    def _group(self, parts: Iterable[_Formula], *, every: bool) -> _Formula:
        """One formula of the parts; tests on one path become one, and what a part settles is settled."""
        tests: dict[str, int] = {}
        groups: list[_Formula] = []
        for part in _flat(parts, every=every):
            if isinstance(part, bool):
                if part is not every:
                    return part
            elif isinstance(part, _Test):
                known = tests.get(part.path, part.places)
                tests[part.path] = known & part.places if every else known | part.places
            else:
                groups.append(part)
        merged = [self._test(path, places) for path, places in tests.items()]
        if any(part is (not every) for part in merged):
            return not every
        found = (*(part for part in merged if part is not every), *groups)
        return found[0] if len(found) == 1 else _Group(every, found) if found else every

    def example(self, places: Mapping[str, int]) -> Record | None:
        """A record with every value at one of its places; None where nulls contradict each other.

        A leaf that is not nullable itself is null exactly where a record above it is, with all that lies below it.
        """
        absent: set[str] = set()
        for path, values in self._values.items():
            if places[path] == values.null and not self._schema.fields[path].nullable:
                absent |= {other for other in self._values if other.startswith(f"{self._above[path]}.")}
        if any(not places[path] & self._values[path].null for path in absent):
            return None
        return {path: None if path in absent else values.example(places[path]) for path, values in self._values.items()}


@dataclass(slots=True)
class _Search:
    """Case analysis: what every case must satisfy is drawn first; then the choice with fewest ways is split."""

    space: Space
    looks: int

    def solve(self, formulas: Iterable[_Formula], places: dict[str, int], depth: int) -> Record | None:
        pending, choices = list(formulas), list[_Group]()
        while pending:
            reduced = self._reduced(pending.pop(), places)
            if reduced is False:
                return None
            if isinstance(reduced, _Test):
                places[reduced.path] &= reduced.places
                pending += choices
                choices.clear()
            elif isinstance(reduced, _Group):
                if reduced.every:
                    pending += reduced.parts
                else:
                    choices.append(reduced)
        if not choices:
            return self.space.example(places)
        if not depth:
            raise _too_intricate()
        split = min(choices, key=lambda choice: len(choice.parts))
        others = [choice for choice in choices if choice is not split]
        cases = (self.solve((part, *others), dict(places), depth - 1) for part in split.parts)
        return next((found for found in cases if found is not None), None)

    def _reduced(self, formula: _Formula, places: Mapping[str, int]) -> _Formula:
        """What is left of a formula once every path is at one of its places."""
        self.looks -= 1
        if self.looks < 0:
            raise _too_intricate()
        if isinstance(formula, _Test):
            possible = places[formula.path]
            if not possible & formula.places:
                return False
            return formula if possible & ~formula.places else True
        if isinstance(formula, _Group):
            parts: list[_Formula] = []
            for part in formula.parts:
                left = self._reduced(part, places)
                if left is (not formula.every):
                    return left
                if left is not formula.every:
                    parts.append(left)
            return parts[0] if len(parts) == 1 else _Group(formula.every, tuple(parts)) if parts else formula.every
        return formula


def _flat(parts: Iterable[_Formula], *, every: bool) -> Iterator[_Formula]:
    for part in parts:
        if isinstance(part, _Group) and part.every is every:
            yield from part.parts
        else:
            yield part


def _too_intricate() -> Invalid:
    return Invalid(
        f"the two populations differ in too many ways to go through (more than {MOST_LOOKS} tests): bring them closer "
        "together, one change at a time"
    )


def _values(schema: Schema, path: str, tests: Sequence[Equals | Range | Prefix]) -> _Values:
    leaf = schema.fields.get(path)
    if leaf is None or leaf.repeated:
        raise Invalid(f"{path} is not a single-valued leaf of {schema.product}")
    mentioned = {text for test in tests if isinstance(test, Equals) for text in test.values}
    able = {text for text in mentioned if _can_hold(schema, path, text)}
    if leaf.type == "string":
        points = able | set(_ends(path, tests))
        texts = sorted(points | set(_gaps(sorted(points))))
    elif all(isinstance(test, Equals) for test in tests):
        points, texts = able, sorted(able | set(_others(leaf, able)))
    else:
        raise Invalid(f"{path} is not text: range and prefix need text")
    if not texts:
        raise Invalid(f"{path} is of type {leaf.logical or leaf.type}, which no population can select on")
    null = 1 << len(texts) if leaf.optional else 0
    return _Values(texts, sum(1 << place for place, text in enumerate(texts) if text in points), null)


def _can_hold(schema: Schema, path: str, text: str) -> bool:
    with suppress(Invalid):
        encode_literal(schema, path, text)
        return True
    return False


def _others(leaf: Field, mentioned: set[str]) -> Iterator[str]:
    """Values of a leaf that is no text beside those mentioned: all of them, or one that stands for the others."""
    match leaf.logical or leaf.type:
        case "enum":
            yield from leaf.symbols
        case "boolean":
            yield from ("false", "true")
        case "int" | "long":
            yield next(text for text in map(str, count()) if text not in mentioned)
        case "date":
            days = (date(2000, 1, 1) + timedelta(days) for days in count())
            yield next(text for text in map(date.isoformat, days) if text not in mentioned)
        case _:
            return


def _ends(path: str, tests: Iterable[Equals | Range | Prefix]) -> Iterator[str]:
    """Where ranges and prefixes begin and end."""
    for test in tests:
        ends: tuple[str | None, ...] = ()
        if isinstance(test, Range):
            ends = test.low, test.high
        elif isinstance(test, Prefix):
            ends = test.prefix, _after_prefix(test.prefix)
        for text in ends:
            if text is not None:
                if any(ord(character) in _SURROGATES for character in text):
                    raise Invalid(f"{path}: a range or prefix is Unicode text")
                yield text


def _after_prefix(prefix: str) -> str | None:
    """The least text after all that start with `prefix`; None where there is none."""
    stem = prefix.rstrip(_LAST_CHARACTER)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)


def _gaps(points: Sequence[str]) -> Iterator[str]:
    """One text before the first point, between each two neighbours and after the last, where there is one."""
    if not points:
        yield ""
        return
    if points[0]:
        yield next(text for text in (*_readable(points[0], -1), "") if text < points[0])
    yield from filter(None, (_between(low, high) for low, high in pairwise(points)))
    yield next(_following(points[-1]))


def _between(low: str, high: str) -> str | None:
    return next((text for text in _following(low) if text < high), None)


def _following(low: str) -> Iterator[str]:
    """Texts after `low`, those that read well first; the last one is the very next in the order."""
    tries = (*_readable(low, 1), f"{low}a", f"{low}0", f"{low}\0")
    return (text for text in tries if low < text)


def _readable(text: str, step: int) -> Iterator[str]:
    """The next or previous day of a date, or number of a code of digits."""
    with suppress(ValueError, OverflowError):
        yield (date.fromisoformat(text) + timedelta(step)).isoformat()
    if text.isascii() and text.isdigit() and int(text) + step >= 0:
        yield str(int(text) + step).zfill(len(text))


def _deepest_above(path: str, branches: Iterable[str]) -> str:
    """The nearest nullable record above a leaf; empty if there is none."""
    return max((branch for branch in branches if path.startswith(f"{branch}.")), key=len, default="")
