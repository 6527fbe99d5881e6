"""`datanuts up`: the whole local stack on this machine, until Ctrl-C."""

import argparse
import asyncio
from dataclasses import asdict, fields
from typing import Any

from broker.cli import datadir
from broker.cli.output import machine, note, say
from broker.cli.processes import stopping
from broker.cli.stack import Ports, Stack, running
from broker.errors import Fatal
from broker.kafka.local import LocalKafka
from broker.settings import load_settings
from broker.telemetry import configure

_PORTS = tuple(field.name for field in fields(Ports))


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser(
        "up",
        help="run the whole local stack: Kafka, HTTP interface, routers",
        description="Sets the data directory up on the first start and goes on from there on every other one. With "
        "DATANUTS_KAFKA_BOOTSTRAP it uses that Kafka instead of starting one.",
    )
    datadir.add_option(parser)
    parser.add_argument(
        "--ports",
        type=_ports,
        default=Ports(),
        metavar="api=N,kafka=N,…",
        help="of api, kafka, https, kafka_tls; default: the usual ones, or any free ones",
    )
    parser.add_argument("--routers", type=int, default=1, metavar="N", help="router processes (default 1)")
    parser.add_argument("--json", action="store_true", help="print the ready line as JSON")
    parser.set_defaults(run=_run)


async def _run(given: argparse.Namespace) -> None:
    settings = load_settings(data_dir=given.data_dir)
    home = datadir.DataDir(settings.data_dir)
    home.make()
    with (home.logs / "api.log").open("a", encoding="utf-8") as lines:
        configure("api", settings, stream=lines)
        async with (
            stopping() as stop,
            running(home, settings, ports=given.ports, routers=given.routers, progress=note) as stack,
        ):
            _ready(stack, as_json=given.json)
            await _until(stop, stack.site.node)
            note("stopping")


async def _until(stop: asyncio.Event, node: LocalKafka | None) -> None:
    """Return once `stop` is set; raises `Fatal` if the embedded node ends before: nothing works without it."""
    if node is None:
        await stop.wait()
        return
    stopped, ended = asyncio.create_task(stop.wait()), asyncio.create_task(node.wait())
    try:
        await asyncio.wait({stopped, ended}, return_when=asyncio.FIRST_COMPLETED)
        if not stopped.done():
            raise Fatal(
                f"the embedded Kafka ended (exit code {ended.result()}): start again, everything it acknowledged is kept",
                operator=f"its log is in {node.directory / 'logs'}",
            )
    finally:
        stopped.cancel()
        ended.cancel()


def _ready(stack: Stack, *, as_json: bool) -> None:
    at, home = stack.connection, stack.home.root
    if as_json:
        machine({"ready": True, **asdict(at), "data_dir": str(home)})
        return
    say(f"ready: HTTP {at.api}, Kafka {at.kafka}, {at.lanes} lanes; credentials in {home / 'credentials'}")
    certified = "" if at.kafka_tls is None else f", Kafka {at.kafka_tls}"
    say(f"with client certificates: {at.https}{certified}; vouched for by {stack.home.ca}")
    say(f"next: datanuts product list --data-dir {home}    (Ctrl-C stops everything)")


def _ports(text: str) -> Ports:
    given: dict[str, int] = {}
    for part in text.split(","):
        name, _, number = part.partition("=")
        if name not in _PORTS or not number.isdecimal() or not 0 < int(number) < 1 << 16:
            raise argparse.ArgumentTypeError(f"must be {' and '.join(f'{known}=PORT' for known in _PORTS)}")
        given[name] = int(number)
    return Ports(**given)
