"""`datanuts credential issue|list|rotate|revoke|compromised`: an organisation's own credentials.

A new secret goes into files of mode 0600 and is not shown, unless `--json` asks for it: what is on a screen is read by others.
With `--csr` there is no secret: a certificate for a key that stays where it is.
"""

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.output import machine, note, say, table
from broker.errors import Invalid, NotFound

OPENSSL = "openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj / -keyout app.key -out app.csr"
"""Makes a key and its request, as an agency does it where the key is to stay."""


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("credential", help="issue, rotate and revoke an organisation's credentials")
    verbs = verbs.add_subparsers(metavar="VERB", required=True)
    issue = _verb(verbs, "issue", "a new token or client certificate, and for an agency a Kafka user", _issue)
    issue.add_argument("--of", metavar="ORG", help="for which organisation, as the operator; default: --as")
    issue.add_argument(
        "--role", action="append", metavar="R", help="default: those of the credential in use; repeatable"
    )
    add_secret(issue)
    _verb(verbs, "list", "credentials with their expiry and last use, never their secrets", _list)
    rotate = _one(verbs, "rotate", "one that replaces it; the old one works on for a while", _rotate)
    rotate.add_argument("--overlap", type=float, metavar="H", default=24.0, help="hours; default: 24")
    add_secret(rotate)
    _one(verbs, "revoke", "refuse it from now on, on HTTP and on Kafka", _revoke)
    compromised = _one(
        verbs, "compromised", "revoke it and what was issued with it, and tell what could have been read", _compromised
    )
    compromised.add_argument(
        "--last-known-good",
        required=True,
        type=_instant,
        metavar="INSTANT",
        help="when it was last known to be in the right hands: ISO 8601 with its zone, such as 2026-11-25T17:00+01:00",
    )


def _verb(verbs: Any, name: str, meaning: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=meaning)
    add_options(parser)
    parser.set_defaults(run=run)
    return parser


def _one(verbs: Any, name: str, meaning: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, meaning, run)
    parser.add_argument("credential", metavar="ID", help="what stands between `dn_` and `_` in the token")
    return parser


def add_secret(parser: argparse.ArgumentParser) -> None:
    """Declare `--days`, `--out` and `--csr`: how long what is issued lasts, and where its secrets are kept."""
    parser.add_argument("--days", type=int, metavar="N", default=365, help="expires after N days; default: 365")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="keep the secrets here (0600), and FILE.curl for `curl -K`; else --json",
    )
    parser.add_argument(
        "--csr",
        type=Path,
        metavar="FILE",
        help=f"a client certificate for this request's key, in place of secrets; both are made by: {OPENSSL}",
    )


def _issue(given: argparse.Namespace) -> None:
    has_place(given)
    body = {"validDays": given.days} | ({"roles": given.role} if given.role else {}) | request(given)
    with connect(given) as broker:
        keep(given, broker.post(f"/v1/organisations/{given.of or given.acting}/credentials", body))


def _rotate(given: argparse.Namespace) -> None:
    has_place(given)
    with connect(given) as broker:
        body = {"overlapHours": given.overlap, "validDays": given.days} | request(given)
        keep(given, broker.post(f"{_path(broker, given.credential)}/rotate", body))


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = broker.get("/v1/credentials")["items"]
    if given.json:
        machine(items)
        return
    columns = ("id", "organisation", "roles", "created", "expires", "revoked", "last used")
    table(columns, (_row(each) for each in items))


def _row(each: Mapping[str, Any]) -> tuple[object, ...]:
    instants = (each[name] and each[name][:16] for name in ("created", "expires", "revoked"))
    return (each["id"], each["organisation"], " ".join(each["roles"]), *instants, each["lastUsed"])


def _revoke(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.delete(_path(broker, given.credential))
    machine(done) if given.json else say(f"{done['id']} of {done['organisation']}: revoked")


def _compromised(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        body = {"lastKnownGood": given.last_known_good}
        done = broker.post(f"{_path(broker, given.credential)}/compromised", body)
    if given.json:
        machine(done)
        return
    also = len(done["revoked"]) - 1
    say(f"{done['id']} of {done['organisation']}: revoked on HTTP and on Kafka, with {also} issued with it since")
    scope = done["scope"]
    for each in scope["removedDrops"]:
        say(f"drop of {each} removed: it was set since")
    for each in scope["removedWebhooks"]:
        say(f"webhook of {each} removed: it was set since")
    say(f"what could have been read since {done['lastKnownGood']}:")
    for each in scope["agreements"]:
        _told(each)
    say(f"steps taken in its name since: {len(scope['stepsInItsName'])}")
    say(f"pulled: {scope['meaning']['pulled']} ({scope['knownSince']})")


def _told(stream: Mapping[str, Any]) -> None:
    since, most = stream["deliveredSince"], stream["readable"]
    say(f"  {stream['agreement']} ({stream['state']})")
    say(f"    delivered since: {since['deliveries']}, about {since['subjects']} subject(s)")
    floor = "at least, the count was cut short" if not stream["whole"] else "an upper bound of what is still there"
    say(f"    readable in all: {most['deliveries']}, about {most['subjects']} subject(s); {floor}")
    say(f"    fields: {', '.join(field['path'] for field in stream['fields'])}")
    page = stream["pulled"]
    pulled = f"up to position {page['position']} on {page['day']}" if page else "not seen by this process"
    say(f"    pulled with it: {pulled}; Kafka group at {stream['kafkaCommitted']}, end {stream['end']}")


def _path(broker: Client, credential: str) -> str:
    """Path of a credential that the caller may see; raises `NotFound`."""
    items = broker.get("/v1/credentials")["items"]
    held = next((each for each in items if each["id"] == credential), None)
    if held is None:
        raise NotFound("no such credential of this organisation")
    return f"/v1/organisations/{held['organisation']}/credentials/{credential}"


def request(given: argparse.Namespace) -> dict[str, str]:
    """The request for a certificate as the broker wants it; nothing without one. Never a private key by mistake."""
    if given.csr is None:
        return {}
    try:
        text = given.csr.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    if "CERTIFICATE REQUEST-----" not in text or "PRIVATE KEY-----" in text:
        raise Invalid(f"{given.csr}: expected a request in PEM, without its key, as made by: {OPENSSL}")
    return {"csr": text}


def has_place(given: argparse.Namespace) -> None:
    """Raise `Invalid` where there is no place for the secrets, before any are made."""
    if given.out is None and given.csr is None and not given.json:
        raise Invalid("--out FILE keeps the secrets, --json prints them: name one, they are shown once only")
    if given.out is not None and given.out.exists():
        raise Invalid(f"{given.out} exists already")


def keep(given: argparse.Namespace, issued: Mapping[str, Any]) -> None:
    """Keep what was issued where `add_secret` was told.

    A writer of a raw topic has no token and no file for curl; in a file called `.properties` its login is as Java reads it.
    """
    if given.csr is not None:
        _certified(given, issued)
        return
    if given.out is not None:
        java = issued["token"] is None and given.out.suffix == ".properties"
        login = "".join(f"{name}={value}\n" for name, value in (issued["kafka"] or {}).items())
        _write(given.out, login if java else json.dumps(issued, indent=1) + "\n")
        if issued["token"] is not None:
            curl = f'header = "Authorization: Bearer {issued["token"]}"\n'
            _write(given.out.with_name(f"{given.out.name}.curl"), curl)
    if given.json:
        machine(issued if given.out is None else {**issued, "token": None, "kafka": None})
        return
    say(f"{issued['id']} of {issued['organisation']}: kept in {given.out}, expires {issued['expires'][:16]}")
    _note_replaced(issued)


def _certified(given: argparse.Namespace, issued: Mapping[str, Any]) -> None:
    """The certificate into its file, else onto the screen: it is no secret."""
    if given.out is not None:
        _write(given.out, issued["certificate"])
    if given.json:
        machine(issued)
        return
    if given.out is None:
        sys.stdout.write(issued["certificate"])
    tell = note if given.out is None else say
    place = "" if given.out is None else f" kept in {given.out},"
    tell(f"{issued['id']} of {issued['organisation']}:{place} expires {issued['expires'][:16]}; its key is yours alone")
    _note_replaced(issued)


def _note_replaced(issued: Mapping[str, Any]) -> None:
    if issued["replacedUntil"]:
        note(f"{issued['replaces']} works until {issued['replacedUntil'][:19]}Z")


def _write(path: Path, text: str) -> None:
    """A new file that nobody else reads, not even for a moment."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error


def _instant(text: str) -> str:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None:
        raise argparse.ArgumentTypeError("an ISO 8601 instant with its zone")
    return at.isoformat()
