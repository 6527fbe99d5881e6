"""How far the lanes came with telling agreements of the subjects that were there: read from their committed positions."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiokafka.structs import TopicPartition

from broker.model import topics
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.policy.calendar import milliseconds
from broker.policy.standing import standing_of
from broker.routing.backfill import Progress
from broker.routing.knowledge import stamped

_STEP, _WHOLE = 5, 100

Positions = Mapping[int, tuple[int, str]]
"""By lane, the committed offset of one source topic and what goes with it."""


@dataclass(frozen=True, slots=True)
class Telling:
    """How many lanes read to the end what one agreement is told of, and how much all of them read.

    `percent` is of offsets, in steps of five rounded down; 100 only where all lanes are done.
    """

    lanes_done: int
    lanes: int
    percent: int

    @property
    def done(self) -> bool:
        """Whether all lanes are."""
        return self.lanes_done == self.lanes


def in_force_since(entry: AgreementEntry, versions: Mapping[int, AgreementEntry]) -> datetime | None:
    """The instant after which lanes began to tell what an agreement asks now; None where it was never active.

    A version that asks the same as the one before it is not told again.
    """
    if entry.activated_at is None:
        return None
    formers = standing_of(entry, versions, lambda _: True).formers
    return max(entry.activated_at, formers[-1].until) if formers else entry.activated_at


def backfilled(since: datetime, positions: Positions) -> Telling:
    """How far the backfill is of an agreement that came into force at `since`."""
    since_ms = milliseconds(since)

    def read(offset: int, progress: Progress) -> tuple[int, int]:
        reach = progress.reach
        if reach.whole_ms >= since_ms:
            return offset, offset
        return (reach.next, reach.end) if reach.under_way and reach.at_ms >= since_ms else (0, offset)

    return _telling(read, positions)


def replayed(run: int, positions: Positions) -> Telling:
    """How far the replay with this number is: done as well where a lane gave it up, which its stream alone can tell."""

    def read(offset: int, progress: Progress) -> tuple[int, int]:
        known = progress.replayed
        if known.done >= run:
            return offset, offset
        return (known.next, max(1, known.end)) if known.epoch == run else (0, max(1, offset))

    return _telling(read, positions)


def _telling(read: Callable[[int, Progress], tuple[int, int]], positions: Positions) -> Telling:
    parts = [read(max(0, offset), stamped(metadata)[3]) for offset, metadata in positions.values()]
    done, lanes = sum(part == whole for part, whole in parts), len(parts)
    if done == lanes:
        return Telling(done, lanes, _WHOLE)
    percent = _WHOLE * sum(part for part, _ in parts) // max(1, sum(whole for _, whole in parts))
    return Telling(done, lanes, min(percent, _WHOLE - 1) // _STEP * _STEP)


async def have_told(consumer: Any, state: ControlState, topic: str, lanes: Iterable[int]) -> bool:
    """Whether all lanes have told the agreements on the topic what they ask now, as far as they committed.

    `consumer` is a started one of the routers' group. A lane that has routed nothing of the topic has nobody to tell of.
    """
    active = (entry for entry in state.agreements.values() if entry.state is State.ACTIVE)
    own = (entry for entry in active if topics.source(entry.source, str(entry.document["product"])) == topic)
    since = (in_force_since(entry, state.versions_of(entry.id)) for entry in own)
    since_ms = max((milliseconds(at) for at in since if at is not None), default=0)
    targets = [TopicPartition(topic, lane) for lane in lanes]
    committed = await consumer._coordinator.fetch_committed_offsets(targets)  # noqa: SLF001 - metadata
    for position in committed.values():
        reach = stamped(position.metadata)[3].reach
        if position.offset > 0 and (reach.under_way or reach.at_ms < since_ms):
            return False
    return True
