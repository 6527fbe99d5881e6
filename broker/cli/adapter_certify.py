"""`datanuts adapter certify|countersign|certificates|withdraw`: who answers for an adapter, and no longer."""

import argparse
import json
from pathlib import Path
from typing import Any

from broker.cli.client import OPERATOR, add_options, connect
from broker.cli.documents import read_text
from broker.cli.output import machine, say, table
from broker.errors import Invalid

_PATH = "/v1/adapters/certificates"


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts adapter`."""
    certify = verbs.add_parser(
        "certify",
        help="answer for a report of the conformance kit, as the owner of its source",
        description="The certificate is valid once the operator countersigned it, for twelve months (docs/conformance.md).",
    )
    certify.add_argument("--report", type=Path, required=True, metavar="FILE", help="as `pytest --report` wrote it")
    add_options(certify, acting=None)
    certify.set_defaults(run=_certify)
    countersign = verbs.add_parser("countersign", help="answer for it too, as the operator, having run the kit")
    countersign.add_argument("id", metavar="ID")
    add_options(countersign, acting=OPERATOR)
    countersign.set_defaults(run=_countersign)
    listing = verbs.add_parser("certificates", help="certificates of adapters and what they are worth")
    add_options(listing, acting=OPERATOR)
    listing.set_defaults(run=_list)
    withdraw = verbs.add_parser("withdraw", help="end a certificate: its adapter is stopped at once, where it runs")
    withdraw.add_argument("id", metavar="ID")
    withdraw.add_argument("--why", default="", metavar="TEXT", help="for the record; it names nobody")
    add_options(withdraw, acting=OPERATOR)
    withdraw.set_defaults(run=_withdraw)


def _certify(given: argparse.Namespace) -> None:
    try:
        report = json.loads(read_text(given.report))
    except ValueError:
        report = None
    if not isinstance(report, dict):
        raise Invalid(f"{given.report} is no report of the conformance kit")
    with connect(given) as broker:
        made = broker.post(_PATH, report)
    _told(given, made, f"the operator: datanuts adapter countersign {made['id']}")


def _countersign(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        made = broker.post(f"{_PATH}/{given.id}/countersign")
    _told(given, made, f"valid until {made['expires']}")


def _withdraw(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        made = broker.delete(f"{_PATH}/{given.id}", why=given.why or None)
    _told(given, made, "withdrawn: nothing more of it is committed")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every(_PATH))
    if given.json:
        for item in items:
            machine(item)
        return
    rows = (
        (
            each["id"],
            each["standing"],
            each["adapter"],
            f"{each['product']} of {each['source']}",
            each["package"][7:19],
            each["expires"] or "",
            ", ".join(each["notApplicable"]),
        )
        for each in items
    )
    table(("id", "standing", "adapter", "product", "package", "expires", "not applicable"), rows)


def _told(given: argparse.Namespace, made: dict[str, Any], more: str) -> None:
    if given.json:
        machine(made)
    else:
        say(f"{made['id']}: {made['adapter']} for {made['product']} of {made['source']}; {more}")
