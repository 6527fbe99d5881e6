"""`datanuts drops`: a process that puts files of deliveries on the SFTP servers of agencies, until it is stopped."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from broker.cli import pushing
from broker.cli.outside import outside
from broker.cli.site import Site
from broker.delivery.drop_courier import MOST_ITEMS, DropCourier
from broker.delivery.push_kinds import DROPS
from broker.delivery.push_rooms import Rooms
from broker.model.drop_book import Drop


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    pushing.register(commands, "drops", "put files of deliveries on agencies' SFTP servers", send)


async def send(here: Site, stop: asyncio.Event, *, most: int = MOST_ITEMS) -> None:
    """Put files of at most `most` items there until `stop` is set; raises what ends a worker."""
    with outside(here.settings) as world:

        @asynccontextmanager
        async def courier(rooms: Rooms, drop: Drop) -> AsyncIterator[DropCourier]:
            yield DropCourier(rooms, drop, world.servers.open, most=most)

        await pushing.push(here, stop, DROPS, here.settings.drop_give_up_s, courier)
