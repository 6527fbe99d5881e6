"""Backfill: what agreements that came into force are told of the subjects they find, slice by slice between live records.

The lane itself reads its part of a source topic again, from the start to where it stood when the agreement came into
force (ADR backfill-in-the-lane). Whoever has a newer record by then is passed over: that one brings, or has brought, the
subject's state. How far it came goes with the lane's offsets in the same transaction, so that there is no gap and no
double after a crash; whether an agreement has been told of a subject follows from that and from the place of the
subject's last record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiokafka.structs import TopicPartition

from broker.policy.engine import Previous
from broker.stopping import stop_quietly

_RECORDS = 1_000
"""Records of a slice: some 40 ms at most, for that long a live record may wait."""

_IDLE_MS = 50


class Reach(NamedTuple):
    """How far the backfills of one source topic came in one lane.

    Of every subject whose last record lies before offset `whole`, all agreements in force at `whole_ms` have been told;
    before `next`, all those at `at_ms`; the backfill under way ends at `end`.
    """

    whole: int = 0
    whole_ms: int = 0
    next: int = 0
    end: int = 0
    at_ms: int = 0

    @property
    def under_way(self) -> bool:
        """Whether subjects remain to be told."""
        return self.next < self.end

    def begun(self, end: int, at_ms: int) -> "Reach":
        """A backfill of what lies before `end`, for the agreements in force at `at_ms`."""
        return Reach(self.whole, self.whole_ms, 0, end, at_ms).advanced(0)

    def advanced(self, next_: int) -> "Reach":
        """Further by one slice."""
        if next_ < self.end:
            return self._replace(next=next_)
        return Reach(self.end, self.at_ms, self.end, self.end, self.at_ms)

    def told(self, known: Previous) -> Previous:
        """A subject's state with the instant at which its agencies were last told of it."""
        at = self.at_ms if known.offset < self.next else self.whole_ms if known.offset < self.whole else 0
        return known._replace(at=at) if at > known.at else known

    def encode(self) -> str:
        """Text that goes with a committed offset."""
        return "-".join(map(str, self))


def read_reach(text: str) -> Reach:
    """Reach of a text that `Reach.encode` made; nothing was told where there is none."""
    return Reach(*map(int, text.split("-"))) if text else Reach()


@dataclass(frozen=True, slots=True)
class Slice:
    """Some records of a source topic to be read again, and the offset after them."""

    topic: str
    records: Sequence[Any]
    reach: Reach
    """Before it."""
    next: int


class BackfillReader:
    """Reads slices of one lane with a consumer that lives as long as there is something to tell."""

    def __init__(self, new_consumer: Callable[[], Any], lane: int) -> None:
        self._new_consumer, self._lane = new_consumer, lane
        self._consumer: Any = None
        self._target: TopicPartition | None = None

    async def read(self, topic: str, reach: Reach, *, wait: bool) -> Slice | None:
        """The next slice before `reach.end`, or None while it is on its way; waits a little for it if asked to."""
        target = TopicPartition(topic, self._lane)
        if self._consumer is None:
            consumer = self._new_consumer()
            try:
                await consumer.start()
            except BaseException:
                await stop_quietly(consumer)
                raise
            self._consumer = consumer
        consumer = self._consumer
        if self._target != target:
            consumer.assign([target])
            first = (await consumer.beginning_offsets([target]))[target]
            consumer.seek(target, max(first, reach.next))
            self._target = target
        polled = await consumer.getmany(target, timeout_ms=_IDLE_MS if wait else 0, max_records=_RECORDS)
        records = [record for record in polled.get(target, ()) if record.offset < reach.end]
        next_ = min(await consumer.position(target), reach.end)
        if next_ >= reach.end:
            self._target = None  # the next backfill starts elsewhere
        return Slice(topic, records, reach, next_) if next_ > reach.next else None

    async def close(self) -> None:
        """Stop reading; the next slice is read with another consumer."""
        consumer, self._consumer, self._target = self._consumer, None, None
        if consumer is not None:
            await stop_quietly(consumer)
