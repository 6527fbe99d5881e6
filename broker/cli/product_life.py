"""`datanuts product launch|deprecate|succession|end`: the life of a product version, and what it asks of each agreement."""

import argparse
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say

_PRODUCT = "such as rijksregister/persoon.v1"


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts product`."""
    launch = verbs.add_parser("launch", help="make a planned version live: agreements on it are published from now on")
    deprecate = verbs.add_parser(
        "deprecate",
        help="announce the sunset of a version; answers every agreement on it: must its text change, why, and by when",
        description="Every agency on it is told in its stream and as a sealed event. From the sunset on nothing begins on the "
        "version; what is in force goes on. A sunset can be moved later by saying it again.",
    )
    deprecate.add_argument("--successor", metavar="PRODUCT", help="such as persoon.v2; without it nothing follows")
    deprecate.add_argument(
        "--sunset", required=True, type=_instant, metavar="DATE", help="a day (0 h UTC), or an instant with its zone"
    )
    deprecate.add_argument("--reason", required=True, metavar="TEXT", help="for a person to read; it names nobody")
    deprecate.add_argument(
        "--notice-days", type=int, metavar="N", help="days before the sunset to have signed what follows; default: 90"
    )
    deprecate.add_argument("--dry-run", action="store_true", help="only show what it would ask of each agreement")
    succession = verbs.add_parser("succession", help="what the deprecation of a version asks of your agreements on it")
    end = verbs.add_parser(
        "end",
        help="end a version after its sunset",
        description="Refused while agreements are in force on it. With --end-agreements each of them is ended first; it "
        "returns when nothing more can follow in any stream.",
    )
    end.add_argument("--end-agreements", action="store_true", help="end what is still in force on it")
    end.add_argument("--why", default="", metavar="TEXT", help="for the record, and for the parties of what it ends")
    for parser, run in ((launch, _launch), (deprecate, _deprecate), (succession, _succession), (end, _end)):
        parser.add_argument("product", metavar="SOURCE/PRODUCT", help=_PRODUCT)
        add_options(parser, acting=None)
        parser.set_defaults(run=run)


def _launch(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post(f"/v1/products/{given.product}/launch")
    if given.json:
        machine(done)
    else:
        say(f"{done['id']} of {done['source']}: {done['state']}; agreements on it can be published")


def _deprecate(given: argparse.Namespace) -> None:
    stated = {"successor": given.successor, "noticeDays": given.notice_days}
    form = {"sunset": given.sunset, "reason": given.reason, "dryRun": given.dry_run}
    form |= {name: value for name, value in stated.items() if value is not None}
    with connect(given) as broker:
        done = broker.post(f"/v1/products/{given.product}/deprecate", form)
    if given.json:
        machine(done)
        return
    if given.dry_run:
        say(f"{done['id']} of {done['source']} is {done['state']}: nothing was announced")
    _shown(done)


def _succession(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        found = broker.get(f"/v1/products/{given.product}/succession")
    if given.json:
        machine(found)
    else:
        _shown(found)


def _end(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post(
            f"/v1/products/{given.product}/end", {"why": given.why, "endAgreements": given.end_agreements}
        )
    if given.json:
        machine(done)
    else:
        say(f"{done['id']} of {done['source']} has ended; {len(done['agreementsEnded'])} agreement(s) ended for it")


def standing(product: Mapping[str, Any]) -> str:
    """One line on where a version's life stands."""
    if product["sunset"] is None:
        return str(product["state"])
    after = f", then {product['successor']}" if product["successor"] else ", nothing follows"
    return f"{product['state']}, sunset {product['sunset']}{after}"


def _shown(found: Mapping[str, Any]) -> None:
    agreements: Sequence[Mapping[str, Any]] = found["agreements"]
    if found["sunset"] is not None:
        say(f"{found['id']} of {found['source']}: {standing(found)}")
        say(f"  {found['reason']}")
    say(f"{len(agreements)} agreement(s)")
    for each in agreements:
        _agreement(each)


def _agreement(each: Mapping[str, Any]) -> None:
    must = {True: "its text must change", False: "its text may stay", None: "it ends with the product"}
    when = f"; by {each['by']}" if each["by"] else ""
    say(
        f"{each['id']} version {each['version']} of {each['agency']} ({each['state']}): {must[each['textMustChange']]}{when}"
    )
    say(f"  when: {each['ruleText']} [{each['rule']}]")
    for ground in each["grounds"]:
        say(f"  {ground['path'] or 'product'}: {ground['text']} [{ground['reason']}]")
    if each["clauses"]:
        say("  articles: " + ", ".join(f"{clause['article']} ({clause['title']})" for clause in each["clauses"]))
    for change in each["forPrograms"]:
        say(f"  for its programs: {change['path']}: {change['reason']} [{change['rule']}]")


def _instant(text: str) -> str:
    """RFC 3339 text of a day (its first instant, UTC) or of an instant with its zone."""
    try:
        at = datetime.fromisoformat(text)
        if len(text) == len("2026-01-31"):
            first = date.fromisoformat(text)
            at = datetime(first.year, first.month, first.day, tzinfo=UTC)
    except ValueError:
        raise argparse.ArgumentTypeError("a day such as 2027-06-30, or an instant with its zone") from None
    if at.tzinfo is None:
        raise argparse.ArgumentTypeError("an instant needs its zone, as 2027-06-30T00:00:00Z does")
    return at.isoformat()
