"""Mandates as use-cases: an agency lets a processor read its streams, and takes that back at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from broker.control.views import Control
from broker.errors import Invalid, NotFound
from broker.model import topics
from broker.model.facts import FactType
from broker.model.mandates import Mandate
from broker.model.roles import PROCESSOR


class Rights(Protocol):
    """Rights of Kafka users; `broker.kafka.admin` behind it."""

    async def remove_access(self, principal: str | None, topic: str) -> None:
        """Remove every right of a user on a topic."""


@dataclass(frozen=True, slots=True)
class Mandates:
    """Who may give or end one is the caller's to check: the organisation itself."""

    control: Control
    kafka: Rights

    async def give(
        self,
        organisation: str,
        processor: str,
        *,
        reference: str,
        agreements: Sequence[str] | None,
        begin: datetime | None,
        end: datetime | None,
        by: str,
    ) -> Mandate:
        """A mandate in the place of an earlier one; what that covered and this one does not, is over at once.

        Raises `NotFound` for an unknown processor or an agreement that is not the organisation's, and `Invalid`.
        """
        await self.control.read_to_head()
        state = self.control.state
        if processor not in state.organisations:
            raise NotFound("no such processor: the operator registers it first")
        if organisation == processor:
            raise Invalid("processor: another organisation than your own")
        if begin is not None and end is not None and end <= begin:
            raise Invalid("end: a mandate ends after it begins")
        for name in agreements or ():
            entry = state.agreements.get(name)
            if entry is None or entry.agency != organisation:
                raise NotFound("agreements: no such agreement of this organisation")
        data = {
            "organisation": organisation,
            "processor": processor,
            "reference": reference,
            "agreements": None if agreements is None else sorted(set(agreements)),
            "begin": None if begin is None else begin.isoformat(),
            "end": None if end is None else end.isoformat(),
        }
        await self.control.append(FactType.MANDATE_GIVEN, f"mandate/{organisation}/{processor}", data, by=by)
        made = self.control.state.mandates.given[organisation, processor]
        await self._fence(organisation, processor, but=made)
        return made

    async def end(self, organisation: str, processor: str, *, now: datetime, by: str) -> Mandate:
        """End it now; returns when the processor's Kafka users have lost their rights. HTTP refuses from the fact on.

        Raises `NotFound` where there is none. Asked again, it only completes what an interrupted call left undone.
        """
        await self.control.read_to_head()
        book = self.control.state.mandates
        held = book.given.get((organisation, processor))
        if held is None:
            raise NotFound("no such mandate")
        data = {"organisation": organisation, "processor": processor}
        if held.end is None or held.end > now:
            await self.control.append(FactType.MANDATE_ENDED, f"mandate/{organisation}/{processor}", data, by=by)
        await self._fence(organisation, processor, but=None)
        return book.given[organisation, processor]

    async def _fence(self, organisation: str, processor: str, *, but: Mandate | None) -> None:
        """Take the rights of the processor's users on the organisation's streams, but those of this mandate."""
        state = self.control.state
        users = {
            each.kafka_user
            for each in state.credentials.values()
            if each.organisation == processor and PROCESSOR in each.roles and each.kafka_user is not None
        }
        for entry in state.agreements.values():
            if entry.agency == organisation and (but is None or not but.covers(entry.id)):
                for user in sorted(users):
                    await self.kafka.remove_access(user, topics.delivery(organisation, entry.id))
