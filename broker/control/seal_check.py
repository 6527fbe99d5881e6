"""Reads a product's topic and the seals on it, and tells what its source vouches for.

Records are read first and the seals after them, up to where the topic of seals ended when the last record was read: a
record and its seal are one transaction. What is kept meanwhile is about 200 bytes for each record that is left; nothing
of a record but its coordinates is told.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from broker.control.seal_examination import Examination, Verdict
from broker.control.views import Control
from broker.errors import KafkaUnavailable, NotFound
from broker.model import topics

_APART = timedelta(minutes=2)
"""A record and its seal are appended at most so far apart: longer than a transaction lasts."""
_OPEN_S = 15.0
_AGAIN_S = 0.1


class Partition(Protocol):
    """One partition of a topic, open; `broker.control.history` behind it."""

    @property
    def end(self) -> int:
        """Offset behind the last committed record."""

    def records(self, start: int = 0) -> Any:
        """The committed records from an offset on, some at a time."""

    async def since(self, at_ms: int) -> int:
        """Offset of the first record appended at or after an instant."""


class History(Protocol):
    """Opens partitions; `broker.control.history` behind it."""

    @property
    def lanes(self) -> int:
        """Partitions of every source topic."""

    def partition(self, topic: str, number: int) -> AbstractAsyncContextManager[Any]:
        """One partition, for the block."""


@dataclass(frozen=True, slots=True)
class SealCheck:
    """`ends` gives the end of every partition of a topic, open transactions included."""

    control: Control
    history: History
    ends: Callable[[str], Awaitable[Mapping[int, int]]]
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def check(
        self,
        organisation: str,
        product: str,
        *,
        since: datetime | None = None,
        progress: Callable[[int], None] = lambda _records: None,
    ) -> Verdict:
        """The product's records, all or those appended at or after an instant; `progress` hears how many were read.

        Raises `NotFound` for an unknown product, and `KafkaUnavailable`.
        """
        await self.control.read_to_head()
        state = self.control.state
        if (organisation, product) not in state.products:
            raise NotFound(f"no product {product} of {organisation}")
        found = Examination(organisation, product, state.seal_keys, whole=since is None)
        read = 0
        for lane in range(self.history.lanes):
            async with self.history.partition(topics.source(organisation, product), lane) as log:
                start = 0 if since is None else await log.since(_ms(since))
                async for records in log.records(start):
                    for record in records:
                        found.record(lane, record)
                    read += len(records)
                    progress(read)
        await self.control.read_to_head()  # a key may have been made known meanwhile
        await self._seals(found, topics.seals(organisation, product), since)
        return found.verdict()

    async def _seals(self, found: Examination, topic: str, since: datetime | None) -> None:
        end, began = (await self.ends(topic))[0], self.monotonic()
        while True:
            async with self.history.partition(topic, 0) as log:
                if log.end >= end:
                    start = 0 if since is None else await log.since(_ms(since - _APART))
                    async for records in log.records(start):
                        for record in records:
                            found.seal(record)
                    return
            if self.monotonic() - began > _OPEN_S:
                raise KafkaUnavailable(f"a transaction on {topic} does not end: ask again")
            await self.sleep(_AGAIN_S)


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
