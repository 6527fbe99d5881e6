"""`datanuts agreement what-if|redecide`: a draft over real history, and a past decision made again."""

import argparse
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from broker.cli.agreement_questions import named
from broker.cli.client import add_options, connect
from broker.cli.output import machine, note, say, table
from broker.errors import BrokerUnavailable, Invalid

_AGO = re.compile(r"([1-9][0-9]{0,3})([hd])")
_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_PLACE = re.compile(r"([0-9]{1,6})/([0-9]{1,18})")
_DELIVERY = re.compile(r"[0-9a-f]{32}")
_ROWS = {"released": "released", "withoutValues": "of these left", "subjects": "subjects", "bytes": "bytes of values"}


def register(verbs: Any) -> None:
    """Add the verbs to `datanuts agreement`."""
    trying = verbs.add_parser(
        "what-if",
        help="what a draft would have released since an instant; delivers nothing",
        description="Runs the draft over the real history of its product, next to the version in force, both as if in "
        "force all the while. As the owner of the source the counts are exact; as the agency they are in steps of five.",
    )
    trying.add_argument("draft", metavar="DRAFT", help="a document")
    trying.add_argument("--since", required=True, metavar="AGO", help="such as 7d or 36h, or an instant")
    trying.set_defaults(run=_what_if)
    again = verbs.add_parser(
        "redecide",
        help="make a past decision again, with the policy, record and papers of then",
        description="Where the record is no longer there, it is said, and only the policy of then is checked.",
    )
    again.add_argument("receipt", metavar="RECEIPT", help="id of a delivery (32 hex), or LANE/OFFSET of the receipt")
    again.set_defaults(run=_redecide)
    for verb in (trying, again):
        add_options(verb)


def _what_if(given: argparse.Namespace) -> None:
    document = named(given.draft).get("document")
    if document is None:
        raise Invalid(f"{given.draft}: no such document; a draft is a file")
    asked = {"document": document, "since": _since(given.since, datetime.now(UTC)).isoformat()}
    result: Mapping[str, Any] | None = None
    with connect(given) as broker:
        for line in broker.lines("/v1/policy/what-if", asked):
            result = line.get("result")
            if result is None:
                note(f"read {line['read']} of {line['total']} records")
    if result is None:
        raise BrokerUnavailable("the broker broke off its answer: ask again")
    if given.json:
        machine(result)
    else:
        _rehearsed(result)


def _since(text: str, now: datetime) -> datetime:
    """The instant that `7d`, `36h` or RFC 3339 text names; raises `Invalid`."""
    if ago := _AGO.fullmatch(text):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise Invalid("--since: give a time ago such as 7d or 36h, or an instant such as 2026-01-01T00:00:00Z")
    return at


def _rehearsed(result: Mapping[str, Any]) -> None:
    against = "nothing in force" if result["against"] is None else f"version {result['against']} in force"
    say(f"{result['agreement']} version {result['version']} against {against}, since {result['since']}")
    if not result["complete"]:
        say("the time ran out: this covers a part of the history only")
    say(f"{result['records']} records about {result['subjects']} subjects; nothing was delivered")
    if result["files"] == 0:
        say("no file is registered under this agreement: a draft that asks for files reaches nobody yet")
    sides = [(name, result[side]) for name, side in (("draft", "draft"), ("in force", "current")) if result[side]]
    rows = [(label, *(side[key] for _, side in sides)) for key, label in _ROWS.items()]
    reasons = sorted({reason for _, side in sides for reason in side["withheld"]})
    rows += [(f"withheld, {reason}", *(side["withheld"].get(reason) for _, side in sides)) for reason in reasons]
    table(("", *(name for name, _ in sides)), rows)
    if result["current"] is not None:
        say(f"subjects gained: {result['gained']}, lost: {result['lost']}")
    say("fields: " + ", ".join(f"{field['path']} ({field['as']})" for field in result["fields"]))


def _redecide(given: argparse.Namespace) -> None:
    place = _PLACE.fullmatch(given.receipt)
    if place is None and not _DELIVERY.fullmatch(given.receipt):
        raise Invalid("a receipt is the id of one of its deliveries (32 hex), or LANE/OFFSET")
    asked = {"lane": int(place[1]), "offset": int(place[2])} if place else {"delivery": given.receipt}
    with connect(given) as broker:
        answer = broker.post("/v1/policy/redecide", asked)
    if given.json:
        machine(answer)
        return
    where = f"{answer['topic']} lane {answer['lane']} offset {answer['offset']}"
    say(f"{where}, decided {answer['decidedAt']} under epoch {answer['epoch']}")
    for each in answer["decisions"]:
        why = f", {each['why']}" if each["why"] else ""
        now = f"; now {_said(each['decided'])}" if each["check"] == "different" else ""
        say(f"{each['agreement']} version {each['version']}: {each['check']}{why}")
        say(f"  recorded {_said(each['recorded'])}{now}")
        if each["policySha256"]:
            today = "the same today" if each["sameToday"] else "not the same today"
            say(f"  policy of then {each['policySha256']}, {today}")


def _said(said: Mapping[str, Any] | None) -> str:
    return "no decision" if said is None else f"{said['outcome']} {said['reason'] or said['kind']}"
