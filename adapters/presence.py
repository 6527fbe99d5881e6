"""Which optional fields a record has, and how often each of them was there: shares by path, never a value.

A path is optional where it, or something that holds it, is nullable or a list. It is there in a record that has a value
at it, in a list with at least one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from broker.schema.types import Array, Nullable, Record, unwrapped

Mask = int
"""What of one record is there: bit i stands for the i-th of the optional paths."""

MaskOf = Callable[[Mapping[str, Any]], Mask]

MOST_RECORDS = 100_000
"""From so many on, half of what was counted is forgotten: a share follows the source, and its state stays small."""

RECENT = 200
"""Of how long a path is absent so much is never forgotten."""


def optional_paths(root: Record) -> tuple[str, ...]:
    """The optional leaf paths of a record, in the order of its schema."""
    paths: list[str] = []
    _compile(root, "", paths, optional=False)
    return tuple(paths)


def paths_of(root: Record, path: str = "") -> Iterator[str]:
    """Every path of a record: of its fields, and of what they hold."""
    for each in root.fields:
        below = f"{path}.{each.name}" if path else each.name
        yield below
        inner = unwrapped(each.type)
        held = unwrapped(inner.items) if isinstance(inner, Array) else inner
        if isinstance(held, Record):
            yield from paths_of(held, below)


def compile_mask(root: Record) -> MaskOf:
    """Function of a product's value, one that fits the schema, to which of `optional_paths` are there in it."""
    return _compile(root, "", [], optional=False)


@dataclass(slots=True)
class Masks:
    """Masks of some records in their order, each distinct one once: `[how often, number of the last one]`, from 1 on."""

    number: int = 0
    seen: dict[Mask, list[int]] = field(default_factory=dict)

    def add(self, mask: Mask) -> None:
        """One record more."""
        self.number += 1
        known = self.seen.get(mask)
        if known is None:
            self.seen[mask] = [1, self.number]
        else:
            known[0] += 1
            known[1] = self.number


@dataclass(frozen=True, slots=True)
class Presence:
    """How often each path was there in `records` records, and how many records ago it was there last.

    `present` and `absent` stand in the order of the paths; `absent` is 0 for a path that the last record has. Of a long
    history all of them are about its latest part (`MOST_RECORDS`), but that `absent` is exact up to `RECENT`.
    """

    records: int
    present: tuple[int, ...]
    absent: tuple[int, ...]

    @classmethod
    def none(cls, paths: int) -> "Presence":
        """Nothing counted yet, of so many paths."""
        return cls(0, (0,) * paths, (0,) * paths)

    def plus(self, masks: Masks) -> "Presence":
        """These records as well."""
        present, absent = list(self.present), list(self.absent)
        for number in range(len(present)):
            bit, last = 1 << number, 0
            for mask, (times, at) in masks.seen.items():
                if mask & bit:
                    present[number] += times
                    last = max(last, at)
            absent[number] = masks.number - last if last else absent[number] + masks.number
        records = self.records + masks.number
        if records > MOST_RECORDS:
            records, present = records // 2, [count // 2 for count in present]
            absent = [max(count // 2, min(count, RECENT)) for count in absent]
        return Presence(records, tuple(present), tuple(absent))

    def share(self, number: int) -> float:
        """Share of the records that had a path, by its number: 0 to 1."""
        return self.present[number] / self.records if self.records else 0.0


def _compile(record: Record, path: str, paths: list[str], *, optional: bool) -> MaskOf:
    """Numbers the optional paths below `path` as it goes; `optional` where something that holds the record is."""
    plan = _Plan()
    for each in record.fields:
        below = f"{path}.{each.name}" if path else each.name
        inner, nullable = unwrapped(each.type), isinstance(each.type, Nullable)
        item = unwrapped(inner.items) if isinstance(inner, Array) else None
        if isinstance(inner, Record):
            plan.inside.append((each.name, _compile(inner, below, paths, optional=optional or nullable)))
        elif isinstance(item, Record):
            plan.several.append((each.name, _compile(item, below, paths, optional=True)))
        elif optional or nullable or item is not None:
            bit = 1 << len(paths)
            paths.append(below)
            if item is not None:
                plan.lists.append((each.name, bit))
            elif nullable:
                plan.scalars.append((each.name, bit))
            else:
                plan.always |= bit
    return plan.compiled()


@dataclass(slots=True)
class _Plan:
    """The members of a record by how they tell that they are there."""

    always: Mask = 0
    scalars: list[tuple[str, Mask]] = field(default_factory=list)
    lists: list[tuple[str, Mask]] = field(default_factory=list)
    inside: list[tuple[str, MaskOf]] = field(default_factory=list)
    several: list[tuple[str, MaskOf]] = field(default_factory=list)

    def compiled(self) -> MaskOf:
        always, scalars, lists, inside, several = self.always, self.scalars, self.lists, self.inside, self.several

        def mask_of(value: Mapping[str, Any]) -> Mask:
            mask, get = always, value.get
            for name, bit in scalars:
                if get(name) is not None:
                    mask |= bit
            for name, bit in lists:
                if get(name):
                    mask |= bit
            for name, of in inside:
                if (held := get(name)) is not None:
                    mask |= of(held)
            return mask | _any_of(value, several) if several else mask

        return mask_of


def _any_of(value: Mapping[str, Any], several: list[tuple[str, MaskOf]]) -> Mask:
    """What is there in at least one item of some lists."""
    mask = 0
    for name, of in several:
        for item in value.get(name) or ():
            if item is not None:
                mask |= of(item)
    return mask
