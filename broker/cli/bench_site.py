"""What the verbs of `datanuts bench` share: an installation of their own, and how a number is read."""

import argparse
import tempfile
from collections.abc import AsyncIterator
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
