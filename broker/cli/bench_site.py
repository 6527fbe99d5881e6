"""What the verbs of `datanuts bench` share: an installation of their own, and how numbers and peers are read."""

import argparse
import tempfile
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from broker.cli.datadir import DataDir
from broker.cli.output import machine, note
from broker.cli.site import Site, site
from broker.kafka.local import DEFAULT_HEAP_MB
from broker.settings import load_settings

_TOPICS_PER_MB = 4
"""A node of 512 MB ended at 4,500 topics; at 6,000 with large transactions it did nothing but collect garbage."""


@asynccontextmanager
async def fresh_installation(*, topics: int = 0) -> AsyncIterator[Site]:
    """An installation that goes away with the measurement; its node has memory for so many delivery topics."""
    with tempfile.TemporaryDirectory(prefix="datanuts-bench-") as folder:
        async with site(
            DataDir(Path(folder)), load_settings(), beating=True, kafka_heap_mb=heap_mb(topics), progress=note
        ) as here:
            yield here


def heap_mb(topics: int) -> int:
    """Memory of a node with so many topics beside an installation's own."""
    return DEFAULT_HEAP_MB + topics // _TOPICS_PER_MB


def count(text: str) -> int:
    """A positive number; raises what argparse shows."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a positive number")
    return int(text)


def ends(
    parser: argparse.ArgumentParser, run: Callable[[argparse.Namespace], Any], told: str = "one JSON object"
) -> None:
    """What every verb's parser ends with: `--json`, and what is run."""
    parser.add_argument("--json", action="store_true", help=told)
    parser.set_defaults(run=run)


def told_as_json(given: argparse.Namespace, *lines: Mapping[str, Any]) -> bool:
    """Print the lines for a machine if that was asked for; whether it was."""
    if given.json:
        for line in lines:
            machine(line)
    return bool(given.json)


def peers_among(known: Collection[str], text: str) -> tuple[str, ...]:
    """Names with commas between, each once and known; raises what argparse shows."""
    names = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)} (known: {', '.join(known)})")
    return names
