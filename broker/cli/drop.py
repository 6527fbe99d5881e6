"""`datanuts drop set|show|resume|test|remove`: an agency's drop under one of its agreements."""

import argparse
from pathlib import Path
from typing import Any

from broker.cli.client import connect
from broker.cli.output import say
from broker.cli.push import Noun, with_agreement
from broker.errors import ConfigError

_NOUN = Noun(
    "drop",
    "write, rename and remove a test file",
    ("host", "port", "username", "directory", "format", "everyMinutes", "hostKey", "publicKey"),
)


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("drop", help="have files of deliveries put on your own SFTP server").add_subparsers(
        metavar="VERB", required=True
    )
    put = verbs.add_parser("set", help="where files go; shows the key that the server's user has to admit")
    put.add_argument("host", metavar="HOST", help="name or address of the server")
    put.add_argument("--port", type=int, default=22)
    put.add_argument("--username", required=True, metavar="USER", help="a function's account, never a person's")
    put.add_argument("--directory", default=".", metavar="DIR", help="default: where the user's session begins")
    put.add_argument("--format", choices=("ndjson", "avro"), default="ndjson")
    put.add_argument(
        "--host-key-file",
        type=Path,
        required=True,
        metavar="FILE",
        help="the server's public key: one line as `ssh-keyscan -t ed25519 HOST | cut -d' ' -f2-` shows it, checked",
    )
    put.add_argument("--every-minutes", type=int, default=60, metavar="N", help="time between two looks; default: 60")
    put.add_argument("--start", choices=("oldest", "now"), default="oldest", help="where a new one begins")
    put.set_defaults(run=_set)
    with_agreement([put, *_NOUN.register(verbs)])


def _set(given: argparse.Namespace) -> None:
    try:
        host_key = given.host_key_file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{given.host_key_file} cannot be read") from error
    body = {
        "host": given.host,
        "port": given.port,
        "username": given.username,
        "directory": given.directory,
        "format": given.format,
        "hostKey": host_key,
        "everyMinutes": given.every_minutes,
        "start": given.start,
    }
    with connect(given) as broker:
        known = broker.put(_NOUN.path(given), body)
    _NOUN.told(given, known, known["host"])
    if not given.json:
        say(f"its user has to admit: {known['publicKey']}")
