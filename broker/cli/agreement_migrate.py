"""`datanuts agreement migrate`: a draft on another version of the product, with its field paths carried over."""

import argparse
from typing import Any

from broker.cli.client import Client, add_options, connect
from broker.cli.output import machine, say
from broker.errors import Invalid
from broker.policy import documents
from broker.policy.migration import Migration, migrated
from broker.schema.avro import Schema, load_schema


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts agreement`."""
    parser = verbs.add_parser(
        "migrate",
        help="draft the agreement that follows it on another version of its product",
        description="Both deliver side by side until the old one is ended. What needs a decision is named; edit the draft with "
        "`datanuts agreement draft`, then request it. Register open files under the new agreement as well.",
    )
    parser.add_argument("agreement")
    parser.add_argument("--to", required=True, metavar="PRODUCT", help="such as persoon.v2, of the same source")
    parser.add_argument("--id", metavar="NEW-ID", help="of the new agreement; default: the old one's with the version")
    parser.add_argument("--dry-run", action="store_true", help="draft nothing; with --json the document is shown")
    add_options(parser, acting=None)
    parser.set_defaults(run=_migrate)


def _migrate(given: argparse.Namespace) -> None:
    with connect(given) as broker:
        held = documents.agreement(broker.get(f"/v1/agreements/{given.agreement}")["document"])
        if held.product == given.to:
            raise Invalid(f"{held.id} is on {given.to} already")
        old, new = (_schema(broker, held.source, product) for product in (held.product, given.to))
        made = migrated(held, old, new, identifier=given.id)
        document = documents.agreement_document(made.agreement)
        if not given.dry_run:
            broker.post("/v1/agreements/drafts", document)
    if given.json:
        undecided = [{"path": each.path, "reason": each.reason.value, "text": each.text} for each in made.undecided]
        machine({"id": made.agreement.id, "drafted": not given.dry_run, "document": document, "undecided": undecided})
    else:
        _shown(made, given.agreement, drafted=not given.dry_run)


def _schema(broker: Client, source: str, product: str) -> Schema:
    known = broker.get(f"/v1/products/{source}/{product}")
    return load_schema(broker.get(f"/schemas/ids/{known['schemaId']}")["schema"])


def _shown(made: Migration, before: str, *, drafted: bool) -> None:
    agreement = made.agreement
    verb = "drafted" if drafted else "would be drafted"
    say(f"{agreement.id} on {agreement.product} {verb} from {before}: {len(agreement.fields)} field(s) carried over")
    for each in made.undecided:
        say(f"  decide on {each.path}: {each.text} [{each.reason}]")
    if drafted:
        say(f"next: datanuts agreement show {agreement.id}, then draft it anew or request it")
