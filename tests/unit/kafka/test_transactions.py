"""A transaction's group and its partitions are asked for in one go, in that order, outputs wait for both, offsets for the outputs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiokafka.client import CoordinationType
from aiokafka.errors import (
    ConcurrentTransactions,
    InvalidProducerEpoch,
    KafkaConnectionError,
    MessageSizeTooLargeError,
    NotLeaderForPartitionError,
    ProducerFenced,
    TopicAuthorizationFailedError,
)
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from broker.kafka.clients import KafkaAccess, KafkaClients
from broker.testing import wait_until

OUT, SOURCE = TopicPartition("out", 0), TopicPartition("source", 0)


class Answer:
    """What a node said: the same code for everything that was asked."""

    API_VERSION = 8

    def __init__(self, request: Any, code: int) -> None:
        partitions = [(OUT.topic, [(OUT.partition, code)])]
        self.error_code = code
        self.errors = (
            [(SOURCE.topic, [(SOURCE.partition, code)])] if name_of(request) == "TxnOffsetCommit" else partitions
        )
        self.topics = [(OUT.topic, [(OUT.partition, code, 0, -1, 0, [], None)])]


def name_of(request: Any) -> str:
    return type(request).__name__.removesuffix("Request")


class Node:
    """Keeps requests until the test answers them, in whatever order."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._open: list[tuple[Any, asyncio.Future[Any]]] = []

    async def send(self, node_id: int, request: Any, **_group: Any) -> Any:
        assert node_id == 1
        answer = asyncio.get_running_loop().create_future()
        self.asked.append(name_of(request))
        self._open.append((request, answer))
        return await answer

    async def answers(self, name: str, code: int = 0) -> None:
        """Answer the request of this name, once it is there."""
        await wait_until(lambda: any(name_of(request) == name for request, _ in self._open), every=0)
        index = next(index for index, (request, _) in enumerate(self._open) if name_of(request) == name)
        request, answer = self._open.pop(index)
        answer.set_result(Answer(request, code))

    async def written(self) -> bytes:
        """The only batch of the open Produce request, once it is there."""
        await wait_until(lambda: any(name_of(request) == "Produce" for request, _ in self._open), every=0)
        [request] = [request for request, _ in self._open if name_of(request) == "Produce"]
        [(topic, [(partition, batch)])] = request._topics
        assert (topic, partition) == OUT
        return bytes(batch)

    async def loses(self, name: str) -> None:
        """Never answer the request of this name, once it is there."""
        await wait_until(lambda: any(name_of(request) == name for request, _ in self._open), every=0)
        index = next(index for index, (request, _) in enumerate(self._open) if name_of(request) == name)
        _, answer = self._open.pop(index)
        answer.set_exception(KafkaConnectionError())


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
async def producer(node: Node, monkeypatch) -> AsyncIterator[Any]:
    """As started: its id is known, and node 1 is everything."""
    made = KafkaClients(KafkaAccess("127.0.0.1:9", "user", "secret")).transactional_producer("lane-0")
    monkeypatch.setattr(made.client, "send", node.send)
    monkeypatch.setattr(made.client, "_wait_on_metadata", _nothing)
    monkeypatch.setattr(made.client, "_maybe_wait_metadata", _nothing)
    monkeypatch.setattr(made.client, "force_metadata_update", lambda: None)
    monkeypatch.setattr(made.client.cluster, "leader_for_partition", lambda _partition: 1)
    monkeypatch.setattr(made, "_partition", lambda _topic, partition, *_: partition)
    made._txn_manager.set_pid_and_epoch(7, 0)
    made._sender._coordinators = {CoordinationType.TRANSACTION: 1, CoordinationType.GROUP: 1}
    await made._sender.start()
    yield made
    await made.stop()


async def _nothing(*_: Any) -> None:
    return None


async def begun(producer: Any) -> tuple["asyncio.Task[None]", "asyncio.Task[None]"]:
    """A transaction with one output and the offsets under way."""
    await producer.begin_transaction()
    offsets = asyncio.create_task(
        producer.send_offsets_to_transaction({SOURCE: OffsetAndMetadata(4, "")}, "router"),
    )
    return offsets, asyncio.create_task(producer.write({OUT: [batch_of(producer)]}))


def batch_of(producer: Any) -> Any:
    batch = producer.create_batch()
    batch.append(key=b"k", value=b"v", timestamp=0, headers=[])
    return batch


@pytest.fixture
async def lost() -> AsyncIterator[Callable[[], list[Any]]]:
    """What asyncio found that nobody had asked for."""
    found: list[Any] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: found.append(context))
    yield lambda: found
    loop.set_exception_handler(None)


async def test_the_partitions_are_asked_for_on_the_heels_of_the_group(producer: Any, node: Node) -> None:
    offsets, output = await begun(producer)
    await wait_until(lambda: len(node.asked) == 2, every=0)
    assert node.asked == ["AddOffsetsToTxn", "AddPartitionsToTxn"]  # as a node answers them
    await node.answers("AddOffsetsToTxn")
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(node.asked) == 2
    await node.answers("AddPartitionsToTxn")
    await wait_until(lambda: len(node.asked) == 3, every=0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert node.asked[2:] == ["Produce"]
    await node.answers("Produce")
    await node.answers("TxnOffsetCommit")
    await asyncio.gather(offsets, output)
    committing = asyncio.create_task(producer.commit_transaction())
    await node.answers("EndTxn")
    await committing


async def test_a_group_that_comes_too_early_is_asked_for_again_with_its_partitions(producer: Any, node: Node) -> None:
    """While the coordinator writes the group down it would not vouch for an output."""
    offsets, output = await begun(producer)
    await node.answers("AddOffsetsToTxn", ConcurrentTransactions.errno)
    await node.answers("AddPartitionsToTxn")
    await wait_until(lambda: len(node.asked) == 4, every=0)
    assert node.asked[2:] == ["AddOffsetsToTxn", "AddPartitionsToTxn"]
    await node.answers("AddOffsetsToTxn")
    await node.answers("AddPartitionsToTxn")
    await node.answers("Produce")
    await node.answers("TxnOffsetCommit")
    await asyncio.gather(offsets, output)


async def test_partitions_that_come_too_early_are_asked_for_again_and_nothing_is_written_before(
    producer: Any, node: Node
) -> None:
    offsets, output = await begun(producer)
    await node.answers("AddOffsetsToTxn")
    await node.answers("AddPartitionsToTxn", ConcurrentTransactions.errno)
    await wait_until(lambda: node.asked.count("AddPartitionsToTxn") == 2, every=0)
    assert "Produce" not in node.asked
    await node.answers("AddPartitionsToTxn")
    await node.answers("Produce")
    await node.answers("TxnOffsetCommit")
    await asyncio.gather(offsets, output)


@pytest.mark.parametrize("group", [0, InvalidProducerEpoch.errno], ids=["between the two", "before both"])
async def test_an_owner_that_is_fenced_while_it_asks_is_told_so(
    producer: Any, node: Node, group: int, lost: Callable[[], list[Any]]
) -> None:
    offsets, output = await begun(producer)
    await node.answers("AddOffsetsToTxn", group)
    await node.answers("AddPartitionsToTxn", InvalidProducerEpoch.errno)
    for told in (offsets, output):
        with pytest.raises(ProducerFenced):
            await told
    assert lost() == []


async def writing(producer: Any, node: Node, *batches: Any) -> "asyncio.Task[None]":
    """A transaction whose partition is in it, and that is about to write."""
    await producer.begin_transaction()
    task = asyncio.create_task(producer.write({OUT: list(batches)}))
    await node.answers("AddPartitionsToTxn")
    return task


@pytest.mark.parametrize("lost", [False, True], ids=["refused for now", "not answered"])
async def test_a_batch_that_was_not_taken_is_sent_again_as_it_was(producer: Any, node: Node, *, lost: bool) -> None:
    """With its number, by which the node knows it."""
    task = await writing(producer, node, batch_of(producer))
    first = await node.written()
    await (node.loses("Produce") if lost else node.answers("Produce", NotLeaderForPartitionError.errno))
    assert await node.written() == first
    assert not task.done()
    await node.answers("Produce")
    await task
    assert not producer._message_accumulator._pending_batches


async def test_batches_of_a_partition_are_numbered_and_written_in_their_order(producer: Any, node: Node) -> None:
    task = await writing(producer, node, batch_of(producer), batch_of(producer))
    numbers = []
    for _ in range(2):
        numbers.append(int.from_bytes((await node.written())[53:57]))
        await node.answers("Produce")
    await task
    assert numbers == [0, 1]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (MessageSizeTooLargeError.errno, MessageSizeTooLargeError),
        (InvalidProducerEpoch.errno, ProducerFenced),
        (TopicAuthorizationFailedError.errno, TopicAuthorizationFailedError),
    ],
)
async def test_a_batch_that_is_refused_fails_the_write(
    producer: Any, node: Node, code: int, told: type[Exception], lost: Callable[[], list[Any]]
) -> None:
    task = await writing(producer, node, batch_of(producer))
    await node.answers("Produce", code)
    with pytest.raises(told):
        await task
    assert lost() == []


async def test_a_partition_without_a_leader_is_written_once_it_has_one(
    producer: Any, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaders = [None, 1]
    monkeypatch.setattr(producer.client.cluster, "leader_for_partition", lambda _: leaders[0])
    task = await writing(producer, node, batch_of(producer))
    await wait_until(lambda: bool(producer._message_accumulator._batches), every=0)
    assert "Produce" not in node.asked
    leaders.pop(0)
    await node.answers("Produce")
    await task


async def test_nothing_is_written_outside_a_transaction(producer: Any) -> None:
    await producer.begin_transaction()
    producer._txn_manager.error_transaction(TopicAuthorizationFailedError("out"))
    with pytest.raises(TopicAuthorizationFailedError):
        await producer.write({OUT: [batch_of(producer)]})
