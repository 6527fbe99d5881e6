"""A product's records held against the seals on them: what its source vouches for, and what nobody does.

A leaf can be sealed more than once, where a source says again what it said before: the last records with it are the ones
of the last seals. A record that stands behind later ones of its lane, by the count of the seals, was written again by
somebody else, who may have wanted an earlier state back.
"""

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from broker.control.source_seals import doubt_of
from broker.errors import Invalid
from broker.model import topics
from broker.model.record import header
from broker.model.seal_keys import SealKeyBook
from broker.model.source_seal import MOST_LEAVES, SourceSeal, decode_seal, leaves_of

MOST_COORDINATES = 100
"""Records of each kind whose coordinates are told: the first ones; all are counted."""

_INDEX_BITS = MOST_LEAVES.bit_length()
_SERIES_BITS = _INDEX_BITS + 31
_MOST_SERIES = 1 << (63 - _SERIES_BITS)
_NOT_SEALED = -1


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Where a record lies."""

    lane: int
    offset: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found of one product; counts, and the first coordinates of what nobody vouches for.

    `records = sealed + unsealed + repeated`. `unsealed` is by lane; `before` of them were appended before the first seal.
    `repeated` are records that were written more often than they were sealed, `misplaced` sealed ones behind later ones.
    `doubts` counts seals that are not believed by code (`source_seals.doubt_of`; SEAL_MALFORMED, SEAL_REPEATED), `missing`
    those whose number was never seen.
    """

    records: int
    sealed: int
    unsealed: Mapping[int, int]
    before: int
    repeated: int
    misplaced: int
    seals: int
    doubts: Mapping[str, int]
    missing: int
    coordinates: Mapping[str, Sequence[Coordinates]]

    @property
    def sound(self) -> bool:
        """Whether the source vouches for every record, and every seal is as it was made."""
        return not (self.unsealed or self.repeated or self.misplaced or self.doubts or self.missing)

    def as_json(self) -> dict[str, Any]:
        """JSON object with the members above in camelCase; lanes are names, as in JSON they must be."""
        return {
            "sound": self.sound,
            "records": self.records,
            "sealed": self.sealed,
            "unsealed": {str(lane): count for lane, count in sorted(self.unsealed.items())},
            "unsealedBeforeFirstSeal": self.before,
            "repeated": self.repeated,
            "misplaced": self.misplaced,
            "seals": self.seals,
            "doubts": dict(sorted(self.doubts.items())),
            "missingSeals": self.missing,
            "coordinates": {
                kind: [{"lane": each.lane, "offset": each.offset} for each in found]
                for kind, found in self.coordinates.items()
            },
        }


@dataclass(slots=True)
class Series:
    """The seals of one adapter, by number: the last one seen, and the gaps before it."""

    code: int
    last: int = 0
    gaps: list[range] = field(default_factory=list)

    def follows(self, number: int, *, first: bool) -> bool:
        """Take a number in, the `first` of all as it is; False where it, or a later one, was there before."""
        if number <= self.last:
            return False
        if not first and number > self.last + 1:
            self.gaps.append(range(self.last + 1, number))
        self.last = number
        return True


class Examination:
    """Takes records lane by lane in their order, then seals in theirs; `whole` where both are taken from their beginning."""

    def __init__(self, organisation: str, product: str, book: SealKeyBook, *, whole: bool) -> None:
        self._leaf = leaves_of(topics.source(organisation, product))
        self._organisation, self._product, self._book, self._whole = organisation, product, book, whole
        self._indices: dict[bytes, int] = {}
        self._copies: dict[bytes, list[int]] = {}
        self._sealings: dict[bytes, list[int]] = {}
        self._lanes, self._offsets, self._times = array("i"), array("q"), array("q")
        self._places = array("q")
        self._series: dict[tuple[str, str], Series] = {}
        self._distrusted: set[tuple[str, str, int]] = set()
        self._first: int | None = None
        self._seals = 0
        self._doubts: Counter[str] = Counter()

    def record(self, lane: int, record: Any) -> None:
        """One record of the product's topic."""
        leaf = self._leaf(header(record.headers, "ce_id") or b"", record.key or b"", record.value)
        index = len(self._offsets)
        self._lanes.append(lane)
        self._offsets.append(record.offset)
        self._times.append(record.timestamp)
        self._places.append(_NOT_SEALED)
        earlier = self._indices.setdefault(leaf, index)
        if earlier != index:
            self._copies.setdefault(leaf, [earlier]).append(index)

    def seal(self, record: Any) -> None:
        """One record of the topic of seals."""
        self._seals += 1
        try:
            seal = decode_seal(record.value or b"")
        except Invalid:
            self._doubts["SEAL_MALFORMED"] += 1
            return
        appended = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        doubt = doubt_of(seal, self._book, organisation=self._organisation, product=self._product, appended=appended)
        if doubt is None and not self._counted(seal):
            doubt = "SEAL_REPEATED"
        if doubt is not None:
            self._doubts[doubt] += 1
            if doubt == "SEAL_KEY_DISTRUSTED":
                self._distrusted.add((seal.adapter, seal.series, seal.number))
            return
        self._first = record.timestamp if self._first is None else min(self._first, record.timestamp)
        self._believe(seal)

    def verdict(self) -> Verdict:
        """What was found."""
        repeated = set(self._matched())
        misplaced = [index for index in self._behind_later() if index not in repeated]
        unsealed = [index for index, place in enumerate(self._places) if place == _NOT_SEALED and index not in repeated]
        first = self._first
        return Verdict(
            records=len(self._offsets),
            sealed=len(self._offsets) - len(unsealed) - len(repeated),
            unsealed=Counter(self._lanes[index] for index in unsealed),
            before=sum(first is not None and self._times[index] < first for index in unsealed),
            repeated=len(repeated),
            misplaced=len(misplaced),
            seals=self._seals,
            doubts=self._doubts,
            missing=sum(self._missing()),
            coordinates={
                kind: [Coordinates(self._lanes[index], self._offsets[index]) for index in found[:MOST_COORDINATES]]
                for kind, found in (("unsealed", unsealed), ("repeated", sorted(repeated)), ("misplaced", misplaced))
            },
        )

    def _counted(self, seal: SourceSeal) -> bool:
        name = seal.adapter, seal.series
        known = self._series.get(name)
        if known is None:
            known = self._series[name] = Series(len(self._series) % _MOST_SERIES)
            return known.follows(seal.number, first=not self._whole)
        return known.follows(seal.number, first=False)

    def _believe(self, seal: SourceSeal) -> None:
        base = self._series[seal.adapter, seal.series].code << _SERIES_BITS | seal.number << _INDEX_BITS
        for number, leaf in enumerate(seal.leaves):
            index = self._indices.get(leaf)
            if index is None:
                continue  # compacted away, or of before what was asked for
            if leaf in self._copies:
                self._sealings.setdefault(leaf, []).append(base | number)
            self._places[index] = base | number

    def _matched(self) -> Iterator[int]:
        """Give each of several equal records the seal that is its own; yields those that are left over."""
        for leaf, copies in self._copies.items():
            sealings = self._sealings.get(leaf, [])
            if not sealings:
                continue
            kept = sealings[-len(copies) :]
            for index, place in zip(copies, kept, strict=False):
                self._places[index] = place
            for index in copies[len(kept) :]:
                self._places[index] = _NOT_SEALED
                yield index

    def _behind_later(self) -> Iterator[int]:
        """Sealed records that lie behind one of their lane that was sealed later, by the same adapter."""
        latest: dict[tuple[int, int], int] = {}
        for index, place in enumerate(self._places):
            if place == _NOT_SEALED:
                continue
            name = self._lanes[index], place >> _SERIES_BITS
            if place < latest.get(name, 0):
                yield index
            else:
                latest[name] = place

    def _missing(self) -> Iterator[int]:
        for (adapter, series), known in self._series.items():
            numbers = (number for *name, number in self._distrusted if name == [adapter, series])
            seen = sum(any(number in gap for gap in known.gaps) for number in numbers)
            yield sum(map(len, known.gaps)) - seen
