"""A runner over an adapter of given items and a journal in memory, for tests of what needs no Kafka."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

from adapters.publication import Publication
from adapters.runner import Runner
from adapters.sdk import Change, Item
from broker.batches import Row
from broker.errors import Doubt
from broker.model import topics
from broker.model.keyed import lane_key, lane_of
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
LANES = 4
K_LANE, K_CONTENT = b"l" * 32, b"c" * 32
SCHEMA_IDS = {"hinder.v1": 7, "persoon.v1": 8, "organisatie.v1": 9}
_SEEDS = count(1)
STATE = ("cursors.given", 0)
NOW = datetime(2026, 7, 1, 12, 0, 0, 999_999, UTC)


@dataclass
class Given:
    """Yields `items`, with their number as cursor; a callable among them is called instead, to fail or to wait."""

    items: Sequence[Any]
    name: str = "given"
    sources: Mapping[str, str] = field(default_factory=lambda: {"hinder.v1": "gipod"})
    asked: list[str | None] = field(default_factory=list)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        self.asked.append(cursor)
        for number, item in enumerate(self.items, 1):
            if number <= int(cursor or 0):
                continue
            if callable(item):
                await item()
            else:
                yield item, str(number) if number < len(self.items) else ""


@dataclass
class MemoryJournal:
    """Applies commits at once; each of `trouble` befalls one commit: `lost`, `won` (both in doubt), or an error."""

    state: dict[bytes, bytes] = field(default_factory=dict)
    outputs: list[dict[tuple[str, int], list[Row]]] = field(default_factory=list)
    trouble: list[Any] = field(default_factory=list)
    opened: int = 0
    closed: int = 0

    async def open(self) -> Mapping[bytes, bytes]:
        self.opened += 1
        return dict(self.state)

    async def commit(self, outputs: Mapping[tuple[str, int], Sequence[Row]]) -> None:
        befalls = self.trouble.pop(0) if self.trouble else None
        if isinstance(befalls, Exception):
            raise befalls
        if befalls != "lost":
            self.outputs.append({target: list(rows) for target, rows in outputs.items()})
            for key, value, _ in outputs.get(STATE, ()):
                if value is None:
                    self.state.pop(key, None)
                else:
                    self.state[key] = value
        if befalls:
            raise Doubt("what became of it?")

    async def close(self) -> None:
        self.closed += 1

    def rows(self, prefix: str) -> list[tuple[str, int, Row]]:
        """Committed rows of the topics that start so."""
        return [
            (topic, partition, row)
            for outputs in self.outputs
            for (topic, partition), rows in outputs.items()
            if topic.startswith(prefix)
            for row in rows
        ]


def publications(sources: Mapping[str, str], lanes: int = LANES) -> dict[str, Publication]:
    return {
        product: Publication(organisation, schema(product), SCHEMA_IDS[product], k_lane=K_LANE, lanes=lanes)
        for product, organisation in sources.items()
    }


def schema(product: str) -> Any:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


def runner(adapter: Any, journal: MemoryJournal, **more: Any) -> Runner:
    naps: list[float] = more.pop("naps", [])

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    drawn = Random(next(_SEEDS))
    return Runner(
        adapter,
        publications(adapter.sources),
        journal,
        K_CONTENT,
        **{"now": lambda: NOW, "random": drawn.randbytes, "sleep": nap} | more,
    )


def works(number: int, description: str = "werken", **more: Any) -> Change:
    """A complete change of one hindrance."""
    iri = f"https://gipod.example/id/{number}"
    value = {
        "kind": "changed",
        "recordedAt": "2026-01-01T00:00:00Z",
        "identificator": iri,
        "versie": f"{iri}/1",
        "omschrijving": description,
        "contactorganisaties": [],
        "perioden": [],
        "zones": [],
        "oorzaken": [],
    }
    return Change(iri, "hinder.v1", value | more)


def source_of(number: int) -> tuple[bytes, int]:
    """Kafka key and lane of a hindrance."""
    key = lane_key(K_LANE, f"https://gipod.example/id/{number}".encode())
    return key, lane_of(key, LANES)


SOURCE, QUARANTINE = topics.source("gipod", "hinder.v1"), topics.quarantine("gipod", "hinder.v1")
