"""Drift of a source: a field that it used to fill in and does not any more, a code that nobody has mapped.

Told by product and path, never with a value. What is counted lies beside the runner's cursor, one row per product; it is
bounded by the product's schema and holds nothing about a subject.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from adapters.presence import RECENT, MaskOf, Masks, Presence
from adapters.publication import Publication
from broker.batches import Row
from broker.errors import Drifted

LEAST, USUAL = 500, 0.5
"""A path counts as filled in once it was there in this share of so many records."""

WINDOW = RECENT
"""The records that are `now`: so many of the last ones."""

UNMAPPED = 0.05
"""The share of them from which a code without a mapping is drift."""

CODE, ABSENT = "CODE_UNKNOWN", "ABSENT"

_STATE = b"drift/"
_REMEDY = {
    ABSENT: "{product}: {path} was in most records and is in none of the last ones: ask the source's owner what became of it.",
    CODE: "{product}: {path} has codes that the mapping does not know: add them to its `codes`.",
}
_GO_ON = " Nothing more was published. A run with `drift: report` goes on, after which `drift: stop` stops for other drift only"
_EACH, _ONE_IN = 200, 11
"""In one transaction so many records are looked into each, and of what follows one in so many."""

_BLOCK = 20
_BLOCKS = WINDOW // _BLOCK


@dataclass(frozen=True, slots=True, order=True)
class Drift:
    """What became of one path: `code` is ABSENT or CODE_UNKNOWN; `was` and `now` are shares of records, 0 to 1.

    Of ABSENT the share that had it, of CODE_UNKNOWN the share that was set aside for it.
    """

    product: str
    path: str
    code: str
    was: float = field(compare=False)
    now: float = field(compare=False)

    def as_json(self) -> dict[str, Any]:
        """JSON object `{product, path, code, was, now}`."""
        return {"product": self.product, "path": self.path, "code": self.code, "was": self.was, "now": self.now}


@dataclass(slots=True)
class Observed:
    """What one transaction's items of a product show, in their order."""

    masks: Masks = field(default_factory=Masks)
    taken: int = 0
    unmapped: list[tuple[int, str]] = field(default_factory=list)

    def published(self, value: Mapping[str, Any], mask_of: MaskOf) -> None:
        """A record; of the many of a large transaction not each is looked into."""
        self.taken += 1
        if self.masks.number < _EACH or not self.taken % _ONE_IN:
            self.masks.add(mask_of(value))

    def quarantined(self, reason: str, path: str) -> None:
        """An item that was set aside; `path` is one of the product's, or empty."""
        self.taken += 1
        if reason == CODE and path:
            self.unmapped.append((self.taken, path))


@dataclass(frozen=True, slots=True)
class Unmapped:
    """Items of one path that were set aside for their code: how many in all, and how many in each of the last blocks."""

    total: int = 0
    blocks: Mapping[int, int] = field(default_factory=dict)

    def plus(self, block: int) -> "Unmapped":
        """One more, in a block."""
        return Unmapped(self.total + 1, {**self.blocks, block: self.blocks.get(block, 0) + 1})

    def since(self, block: int) -> "Unmapped":
        """Without the blocks of before."""
        return replace(self, blocks={number: count for number, count in self.blocks.items() if number >= block})


@dataclass(frozen=True, slots=True)
class ProductDrift:
    """What is known of a product: presence of its paths, items set aside, and which drift somebody was told of and let go on."""

    product: str
    paths: tuple[str, ...]
    presence: Presence
    taken: int = 0
    unmapped: Mapping[str, Unmapped] = field(default_factory=dict)
    accepted: frozenset[tuple[str, str]] = frozenset()

    @classmethod
    def restored(cls, product: str, paths: tuple[str, ...], state: Mapping[bytes, bytes]) -> Self:
        """What the state's row of the product says; paths that it does not have begin at nothing."""
        stored = state.get(_STATE + product.encode())
        if stored is None:
            return cls(product, paths, Presence.none(len(paths)))
        noted = json.loads(stored)
        counts = [noted["paths"].get(path, (0, 0)) for path in paths]
        presence = Presence(
            noted["records"], tuple(present for present, _ in counts), tuple(absent for _, absent in counts)
        )
        unmapped = {
            path: Unmapped(total, {int(block): count for block, count in blocks.items()})
            for path, (total, blocks) in noted["unmapped"].items()
        }
        accepted = frozenset((path, code) for path, code in noted["accepted"])
        return cls(product, paths, presence, noted["taken"], unmapped, accepted)

    def row(self) -> Row:
        """The state's row."""
        counts = zip(self.paths, self.presence.present, self.presence.absent, strict=True)
        noted = {
            "records": self.presence.records,
            "taken": self.taken,
            "paths": {path: [present, absent] for path, present, absent in counts},
            "unmapped": {path: [held.total, held.blocks] for path, held in self.unmapped.items()},
            "accepted": sorted(self.accepted),
        }
        return _STATE + self.product.encode(), json.dumps(noted, separators=(",", ":")).encode(), []

    @property
    def block(self) -> int:
        """Which so many items it stands in."""
        return self.taken // _BLOCK

    def plus(self, seen: Observed) -> "ProductDrift":
        """With what one transaction shows."""
        taken, unmapped = self.taken + seen.taken, dict(self.unmapped)
        for number, path in seen.unmapped:
            unmapped[path] = unmapped.get(path, Unmapped()).plus((self.taken + number - 1) // _BLOCK)
        oldest = (taken - 1) // _BLOCK - _BLOCKS + 1
        recent = {path: held.since(oldest) for path, held in unmapped.items()}
        return replace(self, presence=self.presence.plus(seen.masks), taken=taken, unmapped=recent)

    def found(self) -> tuple[Drift, ...]:
        """What drifts now."""
        return tuple(sorted((*self._absent(), *self._unmapped())))

    def accepting(self) -> "ProductDrift":
        """Somebody was told and the source goes on; what drifts no more is forgotten, and would stop it again."""
        return replace(self, accepted=frozenset((each.path, each.code) for each in self.found()))

    def _absent(self) -> Iterator[Drift]:
        counts = zip(self.paths, self.presence.present, self.presence.absent, strict=True)
        for path, present, absent in counts:
            before = self.presence.records - absent
            if absent >= WINDOW and before >= LEAST and present >= USUAL * before:
                yield Drift(self.product, path, ABSENT, round(present / before, 3), 0.0)

    def _unmapped(self) -> Iterator[Drift]:
        if self.taken < WINDOW:
            return
        for path, held in self.unmapped.items():
            recent = sum(held.blocks.values())
            if recent >= UNMAPPED * WINDOW:
                before = self.taken - WINDOW
                was = (held.total - recent) / before if before else 0.0
                yield Drift(self.product, path, CODE, round(was, 3), round(recent / WINDOW, 3))


@dataclass(frozen=True, slots=True)
class Watch:
    """All products of an adapter."""

    products: Mapping[str, ProductDrift]

    @classmethod
    def restored(cls, publications: Mapping[str, Publication], state: Mapping[bytes, bytes]) -> Self:
        """What the state says of the adapter's products."""
        return cls(
            {
                product: ProductDrift.restored(product, publication.optional, state)
                for product, publication in publications.items()
            }
        )

    def plus(self, observed: Mapping[str, Observed], *, stops: bool) -> "Watch":
        """With what one transaction shows; raises `Drifted` where drift `stops` the source and nobody was told of it yet."""
        moved = {product: self.products[product].plus(seen) for product, seen in observed.items()}
        for known in moved.values() if stops else ():
            for each in known.found():
                if (each.path, each.code) not in known.accepted:
                    raise Drifted(_REMEDY[each.code].format(product=each.product, path=each.path) + _GO_ON)
        accepted = moved if stops else {product: known.accepting() for product, known in moved.items()}
        return Watch({**self.products, **accepted})

    def rows(self, before: "Watch") -> list[Row]:
        """The state's rows that are due: one in so many items, which is what a crash can make it forget, and what is accepted."""
        return [
            known.row()
            for product, known in self.products.items()
            if known.block != before.products[product].block or known.accepted != before.products[product].accepted
        ]

    def found(self) -> tuple[Drift, ...]:
        """What drifts now."""
        return tuple(each for known in self.products.values() for each in known.found())
