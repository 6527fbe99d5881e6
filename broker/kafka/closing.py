"""aiokafka's clients with a `stop` that leaves nothing behind, also when it is cut short because no Kafka answers.

Their own would leave a sender that tries for ever, some hundred times a second, and connections nobody closes. Nothing
public leads to what must be ended here.
"""

import asyncio
from contextlib import suppress
from itertools import chain
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import ProducerClosed

_AGAIN_S = 0.1


class ClosingProducer(AIOKafkaProducer):  # type: ignore[misc]  # aiokafka is untyped
    """Producer; what it had not sent when it was stopped fails as `ProducerClosed`."""

    async def stop(self) -> None:
        """Flush and close; cut short, close."""
        try:
            await super().stop()
        finally:
            sender = self._sender and self._sender.sender_task
            while sender is not None and not sender.done():
                sender.cancel()  # the first time it still waits for what it began, the second time no more
                await asyncio.wait([sender], timeout=_AGAIN_S)
            accumulator = self._message_accumulator
            accumulator.fail_all(ProducerClosed())
            # The caller was told how a fenced transaction ended; asyncio would tell it again at exit.
            for batch in (*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches):  # noqa: SLF001
                _note_end(batch.future)
                _note_end(batch._drain_waiter)  # noqa: SLF001
            if self._txn_manager is not None:
                _note_end(self._txn_manager._transaction_waiter)  # noqa: SLF001
            await self.client.close()


class ClosingConsumer(AIOKafkaConsumer):  # type: ignore[misc]  # aiokafka is untyped
    """Consumer."""

    async def stop(self) -> None:
        """Leave the group and close; cut short, close."""
        try:
            await super().stop()
        finally:
            if self._fetcher is not None:
                with suppress(asyncio.CancelledError):
                    await self._fetcher.close()
            await self._client.close()


def _note_end(future: "asyncio.Future[Any] | None") -> None:
    if future is not None and future.done() and not future.cancelled():
        future.exception()
