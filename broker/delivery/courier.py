"""Brings one agreement's stream to where its agency wants it: in order, at least once, never a record after a stop.

A position is committed after what lies before it was taken, so a courier that dies repeats at most what it was doing.
Whether something may begin is asked right before it, at the control log's head: what was read before a stop is held
(suspended), dropped (revoked, ended) or read again (amended).
"""

import asyncio
from abc import ABC, abstractmethod
from typing import Generic, NoReturn

from broker.delivery import push_circuit
from broker.delivery.pull import Slice
from broker.delivery.push_circuit import Failure, Health
from broker.delivery.push_kinds import Kind
from broker.delivery.push_note import Note
from broker.delivery.push_rooms import Rooms
from broker.delivery.streams import Message, Stream
from broker.errors import Conflict, Invalid, PositionExpired, Retriable, Stale
from broker.model import topics
from broker.model.agreement import State
from broker.model.lifecycle import AgreementEntry
from broker.model.push_book import BEGINS_WITHIN_S, Change, R, Reason
from broker.telemetry import Event, log

GONE = frozenset({State.REVOKED, State.ENDED})
"""States of an agreement under which nothing about a subject is released any more."""

NEWS_S = 20.0
"""Seconds after which a courier that waits looks by itself."""

_AROUND_BARRIERS = 500
"""Among so many records from the first of a new version on lies a barrier of it, or it is not looked for further."""

_HELD_S = 0.05
_RECOMMIT_S = 24 * 3600.0


class Held(Retriable):
    """This may not begin now: look again at what is known."""


class Late(Held):
    """The answer whether this may begin took so long that it no longer counts: ask again."""


class Over(Exception):
    """The registration is suspended, changed or removed."""


class Courier(ABC, Generic[R]):
    """One run of one registration; made anew whenever a fact changes it."""

    def __init__(self, rooms: Rooms, kind: Kind[R], registration: R) -> None:
        self._rooms = rooms
        self._kind = kind
        self._registration = registration
        topic = topics.delivery(registration.agency, registration.agreement)
        self._stream = Stream(registration.agreement, topic, stopped=False)
        self._group = kind.group(registration.agreement)
        self._position = 0
        self._health = Health()
        self._committed, self._committed_at = -1, 0.0

    async def run(self) -> None:
        """Deliver until the registration is suspended, changed or removed; raises `Retriable` where Kafka fails."""
        try:
            await self._rooms.control.read_to_head()
            await self._take_up()
            while True:
                try:
                    await asyncio.sleep(self._health.pause(self._rooms.now()))
                    await self._step()
                except Held:
                    await asyncio.sleep(_HELD_S)
        except Over:
            return

    @abstractmethod
    async def _step(self) -> None:
        """Pass on what there is, or wait for more."""

    @abstractmethod
    def _recall(self, note: Note, *, changed: bool) -> None:
        """Take up what the last courier noted; `changed`: before the agency changed the registration, or resumed it."""

    @abstractmethod
    def _note(self) -> Note:
        """What whoever goes on from the position must know."""

    async def _take_up(self) -> None:
        """Go on where the last courier stopped."""
        held = await self._rooms.positions.load(self._group, self._stream.topic)
        if held is None:
            await self._suspend(Reason.POSITION_LOST)
            return
        self._position, note = held[0], Note.of(held[1])
        if note is not None:
            if note.series != self._registration.series:
                await self._suspend(Reason.POSITION_LOST)
            # What failed before the agency changed the address or resumed says nothing about now.
            changed = note.fact != self._registration.epoch
            self._health = push_circuit.again(note.health) if changed else note.health
            self._recall(note, changed=changed)
        await self._commit()  # a position that nobody renews is forgotten after a year

    def _waits(self, entry: AgreementEntry) -> bool:
        """Whether nothing is sent for now: what is waiting is sent once the agreement, or its product, is resumed."""
        halted = self._rooms.control.state.announcements.halts(entry) is not None
        return entry.state not in GONE and (halted or entry.state is not State.ACTIVE)

    async def _read(self, entry: AgreementEntry, position: int, limit: int) -> Slice:
        """What is there from `position` on; raises `Over` once nobody can tell what was missed, `KafkaUnavailable`."""
        topic = self._stream.topic
        try:
            return await self._rooms.deliveries.read(topic, position, limit=limit)
        except PositionExpired:
            oldest = await self._rooms.deliveries.read(topic, None, limit=_AROUND_BARRIERS)
            if entry.state in GONE or _narrowed(entry, oldest):
                later = oldest.messages[limit:]
                return Slice(oldest.messages[:limit], later[0].offset) if later else oldest
            await self._suspend(Reason.POSITION_EXPIRED)
        except Invalid:  # beyond the end: the topic is another one
            await self._suspend(Reason.POSITION_LOST)

    async def _failed(self, failure: Failure, asked_s: float | None = None) -> NoReturn:
        """Note it; raises `Held`, or `Over` where that was the last attempt."""
        rooms = self._rooms
        self._health, reason = push_circuit.failed(
            self._health, failure, rooms.now(), rooms.patience, random=rooms.random(), asked_s=asked_s
        )
        await self._commit()
        if reason is not None:
            await self._suspend(reason)
        raise Held

    async def _may_begin(self, first: Message | None, version: int = 0) -> None:
        """Return if what is about subjects from record `first` on may begin now (None: it is about the agreement itself).

        `version` is the lowest that a record of it was released under. Raises `Held`, `Late` or `Stale`.
        """
        asked = self._rooms.monotonic()
        await self._rooms.control.read_to_head()
        if not self._rooms.control.fresh():
            raise Stale("the control log cannot be seen: nothing is sent")
        self._still_mine()
        if first is not None:
            entry = self._entry()
            if entry.state is not State.ACTIVE or self._waits(entry):
                raise Held
            if version < entry.version:
                await self._still_there(first)
        if self._rooms.monotonic() - asked > BEGINS_WITHIN_S:
            raise Late

    async def _still_there(self, message: Message) -> None:
        """A record of an earlier version goes out only while it is retained: a narrower version takes it back."""
        try:
            await self._rooms.deliveries.read(self._stream.topic, message.offset, limit=1)
        except PositionExpired:
            raise Held from None

    async def _commit(self) -> None:
        self._still_mine()
        await self._rooms.positions.save(self._group, self._stream.topic, self._position, self._note().text())
        self._committed, self._committed_at = self._position, self._rooms.monotonic()

    async def _renew(self) -> None:
        """Commit where the position moved since, or a day went by."""
        if self._position != self._committed or self._rooms.monotonic() - self._committed_at > _RECOMMIT_S:
            await self._commit()

    def _still_mine(self) -> None:
        live = self._kind.book(self._rooms.control.state).live.get(self._registration.agreement)
        if live is None or live.epoch != self._registration.epoch:
            raise Over

    def _entry(self) -> AgreementEntry:
        return self._rooms.control.state.agreements[self._registration.agreement]

    async def _suspend(self, reason: Reason) -> NoReturn:
        """Have the agency decide how to go on; raises `Over`."""
        agreement, kind = self._registration.agreement, self._kind
        log(kind.suspended, agreement=agreement, reason=reason)
        try:
            data = {"agreement": agreement, "reason": reason.value}
            fact, aggregate = kind.facts[Change.SUSPENDED], kind.aggregate(agreement)
            await self._rooms.control.append(fact, aggregate, data, by=self._rooms.by)
        except Conflict:  # the agency was first; whoever runs next looks again
            log(Event.CONTROL_CONFLICT, agreement=agreement)
        raise Over


def epoch_of(message: Message) -> int:
    """Epoch of the fact that a record about the agreement tells of; -1 where it states none."""
    return int(message.text("ce_epoch") or -1)


def version_of(message: Message) -> int:
    """Version of the agreement that a record was released under; 0 where it states none."""
    return int(message.text("ce_agreementversion") or 0)


def _narrowed(entry: AgreementEntry, oldest: Slice) -> bool:
    """Whether the topic begins where the version in force emptied it to, and not where time did: then nothing was missed."""
    first = next(iter(oldest.messages), None)
    if first is None or not (first.is_life_cycle or version_of(first) == entry.version):
        return False
    return any(each.is_life_cycle and epoch_of(each) == entry.amended_epoch for each in oldest.messages)
