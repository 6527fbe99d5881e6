"""Life cycle of agreements as use-cases: the negotiation of a version, and what is done to the one in force."""

from dataclasses import dataclass
from typing import Unpack

from broker.control.barriers import Stopped
from broker.control.examination import examine, narrower
from broker.control.negotiation import Negotiation, Said, in_state
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.lifecycle import AgreementEntry, Step, states_for
from broker.policy import documents


@dataclass(slots=True)
class Agreements(Negotiation):
    """The whole life cycle. What is done to an agreement in force never waits for the amendment being negotiated.

    Who may stop or resume it is the caller's to check: either side, the owner of the source, or the operator.
    """

    async def suspend(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Withhold everything until resumed; returns when every lane's barrier is committed."""
        await self._stop(agreement, FactType.AGREEMENT_SUSPENDED, Step.SUSPENDED, by, said)
        return self._entry(agreement)

    async def resume(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Release again after a suspension; what was withheld meanwhile stays withheld."""
        await self.control.read_to_head()
        entry = in_state(self._entry(agreement), {State.SUSPENDED})
        examine(self.control.state, documents.agreement(entry.document))
        return await self._append_on(entry, FactType.AGREEMENT_ACTIVE, {}, by, said)

    async def end(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """End it for good; as a revocation where it was still delivering."""
        await self._stop(agreement, FactType.AGREEMENT_ENDED, Step.ENDED, by, said)
        return self._entry(agreement)

    async def revoke(self, agreement: str, by: str, **said: Unpack[Said]) -> Stopped:
        """Return once every lane's barrier is committed: after the last one the topic holds no record of a subject.

        Asked again about a revoked agreement, it only completes what an interrupted call left undone. With the
        agreement goes the amendment that is being negotiated.
        """
        return await self._stop(agreement, FactType.AGREEMENT_REVOKED, Step.REVOKED, by, said)

    async def complete(self, agreement: str) -> bool:
        """Do what is left of a stop for good or an amendment that was cut short; returns whether deliveries had to go.

        Nothing after the barriers goes, and where nothing was left nothing happens: to be called as often as one likes.
        """
        async with self._turn(agreement):
            await self.control.read_to_head()
            entry = self._entry(agreement)
            gone, amended = entry.state in {State.REVOKED, State.ENDED}, entry.amends is not None
            if entry.activated_at is None or not (gone or amended):
                return False
            began, value = self.enforcement.monotonic(), documents.agreement(entry.document)
            if gone:
                await self.enforcement.withdraw(entry)
            else:
                await self.enforcement.retain(value)
            first = await self.enforcement.start_of(entry)
            if first is None:
                return False
            if gone:
                await self.enforcement.stop(entry, since=first.start, began=began)
                return True
            versions = self.control.state.versions_of(agreement)
            older = [versions[number] for number in range(first.version, entry.version) if number in versions]
            delivered = [documents.agreement(each.document) for each in older if each.activated_at is not None]
            if not any(narrower(self.control.state, each, value) for each in delivered):
                return False
            await self.enforcement.switch(entry, since=first.start, began=began, narrowed=True)
            return True

    async def _stop(self, agreement: str, kind: FactType, step: Step, by: str, said: Said) -> Stopped:
        began = self.enforcement.monotonic()
        await self.control.read_to_head()
        async with self._turn(agreement):
            entry = self._entry(agreement)
            again = step is Step.REVOKED and entry.state is State.REVOKED
            if not again:
                in_state(entry, states_for(step, entry))
            activated, published = entry.activated_at is not None, entry.state is State.PUBLISHED
            # An interrupted revocation may have its barriers already.
            since = await self.enforcement.end_of(entry) if activated and not again else None
            if not again:
                entry = await self._append_on(entry, kind, {}, by, said)
            if activated:
                known = self.enforcement.monotonic()
                stopped = await self.enforcement.stop(entry, since=since, began=began)
                await self._calls_begun(agreement, known)
                return stopped
            if published:
                await self.enforcement.withdraw(entry)
            return Stopped({}, (), (self.enforcement.monotonic() - began) * 1000)
