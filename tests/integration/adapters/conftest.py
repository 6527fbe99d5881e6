"""Adapters on a real Kafka: each test has an adapter name, products and a control log of its own."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from adapters.publication import Publication
from adapters.runner import Runner
from adapters.sdk import Item
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaClients
from broker.kafka.journal import Journal
from broker.model import topics, topology
from broker.schema.avro import load_schema
from tests.conftest import ROOT
from tests.databases import Database, database
from tests.postgres import Postgres
from tests.reading import committed_records

LANES = 4
K_LANE, K_CONTENT = b"l" * 32, b"c" * 32


@dataclass(frozen=True)
class Renamed:
    """An adapter under another name and for other organisations, so that tests share nothing."""

    adapter: Any
    name: str
    sources: Mapping[str, str]

    def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        return self.adapter.changes(cursor)


@dataclass
class Given:
    """Yields its items, with their number as cursor."""

    items: Sequence[Item]
    sources: Mapping[str, str] = field(default_factory=lambda: {"hinder.v1": "gipod"})

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        for number, item in enumerate(self.items, 1):
            if number > int(cursor or 0):
                yield item, str(number) if number < len(self.items) else ""


@dataclass(frozen=True)
class Bench:
    """Makes runners over Kafka and reads what they left there."""

    clients: KafkaClients
    admin: KafkaAdmin
    suffix: str

    async def renamed(self, adapter: Any) -> Renamed:
        """The adapter with its topics made."""
        sources = {product: f"{organisation}-{self.suffix}" for product, organisation in adapter.sources.items()}
        made = Renamed(adapter, f"adapter-{self.suffix}", sources)
        await self.admin.ensure_topics(
            [
                topology.cursors(made.name),
                *(topology.source(organisation, product, LANES) for product, organisation in sources.items()),
                *(topology.quarantine(organisation, product) for product, organisation in sources.items()),
            ]
        )
        return made

    def runner(self, adapter: Renamed, clients: Any = None, **more: Any) -> Runner:
        publications = {
            product: Publication(
                organisation,
                load_schema((ROOT / "schemas" / f"{product}.avsc").read_text()),
                1,
                k_lane=K_LANE,
                lanes=LANES,
            )
            for product, organisation in adapter.sources.items()
        }
        return Runner(adapter, publications, self.journal(adapter, clients), K_CONTENT, **more)

    def journal(self, adapter: Renamed, clients: Any = None) -> Journal:
        return Journal(
            clients or self.clients,
            transactional_id=topics.adapter_transactional_id(adapter.name),
            topic=topics.cursors(adapter.name),
        )

    async def read(self, topic: str) -> list[Any]:
        """Committed records of a topic, by partition and offset."""
        return await committed_records(self.clients, self.admin, topic)

    async def published(self, adapter: Renamed) -> list[Any]:
        """Committed records of all its source topics."""
        return [
            record
            for product, organisation in adapter.sources.items()
            for record in await self.read(topics.source(organisation, product))
        ]


@pytest.fixture
def bench(kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, unique: Callable[[str], str]) -> Bench:
    return Bench(kafka_clients, kafka_admin, unique("t"))


@pytest.fixture
def given(bench: Bench) -> Callable[[Sequence[Item]], Awaitable[Renamed]]:
    """An adapter of given hindrances."""

    async def over(items: Sequence[Item]) -> Renamed:
        return await bench.renamed(Given(items))

    return over


@pytest.fixture
def register(postgres_server: Postgres, unique: Callable[[str], str]) -> Database:
    """A database of the test's own."""
    return database(postgres_server, unique("register"))
