"""A lane's second input: what happens to subjects without a record, namely their papers and the instants that pass (R8).

Papers are files and consents in `subjects.dossiers`, in the subject's lane. What was read but not told yet, and every
instant that came, waits here as a `Cause` until a commit has told it; the offset and the instant that go with the commit
say up to where everything is told, so that a new owner tells the rest, once.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from broker.control.consent_records import ConsentBook, consent_place
from broker.control.dossier_book import DossierBook
from broker.control.dossier_records import Place, place_of
from broker.control.replacement_records import ReplacementBook, replaced_place
from broker.model import topics
from broker.policy.calendar import milliseconds
from broker.policy.papers import NO_PAPERS, Papers, Told
from broker.routing.causes import Cause, Causes
from broker.routing.due import Due, DueTimes
from broker.routing.last_told import LastTold
from broker.routing.places import Places

_POLL_MS = 250
_AT_ONCE = 100
"""Records taken before anything else of the process has its turn: lanes that open with a million must not hold its heartbeats up."""


class Position(NamedTuple):
    """Up to where a lane has told everything: offset of `subjects.dossiers`, and instant (ms)."""

    offset: int
    told_ms: int


class _Attempt(NamedTuple):
    """What a commit under way tells, and the position it leaves."""

    position: Position
    causes: Sequence[Cause]
    now_ms: int


@dataclass(slots=True)
class Subjects:
    """Papers of one lane; `open` before anything else. `told_ms`: up to this instant everything that came is told."""

    consumer: Any
    lane: int
    k_lane: bytes = field(repr=False)
    told_ms: int = 0
    head: int = 0
    _dossiers: DossierBook = field(default_factory=DossierBook)
    _consents: ConsentBook = field(default_factory=ConsentBook)
    _replacements: ReplacementBook = field(init=False)
    _causes: Causes = field(init=False)
    _told: LastTold = field(init=False)
    """What was told last, where that is not what the papers were at `told_ms`, as they are known now."""
    _due: DueTimes = field(default_factory=DueTimes)
    _position: Position | None = None  # as committed last
    _attempt: _Attempt | None = None

    def __post_init__(self) -> None:
        self._replacements = ReplacementBook(self.k_lane)
        places = Places()
        self._causes = Causes(places)
        self._told = LastTold(self._dossiers, self.of, places)

    async def open(self, told: int | None, told_ms: int) -> None:
        """Read the papers; what lies before offset `told` (None: before the present end) is told, as is all up to `told_ms`."""
        target = self.target
        await self.consumer.start()
        self.consumer.assign([target])
        self.consumer.pause(target)
        await self.consumer.seek_to_beginning(target)
        end = (await self.consumer.end_offsets([target]))[target]
        self.told_ms = told_ms
        first = end if told is None else told
        await self._read(end, new=first)
        self._position = Position(first, told_ms)

    def agrees(self, told: int | None, told_ms: int) -> bool:
        """Whether what is known here goes on from this committed position, after a commit whose outcome is unknown.

        Else another owner came between, and all must be read again.
        """
        found = Position(-1 if told is None else told, told_ms)
        attempt = self._attempt
        if attempt is not None and found == attempt.position:
            self.settle(attempt.causes, attempt.now_ms)
        return found == self._position

    async def read_to(self, end: int) -> None:
        """Take every record before this offset, which was the head a moment ago.

        Paused unless behind: nothing is asked of a node that has nothing new.
        """
        await self._read(end, new=0)

    def of(self, subject: bytes) -> Papers:
        """Papers on the subject with this lane key, under whatever agreement."""
        dossiers, consents = self._dossiers.of(subject), self._consents.of(subject)
        replaced = self._replacements.successors(subject)
        return Papers(dossiers, consents, replaced) if dossiers or consents or replaced else NO_PAPERS

    def touched(self, subjects: set[bytes]) -> set[bytes]:
        """Those of `subjects` that have papers or a root: all others need not be asked for, one by one."""
        books = (self._dossiers, self._consents, self._replacements)
        return set[bytes]().union(*(book.among(subjects) for book in books))

    def root(self, subject: bytes, product: str) -> bytes | None:
        """First identifier of the chain that the subject continues in a product ("<source>/<product>"), if it does."""
        return self._replacements.root(subject, product)

    def come(self, now_ms: int) -> None:
        """Let the instants up to `now_ms` come."""
        for due in self._due.until(now_ms):
            self._causes.came(due.place, due.at, aging=due.aging)

    def age(self, places: Iterable[Place], at_ms: int) -> None:
        """Have these reconsidered for the day that began at `at_ms`."""
        for place in places:
            self._due.add(Due(at_ms, place, aging=True))

    def causes(self, most: int) -> Sequence[Cause]:
        """The first untold causes, at most so many."""
        return list(islice(self._causes, most))

    def told(self, place: Place) -> Told:
        """What was told of a subject's papers under an agreement last."""
        return self._told.get(place) or Told(self.of(place.subject), self.told_ms)

    def position(self, causes: Sequence[Cause], now_ms: int) -> Position:
        """Up to where everything is told once these, the first causes, are.

        While others wait the instant stays: after a crash what time caused is told again then, under the same delivery id.
        """
        untold = self._causes.first_record(len(causes))
        position = Position(
            self.head if untold is None else untold, self.told_ms if len(self._causes) > len(causes) else now_ms
        )
        self._attempt = _Attempt(position, causes, now_ms)
        return position

    def settle(self, causes: Sequence[Cause], now_ms: int) -> None:
        """Take note that these were told at `now_ms`: the commit is there."""
        if self._attempt is not None:
            self._position, self._attempt = self._attempt.position, None
        for cause in causes:
            self._causes.remove(cause.place)
        if len(self._causes):
            for cause in causes:
                self._told.told(cause.place, now_ms)
        else:
            self._told.clear()
            self.told_ms = now_ms

    @property
    def target(self) -> TopicPartition:
        """Where they are."""
        return TopicPartition(topics.DOSSIERS, self.lane)

    async def _read(self, end: int, *, new: int) -> None:
        target = self.target
        while await self.consumer.position(target) < end:
            self.consumer.resume(target)
            try:
                polled = await self.consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_AT_ONCE)
            finally:
                self.consumer.pause(target)
            for message in polled.get(target, ()):
                self._take(message, untold=message.offset >= new)
            await asyncio.sleep(0)  # the client hands out what it holds without a pause
        self.head = max(self.head, end)

    def _take(self, message: Any, *, untold: bool) -> None:
        filed = place_of(message.key)
        place = filed or consent_place(message.key) or replaced_place(message.key, message.value)
        if place is None:
            self._replacements.apply(message.key, message.value)
            return
        if untold:
            self._told.changes(place, self.told_ms)
            self._causes.recorded(place, message.offset)
        if filed is not None:
            self._dossiers.apply(message.key, message.value, message.timestamp)
        else:
            self._consents.apply(message.key, message.value, message.timestamp)
            self._replacements.apply(message.key, message.value)
        consents = (each for each in self._consents.of(place.subject) if each.agreement == place.agreement)
        given = [milliseconds(at) for each in consents for at in (each.since, each.end) if at is not None]
        for at_ms in (*self._dossiers.instants(place), *given):
            if at_ms > self.told_ms:
                self._due.add(Due(at_ms, place, aging=False))
