"""`datanuts consume AGREEMENT --as AGENCY`: an agency's deliveries over the HTTP pull."""

import argparse
import json
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, note, say

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
    add_options(parser, acting=None)
    parser.set_defaults(run=_consume)


def _consume(given: argparse.Namespace) -> None:
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


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a positive number")
    return int(text)
