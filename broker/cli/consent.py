"""`datanuts consent grant|withdraw|list`: the subject comes from a prompt or standard input, never from the command line."""

import argparse
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.dossier import instant, state
from broker.cli.output import machine, say, table
from broker.model.agreement import GivenBy


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser(
        "consent",
        help="register what subjects agreed to",
        description="For agreements whose population asks for consent. The subject (INSZ or KBO number) is read from "
        "standard input, or asked for without echo.",
    ).add_subparsers(metavar="VERB", required=True)
    grant = verbs.add_parser("grant", help="register a consent, or narrow or widen one")
    grant.add_argument("--ref", required=True, metavar="R", help="your own reference of the proof you keep")
    grant.add_argument("--by", choices=[by.value for by in GivenBy], default=GivenBy.SUBJECT.value, help="who gave it")
    grant.add_argument("--begin", type=instant, metavar="INSTANT", help="default: now")
    grant.add_argument("--end", type=instant, metavar="INSTANT", help="default: until withdrawn")
    grant.add_argument(
        "--field", action="append", metavar="F", help="a released field it is limited to; repeat for more"
    )
    grant.set_defaults(run=_grant)
    withdraw = verbs.add_parser("withdraw", help="withdraw a consent; returns when the stream has it")
    withdraw.add_argument("--ref", required=True, metavar="R")
    withdraw.add_argument("--at", type=instant, metavar="INSTANT", help="default: now; may be in the past")
    withdraw.set_defaults(run=_withdraw)
    listing = verbs.add_parser("list", help="the consents you registered, without subjects")
    listing.set_defaults(run=_list)
    for verb in (grant, withdraw, listing):
        verb.add_argument("--agreement", required=True, metavar="A")
        add_options(verb, acting=None)


def _grant(given: argparse.Namespace) -> None:
    form = {"reference": given.ref, "givenBy": given.by, "begin": given.begin, "end": given.end, "fields": given.field}
    _send(given, "", form)


def _withdraw(given: argparse.Namespace) -> None:
    _send(given, "/withdraw", {"reference": given.ref, "end": given.at})


def _send(given: argparse.Namespace, verb: str, form: dict[str, Any]) -> None:
    done = state(given, f"consents{verb}", form)
    if given.json:
        machine(done)
        return
    settled = (
        "the stream has it" if done["settled"] else "no router has acted on it yet: it will before it delivers again"
    )
    say(f"{done['reference']}: {done['status']}; {settled}")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = broker.get(f"/v1/agreements/{given.agreement}/consents")["items"]
    if given.json:
        machine(items)
        return
    rows = (
        (item["reference"], item["givenBy"], item["begin"], item["end"] or "", ", ".join(item["fields"] or ["all"]))
        for item in items
    )
    table(("reference", "given by", "begin", "end", "fields"), rows)
