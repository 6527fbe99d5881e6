"""A process that brings deliveries to agencies until it is stopped: what those that send webhooks and drop files have in common."""

import argparse
import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.cli import datadir
from broker.cli.client import OPERATOR
from broker.cli.processes import stopping
from broker.cli.site import Site, site
from broker.delivery.courier import Courier
from broker.delivery.pull import DeliveryReader
from broker.delivery.push_circuit import Patience
from broker.delivery.push_kinds import Kind
from broker.delivery.push_rooms import Rooms
from broker.delivery.push_worker import PushWorker
from broker.delivery.streams import Egress
from broker.kafka.positions import GroupPositions
from broker.model.push_book import R
from broker.settings import load_settings
from broker.telemetry import configure

Send = Callable[[Site, asyncio.Event], Awaitable[None]]
"""Works until the event is set; raises what ends a worker."""


def register(commands: Any, name: str, told: str, send: Send) -> None:
    """Add the command of such a process to the root parser's subparsers."""
    parser = commands.add_parser(
        name,
        help=f"{told}; run as many as you like",
        description=f"Joins the other `{name}` processes of the installation; each agreement has one owner at a time.",
    )
    datadir.add_option(parser)

    async def run(given: argparse.Namespace) -> None:
        settings = load_settings(data_dir=given.data_dir)
        home = datadir.DataDir(settings.data_dir)
        configure(name, settings)
        async with stopping() as stop, site(home, settings, beating=True, own_kafka=False) as here:
            await send(here, stop)

    parser.set_defaults(run=run)


async def push(
    here: Site,
    stop: asyncio.Event,
    kind: Kind[R],
    give_up_s: float,
    open_courier: Callable[[Rooms, R], AbstractAsyncContextManager[Courier[R]]],
) -> None:
    """Bring what is registered of a kind until `stop` is set; raises what ends a worker."""
    positions, deliveries = GroupPositions(here.clients), DeliveryReader(here.clients.reader)
    membership = here.clients.member(kind.workers)
    rooms = Rooms(
        control=here.control,
        deliveries=deliveries,
        positions=positions,
        keys=here.keys,
        egress=Egress(),
        patience=Patience(give_up=timedelta(seconds=give_up_s)),
        now=lambda: datetime.now(UTC),
        random=random.SystemRandom().random,
        by=OPERATOR,
    )
    try:
        await membership.start()
        worker = PushWorker(
            kind, membership, here.control, lambda registration: open_courier(rooms, registration), here.lanes
        )
        working = asyncio.create_task(worker.run(), name=kind.workers)
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
