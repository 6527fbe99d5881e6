"""`datanuts client generate AGREEMENT`: Python models of what an agreement delivers, for an agency's own program."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.output import note
from broker.client.generate import generate
from broker.errors import Conflict, Invalid

_TOKEN = "DATANUTS_TOKEN"  # noqa: S105 - the variable's name


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("client", help="code for an agency's own program").add_subparsers(
        metavar="VERB", required=True
    )
    generating = verbs.add_parser(
        "generate",
        help="pydantic models of an agreement's deliveries",
        description="Agency or operator. Made from the agreement's egress schema: one module, the same every time.",
    )
    generating.add_argument("agreement")
    generating.add_argument("--output", type=Path, metavar="FILE", help="default: standard output")
    generating.add_argument("--version", type=int, help="default: the one in force, else the latest")
    generating.add_argument("--url", help=f"a broker elsewhere; the token is read from {_TOKEN}")
    add_options(generating)
    generating.set_defaults(run=_generate)


def _generate(given: argparse.Namespace) -> None:
    with _client(given) as broker:
        agreement = broker.get(f"/v1/agreements/{given.agreement}", version=given.version)
        identifier = agreement["egressSchemaId"]
        if identifier is None:
            raise Conflict("this version has no egress schema yet: it has once it is requested")
        schema = broker.get(f"/schemas/ids/{identifier}")["schema"]
    made = generate(schema, agreement=agreement["id"], version=agreement["version"])
    if given.output is None:
        sys.stdout.write(made)
        return
    try:
        given.output.write_text(made, encoding="utf-8", newline="\n")
    except OSError as error:
        raise Invalid(f"{given.output} cannot be written: {error.strerror}") from error
    note(f"{given.output}: version {agreement['version']} of {agreement['id']}")


def _client(given: argparse.Namespace) -> Client:
    if given.url is None:
        return connect(given)
    token = os.environ.get(_TOKEN, "").strip()
    if not token:
        raise Invalid(f"--url needs a token in the environment variable {_TOKEN}")
    return Client(given.url, token)
