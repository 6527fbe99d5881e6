"""`datanuts dossier add|end|load|list|count`: the subject comes from a prompt or standard input, never from the command line."""

import argparse
import getpass
import sys
from datetime import datetime
from typing import Any

from broker.cli import dossier_load
from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table
from broker.errors import Invalid

_LONGEST_SUBJECT = 400


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser(
        "dossier",
        help="register the files your agency handles",
        description="The subject (INSZ or KBO number) is read from standard input, or asked for without echo.",
    ).add_subparsers(metavar="VERB", required=True)
    add = verbs.add_parser("add", help="register a file on a subject")
    add.add_argument("--ref", required=True, metavar="R", help="your own file reference; deliveries can carry it")
    add.add_argument("--capacity", metavar="C", help="hoedanigheid")
    add.add_argument("--begin", type=instant, metavar="INSTANT", help="default: now")
    add.add_argument("--end", type=instant, metavar="INSTANT", help="default: open")
    dossier_load.add_register_unknown(add)
    add.set_defaults(run=_add)
    end = verbs.add_parser("end", help="end a file")
    end.add_argument("--ref", required=True, metavar="R")
    end.add_argument("--at", type=instant, metavar="INSTANT", help="default: now")
    end.set_defaults(run=_end)
    listing = verbs.add_parser("list", help="your files, without subjects")
    listing.set_defaults(run=_list)
    count = verbs.add_parser("count", help="how many files you have, and how many are open")
    count.set_defaults(run=_count)
    for verb in (add, end, listing, count):
        verb.add_argument("--agreement", required=True, metavar="A")
        add_options(verb, acting=None)
    dossier_load.register(verbs)


def subject_from_input() -> str:
    """One identifier from a prompt without echo, or the first line of standard input; raises `Invalid` if empty."""
    asked = sys.stdin.isatty()
    text = (getpass.getpass("INSZ or KBO number: ") if asked else sys.stdin.readline(_LONGEST_SUBJECT + 2)).strip()
    if not text or len(text) > _LONGEST_SUBJECT:
        raise Invalid("no subject given: pipe one identifier, or type it at the prompt")
    return text


def state(given: argparse.Namespace, what: str, form: dict[str, Any], **query: str) -> dict[str, Any]:
    """Answer to what is stated of a subject under the agreement; the subject is read now."""
    with connect(given) as broker:
        body = {name: value for name, value in form.items() if value is not None} | {"subject": subject_from_input()}
        return broker.post(f"/v1/agreements/{given.agreement}/{what}", body, **query)


def instant(text: str) -> str:
    """The text, if it is an instant with its zone; for a parser of arguments."""
    try:
        aware = datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        aware = False
    if not aware or "T" not in text:
        raise argparse.ArgumentTypeError("must be an instant with its zone, such as 2026-01-01T00:00:00Z")
    return text


def _add(given: argparse.Namespace) -> None:
    form = {"reference": given.ref, "capacity": given.capacity, "begin": given.begin, "end": given.end}
    _send(given, "", form, **dossier_load.unknown_subjects(given))


def _end(given: argparse.Namespace) -> None:
    _send(given, "/end", {"reference": given.ref, "end": given.at})


def _send(given: argparse.Namespace, verb: str, form: dict[str, Any], **query: str) -> None:
    done = state(given, f"dossiers{verb}", form, **query)
    if given.json:
        machine(done)
    else:
        say(f"{done['reference']}: {done['status']}")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = broker.every(f"/v1/agreements/{given.agreement}/dossiers")
        if given.json:
            for item in items:
                machine(item)
        else:
            columns = ("reference", "capacity", "begin", "end")
            table(columns, ([item[name] for name in columns] for item in items))


def _count(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        counted = broker.get(f"/v1/agreements/{given.agreement}/dossiers/count")
    if given.json:
        machine(counted)
    else:
        say(f"{counted['total']} files, {counted['open']} of them open")
