"""A register of files over a topic in memory, and the agencies that keep files in it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from broker.control.dossiers import Dossiers
from broker.errors import NotYetKnown
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.identifiers import make_test_insz
from broker.model.wall import SubjectWall

ROOT = Path(__file__).parents[3]
LANES = 4
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
K_LANE = bytes(range(32))
PERSON = make_test_insz("1985-07-30", 33)
NOBODY_TEST = "85073003328"
PRODUCTS = {"gent": "persoon.v1", "bedrijven": "organisatie.v1", "werken": "hinder.v1"}


@dataclass
class Record:
    key: bytes | None
    value: bytes | None


@dataclass
class Log:
    """Partitions in memory behind the clients' few methods."""

    partitions: dict[int, list[Record]] = field(default_factory=lambda: {lane: [] for lane in range(LANES)})
    broken: bool = False

    def consumer(self, group: str | None) -> "Consumer":
        assert group is None
        return Consumer(self)

    def producer(self) -> "Producer":
        return Producer(self)

    def records(self) -> list[tuple[int, Record]]:
        return [(lane, record) for lane, records in self.partitions.items() for record in records]


@dataclass
class Producer:
    log: Log

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def create_batch(self) -> "Batch":
        return Batch()

    async def send_batch(self, batch: "Batch", topic: str, *, partition: int) -> "asyncio.Future[None]":
        assert topic == "subjects.dossiers"
        assert batch.records
        if self.log.broken:
            raise KafkaConnectionError
        self.log.partitions[partition] += batch.records
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done


@dataclass
class Batch:
    """It takes few records, as Kafka's takes few bytes."""

    records: list[Record] = field(default_factory=list)

    def append(self, *, key: bytes, value: bytes | None, timestamp: None) -> bool | None:
        assert timestamp is None
        if len(self.records) == 3:
            return None
        self.records.append(Record(key, value))
        return True


@dataclass
class Consumer:
    log: Log
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, targets: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(targets, -1)

    async def seek_to_beginning(self, *targets: TopicPartition) -> None:
        self.positions.update(dict.fromkeys(targets, 0))

    def pause(self, *targets: TopicPartition) -> None:
        self.paused.update(targets)

    def resume(self, *targets: TopicPartition) -> None:
        self.paused.difference_update(targets)

    async def end_offsets(self, targets: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        assert self.paused >= set(targets), "a waiting fetch would hold this answer up"
        return {target: len(self.log.partitions[target.partition]) for target in targets}

    async def position(self, target: TopicPartition) -> int:
        return self.positions[target]

    async def getmany(self, *targets: TopicPartition, timeout_ms: int) -> Mapping[TopicPartition, list[Record]]:
        assert timeout_ms
        assert not self.paused & set(targets)
        found = {}
        for target in targets:
            found[target] = self.log.partitions[target.partition][self.positions[target] :]
            self.positions[target] += len(found[target])
        return found


@dataclass
class Control:
    state: ControlState


@dataclass
class Keys:
    known: bool = True

    def get(self, name: str) -> bytes:
        assert name == "lane"
        if not self.known:
            raise NotYetKnown("no key yet")
        return K_LANE

    def ensure(self, name: str) -> bytes:
        raise NotImplementedError(name)


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


def state() -> ControlState:
    folded = ControlState()

    def fact(kind: FactType, aggregate: str, data: Mapping[str, Any]) -> None:
        offset = folded.epoch + 1
        assert folded.apply(offset, Fact(f"f{offset}", kind, aggregate, folded.version(aggregate), NOW, "test", data))

    for product in PRODUCTS.values():
        schema = (ROOT / "schemas" / f"{product}.avsc").read_text()
        fact(FactType.PRODUCT, f"product/{product}", {"id": product, "source": "bron", "schema": schema})
    for agreement, product in {**PRODUCTS, "leuven": "persoon.v1", "later": "adres.v1"}.items():
        document = {"id": agreement, "source": "bron", "product": product, "agency": f"{agreement}-dienst"}
        fact(FactType.AGREEMENT_REQUESTED, f"agreement/{agreement}", {"document": document})
    return folded


@dataclass
class Agency:
    """One use-case over one log; `add` and `end` with defaults that matter to no test."""

    dossiers: Dossiers
    log: Log
    clock: Clock
    keys: Keys

    async def add(self, subject: str = PERSON, *, agreement: str = "gent", **given: Any) -> str:
        form = {"capacity": "schuldeiser", "reference": "P-1", "begin": None, "end": None} | given
        return await self.dossiers.add(agreement, f"{agreement}-dienst", subject=subject, **form)

    async def end(
        self, subject: str = PERSON, *, agreement: str = "gent", reference: str = "P-1", at: datetime | None = None
    ) -> str:
        return await self.dossiers.end(agreement, f"{agreement}-dienst", subject=subject, reference=reference, end=at)

    async def files(self, agreement: str = "gent") -> list[tuple[str, datetime, datetime | None]]:
        held = await self.dossiers.page(agreement, f"{agreement}-dienst", limit=10_000)
        assert held.next is None
        return sorted(((file.reference, file.begin, file.end) for file in held.files), key=repr)


async def opened(log: Log, wall: SubjectWall) -> Agency:
    clock, keys = Clock(), Keys()
    dossiers = Dossiers(log, Control(state()), keys, wall, LANES, now=clock)
    await dossiers.start()
    return Agency(dossiers, log, clock, keys)


@pytest.fixture
async def agency() -> AsyncIterator[Agency]:
    made = await opened(Log(), SubjectWall("synthetic"))
    yield made
    await made.dossiers.close()
