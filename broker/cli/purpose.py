"""`datanuts purpose list|show`: why an agency may process, and which purposes lie above."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("purpose", help="the list of purposes").add_subparsers(metavar="VERB", required=True)
    listing = verbs.add_parser("list", help="all purposes")
    listing.set_defaults(run=_list)
    showing = verbs.add_parser("show", help="one purpose, with all that lie above it")
    showing.add_argument("code")
    showing.set_defaults(run=_show)
    for verb in (listing, showing):
        add_options(verb)


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every("/v1/purposes"))
    if given.json:
        machine(items)
        return
    rows = ((each["code"], each["title"], ", ".join(each["parents"]), each["ipdc"]) for each in items)
    table(("purpose", "title", "below", "ipdc"), rows)


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        purpose = broker.get(f"/v1/purposes/{given.code}")
    if given.json:
        machine(purpose)
        return
    say(f"{purpose['code']}: {purpose['title']}")
    say(purpose["description"])
    for name, value in (
        ("ipdc", purpose["ipdc"]),
        ("hoedanigheid", ", ".join(purpose["hoedanigheid"])),
        ("dpv", purpose["dpv"]),
    ):
        if value:
            say(f"{name}: {value}")
    above = ", ".join(purpose["lineage"])
    say(f"never more than: {above}" if above else "lies below no other")
