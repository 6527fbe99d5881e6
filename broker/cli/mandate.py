"""`datanuts mandate give|end|list`: who reads an agency's streams for it."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser(
        "mandate", help="let a processor read your streams, and take that back", description="docs/processors.md"
    ).add_subparsers(metavar="VERB", required=True)
    giving = verbs.add_parser("give", help="let a processor read; in the place of an earlier mandate")
    ending = verbs.add_parser("end", help="end it: returns when it gets nothing more")
    for parser, run in ((giving, _give), (ending, _end)):
        parser.add_argument("processor")
        add_options(parser, acting=None)
        parser.set_defaults(run=run)
    giving.add_argument("--reference", required=True, metavar="TEXT", help="of the contract between the two")
    giving.add_argument("--agreement", action="append", metavar="ID", help="only this one; may be repeated")
    giving.add_argument("--begin", metavar="INSTANT", help="default: now")
    giving.add_argument("--end", metavar="INSTANT", help="default: until it is ended")
    listing = verbs.add_parser("list", help="mandates you gave or hold")
    add_options(listing)
    listing.set_defaults(run=_list)


def _give(given: argparse.Namespace) -> None:
    stated = {"reference": given.reference, "agreements": given.agreement, "begin": given.begin, "end": given.end}
    body = {name: value for name, value in stated.items() if value is not None}
    with connect(given) as broker:
        _told(given, broker.put(_path(given), body))


def _end(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.delete(_path(given)))


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every("/v1/mandates"))
    if given.json:
        for item in items:
            machine(item)
        return
    rows = [
        (
            each["organisation"],
            each["processor"],
            ", ".join(each["agreements"] or ["all"]),
            each["begin"],
            each["end"] or "",
        )
        for each in items
    ]
    table(("organisation", "processor", "agreements", "begin", "end"), rows)


def _path(given: argparse.Namespace) -> str:
    return f"/v1/organisations/{given.acting}/mandates/{given.processor}"


def _told(given: argparse.Namespace, mandate: dict[str, Any]) -> None:
    if given.json:
        machine(mandate)
    else:
        about = ", ".join(mandate["agreements"] or ["all agreements"])
        until = f"until {mandate['end']}" if mandate["end"] else "until it is ended"
        say(f"{mandate['processor']} reads {about} for {mandate['organisation']} from {mandate['begin']} {until}")
