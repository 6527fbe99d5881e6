"""`datanuts identity clients|bind|unbind|rotate-key`: which OAuth clients act as whom, and the key of our own issuer."""

import argparse
from collections.abc import Callable
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser(
        "identity",
        help="OAuth clients of organisations, and our own issuer's key",
        description="Issuers are trusted by the file that DATANUTS_ISSUERS names; a client of one counts once it is bound.",
    ).add_subparsers(metavar="VERB", required=True)
    _verb(verbs, "clients", "clients that are bound, and to whom", _clients)
    bind = _named(verbs, "bind", "have a client act as an organisation", _bind)
    bind.add_argument("--organisation", required=True, metavar="ORG")
    bind.add_argument("--role", required=True, action="append", metavar="R", help="such as agency; repeatable")
    _named(verbs, "unbind", "refuse a client's tokens from now on", _unbind)
    rotate = _verb(verbs, "rotate-key", "sign our own access tokens with a new key", _rotate)
    rotate.add_argument(
        "--drop", action="store_true", help="others saw the key: end all tokens of earlier keys at once"
    )


def _verb(verbs: Any, name: str, meaning: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=meaning)
    add_options(parser)
    parser.set_defaults(run=run)
    return parser


def _named(verbs: Any, name: str, meaning: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    parser = _verb(verbs, name, meaning, run)
    parser.add_argument("client", metavar="CLIENT", help="as its tokens say in `azp` or `client_id`")
    parser.add_argument("--issuer", required=True, metavar="URL", help="as its tokens say in `iss`")
    return parser


def _clients(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = broker.get("/v1/clients")["items"]
    if given.json:
        machine(items)
        return
    rows = ((each["client"], each["organisation"], ", ".join(each["roles"]), each["issuer"]) for each in items)
    table(("client", "acts as", "roles", "issuer"), rows)


def _bind(given: argparse.Namespace) -> None:
    form = {"issuer": given.issuer, "client": given.client, "organisation": given.organisation, "roles": given.role}
    with connect(given) as broker:
        done = broker.post("/v1/clients", form)
    _told(given, done, f"{done['client']} acts as {done['organisation']} ({', '.join(done['roles'])})")


def _unbind(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post("/v1/clients/unbind", {"issuer": given.issuer, "client": given.client})
    _told(given, done, f"{done['client']} acts as nobody from now on")


def _rotate(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.post(f"/v1/issuer/rotate?keep={str(not given.drop).lower()}")
    before = "tokens of the key before end by themselves" if done["kept"] else "all tokens of earlier keys have ended"
    _told(given, done, f"access tokens are signed with key {done['key']}; {before}")


def _told(given: argparse.Namespace, done: dict[str, Any], line: str) -> None:
    if given.json:
        machine(done)
    else:
        say(line)
