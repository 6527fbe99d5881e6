"""`datanuts adapter check|run` of a mapping file: its mistakes all at once, and what it makes of some records."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapters.mapped import FILE, Mapped, build, load_mapping
from adapters.mapping_errors import MappingRefused
from adapters.mapping_values import Get
from adapters.sdk import Adapter, Broken, Change, Ignored
from broker.cli.documents import PolicyFolder
from broker.cli.output import note, say, table
from broker.cli.publishing import schema_of
from broker.errors import Invalid, PoisonRecord
from broker.settings import load_settings

_LONGEST = 60


def add_explain(parser: argparse.ArgumentParser) -> None:
    """Add `--explain`."""
    parser.add_argument(
        "--explain",
        type=_count,
        metavar="N",
        help="first show of N records each source value, rule and field: real values, on a terminal only",
    )


def mapped(given: argparse.Namespace) -> Mapped | None:
    """The adapter of the mapping that is named, if one is; raises `MappingRefused`, `Invalid`."""
    file = given.mapping
    if file is None and given.name is not None and (Path(given.name) / FILE).is_file():
        file = Path(given.name)
    if file is None:
        return None
    folder = PolicyFolder.of(schemas=load_settings(data_dir=given.data_dir).schemas)
    return build(load_mapping(file, lambda product: schema_of(folder, product)), given.source)


async def look_inside(adapter: Adapter, given: argparse.Namespace) -> None:
    """Before a check: what of the mapping its source lacks, and the records that are to be explained."""
    if not isinstance(adapter, Mapped):
        if given.explain:
            raise Invalid("--explain is for mappings: this adapter is a program")
        return
    if findings := adapter.findings():
        raise MappingRefused(str(adapter.mapping.file), tuple(sorted(findings)))
    if given.explain:
        await _explain(adapter, given.explain)


async def _explain(adapter: Mapped, records: int) -> None:
    if not sys.stdout.isatty():
        raise Invalid("--explain shows values of records: it writes to your own terminal, to no file or program")
    note("values of records follow, on this terminal only: nothing of this is logged or published")
    number = 0
    async for row in adapter.rows():
        number += 1
        item = adapter.mapping.item(row, f"row {number}")
        match item:
            case Broken(reason=reason, path=path):
                say(f"record {number}: quarantined, {reason} at {path or 'the record'}")
            case Ignored(reason=reason):
                say(f"record {number}: ignored, {reason}")
            case Change(value=None):
                say(f"record {number}: deleted")
            case _:
                say(f"record {number}")
        value = item.value if isinstance(item, Change) else None
        table(
            ("source", "rule", "field", "value"),
            (
                (
                    ", ".join(_told(adapter.mapping.paths.one(source), row) for source in step.sources),
                    step.rule,
                    step.path,
                    made,
                )
                for step in adapter.mapping.steps
                if (made := _short(_at(value, step.path))) or step.sources
            ),
        )
        if number == records:
            break


def _told(get: Get, row: Any) -> str:
    """The source's value, or why it has none to show."""
    try:
        return _short(get(row))
    except PoisonRecord as poison:
        return poison.reason


def _at(value: Any, path: str) -> Any:
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _short(value: Any) -> str:
    shown = "" if value is None else str(value)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a positive number")
    return int(text)
