"""`datanuts announce`: tell agencies something in their streams."""

import argparse
from typing import Any

from broker.cli.client import OPERATOR, add_options, connect
from broker.cli.output import machine, say


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser("announce", help="tell agencies something in their streams: an outage, a deprecation")
    parser.add_argument("reason", choices=("OUTAGE", "DEPRECATION", "INFORMATION"))
    parser.add_argument("text", help="for a person to read; it names nobody")
    parser.add_argument("--source", metavar="ORGANISATION", help="only to agencies of this source")
    parser.add_argument("--product", metavar="PRODUCT", help="only to agencies of this product of it")
    parser.add_argument("--begins", metavar="INSTANT")
    parser.add_argument("--ends", metavar="INSTANT")
    add_options(parser, acting=OPERATOR)
    parser.set_defaults(run=_announce)


def _announce(given: argparse.Namespace) -> None:
    stated = {name: getattr(given, name) for name in ("reason", "text", "source", "product", "begins", "ends")}
    with connect(given) as broker:
        done = broker.post("/v1/announcements", {name: value for name, value in stated.items() if value is not None})
    if given.json:
        machine(done)
    else:
        say(f"{given.reason}: told in every stream that it concerns")
