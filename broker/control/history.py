"""What was, read again: the control log up to an epoch, source records where they lay, the files and consents of then.

Every question opens a consumer of its own, without a group: nothing is written and no position moves.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.control.consent_records import ConsentBook, consent_place
from broker.control.dossier_book import DossierBook
from broker.control.dossier_records import place_of
from broker.errors import Invalid, KafkaUnavailable, NotFound
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.facts import decode_fact
from broker.policy.papers import NO_PAPERS, Papers
from broker.stopping import stop_quietly

_SILENCE_S = 10.0
_POLL_MS = 250
_CHUNK = 500
"""Records handed out at once: meanwhile the process answers nobody."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition as it was when it was opened: the records in [first, end) that are still there."""

    target: TopicPartition
    first: int
    end: int
    _consumer: Any

    async def records(self, start: int = 0, end: int | None = None) -> AsyncIterator[Sequence[Any]]:
        """The committed records in [start, end) in order, some at a time; raises `KafkaUnavailable`."""
        last = self.end if end is None else min(end, self.end)
        self._consumer.seek(self.target, max(start, self.first))
        heard = time.monotonic()
        while (found := await self._poll(last)) is not None:
            if found:
                yield found
                heard = time.monotonic()
            elif time.monotonic() - heard > _SILENCE_S:
                raise _unavailable(self.target.topic, TimeoutError())

    async def _poll(self, last: int) -> Sequence[Any] | None:
        """The next records before `last`; None once all of them were read."""
        try:
            if await self._consumer.position(self.target) >= last:
                return None
            polled = await self._consumer.getmany(self.target, timeout_ms=_POLL_MS, max_records=_CHUNK)
        except (KafkaError, TimeoutError, OSError) as error:
            raise _unavailable(self.target.topic, error) from error
        return [record for record in polled.get(self.target, ()) if record.offset < last]

    async def since(self, at_ms: int) -> int:
        """Offset of the first record that was appended at or after an instant; `end` where there is none."""
        try:
            found = (await self._consumer.offsets_for_times({self.target: at_ms}))[self.target]
        except (KafkaError, TimeoutError, OSError) as error:
            raise _unavailable(self.target.topic, error) from error
        return self.end if found is None else int(found.offset)


@dataclass(frozen=True, slots=True)
class PapersThen:
    """A lane's files and consents at one offset; those of the subjects in `changed` were written again since.

    The topic is compacted: of such a subject what was known then may be gone.
    """

    dossiers: DossierBook
    consents: ConsentBook
    changed: frozenset[bytes]

    def of(self, subject: bytes) -> Papers:
        """Papers on the subject with this lane key."""
        dossiers, consents = self.dossiers.of(subject), self.consents.of(subject)
        return Papers(dossiers, consents) if dossiers or consents else NO_PAPERS


@dataclass(frozen=True, slots=True)
class History:
    """Reader of the past; `new_consumer` makes an unstarted consumer without a group."""

    new_consumer: Callable[[], Any]
    lanes: int

    @asynccontextmanager
    async def partition(self, topic: str, number: int) -> AsyncIterator[Partition]:
        """One partition, open for the block; raises `KafkaUnavailable`."""
        consumer, target = self.new_consumer(), TopicPartition(topic, number)
        try:
            try:
                async with asyncio.timeout(_SILENCE_S):
                    await consumer.start()
                    consumer.assign([target])
                    first = (await consumer.beginning_offsets([target]))[target]
                    end = (await consumer.end_offsets([target]))[target]
            except (KafkaError, TimeoutError, OSError) as error:
                raise _unavailable(topic, error) from error
            yield Partition(target, first, end, consumer)
        finally:
            await stop_quietly(consumer)

    async def state_at(self, epoch: int) -> ControlState:
        """The control log's state once the fact at `epoch` was applied; raises `NotFound` for one that is not there."""
        state = ControlState()
        async with self.partition(topics.CONTROL_LOG, 0) as log:
            async for records in log.records(end=epoch + 1):
                for record in records:
                    with suppress(Invalid):  # heartbeats, and what every reader passes over
                        state.apply(record.offset, decode_fact(record.value or b""))
        if state.epoch != epoch:
            raise NotFound("the control log holds no fact at this epoch")
        return state

    async def record_at(self, topic: str, lane: int, offset: int) -> Any | None:
        """The record at these coordinates; None where it is compacted away or too old."""
        async with self.partition(topic, lane) as log:
            async for records in log.records(offset, offset + 1):
                return records[0]
        return None

    async def record_before(
        self, topic: str, lane: int, offset: int, key: bytes, admits: Callable[[Any], bool]
    ) -> Any | None:
        """The last record of this key below `offset` that is still there and that `admits` lets pass."""
        found = None
        async with self.partition(topic, lane) as log:
            async for records in log.records(end=offset):
                own = (record for record in reversed(records) if record.key == key and admits(record))
                found = next(own, found)
        return found

    async def papers_at(self, lane: int, agreements: Collection[str], offset: int | None = None) -> PapersThen:
        """The papers of a lane under some agreements, as known once it had read up to `offset` (None: as known now)."""
        dossiers, consents, changed = DossierBook(), ConsentBook(), set[bytes]()
        async with self.partition(topics.DOSSIERS, lane) as log:
            async for records in log.records():
                for record in records:
                    place = place_of(record.key) or consent_place(record.key)
                    if place is None or place.agreement not in agreements:
                        continue
                    if offset is None or record.offset < offset:
                        dossiers.apply(record.key, record.value, record.timestamp)
                        consents.apply(record.key, record.value, record.timestamp)
                    else:
                        changed.add(place.subject)
        return PapersThen(dossiers, consents, frozenset(changed))


def _unavailable(topic: str, error: Exception) -> KafkaUnavailable:
    return KafkaUnavailable(f"{topic} cannot be read now", operator=type(error).__name__)
