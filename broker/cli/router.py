"""`datanuts router`: a process that routes the lanes which the group assigns to it, until it is stopped."""

import argparse
import asyncio
import gc
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from broker.cli import datadir, figures
from broker.cli.processes import stopping
from broker.cli.site import Site, site
from broker.control import keys
from broker.errors import NotYetKnown
from broker.model import topics
from broker.model.record import wire_header
from broker.native.library import core
from broker.routing.counts import Counts
from broker.routing.fetching import MOST_AT_ONCE
from broker.routing.knowledge import LaneKeys
from broker.routing.lane import Lane
from broker.routing.lane_state import LaneState
from broker.routing.lanes import keep_lanes
from broker.routing.plans import Plans
from broker.settings import load_settings
from broker.telemetry import Event, configure, log

_FIRST_S = 30.0
_COLLECT_S = 60.0


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser(
        "router",
        help="route lanes of a running installation; run as many as you like",
        description="Joins the other routers of the installation; each lane has one owner at a time.",
    )
    datadir.add_option(parser)
    parser.set_defaults(run=_run)


async def _run(given: argparse.Namespace) -> None:
    collect_rarely()  # before the control log is read: half of the start of a large installation went into looking
    settings = load_settings(data_dir=given.data_dir)
    home = datadir.DataDir(settings.data_dir)
    configure("router", settings)
    async with stopping() as stop, site(home, settings, beating=True, texts=False, own_kafka=False) as here:
        await route(here, stop)


async def route(here: Site, stop: asyncio.Event) -> None:
    """Route until `stop` is set; raises what is fatal to a router."""
    if core() is None:
        log(Event.ROUTER_SLOW)  # right, but without its native core: `make setup`, or `python -m broker.native.build`
    counts = Counts()
    open_lane = await lane_maker(here)
    collect_rarely()

    async def join() -> Any:
        member = here.clients.member(topics.LANE_GROUP)
        await member.start()
        return member

    routing = asyncio.create_task(keep_lanes(join, open_lane, counts), name="router")
    publishing = asyncio.create_task(figures.publish(here.home, counts), name="figures")
    tidying = asyncio.create_task(collecting(), name="collecting")
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({routing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if routing.done():
            routing.result()
    finally:
        for task in (routing, publishing, tidying, stopped):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def collect_rarely() -> None:
    """No more garbage collection by itself, and none ever of what there is now: `collecting` does it by the clock.

    A batch is many objects that all live and die with it, and what the control log folds into only grows: none in cycles.
    Counting allocations, the collector looked through the batches of all lanes for a quarter of a router's time.
    """
    gc.freeze()
    gc.disable()


async def collecting() -> None:
    """Collect what cycles connections and exceptions left, for ever."""
    while True:
        await asyncio.sleep(_COLLECT_S)
        gc.collect()


async def lane_maker(here: Site) -> Callable[[int], Lane]:
    """What makes this installation's lanes, unopened, by number; raises `NotYetKnown` before the first set-up."""
    plans = Plans(here.keys, here.settings.wall())
    lane_keys = LaneKeys(here.keys.ensure(keys.LANE), here.keys.ensure(keys.LEDGER))
    frame, large = wire_header(await _receipt_schema(here)), asyncio.Semaphore(MOST_AT_ONCE)

    def lane(number: int) -> Lane:
        return Lane(
            number=number,
            lanes=here.lanes,
            clients=here.clients,
            control=here.control,
            plans=plans,
            keys=lane_keys,
            state=LaneState(here.home.root / "lanes" / f"{number}.mdb"),
            clock_ms=lambda: time.time_ns() // 1_000_000,
            receipt_frame=frame,
            large=large,
        )

    return lane


async def _receipt_schema(here: Site) -> int:
    """Id of the receipts' schema, which the first start of the API registers; raises `NotYetKnown`."""
    control = here.control
    deadline = time.monotonic() + _FIRST_S
    while time.monotonic() < deadline:
        for schema in control.state.schemas.values():
            if schema.subject == topics.RECEIPTS:
                return schema.id
        await control.wait_for_change(control.state.epoch, timeout=1.0)
    raise NotYetKnown("the installation is not set up yet: start `datanuts up` or `datanuts api` first")
