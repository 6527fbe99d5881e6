"""One installation on a node of its own for this folder; every test has a source, agencies and agreements of its own."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fastavro
import pytest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition

from adapters.publication import Publication
from adapters.sdk import Change
from adapters.synthetic import move, people
from adapters.synthetic_names import Municipality
from broker.api.services import Services
from broker.cli.datadir import DataDir
from broker.cli.installation import Installation
from broker.cli.router import lane_maker
from broker.cli.site import Site, site
from broker.control.dev_signing import bring_into_force
from broker.control.keys import LANE
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.barrier import BARRIER_TYPE
from broker.model.keyed import lane_key, lane_of
from broker.model.notice import NOTICE_TYPE
from broker.model.record import WIRE_HEADER_BYTES, SourceEnvelope, header, schema_id_of, traceparent
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.calendar import instant_of, milliseconds
from broker.routing.counts import Counts
from broker.routing.lane import Lane
from broker.routing.router import Router
from broker.schema.avro import load_schema
from broker.settings import load_settings
from tests.conftest import ROOT
from tests.reading import committed_records

LANES = 4
TODAY = date(2026, 11, 24)
PERSON = "persoon.v1"
Value = dict[str, Any]
Place = tuple[int, int]
"""Partition and offset of a source record."""


@dataclass(frozen=True)
class Delivery:
    """One record of a delivery topic, decoded; `value` is None for left-population and for barriers."""

    offset: int
    key: bytes
    kind: str
    value: Value | None
    headers: Mapping[str, bytes]

    @property
    def barrier(self) -> bool:
        return self.headers.get("ce_type") == BARRIER_TYPE.encode()

    @property
    def notice(self) -> str | None:
        """What a notice tells; None for anything else."""
        told = self.headers.get("ce_type") == NOTICE_TYPE.encode()
        return self.headers["ce_reason"].decode() if told else None


@dataclass
class Router4:
    """A router process in this one: lanes of its own, which share plans and counts but nothing with another router."""

    lanes: dict[int, Lane]
    counts: Counts = field(default_factory=Counts)
    routers: dict[int, Router] = field(default_factory=dict)

    async def open(self) -> None:
        await asyncio.gather(*(lane.open() for lane in self.lanes.values()))
        self.routers = {number: Router(lane, self.counts) for number, lane in self.lanes.items()}

    async def close(self) -> None:
        await asyncio.gather(*(lane.close() for lane in self.lanes.values()))

    async def route(self, topic: str, places: Iterable[Place]) -> None:
        """Step the lanes until these records of `topic` are committed."""
        ends: dict[int, int] = {}
        for lane, offset in places:
            ends[lane] = max(ends.get(lane, 0), offset + 1)

        async def reach(lane: int) -> None:
            while self.lanes[lane]._next.get(topic, 0) < ends[lane]:
                await self.routers[lane].step()

        await asyncio.gather(*map(reach, ends))

    def routed(self, topic: str, places: Iterable[Place]) -> bool:
        """Whether these records of `topic` are committed."""
        return all(self.lanes[lane]._next.get(topic, 0) > offset for lane, offset in places)

    async def settle(self, *lanes: int) -> None:
        """Step these lanes (all without any) until they have told what papers, the day and new agreements have to tell by now."""

        async def tell(lane: int) -> None:
            settled = False
            while not settled:  # a step that finds nothing to do, after which nothing is under way
                await self.routers[lane].step()
                settled = not self.lanes[lane].subjects.causes(1) and not self.reading_again(lane)
                if settled:
                    await self.routers[lane].step()
                    settled = not self.reading_again(lane)

        await asyncio.gather(*map(tell, lanes or self.lanes))

    def reading_again(self, lane: int) -> bool:
        """Whether there are subjects that agreements which came into force, or replays, have not been told of yet."""
        return self.lanes[lane]._rereading.under_way

    @property
    def instant(self) -> datetime:
        """The latest instant at which one of its lanes decided, or now: no lane goes back."""
        return max(datetime.now(UTC), *(instant_of(lane._now_ms) for lane in self.lanes.values()))

    def ahead(self, instant: datetime) -> None:
        """From now on it is `instant` for this router."""
        for lane in self.lanes.values():
            lane.clock_ms = lambda: milliseconds(instant)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Route by themselves meanwhile; a step that was begun is ended, as a process that stops would re-open its lanes."""
        stopped = asyncio.Event()

        async def keep(router: Router) -> None:
            while not stopped.is_set():
                await router.step()

        tasks = [asyncio.create_task(keep(router)) for router in self.routers.values()]
        try:
            yield
        finally:
            stopped.set()
            await asyncio.gather(*tasks)

    def withheld(self, agreement: str) -> dict[str, int]:
        return {reason: number for (held, reason), number in self.counts.withheld.items() if held == agreement}


@dataclass
class World:
    """The installation, and one test's source in it."""

    site: Site
    installation: Installation
    services: Services
    suffix: str
    producer: Any
    held: AsyncExitStack
    rng: random.Random
    _routers: list[Router4] = field(default_factory=list)
    _sources: dict[str, Publication] = field(default_factory=dict)

    @property
    def source(self) -> str:
        return f"register-{self.suffix}"

    @property
    def topic(self) -> str:
        return topics.source(self.source, PERSON)

    # The register.

    async def declare(self, source: str | None = None) -> str:
        """Declare persoon.v1 of a source of this test."""
        organisation = source or self.source
        schema = load_schema((ROOT / "schemas" / f"{PERSON}.avsc").read_text())
        await self.installation.organisations.register(Organisation(organisation, "Register"), by="test")
        product = await self.installation.products.declare(organisation, schema.text, by="test")
        k_lane = self.site.keys.ensure(LANE)
        self._sources[organisation] = Publication(organisation, schema, product.schema_id, k_lane=k_lane, lanes=LANES)
        return topics.source(organisation, PERSON)

    def people(self, count: int = 1, place: Municipality | None = None, born: str | None = None) -> list[Value]:
        """New synthetic persons, all in `place`."""
        made = list(people(self.rng, count, on=TODAY))
        if place is not None:
            made = [{**move(person, place, self.rng, on=TODAY), "kind": "snapshot"} for person in made]
        if born is not None:
            made = [{**person, "geboorte": {**person["geboorte"], "datum": born}} for person in made]
        return made

    def moved(self, person: Value, to: Municipality) -> Value:
        return move(person, to, self.rng, on=TODAY)

    def key(self, person: Value) -> bytes:
        return lane_key(self.site.keys.get(LANE), person["insz"].encode())

    async def publish(self, *values: Value, source: str | None = None) -> list[Place]:
        """State these persons, in order."""
        publication = self._sources[source or self.source]
        return await self._send(publication, [Change("-", PERSON, value) for value in values])

    async def delete(self, *persons: Value, source: str | None = None) -> list[Place]:
        publication = self._sources[source or self.source]
        return await self._send(publication, [Change("-", PERSON, None, person["insz"]) for person in persons])

    async def raw(
        self, key: bytes | None, value: bytes | None, lane: int, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Place:
        """Write anything to the source topic."""
        written = await self.producer.send_and_wait(self.topic, value, key=key, partition=lane, headers=list(headers))
        return lane, written.offset

    async def raw_header(self, stated: Any, name: bytes) -> Place:
        """Write a statement thrice in one batch, the second time with a header whose name is any bytes."""
        builder = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, -1, 1 << 20)
        stand_in = "~" * len(name)
        for number, headers in enumerate([[], [(stand_in, b"x")], []]):
            builder.append(number, timestamp=0, key=stated.key, value=stated.value, headers=headers)
        raw = bytes(builder.build()).replace(stand_in.encode(), name)
        checked = raw[:17] + calc_crc32c(raw[21:]).to_bytes(4, "big") + raw[21:]
        client, target = self.producer.client, TopicPartition(self.topic, stated.lane)
        await client.set_topics([self.topic])
        request = ProduceRequest(None, -1, 5000, [(self.topic, [(stated.lane, checked)])])
        answer = await client.send(client.cluster.leader_for_partition(target), request)
        ((_, (written,)),) = answer.topics
        assert written[1] == 0
        return stated.lane, written[2] + 2

    def oversized(self, value: Value) -> Any:
        """A statement larger than our own adapters let through."""
        publication = self._sources[self.source]
        framed = publication._frame + publication._encode(value)
        return SimpleNamespace(key=self.key(value), value=framed, lane=lane_of(self.key(value), LANES))

    def statement(self, value: Value) -> Any:
        return self._sources[self.source].state(Change("-", PERSON, value))

    async def _send(self, publication: Publication, changes: Sequence[Change]) -> list[Place]:
        sent = []
        for change in changes:
            stated = publication.state(change)
            trace = traceparent(self.rng.randbytes(16), self.rng.randbytes(8))
            envelope = SourceEnvelope("e", publication.source, PERSON, stated.kind, "2026-11-24T00:00:00Z", trace)
            future = await self.producer.send(
                publication.topic, stated.value, key=stated.key, partition=stated.lane, headers=envelope.headers()
            )
            sent.append((stated.lane, future))
        return [(lane, (await future).offset) for lane, future in sent]

    # Agreements.

    async def agree(self, template: str, source: str | None = None, **changes: Any) -> str:
        """An agreement of its own agency in force, like one of `policies/agreements`."""
        document = await self.document(template, source, **changes)
        return (await bring_into_force(self.services.agreements, document, datetime.now(UTC))).id

    async def ask(self, template: str, source: str | None = None, **changes: Any) -> str:
        """Request it only."""
        document = await self.document(template, source, **changes)
        return (await self.services.agreements.request(document, document["agency"])).id

    async def document(self, template: str, source: str | None = None, **changes: Any) -> dict[str, Any]:
        """Its document; its id and its agency's are the template's with the test's suffix."""
        text = (ROOT / "policies" / "agreements" / f"{template}.yaml").read_text()
        document = documents.agreement_document(documents.agreement(text))
        own = {"id": f"{document['id']}-{self.suffix}", "agency": f"{document['agency']}-{self.suffix}"}
        document = {**document, "source": source or self.source, **own, **changes}
        await self.installation.organisations.register(Organisation(document["agency"], "Afnemer"), by="test")
        return document

    async def admit_future(self, agreement: str) -> None:
        """Have Kafka take deliveries of a router whose clock is days ahead; else it takes an hour."""
        topic = topics.delivery(self.agency(agreement), agreement)
        await self.site.admin.configure(topic, {"message.timestamp.after.max.ms": str(1 << 40)})

    def agency(self, agreement: str) -> str:
        return str(self.site.control.state.agreements[agreement].document["agency"])

    def document_of(self, agreement: str) -> dict[str, Any]:
        """As it is in force."""
        return dict(self.site.control.state.agreements[agreement].document)

    def lane(self, person: Value) -> int:
        """Where its records and papers go."""
        return lane_of(self.key(person), LANES)

    async def register(
        self,
        agreement: str,
        person: Value,
        reference: str,
        *,
        begin: datetime | None = None,
        end: datetime | None = None,
    ) -> None:
        """The agency opens a file."""
        await self.services.dossiers.add(
            agreement,
            self.agency(agreement),
            subject=person["insz"],
            capacity="schuldeiser",
            reference=reference,
            begin=begin,
            end=end,
        )

    async def close_file(self, agreement: str, person: Value, reference: str) -> None:
        """The agency ends a file."""
        await self.services.dossiers.end(
            agreement, self.agency(agreement), subject=person["insz"], reference=reference, end=None
        )

    # Routing.

    async def router(self, lanes: Iterable[int] = range(LANES), *, behind_ms: int = 0, wall: Any = None) -> Router4:
        """A new router with these lanes open, as after the start of a process whose clock is behind by so much.

        `wall` stands in for the installation's.
        """
        make = await lane_maker(self.site)
        made = Router4({number: make(number) for number in lanes})
        for lane in made.lanes.values():
            lane.clock_ms = lambda: time.time_ns() // 1_000_000 - behind_ms
            lane.plans.wall = wall or lane.plans.wall
        self._routers.append(made)
        await made.open()
        return made

    async def stop(self, router: Router4) -> None:
        self._routers.remove(router)
        await router.close()

    def forget_state(self) -> None:
        """Lose every lane's state file."""
        for path in (self.site.home.root / "lanes").glob("*"):
            path.unlink()

    # What came of it.

    async def read(self, topic: str) -> list[Any]:
        """Committed records of a topic, by partition and offset."""
        return await committed_records(self.site.clients, self.site.admin, topic)

    async def delivered(self, agreement: str) -> list[Delivery]:
        """Everything in an agreement's topic."""
        found = []
        for record in await self.read(topics.delivery(self.agency(agreement), agreement)):
            kind = (header(record.headers, "ce_kind") or b"").decode()
            value = None if record.value is None else self.decode(record.value)
            found.append(Delivery(record.offset, record.key, kind, value, dict(record.headers)))
        return found

    async def kinds(self, agreement: str) -> list[str]:
        return [delivery.kind for delivery in await self.delivered(agreement)]

    async def receipts(self, topic: str | None = None) -> list[Value]:
        """Receipts on the records of one source topic, by lane and in order."""
        found = [self.decode(record.value) for record in await self.read(topics.RECEIPTS)]
        return [receipt for receipt in found if receipt["topic"] == (topic or self.topic)]

    async def decisions(self, agreement: str) -> list[tuple[str, str, str | None]]:
        """(outcome, kind, reason) under one agreement."""
        leaves = [leaf for receipt in await self.receipts() for leaf in receipt["decisions"]]
        own = [leaf for leaf in leaves if leaf["agreement"] == agreement]
        return [(leaf["outcome"], leaf["kind"].replace("_", "-"), leaf["reason"]) for leaf in own]

    async def quarantined(self) -> list[Value]:
        """Notes in the quarantine of this test's product."""
        return [json.loads(record.value) for record in await self.read(topics.quarantine(self.source, PERSON))]

    def decode(self, value: bytes) -> Value:
        schema = self.site.control.state.schemas[schema_id_of(value) or 0]
        parsed = fastavro.parse_schema(json.loads(schema.text))
        return dict(fastavro.schemaless_reader(BytesIO(value[WIRE_HEADER_BYTES:]), parsed, None))


@dataclass(frozen=True)
class Opened:
    """The folder's installation."""

    site: Site
    installation: Installation
    services: Services


@asynccontextmanager
async def installed(root: Path) -> AsyncIterator[Opened]:
    """An installation on a Kafka of its own."""
    async with LocalKafka(root / "node", ROOT / ".cache") as node:
        settings = load_settings(
            {},
            data_dir=root / "data",
            kafka_bootstrap=node.access.bootstrap,
            kafka_username=node.access.username,
            kafka_password=node.access.password,
            kafka_protocol="SASL_PLAINTEXT",
            single_node=True,
            lanes=LANES,
        )
        async with site(DataDir(settings.data_dir), settings, beating=True) as here:
            installation = Installation.of(here)
            await installation.set_up()
            async with installation.services() as services:
                yield Opened(here, installation, services)


@pytest.fixture(scope="session")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    async with installed(tmp_path_factory.mktemp("routing")) as made:
        yield made


@pytest.fixture
async def world(opened: Opened, unique: Callable[[str], str]) -> AsyncIterator[World]:
    """The installation with a new source of persons; routers that the test left open are closed."""
    producer = opened.site.clients.producer()
    await producer.start()
    async with AsyncExitStack() as held:
        held.push_async_callback(producer.stop)
        suffix = unique("t")
        made = World(opened.site, opened.installation, opened.services, suffix, producer, held, random.Random(suffix))
        await made.declare()
        try:
            yield made
        finally:
            for router in made._routers:
                await router.close()
