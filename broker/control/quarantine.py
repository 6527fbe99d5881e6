"""The quarantine of a product, for its source: what lies there and why, the bytes of one record, and another look at it.

A note (`broker.routing.quarantine`, `adapters.batch`) holds coordinates, code and path. What a lane made of a retry is a
later note on the same coordinates, in the same topic: that is how an item is closed.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

from broker.control.views import Control
from broker.errors import Conflict, NotFound
from broker.model import topics
from broker.model.facts import FactType
from broker.model.quarantine_book import Outcome, Place, Retry
from broker.model.record import header, trace_id_of

MOST_READ = 200_000
"""Notes that are read for one answer: the latest."""


@dataclass(frozen=True, slots=True)
class Note:
    """One quarantined item. `number` is its place in the quarantine; `at` an instant as it was written.

    `lane` and `offset` are those of the source record; None for what an `adapter` set aside, which never was a record here.
    """

    number: int
    code: str
    path: str
    digest: str
    at: str
    trace: str | None = None
    lane: int | None = None
    offset: int | None = None
    adapter: str | None = None
    outcome: Outcome | None = None
    run: int | None = None
    """The retry that this is the outcome of."""


@dataclass(frozen=True, slots=True)
class Held:
    """The notes of one quarantine, oldest first; not `whole` where there are more than `MOST_READ`."""

    notes: Sequence[Note]
    whole: bool


@dataclass(frozen=True, slots=True)
class Tally:
    """Open items of one code: their number, and when the first and the last came."""

    code: str
    count: int
    first: str
    last: str


class Records(Protocol):
    """Records of one partition, as they were when it was opened."""

    @property
    def end(self) -> int:
        """Offset after the last."""

    @property
    def first(self) -> int:
        """Offset of the first that is still there."""

    def records(self, start: int = 0, end: int | None = None) -> Any:
        """Committed records in order, some at a time."""


class Past(Protocol):
    """Reader of topics; `broker.control.history` behind it. Each raises `KafkaUnavailable`."""

    def partition(self, topic: str, number: int) -> AbstractAsyncContextManager[Records]:
        """One partition, open for the block."""

    async def record_at(self, topic: str, lane: int, offset: int) -> Any | None:
        """The record at these coordinates; None where it is compacted away."""


@dataclass(frozen=True, slots=True)
class Quarantine:
    """Who may see, open or retry is the caller's to check."""

    control: Control
    past: Past

    async def held(self, source: str, product: str) -> Held:
        """Everything in the quarantine of a product; raises `NotFound`."""
        await self.control.read_to_head()
        if (source, product) not in self.control.state.products:
            raise NotFound("no such product")
        rows: list[Any] = []
        async with self.past.partition(topics.quarantine(source, product), 0) as partition:
            start = max(partition.first, partition.end - MOST_READ)
            async for found in partition.records(start):
                rows += found
            whole = start == partition.first
        return Held(tuple(folded(filter(None, map(read_note, rows)))), whole)

    async def find(self, place: Place) -> Note:
        """The latest note on a source record; raises `NotFound`."""
        held = await self.held(place.source, place.product)
        found = next((note for note in held.notes if (note.lane, note.offset) == (place.lane, place.offset)), None)
        if found is None:
            raise NotFound("nothing is quarantined at these coordinates (any more: 30 days)")
        return found

    async def open(self, place: Place, *, why: str, by: str, credential: str | None) -> bytes | None:
        """The value of a quarantined record, None for a deletion; that it was opened is a fact before it is returned.

        Raises `NotFound` where it is not in the quarantine, or no longer in the source's topic.
        """
        await self.find(place)
        record = await self.past.record_at(place.topic, place.lane, place.offset)
        if record is None:
            raise NotFound("the record is no longer there: the source has stated its subject anew since")
        data = {**place._asdict(), "why": why, "credential": credential}
        await self.control.append(FactType.QUARANTINE_OPENED, aggregate_of(place), data, by=by)
        value: bytes | None = record.value
        return value

    async def retry(self, place: Place, *, by: str) -> Retry:
        """Have the record's lane look at it again; what came of it is the next note on it.

        Raises `NotFound`, and `Conflict` where it is closed or a retry is under way.
        """
        note, asked = await self.find(place), self.control.state.quarantine.latest_retry(place)
        if note.outcome is not None:
            raise Conflict(f"it is closed: {note.outcome}")
        if asked is not None and (note.run is None or note.run < asked.epoch):
            raise Conflict("a retry of it is under way: look at it again in a moment")
        await self.control.append(FactType.QUARANTINE_RETRIED, aggregate_of(place), place._asdict(), by=by)
        retry = self.control.state.quarantine.latest_retry(place)
        if retry is None:
            raise Conflict("the retry was not taken: ask again")
        return retry


def aggregate_of(place: Place) -> str:
    """Name in the control log of one quarantined record."""
    return f"quarantine/{place.source}/{place.product}/{place.lane}/{place.offset}"


def read_note(record: Any) -> Note | None:
    """Note of one record of a quarantine; None for what is none."""
    try:
        line = json.loads(record.value or b"")
        trace = trace_id_of(header(record.headers, "traceparent"))
        return Note(
            number=record.offset,
            code=str(line["code"]),
            path=str(line["path"]),
            digest=str(line["digest"]),
            at=str(line["at"]),
            trace=None if trace is None else trace.hex(),
            lane=None if line.get("partition") is None else int(line["partition"]),
            offset=None if line.get("offset") is None else int(line["offset"]),
            adapter=None if line.get("adapter") is None else str(line["adapter"]),
            outcome=None if line.get("outcome") is None else Outcome(line["outcome"]),
            run=None if line.get("run") is None else int(line["run"]),
        )
    except (KeyError, TypeError, ValueError, RecursionError):
        return None


def folded(notes: Iterator[Note]) -> Iterator[Note]:
    """One note per item: the latest code, what closed it, and the instant of the first; in the order in which items came."""
    items: dict[object, Note] = {}
    for note in notes:
        item = (note.lane, note.offset) if note.offset is not None else note.number
        first = items.get(item)
        if first is None:
            items[item] = note
        elif note.outcome is not None:
            items[item] = replace(first, outcome=note.outcome, run=note.run)
        else:
            items[item] = replace(note, number=first.number, at=first.at)
    yield from items.values()


def tallied(notes: Collection[Note]) -> Sequence[Tally]:
    """Open items by code, the most frequent first."""
    by_code: dict[str, list[str]] = {}
    for note in notes:
        if note.outcome is None:
            by_code.setdefault(note.code, []).append(note.at)
    found = [Tally(code, len(instants), min(instants), max(instants)) for code, instants in by_code.items()]
    return sorted(found, key=lambda each: (-each.count, each.code))
