"""`datanuts webhook set|show|rotate|resume|test|remove`: an agency's webhook under one of its agreements."""

import argparse
import os
from pathlib import Path
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table
from broker.errors import ConfigError


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("webhook", help="have deliveries sent to your own server").add_subparsers(
        metavar="VERB", required=True
    )
    put = verbs.add_parser("set", help="where deliveries go; shows the secret the first time, and never again")
    put.add_argument("url", metavar="URL", help="https://…; a part of it that is secret is seen by the operator")
    put.add_argument("--start", choices=("oldest", "now"), default="oldest", help="where a new one begins")
    put.set_defaults(run=_set)
    show = verbs.add_parser("show", help="state, position, lag, failures")
    show.set_defaults(run=_show)
    rotate = verbs.add_parser("rotate", help="a new secret; the present one signs beside it for a while")
    rotate.add_argument("--overlap-hours", type=int, default=24, metavar="H")
    rotate.set_defaults(run=_rotate)
    for verb in (put, rotate):
        verb.add_argument(
            "--secret-file", type=Path, metavar="FILE", help="keep the secret there instead of showing it"
        )
    resume = verbs.add_parser("resume", help="go on after a suspension")
    resume.add_argument(
        "--accept-loss", action="store_true", help="where the position is gone: go on with the oldest retained record"
    )
    resume.set_defaults(run=_resume)
    test = verbs.add_parser("test", help="send one signed test event, about nobody")
    test.set_defaults(run=_test)
    remove = verbs.add_parser("remove", help="send nothing any more")
    remove.set_defaults(run=_remove)
    for verb in (put, show, rotate, resume, test, remove):
        verb.add_argument("agreement")
        add_options(verb, acting=None)


def _set(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.put(_path(given), {"url": given.url, "start": given.start}))


def _rotate(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.post(f"{_path(given)}/rotate", {"overlapHours": given.overlap_hours}))


def _resume(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.post(f"{_path(given)}/resume", {"acceptLoss": given.accept_loss}))


def _remove(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.delete(_path(given)))


def _test(given: argparse.Namespace) -> int:
    """Exit code 2 where the receiver did not take it."""
    with connect(given) as broker:
        done = broker.post(f"{_path(given)}/test")
    if given.json:
        machine(done)
    else:
        answered = f" (HTTP {done['status']})" if done["status"] else ""
        say(f"received{answered}" if done["delivered"] else f"not received: {done['failure']}{answered}")
    return 0 if done["delivered"] else 2


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        known = broker.get(_path(given))
    if given.json:
        machine(known)
        return
    names = ("url", "state", "reason", "position", "lag", "lastSuccess", "failures", "failure", "failingSince",
             "lastFailure", "nextAttempt", "secretOverlapUntil")  # fmt: skip
    table(("what", ""), ((name, known[name]) for name in names if known[name] is not None))
    table(("at", "event", "reason"), ((event["at"], event["type"], event["reason"]) for event in known["events"]))


def _told(given: argparse.Namespace, known: dict[str, Any]) -> None:
    secret = known.get("secret")
    path = getattr(given, "secret_file", None)
    if secret is not None and path is not None:
        _keep(path, known.pop("secret"))
    if given.json:
        machine(known)
        return
    say(f"webhook of {known['agreement']}: {known['state']}" + (f", to {known['url']}" if "url" in known else ""))
    if secret is not None:
        say(f"its secret is in {path}" if path else f"secret (shown once): {secret}")


def _keep(path: Path, secret: str) -> None:
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(f"{secret}\n")
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}. Rotate the secret: this one is shown to nobody"
        ) from error


def _path(given: argparse.Namespace) -> str:
    return f"/v1/agreements/{given.agreement}/webhook"
