"""`datanuts product halt|resume`: an emergency stop of everything that a product delivers."""

import argparse
from typing import Any

from broker.cli.client import OPERATOR, add_options, connect
from broker.cli.output import machine, say


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts product`."""
    halt = verbs.add_parser(
        "halt",
        help="stop every stream of a product now",
        description="Returns when nothing more can follow in any stream.",
    )
    resume = verbs.add_parser("resume", help="release again; agencies ask for a replay of what was withheld")
    for parser, verb in ((halt, "halt"), (resume, "resume")):
        parser.add_argument("product", metavar="SOURCE/PRODUCT", help="such as rijksregister/persoon.v1")
        parser.add_argument("--why", default="", metavar="TEXT", help="for the record, and on resumption for agencies")
        add_options(parser, acting=OPERATOR)
        parser.set_defaults(run=_halt_or_resume, verb=verb)


def _halt_or_resume(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post(f"/v1/products/{given.product}/{given.verb}", {"why": given.why})
    if given.json:
        machine(done)
    elif done["halted"]:
        say(
            f"halted: {done['barriers']} lanes confirmed in {done['durationMs']} ms, {len(done['fenced'])} of them fenced"
        )
    else:
        say("resumed: what was withheld meanwhile, agencies get with `datanuts agreement replay`")
