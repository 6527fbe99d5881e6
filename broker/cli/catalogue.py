"""`datanuts catalogue`: what there is to ask for, and how."""

import argparse
from collections.abc import Mapping, Sequence
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
    measured = [_figures(each) for each in held["items"] if each.get("quality")]
    if measured:
        table(
            (
                "product",
                "subjects",
                "last record",
                "source read",
                "median delay",
                "95 % within",
                "set aside",
                "complete",
            ),
            measured,
        )
    for number, step in enumerate(held["howToRequest"], 1):
        say(f"{number}. {step['by']}: {step['step']}  {step.get('command') or step['http']}")


def _figures(product: Mapping[str, Any]) -> Sequence[object]:
    """Quality of one product, a dash where there is no figure: of fewer than five nothing is told."""
    quality = product["quality"]
    fresh, complete = quality["freshness"], quality["completeness"]
    fewest = min(complete.items(), key=lambda each: each[1], default=None)
    return (
        f"{product['source']}/{product['id']}",
        _said(quality["subjects"], "about "),
        _said(fresh["lastRecord"]),
        _said(fresh["lastPass"]),
        _said(fresh["medianSeconds"], unit=" s"),
        _said(fresh["p95Seconds"], unit=" s"),
        _said(quality["quarantine"]["lastDayPercent"], unit=" %"),
        "-" if fewest is None else f"{len(complete)} optional fields; least {fewest[0]}, {fewest[1]} %",
    )


def _said(figure: object, before: str = "", unit: str = "") -> str:
    return "-" if figure is None else f"{before}{figure}{unit}"
