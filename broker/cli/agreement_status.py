"""`datanuts agreement status ID`: how a subscription stands, and whether its silence is a fault."""

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table

_FEW = "<5"


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts agreement`."""
    parser = verbs.add_parser("status", help="exits, positions, last delivery, counts per day, alerts")
    parser.add_argument("agreement")
    parser.add_argument(
        "--quiet-hours", type=float, metavar="H", default=24.0, help="how long it may be quiet; default: 24"
    )
    add_options(parser)
    parser.set_defaults(run=_status)


def _status(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        held = broker.get(f"/v1/agreements/{given.agreement}/subscription", quietHours=given.quiet_hours)
    if given.json:
        machine(held)
        return
    say(f"{held['agreement']} version {held['version']}: {held['state']} since {held['since'][:19]}Z")
    if "end" in held:
        for line in _standing(held):
            say(line)
    if not held["daysWhole"]:
        say("the counts below are too low: not all receipts could be read yet, ask again")
    told = [row for day in held["days"] for row in _rows(day)]
    if told:
        table(("day", "outcome", "what", "subjects"), told)
    else:
        say("no day of the last 14 had five subjects or more in any of its cells")


def _standing(held: Mapping[str, Any]) -> Iterator[str]:
    yield f"last delivery: {held['lastDelivery'] or 'none retained'}; whole through {held['wholeThrough'] or 'not known'}"
    yield f"source's last record: {held['sourceLastRecord'] or 'none'}"
    for name in ("backfill", "replay"):
        if (found := held[name])["state"] != "none":
            far = f", {found['lanesDone']} of {found['lanes']} lanes, {found['percent']} %"
            yield f"{name}: {found['state']}{far if found['state'] == 'running' else ''}"
    http, kafka, end = held["exits"]["http"], held["exits"]["kafka"], held["end"]
    if http:
        yield f"http: handed out up to {http['handedOut']} of {end} on {http['day']}, at most {http['behindAtMost']} behind"
    else:
        yield f"http: not seen in use since {held['exits']['httpKnownSince'][:19]}Z"
    if kafka:
        yield f"kafka: committed {kafka['committed']} of {end}, at most {kafka['behindAtMost']} behind"
    for alert in held["alerts"]:
        since = f" since {alert['since']}" if alert["since"] else ""
        yield f"ALERT {alert['code']}{since}: {alert['text']}"


def _rows(day: Mapping[str, Any]) -> Iterator[tuple[object, ...]]:
    for outcome in ("delivered", "withheld"):
        for what, count in day[outcome].items():
            if count != _FEW:
                yield day["day"], outcome, what, count
