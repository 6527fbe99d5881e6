"""aiokafka's transactional producer with fewer waits in a row (ADR steps-of-a-commit); what it sends stays the same.

Its own sender asks for one thing at a time: the partitions, then the group, and each answer goes through its loop. Here the
partitions are asked for on the heels of the group. A node answers one connection in turn, so that their order holds.

Only one thing at a time is *written*: before it takes a transaction's outputs or offsets the node has the coordinator vouch for
them, and gives up the one question for the other, or while the coordinator writes something down: NOT_ENOUGH_REPLICAS,
and all is sent again.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka.client import CoordinationType
from aiokafka.errors import IllegalOperation
from aiokafka.producer.sender import AddPartitionsToTxnHandler, Sender
from aiokafka.structs import TopicPartition

from broker.kafka.closing import ClosingProducer
from broker.kafka.writing import write


class TransactionalProducer(ClosingProducer):
    """Producer of transactions."""

    _sender: Any

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        made = self._sender
        self._sender = _Sender(
            self.client,
            acks=made._acks,  # noqa: SLF001 - as aiokafka reckoned them
            txn_manager=self._txn_manager,
            message_accumulator=self._message_accumulator,
            retry_backoff_ms=settings["retry_backoff_ms"],
            request_timeout_ms=made._request_timeout_ms,  # noqa: SLF001
        )

    async def begin_transaction(self) -> None:
        """Begin; of a started producer at once, where aiokafka's goes through the event loop three times."""
        self._txn_manager.begin_transaction()

    async def write(self, outputs: Mapping[TopicPartition, Sequence[Any]]) -> None:
        """Write these batches in the open transaction, those of a partition in their order; return once all are acknowledged.

        Raises what failed one, or what ended the transaction: `ProducerFenced` where another owner took over.
        """
        for topic in {target.topic for target in outputs}:
            if self.client.cluster.partitions_for_topic(topic) is None:
                await self.client._wait_on_metadata(topic)  # noqa: SLF001 - as aiokafka's `send` does
        self._sender.writes = True
        try:
            await self._sender.admit(outputs)
            for number in range(max(map(len, outputs.values()), default=0)):
                batches = {target: its[number] for target, its in outputs.items() if number < len(its)}
                await write(self.client, self._sender, batches)
        finally:
            self._sender.writes = False
            self._txn_manager.notify_task_waiter()


class _Sender(Sender):  # type: ignore[misc]  # aiokafka is untyped
    writes = False
    """Whether outputs are on their way."""

    _admitted: "asyncio.Future[None] | None" = None

    async def admit(self, targets: Iterable[TopicPartition]) -> None:
        """Return once these partitions are in the open transaction; raises what ended it."""
        manager = self._txn_manager
        ended = manager.wait_for_transaction_end()
        if manager.is_in_transaction():
            self._admitted = asyncio.get_running_loop().create_future()
            for target in targets:
                manager.maybe_add_partition_to_txn(target)
            if manager.partitions_to_add():
                await asyncio.wait((self._admitted, ended), return_when=asyncio.FIRST_COMPLETED)
        if not manager.is_in_transaction():
            await asyncio.shield(ended)
            raise IllegalOperation("the transaction ended while it was written")

    def _maybe_do_transactional_request(self) -> "asyncio.Task[Any] | None":
        partitions, group = self._txn_manager.partitions_to_add(), self._txn_manager.consumer_group_to_add()
        if partitions and group is not None:
            return asyncio.create_task(self._add(partitions, group))
        if not partitions and self._txn_manager.offsets_to_commit() is not None and self._writing:
            return None  # until they are answered: that wakes the loop
        request: asyncio.Task[Any] | None = super()._maybe_do_transactional_request()
        return request

    @property
    def _writing(self) -> bool:
        return bool(self.writes or self._in_flight or self._message_accumulator._batches)  # noqa: SLF001 - nothing public tells

    async def _add(self, partitions: Iterable[TopicPartition], group: str) -> None:
        # The group first: outputs go out as soon as their partitions are there.
        await asyncio.gather(self._do_add_offsets_to_txn(group), self._do_add_partitions_to_txn(partitions))

    async def _do_add_partitions_to_txn(self, tps: Iterable[TopicPartition]) -> bool:
        node = await self._find_coordinator(CoordinationType.TRANSACTION, self._txn_manager.transactional_id)
        added: bool = await _AddPartitions(self, tps).do(node)
        if self._admitted is not None and not self._admitted.done() and not self._txn_manager.partitions_to_add():
            self._admitted.set_result(None)
        return added


class _AddPartitions(AddPartitionsToTxnHandler):  # type: ignore[misc]  # aiokafka is untyped
    def handle_response(self, resp: Any) -> float | None:
        """As aiokafka's, but while the previous transaction's markers are written it asks again as soon as for anything else.

        Where the group before them has to be asked for again, so have they: outputs would be written meanwhile.
        """
        if self._sender._txn_manager.consumer_group_to_add() is not None:  # noqa: SLF001
            return float(self._default_backoff)
        back_off = super().handle_response(resp)
        return None if back_off is None else self._default_backoff
