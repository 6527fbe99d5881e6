"""What the verbs of `datanuts bench` share: an installation of their own, and how numbers and peers are read."""

import argparse
import tempfile
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

from broker.cli.datadir import DataDir
from broker.cli.output import note
from broker.cli.site import Site, site
from broker.settings import load_settings


@asynccontextmanager
async def fresh_installation() -> AsyncIterator[Site]:
    """An installation that goes away with the measurement."""
    with tempfile.TemporaryDirectory(prefix="datanuts-bench-") as folder:
        async with site(DataDir(Path(folder)), load_settings(), beating=True, progress=note) as here:
            yield here


def count(text: str) -> int:
    """A positive number; raises what argparse shows."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError("must be a positive number")
    return int(text)


def peers_among(known: Collection[str], text: str) -> tuple[str, ...]:
    """Names with commas between, each once and known; raises what argparse shows."""
    names = tuple(dict.fromkeys(text.split(",")))
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"no such peer: {', '.join(unknown)} (known: {', '.join(known)})")
    return names
