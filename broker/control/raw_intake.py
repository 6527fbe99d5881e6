"""What sources' programs push to us: on their raw topics before it is answered, and with an idempotency key once.

The order of a request is kept, and so is that of requests that wait for each other's answer.
"""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka.errors import KafkaError

from broker.batches import Row, send_rows
from broker.control.intake_keys import Piece, Pushed, content_of, request_of, slot_of
from broker.control.intake_slot import Clients, Slot
from broker.control.keys import INTAKE, KeyStore
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.stopping import stop_quietly

_WRITE_S = 10.0


class RawIntake:
    """Writes pushes; `start` before anything else, `close` at the end. `random` gives numbers from 0 to 1."""

    def __init__(
        self, clients: Clients, keys: KeyStore, *, now_ms: Callable[[], int], random: Callable[[], float]
    ) -> None:
        self._keys, self._now_ms = keys, now_ms
        self._producer = clients.producer()
        self._slots = [Slot(clients, number, now_ms, random) for number in range(topics.INTAKE_SLOTS)]

    async def start(self) -> None:
        """Connect; raises `KafkaUnavailable`."""
        try:
            await self._producer.start()
        except KafkaError as error:
            raise KafkaUnavailable("Kafka does not answer", operator=type(error).__name__) from error

    async def close(self) -> None:
        """Give up the clients."""
        await asyncio.gather(stop_quietly(self._producer), *(slot.close() for slot in self._slots))

    async def write(self, pushed: Pushed, piece: Piece) -> None:
        """Return once the lines of the piece that are taken lie on the raw topic, acknowledged by all replicas in sync.

        With an idempotency key they lie there once, all or none of them, however often and to whichever process the piece
        is given. Raises `KeyReused` where the key came with another request, and `KafkaUnavailable` where they may or may
        not be there.
        """
        topic = topics.raw(pushed.organisation, pushed.name)
        if pushed.key is None:
            await self._append(topic, piece.taken)
            return
        k_intake = self._keys.get(INTAKE)
        request = request_of(k_intake, pushed, pushed.key)
        await self._slots[slot_of(request)].write(request, piece, content_of(k_intake, pushed, piece), topic)

    async def _append(self, topic: str, values: Sequence[bytes]) -> None:
        rows: Sequence[Row] = [(None, value, []) for value in values]
        try:
            async with asyncio.timeout(_WRITE_S):
                sent = await send_rows(self._producer, topic, 0, rows, timestamp_ms=self._now_ms())
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable(
                "Kafka did not confirm the push: some of it may be written, and with an Idempotency-Key it would be once",
                operator=type(error).__name__,
            ) from error
