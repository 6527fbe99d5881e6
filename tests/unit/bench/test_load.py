"""What an installation is loaded with, and that a publisher waits for nobody."""

import asyncio
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import pytest

from bench.load import SIZES, publish_at, rows_of
from broker.cli.documents import PolicyFolder
from broker.model.instants import stated_instant
from broker.model.keyed import lane_of
from broker.model.registered import Product
from broker.schema.guard import compile_walk

SCHEMA = PolicyFolder.of(None, Path(__file__).parents[3] / "schemas").product_schemas()["persoon.v1"]
NOW = stated_instant("2026-01-01T00:00:00Z")
PRODUCT = Product("persoon.v1", "rijksregister", 3, NOW, NOW)


@pytest.mark.parametrize(("size", "least", "most"), [("small", 80, 200), ("usual", 300, 500), ("large", 3500, 5000)])
def test_records_of_each_size_are_admitted_and_lie_in_their_lane(size: str, least: int, most: int) -> None:
    rows = rows_of(SCHEMA, PRODUCT, 50, 10, 8, bytes(32), size)
    walker = compile_walk(SCHEMA)
    for lane, key, value, _ in rows:
        assert walker.walk(value)
        assert lane == lane_of(key, 8)
    assert least < mean(len(value) for _, _, value, _ in rows) < most
    assert size in SIZES


class Producer:
    """Takes a batch at once, and acknowledges none until told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, asyncio.Future[Any]]] = []
        self.release = asyncio.Event()

    def create_batch(self) -> Any:
        return Batch()

    async def send_batch(self, batch: "Batch", _topic: str, **_about: Any) -> asyncio.Future[Any]:
        answer = asyncio.get_running_loop().create_future()
        self.answers.append((batch.records, answer))
        if sum(records for records, _ in self.answers) == 10:
            self.release.set()
        return answer


class Batch:
    records = 0

    def append(self, **_record: Any) -> None:
        self.records += 1


@pytest.mark.parametrize("every_s", [0.0, 0.004], ids=["one by one", "in ticks"])
async def test_records_are_sent_while_none_is_acknowledged_and_count_from_when_they_were_due(every_s: float) -> None:
    producer, sent = Producer(), list[tuple[bytes, int, int, int]]()
    rows = [(1, b"k", b"v", [])]
    publishing = asyncio.create_task(
        publish_at(producer, "t", rows, 1000, 0.01, lambda *told: sent.append(told), every_s=every_s)
    )
    await producer.release.wait()
    assert not sent
    offset = 0
    for records, answer in producer.answers:
        answer.set_result(type("Sent", (), {"offset": offset}))
        offset += records
    late = await publishing
    sent.sort(key=lambda told: told[2])  # answers come in any order
    assert [(key, lane, offset) for key, lane, offset, _ in sent] == [(b"k", 1, offset) for offset in range(10)]
    gaps = {after[3] - before[3] for before, after in pairwise(sent)}
    assert gaps == {1_000_000}
    assert all(each >= 0 for each in late)
