"""One slot of the requests that carry an idempotency key: whoever holds it writes a piece and the word of it in one transaction.

A slot is one partition of `intake.keys` and one transactional id. Processes take it from each other as they need it (R1):
taking it ends whatever the holder before had open, so that what can then be read is all that was or ever will be written.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, Protocol

from aiokafka.errors import IllegalOperation, KafkaError

from broker.batches import Row, send_rows
from broker.control.intake_keys import KnownRequests, Piece, encode
from broker.control.tail import Tail
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.stopping import stop_quietly

COMMIT_DEADLINE_S = 8.0
"""Shorter than the transaction timeout (10 s, R3)."""

_PATIENCE_S = 20.0
"""For one piece, its turn included: long enough to wait for one commit that is in doubt, and to take the slot again."""

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 2.0
"""Before each further try; a slot is mostly lost to a process that needs it for some milliseconds."""

_TROUBLE = (KafkaError, IllegalOperation, TimeoutError, KafkaUnavailable)
"""A client that was fenced between two batches says of the second that it is in no transaction, and that is no `KafkaError`."""

_UNCONFIRMED = "Kafka did not confirm the push: send it again with the same Idempotency-Key"


class Clients(Protocol):
    """Makes Kafka clients; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""

    def producer(self) -> Any:
        """Idempotent producer."""

    def transactional_producer(self, transactional_id: str) -> Any:
        """Idempotent transactional producer, not started."""


class Slot:
    """Slot `number` as this process takes part in it; connects at the first piece. `random` gives numbers from 0 to 1."""

    def __init__(self, clients: Clients, number: int, now_ms: Callable[[], int], random: Callable[[], float]) -> None:
        self._clients, self._number = clients, number
        self._now_ms, self._random = now_ms, random
        self._known = KnownRequests(now_ms)
        self._producer: Any = None
        self._settled = False
        """Whether the slot is ours as far as we know, and the fate of all that we wrote is known."""
        self._fenced: list[Any] = []
        self._tail: Tail | None = None
        self._turn = asyncio.Lock()

    async def write(self, request: bytes, piece: Piece, content: bytes, topic: str) -> None:
        """Return once the piece is on `topic`, by this call or an earlier one in whatever process.

        Raises `KeyReused`, and `KafkaUnavailable` where it may or may not be there: the same again is safe.
        """
        failed = "nothing yet"
        try:
            async with asyncio.timeout(_PATIENCE_S), self._turn:
                for number in count():
                    began = time.monotonic()
                    try:
                        return await self._once(request, piece, content, topic)
                    except _TROUBLE as error:
                        failed = type(error).__name__
                    finally:
                        await self._let_go()
                    await asyncio.sleep(self._pause(number, time.monotonic() - began))
        except TimeoutError as error:
            raise KafkaUnavailable(_UNCONFIRMED, operator=failed) from error

    async def close(self) -> None:
        """Give up the clients."""
        await self._let_go()
        if self._tail is not None:
            await self._tail.close()
        if self._producer is not None:
            await stop_quietly(self._producer)

    def _pause(self, number: int, took_s: float) -> float:
        """About as long as the try took, then longer: who took the slot from us needs as long, and must not lose it to us."""
        return min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, took_s) * 2.0**number) * (0.5 + self._random())

    async def _once(self, request: bytes, piece: Piece, content: bytes, topic: str) -> None:
        if await self._has(request, piece, content):
            return  # whoever has the slot
        if not self._settled:
            await self._take()
            if await self._has(request, piece, content):
                return
        rows = encode(request, piece, content, self._now_ms())
        self._settled = False  # also where this is cut short
        async with asyncio.timeout(COMMIT_DEADLINE_S):
            await self._commit(topic, piece.taken, rows)
        self._settled = True
        for row in rows:
            self._known.apply(*row)  # read again later: the transaction's end may not be visible yet

    async def _has(self, request: bytes, piece: Piece, content: bytes) -> bool:
        """Whether the piece is written; that it is not is certain only to who holds the slot."""
        await (await self._log()).read_to_head()
        return self._known.has(request, piece, content)

    async def _take(self) -> None:
        """Fence whoever had the slot, a producer of our own in doubt first of all (R2)."""
        successor = self._clients.transactional_producer(topics.intake_transactional_id(self._number))
        try:
            await successor.start()
        except BaseException:
            await stop_quietly(successor)
            raise
        predecessor, self._producer = self._producer, successor
        self._settled = True
        if predecessor is not None:
            self._fenced.append(predecessor)

    async def _let_go(self) -> None:
        """Stop the producers that were in doubt: later than the commit, since who waits for the slot counts on that to be soon."""
        while self._fenced:
            await stop_quietly(self._fenced.pop())

    async def _log(self) -> Tail:
        """What was written in the slot; its first reading is of the topic's two days."""
        if self._tail is None:
            tail = Tail(self._clients.consumer(None), topics.INTAKE, [self._number], self._known.apply)
            try:
                await tail.start()
            except BaseException:
                await tail.close()
                raise
            self._tail = tail
        return self._tail

    async def _commit(self, topic: str, values: Sequence[bytes], rows: Sequence[tuple[bytes, bytes]]) -> None:
        producer, now = self._producer, self._now_ms()
        outputs: Sequence[tuple[str, int, Sequence[Row]]] = (
            (topic, 0, [(None, value, []) for value in values]),
            (topics.INTAKE, self._number, [(key, value, []) for key, value in rows]),
        )
        await producer.begin_transaction()
        sent = [
            batch
            for name, partition, lines in outputs
            for batch in await send_rows(producer, name, partition, lines, timestamp_ms=now)
        ]
        await asyncio.gather(*sent)
        await producer.commit_transaction()
