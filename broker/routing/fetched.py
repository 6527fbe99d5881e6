"""What a lane fetched of one source topic: whole batches, whose records are decoded only where somebody looks at them."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from broker.native.library import Core
from broker.native.unpacking import Columns, Stretch, unpack


class RecordBatch(Protocol):
    """A fetched batch, of which records before offset `first` were not asked for; `next` is the offset behind it."""

    base_offset: int
    first: int
    next: int

    def __len__(self) -> int:
        """Number of records, those that were not asked for included."""

    def records(self) -> Iterator[Any]:
        """Its records that were asked for; only once."""

    def plain(self) -> bytes | memoryview | None:
        """Its bytes, uncompressed, in Kafka's format v2; None where it is in another."""


class Fetched:
    """Records in the order of their log."""

    __slots__ = ("_batches", "_decoded", "_number")

    def __init__(self, batches: Iterable[RecordBatch]) -> None:
        self._batches = list(batches)
        self._decoded: dict[int, Sequence[Any]] = {}
        self._number: int | None = None

    def __len__(self) -> int:
        if self._number is None:
            self._number = sum(
                len(self._records(place) if batch.base_offset < batch.first else batch)
                for place, batch in enumerate(self._batches)
            )
        return self._number

    def __iter__(self) -> Iterator[Any]:
        return (record for place in range(len(self._batches)) for record in self._records(place))

    def __add__(self, other: "Fetched") -> "Fetched":
        """These, and others behind them."""
        both = Fetched([*self._batches, *other._batches])
        both._decoded = dict(self._decoded)
        both._number = len(self) + len(other)
        return both

    @property
    def next(self) -> int:
        """The offset behind them."""
        return self._batches[-1].next

    def at(self, offsets: Collection[int]) -> Sequence[Any]:
        """The records at these offsets, which are sorted; no batch without one of them is decoded."""
        wanted, found = sorted(offsets), list[Any]()
        at = 0
        for place, batch in enumerate(self._batches):
            begin = at
            while at < len(wanted) and wanted[at] < batch.next:
                at += 1
            if at > begin:
                own = frozenset(wanted[begin:at])
                found += [record for record in self._records(place) if record.offset in own]
        return found

    def columns(self, core: Core) -> Columns | None:
        """All of them as columns; None where the native core is not sure of their bytes."""
        stretches = list[Stretch]()
        for batch in self._batches:
            plain = batch.plain()
            if plain is None:
                return None
            stretches.append(Stretch(plain, batch.first))
        return unpack(core, stretches)

    def _records(self, place: int) -> Sequence[Any]:
        if place not in self._decoded:
            self._decoded[place] = list(self._batches[place].records())
        return self._decoded[place]
