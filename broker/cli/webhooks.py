"""`datanuts webhooks`: a process that sends deliveries to the agencies that have a webhook, until it is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker.cli import pushing
from broker.cli.outside import outside
from broker.cli.site import Site
from broker.delivery.push_kinds import WEBHOOKS
from broker.delivery.push_rooms import Rooms
from broker.delivery.webhook_courier import WebhookCourier
from broker.model.webhook_book import Subscription


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    pushing.register(commands, "webhooks", "send deliveries to agencies' webhooks", send)


async def send(here: Site, stop: asyncio.Event) -> None:
    """Send until `stop` is set; raises what ends a worker."""
    with outside(here.settings) as world:

        @asynccontextmanager
        async def courier(rooms: Rooms, subscription: Subscription) -> AsyncIterator[WebhookCourier]:
            async with world.receiver() as receiver:
                yield WebhookCourier(rooms, subscription, receiver)

        await pushing.push(here, stop, WEBHOOKS, here.settings.webhook_give_up_s, courier)
