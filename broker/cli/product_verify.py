"""`datanuts product verify|seal-key`: whether a source vouches for what lies in its topic, and the keys it does so with."""

import argparse
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from broker.cli import datadir
from broker.cli.client import OPERATOR
from broker.cli.output import machine, note, say, table
from broker.cli.site import site
from broker.control.history import History
from broker.control.seal_check import SealCheck
from broker.control.seal_examination import Verdict
from broker.control.source_seals import SealKeys
from broker.model.seal_keys import SealKey
from broker.settings import load_settings

_SHOWN_EVERY_S = 1.0
_MEANING: Mapping[str, str] = {
    "unsealed": "nobody vouches for: written before seals, by another program than the runner, or changed since",
    "repeated": "written more often than sealed",
    "misplaced": "written again, behind later ones",
}


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts product`."""
    verify = verbs.add_parser(
        "verify",
        help="hold every record of a topic against its source's seals",
        description="For whoever runs the installation: reads the topic and the seals on it, and shows no record. Exit code 1 "
        "where a record is not vouched for or a seal is not as it was made (docs/source-seals.md).",
    )
    verify.add_argument("organisation", metavar="ORG", help="the source")
    verify.add_argument("product", metavar="PRODUCT", help="such as persoon.v1")
    verify.add_argument(
        "--since", type=_instant, metavar="INSTANT", help="records appended from then on, as 2026-07-01T12:00:00Z"
    )
    _common(verify)
    verify.set_defaults(run=_verify)
    keys = verbs.add_parser("seal-key", help="keys with which a source seals its records").add_subparsers(
        metavar="VERB", required=True
    )
    for verb, meaning, run in (
        ("list", "all keys of a source", _list),
        ("rotate", "seal with another key from now on; earlier seals stay believed", _rotate),
    ):
        parser = keys.add_parser(verb, help=meaning)
        parser.add_argument("organisation", metavar="ORG")
        _common(parser)
        parser.set_defaults(run=run)
    distrust = keys.add_parser(
        "distrust",
        help="believe no seal of a key from an instant on: others saw it",
        description="Another key follows it first, if it is the present one. What it sealed since is told by `product verify`: "
        "publish those records again.",
    )
    distrust.add_argument("key", type=_key, metavar="ORG/NUMBER", help="as `seal-key list` shows it")
    distrust.add_argument(
        "--since", type=_instant, required=True, metavar="INSTANT", help="from when others may have had it"
    )
    distrust.add_argument("--why", default="", metavar="TEXT", help="for the record; names nobody")
    _common(distrust)
    distrust.set_defaults(run=_distrust)


def _common(parser: argparse.ArgumentParser) -> None:
    datadir.add_option(parser)
    parser.add_argument("--json", action="store_true", help="one JSON value")


async def _verify(given: argparse.Namespace) -> int:
    async with _installation(given) as here:
        history = History(here.clients.consumer, here.lanes)
        found = await SealCheck(here.control, history, here.admin.end_offsets).check(
            given.organisation, given.product, since=given.since, progress=_Progress()
        )
    if given.json:
        machine({"organisation": given.organisation, "product": given.product, **found.as_json()})
    else:
        _shown(found)
    return 0 if found.sound else 1


def _shown(found: Verdict) -> None:
    say(f"{found.records} records, {found.sealed} sealed by their source; {found.seals} seals")
    rows: list[tuple[str, object, object]] = [
        ("record nobody vouches for", f"lane {lane}", count) for lane, count in sorted(found.unsealed.items())
    ]
    rows += [("record written more often than sealed", "", found.repeated)] if found.repeated else []
    rows += [("record behind later ones", "", found.misplaced)] if found.misplaced else []
    rows += [("seal not believed", code, count) for code, count in sorted(found.doubts.items())]
    rows += [("seal missing", "", found.missing)] if found.missing else []
    if rows:
        table(("what", "which", "number"), rows)
    if found.before:
        say(f"{found.before} of the unsealed ones are of before the first seal; leave them out with --since")
    for kind, places in found.coordinates.items():
        if places:
            say(f"{kind} ({_MEANING[kind]}), the first ones as lane/offset:")
            say("  " + " ".join(f"{each.lane}/{each.offset}" for each in places))


async def _list(given: argparse.Namespace) -> None:
    async with _installation(given) as here:
        held = here.control.state.seal_keys.of(given.organisation)
    if given.json:
        machine([_key_json(each) for each in held])
        return
    table(("key", "since", "not believed from", "public key"), (tuple(_key_json(each).values())[:4] for each in held))


async def _rotate(given: argparse.Namespace) -> None:
    async with _installation(given) as here:
        made = await SealKeys(here.control, here.keys).rotate(given.organisation, by=OPERATOR)
    _told(given, made, f"{given.organisation} seals with {made.id} from now on")


async def _distrust(given: argparse.Namespace) -> None:
    organisation, epoch = given.key
    async with _installation(given) as here:
        held = await SealKeys(here.control, here.keys).distrust(
            organisation, epoch, since=given.since, by=OPERATOR, why=given.why
        )
    _told(given, held, f"no seal of {held.id} from {_text(held.distrusted)} on is believed")


def _told(given: argparse.Namespace, key: SealKey, line: str) -> None:
    if given.json:
        machine(_key_json(key))
    else:
        say(line)


def _key_json(key: SealKey) -> dict[str, Any]:
    return {
        "key": key.id,
        "since": _text(key.since),
        "distrusted": _text(key.distrusted),
        "public": key.public.hex(),
        "why": key.why,
    }


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _installation(given: argparse.Namespace) -> Any:
    settings = load_settings(data_dir=given.data_dir)
    home = datadir.DataDir(settings.data_dir)
    return site(home, settings, progress=note)


class _Progress:
    """A line on standard error, at most one a second."""

    def __init__(self) -> None:
        self._at = time.monotonic()

    def __call__(self, records: int) -> None:
        if (now := time.monotonic()) - self._at >= _SHOWN_EVERY_S:
            self._at = now
            note(f"{records} records read")


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError("must be an instant with its zone, as 2026-07-01T12:00:00Z")
    return at


def _key(text: str) -> tuple[str, int]:
    organisation, _, number = text.rpartition("/")
    if not organisation or not number.isdecimal():
        raise argparse.ArgumentTypeError("must be an organisation and a number, as stad-gent/1")
    return organisation, int(number)
