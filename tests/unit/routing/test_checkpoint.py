"""The order of a commit, and what each failure in it means (R2, R5, R6)."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from aiokafka.errors import KafkaTimeoutError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from broker.errors import Doubt, Fenced, Stale
from broker.routing import checkpoint
from broker.routing.checkpoint import Checkpoint
from broker.testing import wait_until

SOURCE = TopicPartition("source.a.persoon.v1", 3)


class Rows:
    """A batch that takes two rows."""

    def __init__(self) -> None:
        self.keys: list[bytes] = []

    def append(self, *, key: bytes, value: bytes, timestamp: int, headers: list[Any]) -> object | None:
        del value, headers
        assert timestamp == 1_000
        if len(self.keys) == 2:
            return None
        self.keys.append(key)
        return object()

    def record_count(self) -> int:
        return len(self.keys)


class Producer:
    """Writes down what it is asked; `fails` names the step that raises."""

    def __init__(self, fails: str = "", error: BaseException | None = None) -> None:
        self.calls: list[Any] = []
        self._fails, self._error = fails, error

    def _call(self, name: str, *more: Any) -> None:
        self.calls.append((name, *more) if more else name)
        if name == self._fails and self._error is not None:
            raise self._error

    async def begin_transaction(self) -> None:
        self._call("begin")

    def create_batch(self) -> Rows:
        return Rows()

    async def write(self, outputs: Mapping[TopicPartition, Sequence[Rows]]) -> None:
        for target, batches in outputs.items():
            assert batches
            for batch in batches:
                self._call("write", target.topic, target.partition, tuple(batch.keys))
        await asyncio.sleep(0)  # a node answers later
        if self._fails == "acknowledge" and self._error is not None:
            raise self._error

    async def send_offsets_to_transaction(self, offsets: Any, group: str) -> None:
        self._call("offsets", group, offsets)

    async def commit_transaction(self) -> None:
        self._call("commit")

    async def abort_transaction(self) -> None:
        self._call("abort")


async def run(producer: Producer, asks: Callable[[], bool] = lambda: True) -> bool:
    work = Checkpoint(producer, timestamp_ms=1_000)
    for number in range(3):
        work.output("delivery.x.y", 0).append((b"%d" % number, b"v", []))
    work.output("receipts", 3).append((b"r", b"v", []))
    work.output("quarantine.a.persoon.v1", 0)

    async def still_current() -> bool:
        producer.calls.append("asked")
        return asks()

    return await work.commit({SOURCE: OffsetAndMetadata(42, "7/1000")}, still_current=still_current)


SENT = [
    ("write", "delivery.x.y", 0, (b"0", b"1")),
    ("write", "delivery.x.y", 0, (b"2",)),
    ("write", "receipts", 3, (b"r",)),
]
OFFSETS = ("offsets", "router", {SOURCE: OffsetAndMetadata(42, "7/1000")})


async def test_outputs_then_offsets_then_the_last_look_then_the_commit() -> None:
    producer = Producer()
    assert await run(producer)
    assert producer.calls == ["begin", *SENT, OFFSETS, "asked", "commit"]


async def test_what_is_outdated_is_aborted() -> None:
    producer = Producer()
    assert not await run(producer, lambda: False)
    assert producer.calls == ["begin", *SENT, OFFSETS, "asked", "abort"]


@pytest.mark.parametrize("step", ["begin", "write", "acknowledge", "offsets", "commit"])
async def test_another_owner_is_fenced_and_anything_else_is_doubt(step) -> None:
    with pytest.raises(Fenced):
        await run(Producer(step, ProducerFenced()))
    producer = Producer(step, KafkaTimeoutError())
    with pytest.raises(Doubt):
        await run(producer)
    assert "abort" not in producer.calls  # after doubt no second EndTxn (R2)


async def test_a_batch_that_is_not_acknowledged_moves_no_position() -> None:
    producer = Producer("acknowledge", KafkaTimeoutError())
    with pytest.raises(Doubt):
        await run(producer)
    assert producer.calls == ["begin", *SENT, OFFSETS]  # whose place does not move without a commit


@pytest.mark.parametrize("slow", ["outputs", "offsets"])
async def test_the_last_look_begins_when_all_else_is_acknowledged(slow) -> None:
    """A revocation that was accepted before then is seen: whatever was on its way longest, nothing is waited for afterwards."""
    acknowledged = asyncio.get_running_loop().create_future()

    class Slow(Producer):
        async def write(self, outputs: Mapping[TopicPartition, Sequence[Rows]]) -> None:
            await super().write(outputs)
            if slow == "outputs":
                await acknowledged

        async def send_offsets_to_transaction(self, offsets: Any, group: str) -> None:
            await super().send_offsets_to_transaction(offsets, group)
            if slow == "offsets":
                await acknowledged

    producer = Slow()
    committing = asyncio.create_task(run(producer))
    await wait_until(lambda: OFFSETS in producer.calls, every=0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert producer.calls == ["begin", *SENT, OFFSETS], "it did not wait for what is not acknowledged"
    acknowledged.set_result(None)
    assert await committing
    assert producer.calls[-2:] == ["asked", "commit"]


async def test_a_stale_worker_commits_nothing() -> None:
    def stale() -> bool:
        raise Stale

    producer = Producer()
    with pytest.raises(Stale):
        await run(producer, stale)
    assert "commit" not in producer.calls


async def test_a_commit_that_does_not_end_is_doubt(monkeypatch) -> None:
    monkeypatch.setattr(checkpoint, "COMMIT_DEADLINE_S", 0.05)
    producer = Producer()
    producer.commit_transaction = asyncio.Event().wait
    with pytest.raises(Doubt):
        await run(producer)
