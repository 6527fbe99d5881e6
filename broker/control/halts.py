"""Halts of a product and announcements to its agencies: an emergency stops every stream of it at once, and says so in each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from broker.control.barriers import Barriers, Stopped
from broker.control.enforcement import Enforcement
from broker.control.views import Control
from broker.errors import Invalid, NotFound
from broker.model import topics
from broker.model.agreement import State
from broker.model.barrier import HALTED
from broker.model.facts import FactType
from broker.model.lifecycle import AgreementEntry
from broker.model.notice import NoticeReason
from broker.model.push_book import BEGINS_WITHIN_S

ANNOUNCED = frozenset({NoticeReason.OUTAGE, NoticeReason.DEPRECATION, NoticeReason.INFORMATION})
"""What may be announced; the other notices are the broker's own."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What agencies are told, and when it holds."""

    reason: NoticeReason
    text: str
    begins: datetime | None = None
    ends: datetime | None = None


@dataclass(frozen=True, slots=True)
class Halts:
    """Who may halt, resume or announce is the caller's to check."""

    control: Control
    enforcement: Enforcement
    barriers: Barriers

    async def halt(self, source: str, product: str, *, by: str, why: str = "") -> Stopped:
        """Return once no lane releases anything of the product any more, and no agency may read what was released.

        A lane writes the barriers of all its agreements in one transaction: seen in one stream, they are in all. Asked
        again about a halted product, it only completes what an interrupted call left undone. Raises `NotFound`.
        """
        began = self.enforcement.monotonic()
        await self._known(source, product)
        again = (source, product) in self.control.state.announcements.halted
        streams = self._streams(source, product)
        since = await self.enforcement.end_of(streams[0]) if streams and not again else None
        if not again:
            data = {"source": source, "product": product, "why": why}
            await self.control.append(FactType.PRODUCT_HALTED, f"halt/{source}/{product}", data, by=by)
        known = self.enforcement.monotonic()
        for entry in streams:
            await self.enforcement.withdraw(entry)
        if not streams:
            return Stopped({}, (), (self.enforcement.monotonic() - began) * 1000)
        epoch = self.control.state.announcements.halted[source, product]
        topic = topics.delivery(streams[0].agency, streams[0].id)
        stopped = await self.barriers.complete(topic, HALTED, epoch, since=since, began=began)
        if any(self.control.state.is_pushed(entry.id) for entry in streams):
            await asyncio.sleep(max(0.0, known + BEGINS_WITHIN_S - self.enforcement.monotonic()))
        return stopped

    async def resume(self, source: str, product: str, *, by: str, text: str = "") -> None:
        """Release again, and give the agencies their rights back; what was withheld meanwhile a replay tells.

        Raises `NotFound`, and `Conflict` where it is not halted.
        """
        await self._known(source, product)
        data = {"source": source, "product": product, "text": text}
        for entry in self._streams(source, product):
            await self.enforcement.admit(entry)
        await self.control.append(FactType.PRODUCT_RESUMED, f"halt/{source}/{product}", data, by=by)

    async def announce(self, source: str | None, product: str | None, told: Announced, *, by: str) -> int:
        """Have every agency concerned told in its stream; returns the epoch. Raises `NotFound` and `Invalid`."""
        if product is not None and source is None:
            raise Invalid("product: name its source too")
        if told.begins is not None and told.ends is not None and told.ends <= told.begins:
            raise Invalid("ends: it ends after it begins")
        await self.control.read_to_head()
        if source is not None and source not in self.control.state.organisations:
            raise NotFound("no such organisation")
        if source is not None and product is not None:
            await self._known(source, product)
        data = {
            "reason": told.reason.value,
            "source": source,
            "product": product,
            "text": told.text,
            "begins": None if told.begins is None else told.begins.isoformat(),
            "ends": None if told.ends is None else told.ends.isoformat(),
        }
        return await self.control.append(FactType.ANNOUNCED, "announcements", data, by=by)

    async def _known(self, source: str, product: str) -> None:
        await self.control.read_to_head()
        if (source, product) not in self.control.state.products:
            raise NotFound("no such product")

    def _streams(self, source: str, product: str) -> Sequence[AgreementEntry]:
        """Agreements on the product that deliver now."""
        return [
            entry
            for entry in self.control.state.agreements.values()
            if (entry.source, entry.document["product"]) == (source, product) and entry.state is State.ACTIVE
        ]
