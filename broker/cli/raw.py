"""`datanuts raw declare|list|writer|connector|push`: topics that a source's own programs write, before a mapping makes records of it."""

import argparse
from typing import Any

from broker.cli import raw_connector, raw_push
from broker.cli.client import add_options, connect
from broker.cli.credential import add_secret, has_place, keep, request
from broker.cli.output import machine, say, table


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("raw", help="topics that a source's own programs write, such as Debezium")
    verbs = verbs.add_subparsers(metavar="VERB", required=True)
    declare = _verb(
        verbs,
        "declare",
        "have a topic for what a system of the source states",
        "The topic is raw.ORG.NAME. It holds personal data as it is: kept 7 days, written by its writers only, read by "
        "the adapter's runner only (docs/adapters.md). It is not taken away again.",
    )
    declare.set_defaults(run=_declare)
    listing = verbs.add_parser("list", help="raw sources of an organisation, and the credentials that write them")
    listing.add_argument("organisation", metavar="ORG")
    add_options(listing)
    listing.set_defaults(run=_list)
    writer = _verb(
        verbs,
        "writer",
        "a Kafka user that writes this topic and may do nothing else",
        "For Kafka Connect or a program of the source. With --out FILE.properties the file is one of Java properties, as "
        "Connect reads it. `datanuts credential rotate|revoke` goes for it as for others.",
    )
    add_secret(writer)
    writer.set_defaults(run=_writer)
    raw_connector.register(verbs)
    raw_push.register(verbs)


def _verb(verbs: Any, name: str, meaning: str, more: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(name, help=meaning, description=more)
    parser.add_argument("organisation", metavar="ORG", help="the source")
    parser.add_argument("name", metavar="NAME", help="a slug, such as the table's name with hyphens")
    add_options(parser)
    return parser


def _path(given: argparse.Namespace) -> str:
    return f"/v1/sources/{given.organisation}/raw/{given.name}"


def _declare(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        done = broker.put(_path(given), {})
    if given.json:
        machine(done)
        return
    say(f"{done['topic']}: its owner pushes over HTTP (`datanuts raw push`); no connector may write it yet")
    say(f"next: datanuts raw writer {given.organisation} {given.name} --as {given.acting} --out writer.properties")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = broker.get(f"/v1/sources/{given.organisation}/raw")["items"]
    if given.json:
        machine(items)
        return
    rows = ((each["name"], each["topic"], each["declared"][:16], " ".join(each["writers"])) for each in items)
    table(("name", "topic", "declared", "written by"), rows)


def _writer(given: argparse.Namespace) -> None:
    has_place(given)
    body = {"validDays": given.days} | request(given)
    with connect(given) as broker:
        keep(given, broker.post(f"{_path(given)}/writers", body))
