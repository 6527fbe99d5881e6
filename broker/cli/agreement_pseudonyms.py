"""`datanuts agreement rotate-pseudonyms|pseudonym-map`: an agency asks for other pseudonyms, and keeps what it has by a map."""

import argparse
import os
from pathlib import Path
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.output import machine, say
from broker.control.pseudonym_map import Scope, verify
from broker.errors import ConfigError, Invalid


def register(verbs: Any) -> None:
    """Add the verbs to those of `datanuts agreement`."""
    rotate = verbs.add_parser("rotate-pseudonyms", help="other pseudonyms from now on, for this agency and purpose")
    rotate.add_argument("agreement")
    rotate.add_argument("--map", type=Path, metavar="FILE", help="where the map from the old ones goes")
    add_options(rotate, acting=None)
    rotate.set_defaults(run=_rotate)
    mapped = verbs.add_parser("pseudonym-map", help="the sealed map from old pseudonyms to new, checked")
    mapped.add_argument("agreement")
    mapped.add_argument("file", type=Path, metavar="FILE")
    mapped.add_argument("--from", dest="old", type=int, metavar="EPOCH", help="default: the one before the present")
    mapped.add_argument("--to", dest="new", type=int, metavar="EPOCH", help="default: the present one")
    add_options(mapped, acting=None)
    mapped.set_defaults(run=_map)


def _rotate(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        known = broker.post(f"/v1/agreements/{given.agreement}/pseudonyms/rotate")
        if given.json:
            machine(known)
        else:
            say(f"{known['agency']}, {known['purpose']}: epoch {known['epoch']} from now on")
        if given.map is not None:
            _fetch(given, broker, known, known["epoch"] - 1, known["epoch"], given.map)


def _map(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        known = broker.get(f"/v1/agreements/{given.agreement}/pseudonyms")
        new = given.new or known["epoch"]
        _fetch(given, broker, known, given.old or new - 1, new, given.file)


def _fetch(given: argparse.Namespace, broker: Client, known: dict[str, Any], old: int, new: int, path: Path) -> None:
    """Leave the map in `path` once its seal holds; readable by its owner alone, as the agency's data."""
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                pieces = broker.stream(f"/v1/agreements/{given.agreement}/pseudonyms/map", **{"from": old, "to": new})
                file.writelines(pieces)
            with part.open("rb") as file:
                scope, pairs = verify(file, known["sealKey"])
            if scope != Scope(known["agency"], known["purpose"], old, new):
                raise Invalid("the broker sealed another map than was asked for")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    if given.json:
        machine({"file": str(path), "from": old, "to": new, "pairs": pairs})
    else:
        say(f"{path}: {pairs} pseudonyms of epoch {old} with those of epoch {new}, seal in order")
