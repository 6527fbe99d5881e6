"""A whole installation under test: Kafka and the HTTP interface in this process, routers as children that a test may hurt."""

import asyncio
import json
import os
import secrets
import signal
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

from aiokafka.structs import ConsumerRecord, TopicPartition

from adapters.publication import Publication
from adapters.sdk import Change
from broker import telemetry
from broker.batches import send_rows
from broker.cli.datadir import DataDir
from broker.cli.stack import Stack, running
from broker.cli.tls import node_files
from broker.control.dev_signing import bring_into_force
from broker.control.keys import FileKeyStore
from broker.kafka import leash
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.record import SourceEnvelope, traceparent
from broker.model.registered import Organisation
from broker.policy import documents, yamltext
from broker.policy.standing import Standing
from broker.routing.told import have_told
from broker.schema.avro import Schema, load_schema
from broker.settings import load_settings
from broker.testing import wait_until
from tests.reading import committed_records

ROOT = Path(__file__).parents[1]
_FEW = 200


@dataclass(slots=True)
class Router:
    """A `datanuts router` child; the kernel ends it with this process."""

    process: Process
    log: Path

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        self.process.send_signal(number)

    async def ended(self, *, within: float = 30.0) -> int:
        """Its exit code; -9 after SIGKILL."""
        return await asyncio.wait_for(self.process.wait(), within)

    @property
    def stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        return Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "T"

    def lines(self, event: str) -> list[Mapping[str, Any]]:
        """What it logged under an event's name so far."""
        found = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in found if line["event"] == event]

    async def stop(self) -> None:
        """End it in order, by force after 15 s; does nothing if it ended."""
        if self.process.returncode is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)
            with suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), 15)
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass(slots=True)
class Stage:
    """The installation, and what tests do with it."""

    node: LocalKafka
    stack: Stack
    environment: Mapping[str, str]
    _numbers: Any = field(default_factory=lambda: count(1))

    @property
    def lanes(self) -> int:
        """Partitions of every source topic."""
        return self.stack.site.lanes

    def router_command(self) -> list[str]:
        """What a router is started with."""
        return self.command("router")

    def command(self, name: str) -> list[str]:
        """What a child is started with."""
        return [sys.executable, "-m", "broker.cli.main", name, "--data-dir", str(self.stack.home.root)]

    @asynccontextmanager
    async def router(
        self, fault: str | None = None, *, command: str = "router", **environment: str
    ) -> AsyncIterator[Router]:
        """A router, or a child of another command, until the block ends, with a fault point if one is named."""
        log = self.stack.home.logs / f"child-{next(self._numbers)}.log"
        variables = {**os.environ, **self.environment, **environment}
        if fault is not None:
            variables["DATANUTS_FAULT_POINT"] = fault
        command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *self.command(command)]
        with log.open("ab") as output:
            process = await asyncio.create_subprocess_exec(
                *command, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        child = Router(process, log)
        try:
            yield child
        finally:
            await child.stop()

    async def agreement(self, name: str, **changes: Any) -> str:
        """Bring the repository's agreement `name` into force under an id of its own; returns the id."""
        document = yamltext.load((ROOT / "policies" / "agreements" / f"{name}.yaml").read_text())
        return await self.in_force(document | {"id": f"{name}-{next(self._numbers)}"} | changes)

    async def in_force(self, document: Mapping[str, Any]) -> str:
        """Take an agreement through its whole life cycle; returns its id."""
        return (await bring_into_force(self.stack.services.agreements, document, datetime.now(UTC))).id

    def standing(self, agreement: str) -> Standing:
        """The agreement as the control log has it now."""
        entry = self.stack.site.control.state.agreements[agreement]
        return Standing(documents.agreement(entry.document), entry.state, entry.activated_at)

    def delivery_topic(self, agreement: str) -> str:
        """Where it delivers."""
        return topics.delivery(self.standing(agreement).agreement.agency, agreement)

    def schema(self, source: str, product: str) -> Schema:
        """Schema of a declared product."""
        state = self.stack.site.control.state
        return load_schema(state.schemas[state.products[source, product].schema_id].text)

    def publication(self, source: str, product: str) -> Publication:
        """How the source's values become records."""
        site = self.stack.site
        identifier = site.control.state.products[source, product].schema_id
        k_lane = site.keys.get("lane")
        return Publication(source, self.schema(source, product), identifier, k_lane=k_lane, lanes=site.lanes)

    def change(self, product: str, value: Mapping[str, Any]) -> Change:
        """A value as an adapter would state it."""
        return Change("", product, value)

    async def publish(self, source: str, product: str, values: Iterable[Mapping[str, Any]]) -> int:
        """Write values in their order, acknowledged; returns how many."""
        publication, rows, written = self.publication(source, product), {}, 0
        for value in values:
            stated = publication.state(self.change(product, value))
            written += 1
            trace = traceparent(secrets.token_bytes(16), secrets.token_bytes(8))
            envelope = SourceEnvelope(
                secrets.token_hex(16), publication.source, product, stated.kind, value["recordedAt"], trace
            )
            rows.setdefault(stated.lane, []).append((stated.key, stated.value, envelope.headers()))
        producer = self.stack.site.clients.producer()
        try:
            await producer.start()
            for lane, lines in rows.items():
                for sent in await send_rows(producer, publication.topic, lane, lines, timestamp_ms=0):
                    await sent
        finally:
            await producer.stop()
        return written

    async def read(self, topic: str, since: Mapping[int, int] | None = None) -> list[ConsumerRecord]:
        """Everything committed on a topic from `since` on, partition after partition, by a fresh read_committed reader."""
        return await committed_records(self.stack.site.clients, self.stack.site.admin, topic, since)

    async def ends(self, topic: str) -> dict[int, int]:
        """Next offset of every partition."""
        return await self.stack.site.admin.end_offsets(topic)

    async def positions(self, topic: str) -> dict[int, int]:
        """Where the routers' committed positions stand."""
        async with self.stack.site.clients.consumer(topics.ROUTER_GROUP) as consumer:
            return {lane: await consumer.committed(TopicPartition(topic, lane)) for lane in range(self.lanes)}

    async def drained(self, *names: str, within: float = 60.0) -> None:
        """Return once every record of these source topics is committed by a router."""

        async def at_the_head() -> bool:
            return all([await self.is_drained(name) for name in names])

        await wait_until(at_the_head, timeout=within, every=0.25)

    async def told(self, topic: str, within: float = 60.0) -> None:
        """Return once the lanes have told every agreement in force of the subjects of `topic` that were there before it."""
        await wait_until(lambda: self.has_told(topic), timeout=within, every=0.25)

    async def has_told(self, topic: str) -> bool:
        """Whether `told` would return at once."""
        state = self.stack.site.control.state
        async with self.stack.site.clients.consumer(topics.ROUTER_GROUP) as consumer:
            return await have_told(consumer, state, topic, range(self.lanes))

    async def declare(self, source: str, product: str) -> str:
        """Have another source publish `product`; returns its topic."""
        schema = load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())
        await self.stack.installation.organisations.register(Organisation(source, "Register"), by="test")
        await self.stack.installation.products.declare(source, schema.text, by="test")
        return topics.source(source, product)

    async def is_drained(self, topic: str) -> bool:
        """Whether `drained` would return at once.

        Behind the last record there can be markers of its transaction, on which no position is committed.
        """
        positions, ends = await self.positions(topic), await self.ends(topic)
        if None in positions.values():
            return False  # a node that has just come back does not know its partitions yet: asked again, it tells
        behind = sum(ends.values()) - sum(positions.values())
        return not behind or (behind < _FEW and not await self.read(topic, positions))


@asynccontextmanager
async def installation(root: Path, **given: Any) -> AsyncIterator[Stage]:
    """A running installation without routers on `root`; `given` are settings by name."""
    settings = load_settings({}, data_dir=root, api_port=0, tls_port=0, **given)
    home = DataDir(root)
    home.make()
    environment = {f"DATANUTS_{name.upper()}": str(value) for name, value in given.items()}
    with (home.logs / "api.log").open("a", encoding="utf-8") as lines:
        telemetry.configure("api", settings, stream=lines)
        try:
            async with (
                LocalKafka(root, ROOT / ".cache", tls=node_files(home, settings, FileKeyStore(root / "keys"))) as node,
                running(home, settings, routers=0, pushing=False) as stack,
            ):
                yield Stage(node, stack, environment)
        finally:
            telemetry.shutdown()
