"""`datanuts product list|show|growth|declare|deprecate|…`: the catalogue, what a new schema adds, who goes on as whom."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from broker.cli import product_declare, product_halt, product_life, product_verify
from broker.cli.client import add_options, connect
from broker.cli.documents import PolicyFolder, read_text
from broker.cli.dossier import subject_from_input
from broker.cli.output import machine, say, table
from broker.policy import documents, questions
from broker.policy.growth import growth
from broker.policy.limits import Limits
from broker.schema.avro import load_schema


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    verbs = commands.add_parser("product", help="the catalogue of data products").add_subparsers(
        metavar="VERB", required=True
    )
    listing = verbs.add_parser("list", help="all products")
    add_options(listing)
    listing.set_defaults(run=_list)
    showing = verbs.add_parser("show", help="one product with its fields")
    showing.add_argument("product", metavar="SOURCE/PRODUCT", help="such as rijksregister/persoon.v1")
    add_options(showing)
    showing.set_defaults(run=_show)
    replacing = verbs.add_parser(
        "replace-identity",
        help="a subject goes on under another identifier; files, consents and pseudonyms follow",
        description="For the register's owner. Standard input holds the old identifier and the new one, a line each.",
    )
    replacing.add_argument("product", metavar="SOURCE/PRODUCT", help="such as rijksregister/persoon.v1")
    add_options(replacing, acting=None)
    replacing.set_defaults(run=_replace_identity)
    product_halt.register(verbs)
    product_declare.register(verbs)
    product_life.register(verbs)
    product_verify.register(verbs)
    growing = verbs.add_parser(
        "growth", help="the new fields of a schema, and which agreements could ask for them; works offline"
    )
    growing.add_argument("old", type=Path, metavar="OLD.avsc")
    growing.add_argument("new", type=Path, metavar="NEW.avsc")
    growing.add_argument("--policies", type=Path, help="folder of purposes.yaml, ceilings/ and agreements/")
    growing.add_argument("--json", action="store_true", help="one JSON value")
    growing.set_defaults(run=_growth)


def _replace_identity(given: argparse.Namespace) -> None:
    old, new = subject_from_input(), subject_from_input()
    with connect(given) as broker:
        done = broker.post(f"/v1/products/{given.product}/replacements", {"old": old, "new": new})
    if given.json:
        machine(done)
    else:
        say(f"{done['product']}: {done['status']}; {done['files']} files and {done['consents']} consents followed")


def _list(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        items = list(broker.every("/v1/products"))
    if given.json:
        machine(items)
    else:
        rows = ((item["id"], item["source"], item["schemaId"], product_life.standing(item)) for item in items)
        table(("product", "source", "schema", "state"), rows)


def _show(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        product = broker.get(f"/v1/products/{given.product}")
    if given.json:
        machine(product)
        return
    say(f"{product['id']} of {product['source']}: {product['doc']}")
    left = "" if product["agreementsLeft"] is None else f"; {product['agreementsLeft']} agreement(s) in force"
    say(f"{product_life.standing(product)}{left}")
    rows = (
        (leaf["path"], leaf["type"] + ("[]" if leaf["repeated"] else ""), leaf["class"], leaf["doc"])
        for leaf in product["fields"]
    )
    table(("path", "type", "class", "meaning"), rows)


def _growth(given: argparse.Namespace) -> None:
    folder = PolicyFolder.of(given.policies)
    old, new = load_schema(read_text(given.old)), load_schema(read_text(given.new))
    agreements = [documents.agreement(read_text(path)) for path in folder.agreement_files()]
    limits = Limits(folder.purposes(), folder.ceilings())
    sources = {member.organisation.id for member in folder.members() if old.product in member.products}
    sources |= {each.source for each in agreements if each.product == old.product}
    reports = {
        source: questions.grown(growth(old, new, source=source, agreements=agreements, limits=limits))
        for source in sorted(sources)
    }
    if given.json:
        machine([{"source": source, "fields": fields} for source, fields in reports.items()])
        return
    for source, fields in reports.items():
        _grown(f"{new.product} of {source}", fields)


def _grown(name: str, fields: Sequence[Mapping[str, Any]]) -> None:
    say(f"{name}: {f'{len(fields)} new field(s)' if fields else 'nothing is new'}")
    for field in fields:
        say(f"  {field['path']} ({field['class']}): nobody receives it")
        for each in field["mayAsk"]:
            say(f"    {each['agreement']} could ask for it as {', '.join(each['transforms'])}")
        for each in field["ownerFirst"]:
            say(f"    {each['agreement']} could not: the owner must first widen the ceiling of {each['purpose']}")
