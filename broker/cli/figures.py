"""Figures of the routers of one data directory: each publishes its counts in a file, anyone adds them up."""

import asyncio
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

from broker.cli.datadir import DataDir
from broker.routing.counts import Counts

_EVERY_S = 0.5


def _folder(home: DataDir) -> Path:
    return home.root / "counts"


def forget(home: DataDir) -> None:
    """Start counting anew."""
    for path in _folder(home).glob("*.json"):
        path.unlink(missing_ok=True)


async def publish(home: DataDir, counts: Counts) -> None:
    """Write this process's counts twice a second, until cancelled and then once more."""
    path = _folder(home) / f"{os.getpid()}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        while True:
            _write(path, counts)
            await asyncio.sleep(_EVERY_S)
    finally:
        _write(path, counts)


def collected(home: DataDir) -> dict[str, Any]:
    """Sum over all routers since `forget`, in the form of `Counts.as_json`."""
    total = Counts()
    for path in _folder(home).glob("*.json"):
        counts = json.loads(path.read_text())
        total.records += counts["records"]
        for agreement, own in counts["agreements"].items():
            total.delivered[agreement] += own["delivered"]
            total.again[agreement] += own["again"]
            total.withheld.update({(agreement, reason): number for reason, number in own["withheld"].items()})
        for topic, codes in counts["quarantined"].items():
            total.quarantine.update(Counter({(topic, code): number for code, number in codes.items()}))
    return total.as_json()


def _write(path: Path, counts: Counts) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(counts.as_json()))
    fresh.replace(path)
