"""`datanuts catalogue`: what there is to ask for, and how."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser("catalogue", help="products, the most one may have of them per purpose, how to ask")
    add_options(parser)
    parser.set_defaults(run=_show)


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        held = broker.get("/v1/catalogue")
    if given.json:
        machine(held)
        return
    rows = [
        (f"{each['source']}/{each['id']}", purpose["purpose"], len(purpose["fields"]))
        for each in held["items"]
        for purpose in each["purposes"] or [{"purpose": "(nobody, for no purpose yet)", "fields": ()}]
    ]
    table(("product", "purpose", "fields at most"), rows)
    for number, step in enumerate(held["howToRequest"], 1):
        say(f"{number}. {step['by']}: {step['step']}  {step.get('command') or step['http']}")
