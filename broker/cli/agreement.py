"""`datanuts agreement`: an agreement from its document to its end; here it is listed and shown."""

import argparse
import json
from collections.abc import Callable
from typing import Any

from broker.cli import (
    agreement_events,
    agreement_export,
    agreement_history,
    agreement_migrate,
    agreement_onboard,
    agreement_plan,
    agreement_pseudonyms,
    agreement_questions,
    agreement_rehearse,
    agreement_replay,
    agreement_status,
    agreement_steps,
    agreement_text,
)
from broker.cli.agreement_steps import next_step
from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("agreement", help="negotiate, sign, revoke and list agreements").add_subparsers(
        metavar="VERB", required=True
    )
    agreement_text.register(verbs)
    agreement_plan.register(verbs)
    agreement_steps.register(verbs)
    agreement_rehearse.register(verbs)
    _online(verbs.add_parser("list", help="the agreements you are party to"), _list)
    show = verbs.add_parser("show", help="one agreement with its document")
    show.add_argument("agreement")
    show.add_argument("--version", type=int, metavar="N", help="default: the one in force, else the latest")
    _online(show, _show)
    history = verbs.add_parser("history", help="every step that it took: who, when, why")
    history.add_argument("agreement")
    _online(history, _history)
    agreement_status.register(verbs)
    agreement_pseudonyms.register(verbs)
    agreement_replay.register(verbs)
    agreement_migrate.register(verbs)
    agreement_onboard.register(verbs)
    agreement_questions.register(verbs)
    agreement_history.register(verbs)
    agreement_events.register(verbs)
    agreement_export.register(verbs)


def _online(parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], int | None]) -> None:
    add_options(parser)
    parser.set_defaults(run=run)


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every("/v1/agreements"))
    if given.json:
        machine(items)
        return
    table(
        ("agreement", "version", "state", "agency", "product", "purpose"),
        (
            (item["id"], item["version"], item["state"], item["agency"], item["product"], item["purpose"])
            for item in items
        ),
    )


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        held = broker.get(f"/v1/agreements/{given.agreement}", version=given.version)
    if given.json:
        machine(held)
        return
    say(f"{held['id']} version {held['version']}: {held['state']} since {held['since']}")
    if held["topic"]:
        say(f"topic {held['topic']}")
    if held["textSha256"]:
        say(f"SHA-256 of the text {held['textSha256']}")
    for each in held["signatures"]:
        say(f"signed by {each['organisation']} ({each['function']}) at {each['signedAt']}, method {each['method']}")
    pending = held["amendment"] or held
    if held["amendment"]:
        say(f"amendment: version {pending['version']}: {pending['state']}")
    if (following := next_step(pending)) is not None:
        say(f"next: {following}")
    for line in json.dumps(held["document"], ensure_ascii=False, indent=2).splitlines():
        say(line)


def _history(given: argparse.Namespace) -> None:
    path = f"/v1/agreements/{given.agreement}"
    with connect(given) as broker:
        numbers = broker.get(path)["versions"]
        steps = [
            step | {"version": number} for number in numbers for step in broker.get(path, version=number)["history"]
        ]
    if given.json:
        machine(steps)
        return
    table(
        ("version", "step", "by", "function", "at", "why"),
        (
            (step["version"], step["type"], step["by"], step["function"], f"{step['at'][:19]}Z", step["why"])
            for step in steps
        ),
    )
