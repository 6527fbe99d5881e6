"""`datanuts adapter new NAME`: a folder with a mapping, a sample, a test and an agreement to try them with."""

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from adapters.scaffold import files
from adapters.scaffold_kinds import TEMPLATES
from broker.cli import datadir
from broker.cli.documents import PolicyFolder, read_text
from broker.cli.output import machine, say
from broker.cli.publishing import schema_of
from broker.errors import Conflict, Invalid
from broker.model import topics
from broker.model.agreement import Instrument
from broker.policy.yamltext import load
from broker.schema.avro import Schema
from broker.settings import load_settings

_OPEN = "hergebruik"
"""Purpose under which a product without a reviewed agreement is tried, where its owner allows it."""
_AGENCY = "stad-leuven"


def register(verbs: Any) -> None:
    """Add the verb to those of `datanuts adapter`."""
    parser = verbs.add_parser(
        "new",
        help="write a folder with a mapping, a sample, a test and an agreement that work as they are",
        description="Writes mapping.yaml, sample/, a test, agreement.yaml and README.md. Replace the sample by your own "
        "file, and the right-hand sides in mapping.yaml by its columns.",
        epilog="exit codes: 0 written   1 refused: the folder is there, or the product or organisation is not known",
    )
    parser.add_argument("name", metavar="NAME", help="slug; also the folder's name, in the current folder")
    parser.add_argument("--type", required=True, metavar="PRODUCT", help="what its records are, as persoon.v1")
    parser.add_argument("--from", dest="kind", choices=list(TEMPLATES), default="csv", help="default: csv")
    parser.add_argument("--organisation", metavar="ORG", help="who owns the data; default: who publishes this product")
    datadir.add_option(parser)
    parser.add_argument("--json", action="store_true", help="print what was written as one line of JSON")
    parser.set_defaults(run=_new)


def _new(given: argparse.Namespace) -> None:
    name, target = topics.slug(given.name, "NAME"), Path(given.name)
    if target.exists():
        raise Conflict(f"{target} is there already: take another name, or remove it")
    settings = load_settings(data_dir=given.data_dir)
    folder = PolicyFolder.of(settings.policies, settings.schemas)
    schema = schema_of(folder, given.type)
    agreement = _agreement(folder, schema, name, given.organisation)
    organisation = given.organisation or (agreement["source"] if agreement else _owner(folder, schema.product))
    wanted = {field["path"] for field in agreement["fields"]} if agreement else set()
    fixed = dict(_equalities(agreement.get("population", {}))) if agreement else {}
    texts = files(name, schema, organisation, given.kind, wanted=wanted | fixed.keys(), fixed=fixed)
    if agreement:
        texts["agreement.yaml"] = yaml.safe_dump(dict(agreement), allow_unicode=True, sort_keys=False, width=120)
    texts["README.md"] = _readme(name, schema.product, agreement, given.kind)
    for path, text in texts.items():
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        (target / path).write_text(text, encoding="utf-8")
    if given.json:
        machine(
            {"folder": str(target), "product": schema.product, "organisation": organisation, "files": sorted(texts)}
        )
        return
    for path in sorted(texts):
        say(f"{target / path}")
    say(f"next: datanuts adapter check {name}    (then see {target / 'README.md'})")


def _owner(folder: PolicyFolder, product: str) -> str:
    for member in folder.members():
        if product in member.products:
            return member.organisation.id
    raise Invalid(f"nobody publishes {product} here: name the --organisation that owns the data")


def _agreement(folder: PolicyFolder, schema: Schema, name: str, organisation: str | None) -> Mapping[str, Any] | None:
    """A reviewed agreement on the product under another id, else one on open data; None where neither can be."""
    trial = f"{name}-proef"
    for path in folder.agreement_files():
        document = load(read_text(path))
        population = document.get("population") or {}
        if (
            document["product"] == schema.product
            and organisation in (None, document["source"])
            and "where" in population
        ):
            return {**document, "id": trial, "version": 1}
    source = organisation or next((o.organisation.id for o in folder.members() if schema.product in o.products), None)
    ceiling = next((c for c in folder.ceilings().values() if c.product == schema.product and c.purpose == _OPEN), None)
    if ceiling is None or source is None:
        return None
    return {
        "id": trial,
        "version": 1,
        "title": f"Proef met {schema.product} van {name}",
        "source": source,
        "product": schema.product,
        "agency": _AGENCY,
        "purpose": _OPEN,
        "bases": [
            {
                "instrument": Instrument.OPEN_DATA.value,
                "reference": "FICTIEF-PROEF",
                "gdpr": "6.1.e",
                "url": "https://data.vlaanderen.be/id/licentie/modellicentie-gratis-hergebruik/v1.0",
                "text": "Openbare gegevens, om een adapter mee uit te proberen.",
            }
        ],
        "fields": [
            {"path": path, "why": "Proef van de adapter."}
            for path in schema.fields
            if path in ceiling.fields
            if schema.fields[path].field_class.value == "public" and not schema.fields[path].optional
        ],
        "population": {},
        "term": {"start": "2026-01-01T00:00:00Z", "end": None},
        "retention_days": 14,
    }


def _equalities(population: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Paths that must have one value for a record to lie in the population."""
    where = population.get("where") or {}
    for each in [where, *where.get("all", [])]:
        if isinstance(each.get("equals"), str):
            yield each["path"], each["equals"]


def _readme(name: str, product: str, agreement: Mapping[str, Any] | None, kind: str) -> str:
    served = TEMPLATES[kind].served
    lines = [
        f"# {name}: {kind} to {product}",
        "",
        "The commands to the first delivered record, on a broker of your own with made-up data:",
        "",
        *(f"    {line}" for line in TEMPLATES[kind].ready(name)),
        *([f"    {served(name)}    # leave it up, go on in another terminal"] if served else []),
        f"    datanuts adapter check {name}",
        "    datanuts up                                   # leave it up, go on in another terminal",
        f"    datanuts adapter run {name} --once",
    ]
    if agreement:
        lines += [
            f"    datanuts agreement rehearse {name}/agreement.yaml",
            f"    datanuts consume {agreement['id']} --as {agreement['agency']} --max 1",
        ]
    else:
        lines += [
            "",
            f"No ceiling allows anybody {product} yet: write one in policies/ceilings/, and an agreement under it.",
        ]
    return "\n".join(
        [
            *lines,
            "",
            "Then put your own data in the place of `sample/` (or name them with `--source`), change the right-hand sides in",
            f"`mapping.yaml` to their names, and look at what comes out: `datanuts adapter run {name} --dry-run --explain 5`. `check` shows every mistake",
            f"of the mapping at once. The test runs with `pytest {name}`.",
            "",
        ]
    )
