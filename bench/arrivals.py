"""The reader of a measurement, in a process of its own: what arrives in streams, and when, as lines of a file.

A line is the delivery's id and the instant (ns of the system's monotonic clock, the same in every process) at which a
read_committed consumer handed it over.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.errors import OffsetOutOfRangeError
from aiokafka.structs import TopicPartition

from bench.child import become
from broker.kafka.clients import KafkaClients
from broker.model.record import header

_POLL_MS = 250


@dataclass(slots=True)
class Arrivals:
    """What a reader has written since it was last looked at."""

    path: Path
    _read: int = 0

    def new(self) -> Sequence[tuple[str, int]]:
        """(delivery id, instant) of each delivery that arrived since the last call."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        lines = (line.split() for line in whole.decode().splitlines())
        return [(identifier, int(at)) for identifier, at in lines]


async def read(clients: KafkaClients, told: Mapping[str, Any], ready: Callable[[], None], stop: asyncio.Event) -> None:
    """Read the ends of `topics` into `path` until stopped."""
    targets = [TopicPartition(topic, 0) for topic in told["topics"]]
    with Path(told["path"]).open("wb", buffering=0) as file:  # noqa: ASYNC230 - before there is anything to read
        async with clients.consumer() as consumer:
            consumer.assign(targets)
            await consumer.seek_to_end(*targets)
            ready()
            while not stop.is_set():
                try:
                    polled = await consumer.getmany(timeout_ms=_POLL_MS)
                except OffsetOutOfRangeError as error:  # a revoked agreement's topic is emptied
                    await consumer.seek_to_beginning(*error.args[0])
                    continue
                at = time.monotonic_ns()
                ids = [header(record.headers, "ce_id") for records in polled.values() for record in records]
                file.write(b"".join(b"%s %d\n" % (each, at) for each in ids if each is not None))


if __name__ == "__main__":
    become(read)
