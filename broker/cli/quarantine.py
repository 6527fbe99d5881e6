"""`datanuts quarantine list|show|open|retry`: what of a source could not be routed, why, and another look at it."""

import argparse
import base64
import sys
from collections.abc import Mapping
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, note, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("quarantine", help="records that could not be routed").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verbs.add_parser("list", help="open items by code, and the items themselves for their source")
    _add_product(listing)
    listing.add_argument("--code", help="items of this code only")
    listing.add_argument("--max", type=int, default=20, metavar="N", help="items to show; default: 20")
    add_options(listing)
    listing.set_defaults(run=_list)
    for name, run, text in (
        ("show", _show, "one item: where it lies, why, who opened it, what came of a retry"),
        ("open", _open, "the bytes of a record on standard output; that you opened it is kept, with your reason"),
        ("retry", _retry, "have a record looked at again, in its place"),
    ):
        verb = verbs.add_parser(name, help=text)
        _add_product(verb)
        verb.add_argument("place", metavar="PARTITION/OFFSET", help="as `list` shows it")
        if name == "open":
            verb.add_argument("--why", required=True, metavar="TEXT", help="why you need the bytes; it names nobody")
        add_options(verb, acting=None)
        verb.set_defaults(run=run)


def _add_product(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("product", metavar="SOURCE/PRODUCT", help="such as rijksregister/persoon.v1")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        body = broker.get(f"/v1/quarantine/{given.product}", code=given.code, limit=max(1, min(given.max, 1000)))
    if given.json:
        machine(body)
        return
    if not body["codes"]:
        say("nothing is open")
    else:
        rows = ((each["code"], each["count"], each["first"], each["last"]) for each in body["codes"])
        table(("code", "open", "first", "last"), rows)
    if body["items"]:
        table(("place", "code", "path", "at", "standing"), map(_row, body["items"]))
    if not body["whole"]:
        note("there are more than were read: these are of the latest")
    if body["next"] is not None:
        note("there are more: --max, --code")


def _row(item: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    place = f"adapter {item['adapter']}" if item["offset"] is None else f"{item['partition']}/{item['offset']}"
    return place, item["code"], item["path"], item["at"], _standing(item)


def _standing(item: Mapping[str, Any]) -> str:
    if item["outcome"] is not None:
        return str(item["outcome"])
    return "retry under way" if item["retrying"] else "open"


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        item = broker.get(_path(given))
    if given.json:
        machine(item)
        return
    at = f" at {item['path']}" if item["path"] else ""
    say(f"{given.product} {given.place}: {item['code']}{at}")
    say(f"set aside {item['at']}; {_standing(item)}; trace {item['trace'] or 'unknown'}; digest {item['digest']}")
    for opened in item["opened"]:
        say(f"opened {opened['at']} by {opened['by']}: {opened['why']}")


def _open(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        opened = broker.post(f"{_path(given)}/open", {"why": given.why})
    if given.json:
        machine(opened)
    elif opened["value"] is None:
        note("a deletion: it has no bytes")
    else:
        sys.stdout.buffer.write(base64.b64decode(opened["value"]))
        sys.stdout.buffer.flush()


def _retry(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        asked = broker.post(f"{_path(given)}/retry")
    if given.json:
        machine(asked)
    else:
        shown = f"datanuts quarantine show {given.product} {given.place} --as {given.acting}"
        say(f"run {asked['run']}: its lane looks at it again; `{shown}` tells what came of it")


def _path(given: argparse.Namespace) -> str:
    return f"/v1/quarantine/{given.product}/{given.place}"
