"""`datanuts catalogue`: what there is to ask for, and how."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser(
        "catalogue", help="products, the most one may have of them per purpose, their quality, how to ask"
    )
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
    for each in held["items"]:
        if each.get("quality"):
            say(f"{each['source']}/{each['id']}: {'; '.join(_figures(each['quality'])) or 'no figures yet'}")
    for number, step in enumerate(held["howToRequest"], 1):
        say(f"{number}. {step['by']}: {step['step']}  {step.get('command') or step['http']}")


def _figures(quality: Mapping[str, Any]) -> Iterator[str]:
    """Quality of one product in words; what is not told, such as of fewer than five subjects, is left out."""
    fresh, complete, aside = quality["freshness"], quality["completeness"], quality["quarantine"]["lastDayPercent"]
    if quality["subjects"] is not None:
        yield f"about {quality['subjects']} subjects"
    if fresh["lastRecord"] is not None:
        yield f"last record {fresh['lastRecord']}"
    if fresh["lastPass"] is not None:
        yield f"source read to its end {fresh['lastPass']}"
    if fresh["medianSeconds"] is not None:
        yield f"half published within {fresh['medianSeconds']} s, 95 % within {fresh['p95Seconds']} s"
    if aside is not None:
        yield f"{aside} % set aside in a day"
    if complete:
        least = min(complete, key=lambda path: (complete[path], path))
        yield f"{len(complete)} optional fields, least complete {least}, {complete[least]} %"
