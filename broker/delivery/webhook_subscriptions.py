"""What an agency does with its webhook beside what it can with every registration: set it, rotate the secret, try it."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from broker.control import keys
from broker.delivery import webhook_event, webhook_signature
from broker.delivery.push_kinds import WEBHOOKS
from broker.delivery.push_subscriptions import MOST_TESTS, Pushes, Start
from broker.delivery.webhook_calls import Calls, Outcome
from broker.model.push_book import Change
from broker.model.webhook_book import Subscription

OpenReceiver = Callable[[], AbstractAsyncContextManager[Calls]]
"""A receiver with a connection of its own, closed with the block."""


@dataclass(slots=True)
class Webhooks(Pushes[Subscription]):
    """Use-cases of an agreement's agency; errors as in `Pushes`."""

    kind = WEBHOOKS

    open_receiver: OpenReceiver
    _tests: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_TESTS))

    async def set(
        self, agreement: str, agency: str, url: str, *, start: Start = Start.OLDEST
    ) -> tuple[Subscription, str | None]:
        """Have deliveries sent to `url`; with the secret where the subscription is new. Raises `AddressRefused`.

        A subscription that there is keeps its secret, its position and whether it is suspended.
        """
        stream = await self._open(agreement, agency)
        plain = (await self._resolved(self.guard.target(url))).url
        book = self.control.state.webhooks
        known = book.live.get(agreement)
        if known is not None:
            return await self._set(agency, known, url=plain), None
        number, series = book.next_secret(agreement), book.next_series(agreement)
        key = self.keys.ensure(keys.webhook_key(agreement, number))
        await self._place(agreement, stream.topic, start, series)
        made = Subscription(agreement=agreement, agency=agency, series=series, url=plain, secret=number)
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

    async def test(self, agreement: str, agency: str) -> Outcome:
        """Send a signed test event, about nobody, once; whether it is suspended does not matter."""
        known = await self._known(agreement, agency)
        now = self.now()
        event = webhook_event.test(agreement, f"test-{self.new_id()}", now.isoformat())
        names = (keys.webhook_key(agreement, number) for number in known.secrets_at(now))
        async with self._tests, self.open_receiver() as receiver:
            return await receiver.call(known.url, event, [self.keys.get(name) for name in names], _at_once)

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
        await self._append(Change.SET, subscription.agreement, data | changed, by)
        return self._live(subscription.agreement)


async def _at_once() -> None:
    """Nothing about anybody is sent, so nothing is asked first."""
