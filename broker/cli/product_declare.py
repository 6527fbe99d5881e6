"""`datanuts product declare`: a source states a new product, or the next version of one."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from broker.cli.client import add_options, connect
from broker.cli.documents import read_text
from broker.cli.output import machine, say
from broker.errors import Conflict
from broker.schema.avro import load_schema


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts product`."""
    declare = verbs.add_parser(
        "declare",
        help="state a new product, or the next version of one, from its schema",
        description="A declared schema never changes; its next version is checked against the one before it. A schema that is "
        "refused ends with an error and every reason, with --dry-run too.",
    )
    declare.add_argument("schema", type=Path, metavar="FILE.avsc")
    declare.add_argument("--dry-run", action="store_true", help="only show what it changes since the version before it")
    declare.add_argument(
        "--planned", action="store_true", help="agreements are negotiated, and published once it is launched"
    )
    add_options(declare, acting=None)
    declare.set_defaults(run=_declare)


def _declare(given: argparse.Namespace) -> None:
    text = read_text(given.schema)
    product = load_schema(text).product
    path = f"/v1/products/{given.acting}/{product}"
    with connect(given) as broker:
        form = {"schema": text}
        if given.dry_run:
            done = broker.post(f"{path}/changes", form)
        else:
            done = broker.put(path, form | ({"planned": True} if given.planned else {}))
    if given.json:
        machine(done)
    elif given.dry_run:
        _changes(done)
    else:
        say(f"{product} of {given.acting}: schema {done['schemaId']}; nobody receives it until an agreement is on it")
    if given.dry_run and not done["compatible"]:
        raise Conflict(f"{product} is no compatible successor of {done['since']}")


def _changes(done: Mapping[str, Any]) -> None:
    if done["since"] is None:
        say(f"{done['id']} is the first version: there is nothing to compare it with")
        return
    say(f"{done['id']} since {done['since']}: {len(done['changes'])} change(s)")
    for line in done["changes"]:
        verdict = "" if line["compatible"] else "REFUSED "
        say(f"  {verdict}{line['path'] or 'record'}: {line['reason']} [{line['rule']}]")
