"""`datanuts webhook set|show|rotate|resume|test|remove`: an agency's webhook under one of its agreements."""

import argparse
import os
from pathlib import Path
from typing import Any

from broker.cli.client import connect
from broker.cli.output import say
from broker.cli.push import Noun, with_agreement
from broker.errors import ConfigError

_NOUN = Noun("webhook", "send one signed test event", ("url",), ("secretOverlapUntil",))


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("webhook", help="have deliveries sent to your own server").add_subparsers(
        metavar="VERB", required=True
    )
    put = verbs.add_parser("set", help="where deliveries go; shows the secret the first time, and never again")
    put.add_argument("url", metavar="URL", help="https://…; a part of it that is secret is seen by the operator")
    put.add_argument("--start", choices=("oldest", "now"), default="oldest", help="where a new one begins")
    put.set_defaults(run=_set)
    rotate = verbs.add_parser("rotate", help="a new secret; the present one signs beside it for a while")
    rotate.add_argument("--overlap-hours", type=int, default=24, metavar="H")
    rotate.set_defaults(run=_rotate)
    for verb in (put, rotate):
        verb.add_argument(
            "--secret-file", type=Path, metavar="FILE", help="keep the secret there instead of showing it"
        )
    with_agreement([put, rotate, *_NOUN.register(verbs)])


def _set(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.put(_NOUN.path(given), {"url": given.url, "start": given.start}))


def _rotate(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        _told(given, broker.post(f"{_NOUN.path(given)}/rotate", {"overlapHours": given.overlap_hours}))


def _told(given: argparse.Namespace, known: dict[str, Any]) -> None:
    secret, path = known.get("secret"), given.secret_file
    if secret is not None and path is not None:
        _keep(path, known.pop("secret"))
    _NOUN.told(given, known, known["url"])
    if secret is not None and not given.json:
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
