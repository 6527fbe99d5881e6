"""A lane's second input: what happens to subjects without a record, namely their papers and the instants that pass (R8).

Papers are files and consents in `subjects.dossiers`, in the subject's lane. What was read but not told yet, and every
instant that came, waits here as a `Cause` until a commit has told it; the offset and the instant that go with the commit
say up to where everything is told, so that a new owner tells the rest, once.
"""

import heapq
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
from broker.model.agreement import Consent, Dossier
from broker.policy.calendar import milliseconds
from broker.policy.papers import NO_PAPERS, Papers, Told

TIMER = "timer"
"""Stands for the source topic in the coordinates of what time alone caused; the offset is the due instant in ms."""

_POLL_MS = 250


class Cause(NamedTuple):
    """Why one subject is reconsidered: a record of `subjects.dossiers`, or an instant that came.

    Its place names the agreement, or the product ("<source>/<product>") for all agreements on that.
    """

    place: Place
    topic: str
    offset: int
    """Of the last record about it, or the due instant (ms)."""
    aging: bool = False
    """Whether only the day changed: a subject of which the agency was never told is passed over."""
    first: int = -1
    """Offset of the first untold record about it, if there is one."""

    @property
    def source(self) -> str:
        """What a delivery id is made from in the place of a source topic; of all subjects, only this one has it."""
        return f"{TIMER}/{self.place.subject.decode()}" if self.topic == TIMER else self.topic


class Position(NamedTuple):
    """Up to where a lane has told everything: offset of `subjects.dossiers`, and instant (ms)."""

    offset: int
    told_ms: int


class _Attempt(NamedTuple):
    """What a commit under way tells, and the position it leaves."""

    position: Position
    causes: Sequence[Cause]
    now_ms: int


class _Due(NamedTuple):
    at: int
    place: Place
    aging: bool


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
    _causes: dict[Place, Cause] = field(default_factory=dict)
    """In the order in which they came."""
    _told: dict[Place, Told] = field(default_factory=dict)
    """What was told last, where that is not what the papers were at `told_ms`, as they are known now."""
    _due: list[_Due] = field(default_factory=list)
    _position: Position | None = None  # as committed last
    _attempt: _Attempt | None = None

    def __post_init__(self) -> None:
        self._replacements = ReplacementBook(self.k_lane)

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
        while self._due and self._due[0].at <= now_ms:
            due = heapq.heappop(self._due)
            self._causes.setdefault(due.place, Cause(due.place, TIMER, due.at, due.aging))

    def age(self, places: Iterable[Place], at_ms: int) -> None:
        """Have these reconsidered for the day that began at `at_ms`."""
        for place in places:
            heapq.heappush(self._due, _Due(at_ms, place, aging=True))

    def causes(self, most: int) -> Sequence[Cause]:
        """The first untold causes, at most so many."""
        return list(islice(self._causes.values(), most))

    def told(self, place: Place) -> Told:
        """What was told of a subject's papers under an agreement last."""
        return self._told.get(place) or Told(self.of(place.subject), self.told_ms)

    def position(self, causes: Sequence[Cause], now_ms: int) -> Position:
        """Up to where everything is told once these, the first causes, are.

        While others wait the instant stays: after a crash what time caused is told again then, under the same delivery id.
        """
        left = islice(self._causes.values(), len(causes), None)
        untold = next((cause.first for cause in left if cause.first >= 0), self.head)
        position = Position(untold, self.told_ms if len(self._causes) > len(causes) else now_ms)
        self._attempt = _Attempt(position, causes, now_ms)
        return position

    def settle(self, causes: Sequence[Cause], now_ms: int) -> None:
        """Take note that these were told at `now_ms`: the commit is there."""
        if self._attempt is not None:
            self._position, self._attempt = self._attempt.position, None
        for cause in causes:
            del self._causes[cause.place]
        if self._causes:
            self._told |= {cause.place: Told(self.of(cause.place.subject), now_ms) for cause in causes}
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
                polled = await self.consumer.getmany(target, timeout_ms=_POLL_MS)
            finally:
                self.consumer.pause(target)
            for message in polled.get(target, ()):
                self._take(message, untold=message.offset >= new)
        self.head = max(self.head, end)

    def _take(self, message: Any, *, untold: bool) -> None:
        place = place_of(message.key) or consent_place(message.key) or replaced_place(message.key, message.value)
        if place is None:
            self._replacements.apply(message.key, message.value)
            return
        if untold:
            self._told.setdefault(place, Told(self.of(place.subject), self.told_ms))
            known = self._causes.get(place)
            first = known.first if known is not None and known.first >= 0 else message.offset
            self._causes[place] = Cause(place, topics.DOSSIERS, message.offset, first=first)
        self._dossiers.apply(message.key, message.value, message.timestamp)
        self._consents.apply(message.key, message.value, message.timestamp)
        self._replacements.apply(message.key, message.value)
        held: list[Dossier | Consent] = [*self._dossiers.of(place.subject), *self._consents.of(place.subject)]
        for paper in held:
            if paper.agreement == place.agreement:
                for instant in (paper.since, paper.end):
                    at = 0 if instant is None else milliseconds(instant)
                    if at > self.told_ms:
                        heapq.heappush(self._due, _Due(at, place, aging=False))
