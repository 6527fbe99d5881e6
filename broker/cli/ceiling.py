"""`datanuts ceiling list|show|set|remove`: the most a source lets anyone have, per product and purpose."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.documents import read_text
from broker.cli.output import machine, note, say, table
from broker.errors import Invalid, NotFound
from broker.model.agreement import State
from broker.policy import limit_documents


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("ceiling", help="what a source lets anyone have, per purpose").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verbs.add_parser("list", help="the ceilings of a product")
    showing = verbs.add_parser("show", help="one ceiling, and what the purposes above leave of it")
    setting = verbs.add_parser("set", help="bring a file of ceilings into force, as the source's owner")
    removing = verbs.add_parser("remove", help="let nobody have anything for a purpose any more, as the source's owner")
    for verb in (listing, showing, removing):
        verb.add_argument("product", metavar="SOURCE/PRODUCT", help="such as rijksregister/persoon.v1")
    for verb in (showing, removing):
        verb.add_argument("purpose")
    setting.add_argument("file", type=Path, metavar="FILE", help="as policies/ceilings/<product>.yaml")
    setting.add_argument("--purpose", help="only this one of the file")
    for verb in (setting, removing):
        verb.add_argument("--dry-run", action="store_true", help="say which agreements this cuts, and change nothing")
        add_options(verb, acting=None)
    for verb in (listing, showing):
        add_options(verb)
    for verb, run in ((listing, _list), (showing, _show), (setting, _set), (removing, _remove)):
        verb.set_defaults(run=run)


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every(f"/v1/products/{given.product}/ceilings"))
    if given.json:
        machine(items)
        return
    rows = (
        (each["purpose"], "own" if each["own"] else "all sources", len(each["document"]["fields"]), *_flags(each))
        for each in items
    )
    table(("purpose", "set for", "fields", "selectable", "passed on"), rows)


def _flags(shown: Mapping[str, Any]) -> tuple[str, str]:
    document = shown["document"]
    return ", ".join(document["selectable"]), "yes" if document["onward_sharing"] else "no"


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        held = broker.get(_url(given.product, given.purpose))
    if given.json:
        machine(held)
        return
    effective = {each["path"]: each["transforms"] for each in held["effective"]["fields"]}
    selectable, onward = _flags({"document": held["effective"]})
    say(
        f"{held['source']}/{held['product']} for {held['purpose']}, {'its own' if held['own'] else 'as for all sources'}"
    )
    say(f"select subjects on: {selectable or 'nothing'}; passed on: {onward}")
    rows = (
        (each["path"], ", ".join(each["transforms"]), _left(each["transforms"], effective.get(each["path"], ())))
        for each in held["document"]["fields"]
    )
    table(("path", "allowed as", "left by the purposes above"), rows)


def _left(own: list[str], effective: Any) -> str:
    return "the same" if set(own) <= set(effective) else ", ".join(effective) or "nothing"


def _set(given: argparse.Namespace) -> None:
    listed = limit_documents.ceilings(read_text(given.file))
    chosen = [ceiling for ceiling in listed if given.purpose in {None, ceiling.purpose}]
    if not chosen:
        raise Invalid(f"{given.file} holds no ceiling for {given.purpose}")
    with connect(given) as broker:
        for ceiling in chosen:
            if ceiling.source not in {None, given.acting}:
                raise Invalid(f"{given.file} is of {ceiling.source}: act --as {ceiling.source}")
            product = f"{given.acting}/{ceiling.product}"
            document = limit_documents.ceiling_document(ceiling) | {"source": given.acting}
            _told(given, put_ceiling(broker, product, ceiling.purpose, document, preview=given.dry_run))


def put_ceiling(
    broker: Client, product: str, purpose: str, document: Mapping[str, Any], *, preview: bool
) -> dict[str, Any]:
    """Set one ceiling over the version that is there now; what it did, as the broker answers."""
    return broker.put(
        _url(product, purpose), document, if_match=_version(broker, product, purpose), preview=str(preview).lower()
    )


def _remove(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        version = _version(broker, given.product, given.purpose)
        url = _url(given.product, given.purpose)
        _told(given, broker.delete(url, if_match=version, preview=str(given.dry_run).lower()))


def _version(broker: Client, product: str, purpose: str) -> str | None:
    try:
        return str(broker.get(_url(product, purpose))["version"])
    except NotFound:
        return None


def _told(given: argparse.Namespace, done: Mapping[str, Any]) -> None:
    if given.json:
        machine(done)
        return
    outcome = "set" if done["written"] else "would change" if done["differs"] else "unchanged"
    say(f"{done['source']}/{done['product']} for {done['purpose']}: {outcome}")
    say_cut(done)
    if given.dry_run and done["differs"]:
        note("nothing was changed: leave --dry-run out to do it")


def say_cut(done: Mapping[str, Any]) -> None:
    """The agreements that a change cuts, with place and clause, and those it lets deliver again."""
    for each in done["cut"]:
        follows = "all its records are withheld" if each["state"] == State.ACTIVE else "it cannot be in force like this"
        say(f"  cuts {each['agreement']} version {each['version']} ({each['state']}): {follows}")
        for finding in each["findings"]:
            say(f"    {finding['path']}: {finding['text']} [{finding['code']}]")
    for each in done["restored"]:
        say(f"  restores {each['agreement']} version {each['version']} ({each['state']})")


def _url(product: str, purpose: str) -> str:
    return f"/v1/products/{product}/ceilings/{purpose}"
