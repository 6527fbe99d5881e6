"""`datanuts webhooks`: a process that sends deliveries to the agencies that have a webhook, until it is stopped."""

import argparse
import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.cli import datadir
from broker.cli.client import OPERATOR
from broker.cli.outside import outside
from broker.cli.processes import stopping
from broker.cli.site import Site, site
from broker.delivery.pull import DeliveryReader
from broker.delivery.streams import Egress
from broker.delivery.webhook_circuit import Patience
from broker.delivery.webhook_courier import Courier
from broker.delivery.webhook_rooms import Rooms
from broker.delivery.webhook_worker import WebhookWorker
from broker.kafka.positions import GroupPositions
from broker.model import topics
from broker.model.webhook_book import Subscription
from broker.settings import load_settings
from broker.telemetry import configure


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser(
        "webhooks",
        help="send deliveries to agencies' webhooks; run as many as you like",
        description="Joins the other webhook processes of the installation; each subscription has one owner at a time.",
    )
    datadir.add_option(parser)
    parser.set_defaults(run=_run)


async def _run(given: argparse.Namespace) -> None:
    settings = load_settings(data_dir=given.data_dir)
    home = datadir.DataDir(settings.data_dir)
    configure("webhooks", settings)
    async with stopping() as stop, site(home, settings, beating=True, own_kafka=False) as here:
        await send(here, stop)


async def send(here: Site, stop: asyncio.Event) -> None:
    """Send until `stop` is set; raises what ends a worker."""
    positions, deliveries = GroupPositions(here.clients), DeliveryReader(here.clients.reader)
    membership = here.clients.member(topics.WEBHOOK_GROUP)
    try:
        with outside(here.settings) as world:
            rooms = Rooms(
                control=here.control,
                deliveries=deliveries,
                positions=positions,
                keys=here.keys,
                egress=Egress(),
                patience=Patience(give_up=timedelta(seconds=here.settings.webhook_give_up_s)),
                now=lambda: datetime.now(UTC),
                random=random.SystemRandom().random,
                by=OPERATOR,
            )

            @asynccontextmanager
            async def courier(subscription: Subscription) -> AsyncIterator[Courier]:
                async with world.receiver() as receiver:
                    yield Courier(rooms, subscription, receiver)

            await membership.start()
            worker = WebhookWorker(membership, here.control, courier, here.lanes)
            working = asyncio.create_task(worker.run(), name="webhooks")
            stopped = asyncio.create_task(stop.wait())
            try:
                await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
                if working.done():
                    working.result()
            finally:
                for task in (working, stopped):
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
    finally:
        await membership.stop()
        await deliveries.close()
        await positions.close()
