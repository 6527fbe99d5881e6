"""`datanuts agreement events`: every step of one's agreements, each with its seal checked."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, table
from broker.control.event_seals import verify_event


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts agreement`."""
    parser = verbs.add_parser(
        "events",
        help="every step of your agreements, oldest first; each seal is checked",
        description="Keep the lines of --json: with the broker's public key (sealKey) they show later what you were told.",
    )
    parser.add_argument("--after", type=int, default=-1, metavar="EPOCH", help="only what came after it")
    add_options(parser)
    parser.set_defaults(run=_events)


def _events(given: argparse.Namespace) -> None:
    found: list[dict[str, Any]] = []
    with connect(given) as broker:
        after = given.after
        while page := broker.get("/v1/agreements/events", after=after):
            for event in page["items"]:
                verify_event(event, page["sealKey"])
                found.append(event | {"sealKey": page["sealKey"]})
            if page["next"] == after:
                break
            after = page["next"]
    if given.json:
        for event in found:
            machine(event)
        return
    rows = [(each["at"], each["agreement"], each["version"], each["type"], each["by"], each["why"]) for each in found]
    table(("at", "agreement", "version", "step", "by", "why"), rows)
