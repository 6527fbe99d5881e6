"""`datanuts trace ID [--why AGENCY]`: one record from adapter to deliveries, and why an agency got nothing of it."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.output import machine, say, table
from broker.errors import Invalid, NotFound

_SENTENCES = {
    "NOT_IN_TERM": "the agreement's term does not hold at this instant",
    "SUSPENDED": "the agreement is suspended",
    "REVOKED": "the agreement is revoked",
    "ABOVE_CEILING": "the agreement asks more than the owner's ceiling allows today: it must be amended",
    "UNCHANGED_ANSWER": "the answer the agency receives did not change",
}


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser("trace", help="what happened to one record, and why an agency got nothing")
    parser.add_argument("id", type=_identifier, metavar="ID", help="trace id, traceparent or delivery id")
    parser.add_argument("--why", metavar="AGENCY", help="one line: why this agency got nothing, or what it got")
    add_options(parser)
    parser.set_defaults(run=_trace)


def _trace(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        found = broker.get(f"/v1/traces/{given.id}")
        if given.why:
            lines = why(found, given.why, list(broker.every("/v1/agreements")), lambda name: _document(broker, name))
            for line in lines:
                if given.json:
                    machine(line)
                else:
                    say(f"{line['agreement']}: {line['outcome']}{_because(line)}")
                    _say_actors(line)
            return
    if given.json:
        machine(found)
    else:
        _shown(found)


def why(
    trace: Mapping[str, Any], agency: str, agreements: Sequence[Mapping[str, Any]], document: Any
) -> list[dict[str, Any]]:
    """Per agreement of `agency` on the record's product: outcome, stable reason and one sentence.

    `agreements` are the summaries of the API, `document(id)` gives one's document. Raises `NotFound` without a receipt,
    `Invalid` if the agency has no agreement on this product.
    """
    receipts = trace["receipts"]
    if not receipts:
        raise NotFound(
            "no receipt yet: the record is not routed, was quarantined, or matched no agreement's population"
        )
    receipt = receipts[-1]
    product = receipt["topic"].split(".", 2)[2]
    own = [item for item in agreements if item["agency"] == agency and item["product"] == product]
    if not own:
        raise Invalid(f"{agency} has no agreement on {product}: default deny")
    leaves = {leaf["agreement"]: leaf for leaf in receipt["decisions"]}
    return [_line(item, leaves.get(item["id"]), receipt, document) for item in own]


def _line(
    item: Mapping[str, Any], leaf: Mapping[str, Any] | None, receipt: Mapping[str, Any], document: Any
) -> dict[str, Any]:
    line = {"agreement": item["id"], "outcome": "withheld", "reason": None, "text": "", "delivery": None}
    line |= {"principal": None, "actors": []}
    if leaf is None:
        if item["activatedAt"] is None:
            return line | {"reason": "NOT_ACTIVE", "text": "the agreement was never approved by the source's owner"}
        if item["epoch"] > receipt["epoch"] and item["version"] == 1 and item["state"] == "active":
            return line | {"reason": "NOT_ACTIVE", "text": "the agreement became active after this record was routed"}
        if document(item["id"])["population"].get("dossiers"):
            text = "the record lies outside the population, or the agency had no open dossier on its subject"
            return line | {"reason": "NO_DOSSIER", "text": f"{text} (counted, never receipted)"}
        text = "the record lies outside the agreement's population (counted, never receipted)"
        return line | {"reason": "OUTSIDE_POPULATION", "text": text}
    if leaf["outcome"] == "release":
        readers = {name: leaf[name] for name in ("principal", "actors")}
        return line | {"outcome": f"delivered as {leaf['kind']}", "delivery": leaf["delivery"], **readers}
    return line | {"reason": leaf["reason"], "text": _SENTENCES.get(leaf["reason"], "see the reason code")}


def _because(line: Mapping[str, Any]) -> str:
    return f", delivery {line['delivery']}" if line["delivery"] else f" [{line['reason']}]: {line['text']}"


def _document(broker: Client, agreement: str) -> Mapping[str, Any]:
    document: Mapping[str, Any] = broker.get(f"/v1/agreements/{agreement}")["document"]
    return document


def _shown(found: Mapping[str, Any]) -> None:
    say(f"trace {found['trace']}")
    spans = found["spans"]
    if spans:
        began = min(span["startMs"] for span in spans)
        steps = [
            (
                f"+{span['startMs'] - began:.1f} ms",
                f"{span['durationMs']:.1f} ms",
                span["service"],
                span["name"],
                span["agreement"],
            )
            for span in spans
        ]
        table(("at", "took", "process", "step", "agreement"), steps)
    for receipt in found["receipts"]:
        say(
            f"receipt: {receipt['topic']} lane {receipt['lane']} offset {receipt['offset']}, decided under epoch "
            f"{receipt['epoch']}, stored {receipt['writtenMs'] - receipt['decidedAtMs']} ms after the decision"
        )
        rows = [
            (leaf["agreement"], leaf["outcome"], leaf["kind"], leaf["reason"] or leaf["delivery"])
            for leaf in receipt["decisions"]
        ]
        table(("agreement", "outcome", "kind", "reason or delivery"), rows)
        for leaf in receipt["decisions"]:
            _say_actors(leaf)


def _say_actors(released: Mapping[str, Any]) -> None:
    for actor in released["actors"]:
        until = f" until {actor['until'][:19]}Z" if actor["until"] else ""
        later = ", after the decision, while it was kept" if actor["later"] else ""
        say(
            f"  {released['agreement']}: {actor['processor']} could read it for {released['principal']} "
            f"[{actor['reference']}] since {actor['since'][:19]}Z{until}{later}"
        )


def _identifier(text: str) -> str:
    parts = text.lower().split("-")
    identifier = parts[1] if len(parts) == 4 else parts[0]  # noqa: PLR2004 - a whole traceparent is accepted too
    if len(identifier) != 32 or not all(letter in "0123456789abcdef" for letter in identifier):  # noqa: PLR2004
        raise argparse.ArgumentTypeError("must be 32 hexadecimal characters, or a traceparent")
    return identifier
