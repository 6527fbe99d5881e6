"""Carries one agreement's stream to its receiver: in order, at least once, one call at a time, never a record after a stop.

The position is committed after a call was received, so a courier that dies repeats at most that call, under the same id.
Whether a call may begin is asked when its connection stands, at the control log's head: what was read before a stop is
held (suspended), dropped (revoked, ended) or read again (amended).
"""

import asyncio
import time

from broker.control import keys
from broker.delivery import webhook_circuit, webhook_event
from broker.delivery.pull import Slice
from broker.delivery.streams import Message, Stream
from broker.delivery.webhook_circuit import Health
from broker.delivery.webhook_event import Call
from broker.delivery.webhook_note import Note
from broker.delivery.webhook_rooms import Calls, Rooms
from broker.errors import Conflict, Invalid, PositionExpired, Retriable, Stale
from broker.model import topics
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.lifecycle import AgreementEntry
from broker.model.webhook_book import CALL_BEGINS_WITHIN_S, Reason, Subscription
from broker.telemetry import Event, log, record_spans

_PAGE = 16
"""Records read at once; little, because each subscription may hold as many while its receiver does not answer."""

_AROUND_BARRIERS = 500
"""Among so many records from the first of a new version on lies a barrier of it, or it is not looked for further."""

_GONE = frozenset({State.REVOKED, State.ENDED})
_NEWS_S = 20.0
_HELD_S = 0.05
_RECOMMIT_S = 24 * 3600.0


class Held(Retriable):
    """This call may not begin now: look again at what is known."""


class _Over(Exception):
    """The subscription is suspended, changed or removed."""


class Courier:
    """One run of one subscription; made anew whenever a fact changes it."""

    def __init__(self, rooms: Rooms, subscription: Subscription, receiver: Calls) -> None:
        self._rooms = rooms
        self._subscription = subscription
        self._receiver = receiver
        self._stream = Stream(
            subscription.agreement, topics.delivery(subscription.agency, subscription.agreement), stopped=False
        )
        self._group = topics.webhook_group(subscription.agreement)
        self._position = 0
        self._told = -1
        self._health = Health()
        self._committed, self._committed_at = -1, 0.0

    async def run(self) -> None:
        """Deliver until the subscription is suspended, changed or removed; raises `Retriable` where Kafka fails."""
        try:
            await self._rooms.control.read_to_head()
            await self._take_up()
            while True:
                try:
                    await asyncio.sleep(self._health.pause(self._rooms.now()))
                    await self._step()
                except Held:
                    await asyncio.sleep(_HELD_S)
        except _Over:
            return

    async def _take_up(self) -> None:
        """Go on where the last courier stopped."""
        held = await self._rooms.positions.load(self._group, self._stream.topic)
        if held is None:
            await self._suspend(Reason.POSITION_LOST)
            return
        self._position, note = held[0], Note.of(held[1])
        if note is not None:
            if note.series != self._subscription.series:
                await self._suspend(Reason.POSITION_LOST)
            self._told = note.told
            # What failed before the agency changed the address or resumed says nothing about now.
            changed = note.fact != self._subscription.epoch
            self._health = webhook_circuit.again(note.health) if changed else note.health
        await self._commit()  # a position that nobody renews is forgotten after a year

    async def _step(self) -> None:
        """Pass on what there is, or wait for more."""
        control = self._rooms.control
        epoch = await control.read_to_head()
        entry = self._entry()
        if entry.state is State.SUSPENDED:
            await self._tell(entry.state.value.upper(), entry.epoch)
            await self._commit()
        if self._waits(entry):
            await control.wait_for_change(epoch, timeout=_NEWS_S)
            return
        page = await self._read(entry)
        for message in page.messages:
            await self._pass_on(message)
        if page.position > self._position:
            self._position = page.position  # past the markers of transactions
        elif not page.messages:
            await self._wait()

    def _waits(self, entry: AgreementEntry) -> bool:
        """Whether nothing is sent for now: what is waiting is sent once the agreement, or its product, is resumed."""
        halted = self._rooms.control.state.announcements.halts(entry) is not None
        return entry.state not in _GONE and (halted or entry.state is not State.ACTIVE)

    async def _wait(self) -> None:
        if self._position != self._committed or self._rooms.monotonic() - self._committed_at > _RECOMMIT_S:
            await self._commit()
        await self._rooms.deliveries.beyond(self._stream.topic, self._position, wait_s=_NEWS_S)

    async def _read(self, entry: AgreementEntry) -> Slice:
        topic = self._stream.topic
        try:
            return await self._rooms.deliveries.read(topic, self._position, limit=_PAGE)
        except PositionExpired:
            oldest = await self._rooms.deliveries.read(topic, None, limit=_AROUND_BARRIERS)
            if entry.state in _GONE or _narrowed(entry, oldest):
                later = oldest.messages[_PAGE:]
                return Slice(oldest.messages[:_PAGE], later[0].offset) if later else oldest
            await self._suspend(Reason.POSITION_EXPIRED)
        except Invalid:  # beyond the end: the topic is another one
            await self._suspend(Reason.POSITION_LOST)
        raise _Over

    async def _pass_on(self, message: Message) -> None:
        """Deal with one record and go past it; raises `Held` where it stays where it is."""
        if message.is_life_cycle:
            await self._tell(message.text("ce_reason"), _epoch(message))
        elif self._entry().state not in _GONE:
            data = None
            if message.value:
                data = self._rooms.egress.decode(message.value, self._rooms.control.state.schemas)
            began = time.time_ns()
            await self._call(webhook_event.delivery(self._stream, message, data), message)
            record_spans(
                "deliver.webhook",
                [message.text("traceparent").encode()],
                start_ns=began,
                end_ns=time.time_ns(),
                attributes={"agreement": self._stream.agreement, "records": 1},
            )
        self._position = message.offset + 1
        await self._commit()

    async def _tell(self, reason: str, epoch: int) -> None:
        """Call about the agreement itself, once per fact: every lane writes a barrier of it."""
        if epoch > self._told:
            at = next((taken.at.isoformat() for taken in self._entry().history if taken.epoch == epoch), None)
            await self._call(webhook_event.life_cycle(self._stream.agreement, reason, epoch, at), None)
            self._told = epoch

    async def _call(self, call: Call, message: Message | None) -> None:
        """Return when it was received; raises `Held` otherwise, or `_Over` where that was the last attempt."""
        subscription, rooms = self._subscription, self._rooms
        names = (keys.webhook_key(subscription.agreement, each) for each in subscription.secrets_at(rooms.now()))
        outcome = await self._receiver.call(
            subscription.url, call, [rooms.keys.get(name) for name in names], lambda: self._may_begin(message)
        )
        if outcome.failure is None:
            self._health = webhook_circuit.succeeded(self._health, rooms.now())
            return
        self._health, reason = webhook_circuit.failed(
            self._health, outcome.failure, rooms.now(), rooms.patience, random=rooms.random(), asked_s=outcome.asked_s
        )
        await self._commit()
        if reason is not None:
            await self._suspend(reason)
        raise Held

    async def _may_begin(self, message: Message | None) -> None:
        """Return if the call about `message` (None: about the agreement) may begin now; raises `Held` or `Stale`."""
        asked = self._rooms.monotonic()
        await self._rooms.control.read_to_head()
        if not self._rooms.control.fresh():
            raise Stale("the control log cannot be seen: nothing is sent")
        self._still_mine()
        if message is not None:
            entry = self._entry()
            if entry.state is not State.ACTIVE or self._waits(entry):
                raise Held
            if _version(message) < entry.version:
                await self._still_there(message)
        if self._rooms.monotonic() - asked > CALL_BEGINS_WITHIN_S:
            raise Held

    async def _still_there(self, message: Message) -> None:
        """A record of an earlier version goes out only while it is retained: a narrower version takes it back."""
        try:
            await self._rooms.deliveries.read(self._stream.topic, message.offset, limit=1)
        except PositionExpired:
            raise Held from None

    async def _commit(self) -> None:
        self._still_mine()
        subscription = self._subscription
        note = Note(subscription.series, subscription.epoch, self._told, self._health)
        await self._rooms.positions.save(self._group, self._stream.topic, self._position, note.text())
        self._committed, self._committed_at = self._position, self._rooms.monotonic()

    def _still_mine(self) -> None:
        live = self._rooms.control.state.webhooks.live.get(self._subscription.agreement)
        if live is None or live.epoch != self._subscription.epoch:
            raise _Over

    def _entry(self) -> AgreementEntry:
        return self._rooms.control.state.agreements[self._subscription.agreement]

    async def _suspend(self, reason: Reason) -> None:
        """Have the agency decide how to go on; raises `_Over`."""
        agreement = self._subscription.agreement
        log(Event.WEBHOOK_SUSPENDED, agreement=agreement, reason=reason)
        try:
            data = {"agreement": agreement, "reason": reason.value}
            await self._rooms.control.append(
                FactType.WEBHOOK_SUSPENDED, f"webhook/{agreement}", data, by=self._rooms.by
            )
        except Conflict:  # the agency was first; whoever runs next looks again
            log(Event.CONTROL_CONFLICT, agreement=agreement)
        raise _Over


def _narrowed(entry: AgreementEntry, oldest: Slice) -> bool:
    """Whether the topic begins where the version in force emptied it to, and not where time did: then nothing was missed."""
    first = next(iter(oldest.messages), None)
    if first is None or not (first.is_life_cycle or _version(first) == entry.version):
        return False
    return any(each.is_life_cycle and _epoch(each) == entry.amended_epoch for each in oldest.messages)


def _epoch(message: Message) -> int:
    return int(message.text("ce_epoch") or -1)


def _version(message: Message) -> int:
    return int(message.text("ce_agreementversion") or 0)
