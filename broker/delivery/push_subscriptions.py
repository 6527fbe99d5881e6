"""What an agency does with a registration of any kind: see how it fares, resume it, remove it; each a fact or a question."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Generic

from broker.control.keys import KeyStore
from broker.delivery.egress_guard import EgressGuard, Target
from broker.delivery.push_circuit import Health
from broker.delivery.push_kinds import Kind
from broker.delivery.push_note import Note
from broker.delivery.push_rooms import Control, Deliveries, Positions
from broker.delivery.streams import Stream, stream_of
from broker.errors import AddressRefused, Conflict, NotFound
from broker.model import topics
from broker.model.push_book import Change, R, Reason

MOST_TESTS = 4
"""Tries of receivers at once, in one process."""

_LOST = frozenset({Reason.POSITION_EXPIRED, Reason.POSITION_LOST})


class Start(StrEnum):
    """Where a new registration begins."""

    OLDEST = "oldest"
    NOW = "now"


@dataclass(frozen=True, slots=True)
class Standing(Generic[R]):
    """How a registration fares; `position` and `lag` (places in the log until its end) are None where none is known."""

    subscription: R
    position: int | None
    lag: int | None
    health: Health


@dataclass(slots=True)
class Pushes(Generic[R]):
    """Use-cases of an agreement's agency.

    Each raises `NotFound` for another's agreement and where nothing is registered, `Conflict` where it is not possible
    now, and `KafkaUnavailable`.
    """

    kind: ClassVar[Kind[Any]]

    control: Control
    keys: KeyStore
    guard: EgressGuard
    positions: Positions
    deliveries: Deliveries
    now: Callable[[], datetime]
    new_id: Callable[[], str]

    async def remove(self, agreement: str, agency: str) -> None:
        """Bring nothing any more; what was registered is forgotten but for its numbers."""
        await self._known(agreement, agency)
        await self._append(Change.REMOVED, agreement, {}, agency)

    async def resume(self, agreement: str, agency: str, *, accept_loss: bool) -> R:
        """Go on after a suspension, at the stored position.

        Where that is gone, only with `accept_loss`: then with the oldest record that is retained.
        """
        known = await self._known(agreement, agency)
        if known.suspended is None:
            raise Conflict(f"the {self.kind.name} is not suspended")
        if known.suspended in _LOST:
            if not accept_loss:
                raise Conflict(
                    f"{known.suspended.value}: records before the retained log were not sent. Ask for a replay of what was missed, "
                    "and resume with acceptLoss to go on with the oldest that is retained"
                )
            await self._place(agreement, topics.delivery(agency, agreement), Start.OLDEST, known.series)
        await self._append(Change.RESUMED, agreement, {}, agency)
        return self._live(agreement)

    async def standing(self, agreement: str, agency: str) -> Standing[R]:
        """How it fares."""
        known = await self._known(agreement, agency)
        topic = topics.delivery(agency, agreement)
        held, head = await asyncio.gather(
            self.positions.load(self.kind.group(agreement), topic), self.deliveries.head(topic)
        )
        note = None if held is None else Note.of(held[1])
        if held is None or (note is not None and note.series != known.series):
            return Standing(known, None, None, Health())
        return Standing(known, held[0], max(0, head - held[0]), note.health if note else Health())

    async def _open(self, agreement: str, agency: str) -> Stream:
        """The stream that something can be registered for now."""
        await self.control.read_to_head()
        stream = stream_of(self.control.state, agreement, agency)
        if stream.stopped:
            raise Conflict("the agreement is over: nothing is delivered under it any more")
        return stream

    async def _known(self, agreement: str, agency: str) -> R:
        await self.control.read_to_head()
        known: R | None = self.kind.book(self.control.state).live.get(agreement)
        if known is None or known.agency != agency:
            raise NotFound(f"this agreement has no {self.kind.name}")
        return known

    def _live(self, agreement: str) -> R:
        live: R = self.kind.book(self.control.state).live[agreement]
        return live

    async def _resolved(self, target: Target) -> Target:
        """The target, if its name leads somewhere that the broker may go; raises `AddressRefused`."""
        try:
            await self.guard.addresses(target)
        except OSError:
            raise AddressRefused(f"{target.named}: the host's name does not resolve to an address") from None
        return target

    async def _place(self, agreement: str, topic: str, start: Start, series: int) -> None:
        """Commit where it begins; for a new one before its fact, so that no worker finds it without a position."""
        if start is Start.NOW:
            position = await self.deliveries.head(topic)
        else:
            oldest = await self.deliveries.read(topic, None, limit=1)
            position = oldest.messages[0].offset if oldest.messages else oldest.position
        await self.positions.save(self.kind.group(agreement), topic, position, Note(series, -1).text())

    async def _append(self, change: Change, agreement: str, data: dict[str, Any], by: str) -> None:
        fact, aggregate = self.kind.facts[change], self.kind.aggregate(agreement)
        await self.control.append(fact, aggregate, {"agreement": agreement, **data}, by=by)
