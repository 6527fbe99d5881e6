"""What an agency does with its webhook: set, rotate the secret, look, resume, try, remove; each a fact or a question."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from broker.control import keys
from broker.control.keys import KeyStore
from broker.delivery import webhook_event, webhook_signature
from broker.delivery.egress_guard import EgressGuard
from broker.delivery.streams import stream_of
from broker.delivery.webhook_calls import Outcome
from broker.delivery.webhook_circuit import Health
from broker.delivery.webhook_note import Note
from broker.delivery.webhook_rooms import Calls, Control, Deliveries, Positions
from broker.errors import AddressRefused, Conflict, NotFound
from broker.model import topics
from broker.model.facts import FactType
from broker.model.webhook_book import Reason, Subscription

OpenReceiver = Callable[[], AbstractAsyncContextManager[Calls]]
"""A receiver with a connection of its own, closed with the block."""

_LOST = frozenset({Reason.POSITION_EXPIRED, Reason.POSITION_LOST})
_MOST_TESTS = 4


class Start(StrEnum):
    """Where a new subscription begins."""

    OLDEST = "oldest"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Standing:
    """How a subscription fares; `position` and `lag` (places in the log until its end) are None where none is known."""

    subscription: Subscription
    position: int | None
    lag: int | None
    health: Health


@dataclass(slots=True)
class Webhooks:
    """Use-cases of an agreement's agency.

    Each raises `NotFound` for another's agreement and where there is no webhook, `Conflict` where it is not possible
    now, and `KafkaUnavailable`.
    """

    control: Control
    keys: KeyStore
    guard: EgressGuard
    positions: Positions
    deliveries: Deliveries
    open_receiver: OpenReceiver
    now: Callable[[], datetime]
    new_id: Callable[[], str]
    _tests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(_MOST_TESTS))

    async def set(
        self, agreement: str, agency: str, url: str, *, start: Start = Start.OLDEST
    ) -> tuple[Subscription, str | None]:
        """Have deliveries sent to `url`; with the secret where the subscription is new. Raises `AddressRefused`.

        A subscription that there is keeps its secret, its position and whether it is suspended.
        """
        await self.control.read_to_head()
        stream = stream_of(self.control.state, agreement, agency)
        if stream.stopped:
            raise Conflict("the agreement is over: nothing is delivered under it any more")
        plain = await self._looked_at(url)
        book = self.control.state.webhooks
        known = book.live.get(agreement)
        if known is not None:
            return await self._set(agency, known, url=plain), None
        number, series = book.next_secret(agreement), book.next_series(agreement)
        key = self.keys.ensure(keys.webhook_key(agreement, number))
        position = (
            await self._first(stream.topic) if start is Start.OLDEST else await self.deliveries.head(stream.topic)
        )
        # Before the fact, so that no worker finds a subscription without its position.
        await self._place(agreement, stream.topic, position, series)
        made = Subscription(agreement, agency, plain, series, number, None, None, -1)
        return await self._set(agency, made), webhook_signature.shown(key)

    async def rotate(self, agreement: str, agency: str, overlap: timedelta) -> tuple[Subscription, str]:
        """Sign with a new secret, and with the present one as well until the overlap is over."""
        known = await self._known(agreement, agency)
        number = self.control.state.webhooks.next_secret(agreement)
        key = self.keys.ensure(keys.webhook_key(agreement, number))
        changed: dict[str, Any] = {"secret": number}
        if overlap:
            changed |= {"previous": known.secret, "until": (self.now() + overlap).isoformat()}
        else:
            changed |= {"previous": None, "until": None}
        return await self._set(agency, known, **changed), webhook_signature.shown(key)

    async def remove(self, agreement: str, agency: str) -> None:
        """Call no more; what was registered is forgotten but for its numbers."""
        await self._known(agreement, agency)
        await self._append(FactType.WEBHOOK_REMOVED, agreement, {}, agency)

    async def resume(self, agreement: str, agency: str, *, accept_loss: bool) -> Subscription:
        """Go on after a suspension, at the stored position.

        Where that is gone, only with `accept_loss`: then with the oldest record that is retained.
        """
        known = await self._known(agreement, agency)
        if known.suspended is None:
            raise Conflict("the webhook is not suspended")
        if known.suspended in _LOST:
            if not accept_loss:
                raise Conflict(
                    f"{known.suspended.value}: records before the retained log were not sent. Ask for a replay of what was missed, "
                    "and resume with acceptLoss to go on with the oldest that is retained"
                )
            topic = topics.delivery(agency, agreement)
            await self._place(agreement, topic, await self._first(topic), known.series)
        await self._append(FactType.WEBHOOK_RESUMED, agreement, {}, agency)
        return self.control.state.webhooks.live[agreement]

    async def standing(self, agreement: str, agency: str) -> Standing:
        """How it fares."""
        known = await self._known(agreement, agency)
        topic = topics.delivery(agency, agreement)
        held, head = await asyncio.gather(
            self.positions.load(topics.webhook_group(agreement), topic), self.deliveries.head(topic)
        )
        note = None if held is None else Note.of(held[1])
        if held is None or (note is not None and note.series != known.series):
            return Standing(known, None, None, Health())
        return Standing(known, held[0], max(0, head - held[0]), note.health if note else Health())

    async def test(self, agreement: str, agency: str) -> Outcome:
        """Send a signed test event, about nobody, once; whether it is suspended does not matter."""
        known = await self._known(agreement, agency)
        now = self.now()
        event = webhook_event.test(agreement, f"test-{self.new_id()}", now.isoformat())
        names = (keys.webhook_key(agreement, number) for number in known.secrets_at(now))
        async with self._tests, self.open_receiver() as receiver:
            return await receiver.call(known.url, event, [self.keys.get(name) for name in names], _at_once)

    async def _known(self, agreement: str, agency: str) -> Subscription:
        await self.control.read_to_head()
        known = self.control.state.webhooks.live.get(agreement)
        if known is None or known.agency != agency:
            raise NotFound("this agreement has no webhook")
        return known

    async def _looked_at(self, url: str) -> str:
        target = self.guard.target(url)
        try:
            await self.guard.addresses(target)
        except OSError:
            raise AddressRefused("url: the host's name does not resolve to an address") from None
        return target.url

    async def _first(self, topic: str) -> int:
        oldest = await self.deliveries.read(topic, None, limit=1)
        return oldest.messages[0].offset if oldest.messages else oldest.position

    async def _place(self, agreement: str, topic: str, position: int, series: int) -> None:
        await self.positions.save(topics.webhook_group(agreement), topic, position, Note(series, -1).text())

    async def _set(self, by: str, subscription: Subscription, **changed: Any) -> Subscription:
        until = subscription.until
        data = {
            "agency": subscription.agency,
            "url": subscription.url,
            "series": subscription.series,
            "secret": subscription.secret,
            "previous": subscription.previous,
            "until": until and until.isoformat(),
        }
        await self._append(FactType.WEBHOOK_SET, subscription.agreement, data | changed, by)
        return self.control.state.webhooks.live[subscription.agreement]

    async def _append(self, kind: FactType, agreement: str, data: dict[str, Any], by: str) -> None:
        await self.control.append(kind, f"webhook/{agreement}", {"agreement": agreement, **data}, by=by)


async def _at_once() -> None:
    """Nothing about anybody is sent, so nothing is asked first."""
