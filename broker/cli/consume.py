"""`datanuts consume AGREEMENT --as AGENCY`: an agency's deliveries over the HTTP pull, or up to now into a file."""

import argparse
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from broker.cli import consume_file
from broker.cli.client import add_options, connect
from broker.cli.output import machine, note, say
from broker.errors import Invalid

_PAGE = 500
_WAIT_S = 20
_FIRST_WAIT_S = 2


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser("consume", help="read an agreement's deliveries as its agency")
    parser.add_argument("agreement")
    parser.add_argument("--max", type=_count, metavar="N", help="stop after N items")
    parser.add_argument("--follow", action="store_true", help="wait for more until interrupted")
    parser.add_argument("--after", metavar="CURSOR", help="go on after this cursor; default: the oldest retained")
    files = parser.add_argument_group("into a file, up to now")
    files.add_argument("--output", type=Path, metavar="FILE", help="write it whole or not at all; FILE.cursor leads on")
    files.add_argument("--format", choices=consume_file.FORMATS, default="ndjson", help="default: ndjson")
    files.add_argument("--since", type=_instant, metavar="INSTANT", help="begin with what was committed from then on")
    files.add_argument(
        "--resume", action="store_true", help="go on where the last run stopped, in this file or the next"
    )
    add_options(parser, acting=None, certificate=True)
    parser.set_defaults(run=_consume)


def _consume(given: argparse.Namespace) -> None:
    if given.output is None and (given.since or given.resume or given.format != "ndjson"):
        raise Invalid("--format, --since and --resume are for --output FILE")
    if given.output is None:
        _show(given)
        return
    if given.max is not None or given.follow or (given.after and given.since):
        raise Invalid("--output goes up to now, from --after or --since on: not with --max, --follow, or both")
    consume_file.save(given)


def _show(given: argparse.Namespace) -> None:
    """Write items until the end, the maximum or an interrupt; the cursor to go on with goes to standard error."""
    after, left = given.after, given.max
    with connect(given) as broker:
        try:
            while left is None or left > 0:
                page = broker.get(
                    f"/v1/deliveries/{given.agreement}",
                    after=after,
                    limit=min(_PAGE, left or _PAGE),
                    wait=_WAIT_S if given.follow else _FIRST_WAIT_S,
                )
                for item in page["items"]:
                    (machine if given.json else _shown)(item)
                    after = item["cursor"]
                after = page["next"]
                left = None if left is None else left - len(page["items"])
                if not page["items"] and not given.follow:
                    break
        finally:
            if after is not None:
                note(f"next: --after {after}")


def _shown(item: dict[str, Any]) -> None:
    reason = f" {item['reason']}" if "reason" in item else ""
    data = "" if item.get("data") is None else " " + json.dumps(item["data"], ensure_ascii=False)
    say(f"{item['time'] or '-'} {item['kind']}{reason} {item['key']}{data}")


def _instant(text: str) -> str:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise argparse.ArgumentTypeError("must be an instant with its zone, as 2026-11-26T06:00:00Z")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a positive number")
    return int(text)
