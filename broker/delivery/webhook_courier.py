"""Carries one agreement's stream to its webhook, one call at a time, each committed after it was received."""

import time
from collections.abc import Mapping

from broker.control import keys
from broker.delivery import push_circuit, webhook_event
from broker.delivery.courier import GONE, NEWS_S, Courier, epoch_of, version_of
from broker.delivery.push_kinds import WEBHOOKS
from broker.delivery.push_note import Note
from broker.delivery.push_rooms import Rooms
from broker.delivery.streams import Message
from broker.delivery.webhook_calls import Calls
from broker.delivery.webhook_event import NOTHING_SAID, Call
from broker.model.agreement import State
from broker.model.notice import OF_ONE_LANE
from broker.model.webhook_book import Subscription
from broker.telemetry import record_spans

_PAGE = 16
"""Records read at once; little, because each subscription may hold as many while its receiver does not answer."""


class WebhookCourier(Courier[Subscription]):
    """One run of one subscription. A courier that dies repeats at most one call, under the same id."""

    def __init__(self, rooms: Rooms, subscription: Subscription, receiver: Calls) -> None:
        super().__init__(rooms, WEBHOOKS, subscription)
        self._receiver = receiver
        self._told = -1

    def _recall(self, note: Note, *, changed: bool) -> None:
        del changed
        self._told = note.told

    def _note(self) -> Note:
        return Note(self._registration.series, self._registration.epoch, self._told, self._health)

    async def _step(self) -> None:
        control = self._rooms.control
        epoch = await control.read_to_head()
        entry = self._entry()
        if entry.state is State.SUSPENDED:
            await self._tell(entry.state.value.upper(), entry.epoch)
            await self._commit()
        if self._waits(entry):
            await control.wait_for_change(epoch, timeout=NEWS_S)
            return
        page = await self._read(entry, self._position, _PAGE)
        for message in page.messages:
            await self._pass_on(message)
        if page.position > self._position:
            self._position = page.position  # past the markers of transactions
        elif not page.messages:
            await self._renew()
            await self._rooms.deliveries.beyond(self._stream.topic, self._position, wait_s=NEWS_S)

    async def _pass_on(self, message: Message) -> None:
        """Deal with one record and go past it; raises `Held` where it stays where it is."""
        if message.is_life_cycle:
            reason, epoch = message.text("ce_reason"), epoch_of(message)
            told = {name: message.text(f"ce_{name}") for name in ("text", "begins", "ends")}
            # One lane wrote it once, maybe after a later fact that another lane wrote of.
            await self._tell(reason, epoch, told, again=reason in OF_ONE_LANE)
        elif self._entry().state not in GONE:
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

    async def _tell(
        self, reason: str, epoch: int, told: Mapping[str, str] = NOTHING_SAID, *, again: bool = False
    ) -> None:
        """Call about the agreement itself, once per fact: every lane writes a barrier of it. `again`: each record is one."""
        if again or epoch > self._told:
            at = next((taken.at.isoformat() for taken in self._entry().history if taken.epoch == epoch), None)
            await self._call(webhook_event.life_cycle(self._stream.agreement, reason, epoch, at, told), None)
            self._told = max(epoch, self._told)

    async def _call(self, call: Call, message: Message | None) -> None:
        """Return when it was received; raises `Held` otherwise, or `Over` where that was the last attempt."""
        subscription, rooms = self._registration, self._rooms
        names = (keys.webhook_key(subscription.agreement, each) for each in subscription.secrets_at(rooms.now()))
        version = 0 if message is None else version_of(message)
        outcome = await self._receiver.call(
            subscription.url,
            call,
            [rooms.keys.get(name) for name in names],
            lambda: self._may_begin(message, version),
        )
        if outcome.failure is not None:
            await self._failed(outcome.failure, outcome.asked_s)
        self._health = push_circuit.succeeded(self._health, rooms.now())
