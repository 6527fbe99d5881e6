"""Onboarding many local authorities under one template, and what a merger of some of them asks.

Every authority gets an agreement of its own: the operator drafts it, the authority requests it, its source approves, both
sign. Each step is a fact of its own, so onboarding can stop anywhere and be asked again: only the rest is done.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any, Protocol

from broker.control.examination import examine
from broker.errors import AgreementRefused, Conflict, Refused
from broker.model.agreement import Agreement, State
from broker.model.control_state import ControlState
from broker.model.lifecycle import OPEN, AgreementEntry
from broker.model.registered import Organisation
from broker.policy.accessions import Accession, Need, accession, accessions
from broker.policy.authorities import Authorities, Authority
from broker.policy.mergers import MergerPlan, Stop, Transfer, merger_plan
from broker.policy.templates import Template

_AT_ONCE = 8
"""Authorities whose steps are under way together: what one waits for Kafka, another one computes."""


class Control(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head; returns the epoch."""


class Registry(Protocol):
    """Registers public bodies."""

    async def register(self, organisation: Organisation, *, by: str) -> None:
        """Make it known; nothing is written if it is known as such already."""


class Agreements(Protocol):
    """The steps of an agreement that onboarding and mergers take."""

    async def draft(self, document: Mapping[str, Any], by: str, *, why: str = "") -> AgreementEntry:
        """Keep a version for its agency to request."""

    async def end(self, agreement: str, by: str, *, why: str = "") -> AgreementEntry:
        """End it for good."""

    async def revoke(self, agreement: str, by: str, *, why: str = "") -> Any:
        """Stop it before it was ever in force."""


class StandIn(Protocol):
    """Takes a document through every step, each by its own actor, with `dev` signatures; refuses real persons."""

    async def __call__(self, document: Mapping[str, Any], at: datetime) -> AgreementEntry:
        """The agreement, in force."""


class Files(Protocol):
    """Dossiers, as far as a merger moves them."""

    async def move(self, from_agreement: str, to_agreement: str) -> int:
        """Copy every open file of one agreement to another, by its own reference; returns how many were not there yet."""

    async def drop(self, agreement: str) -> int:
        """Forget every file under an agreement that has stopped; returns how many there were."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One predecessor after a merger: how many files went over, and the state its agreement is in."""

    agreement: str
    dossiers: int
    state: State


@dataclass(frozen=True, slots=True)
class Onboarding:
    """Use-cases of templates; `by` is the organisation that acts, the operator's."""

    control: Control
    registry: Registry
    agreements: Agreements
    files: Files
    stand_in: StandIn
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def preview(self, template: Template, authorities: Iterable[Authority]) -> tuple[Accession, ...]:
        """What onboarding would do, and what stands in its way; writes nothing."""
        await self.control.read_to_head()
        chosen = tuple(authorities)
        state = _as_if_registered(self.control.state, chosen)
        found = accessions(template, chosen, state, lambda agreement: _text_of(state, agreement))
        known = self.control.state.organisations
        return tuple(replace(each, registered=each.authority.id in known) for each in found)

    async def standing(self, template: Template, authorities: Iterable[Authority]) -> tuple[Accession, ...]:
        """Where each authority stands; cheaper than `preview`, because no text is looked at."""
        await self.control.read_to_head()
        return accessions(template, authorities, self.control.state)

    async def onboard(
        self,
        template: Template,
        authorities: Iterable[Authority],
        by: str,
        *,
        amend: bool = False,
        sign: bool = False,
    ) -> tuple[Accession, ...]:
        """Register each authority if need be and draft its agreement; does nothing where it says the same already.

        Another text is drafted only with `amend`. With `sign`, every actor's step is taken (fictional persons only).
        What one authority cannot have is told in its answer, so that the others go on. Raises `Invalid` for one the
        template is not for, and what is nobody's: Kafka, the control log, credentials.
        """
        await self.control.read_to_head()
        asked = accessions(template, authorities, self.control.state)
        room = asyncio.Semaphore(_AT_ONCE)

        async def one(accession: Accession) -> Accession:
            async with room:
                return await self._onboard(template, accession, by, amend=amend, sign=sign)

        return tuple(await asyncio.gather(*(one(each) for each in asked)))

    async def _onboard(self, template: Template, asked: Accession, by: str, *, amend: bool, sign: bool) -> Accession:
        if asked.need is Need.REFUSED or (asked.need is Need.AMEND and not amend):
            return asked
        document = asked.document or {}
        try:
            if not asked.registered:
                await self.registry.register(asked.authority.organisation, by=by)
            if sign and (asked.need is not Need.NOTHING or asked.state in OPEN):
                await self.stand_in(document, self.now())
            elif asked.need is not Need.NOTHING:
                await self.agreements.draft(document, by, why=f"sjabloon {template.id}")
        except Refused as refused:
            now = accession(template, asked.authority, self.control.state)
            return replace(now, need=Need.REFUSED, problems=_told(refused))
        return accession(template, asked.authority, self.control.state)

    async def merger(
        self,
        template: Template,
        table: Authorities,
        on: date,
        *,
        predecessors: Iterable[str],
        successor: str,
    ) -> MergerPlan:
        """The plan of a merger under one template; writes nothing. Raises `Invalid` for one that the table lacks."""
        await self.control.read_to_head()
        state = self.control.state
        return merger_plan(template, table, state, on, predecessors=predecessors, successor=successor)

    async def merge(self, plan: MergerPlan, by: str) -> tuple[Moved, ...]:
        """Carry the plan out, files first: nobody with a file is without an agreement meanwhile. May be asked again.

        Raises `Conflict` while the plan has problems.
        """
        if plan.problems:
            raise Conflict("; ".join(plan.problems))
        return tuple([await self._transfer(plan, transfer, by) for transfer in plan.transfers])

    async def _transfer(self, plan: MergerPlan, transfer: Transfer, by: str) -> Moved:
        files = 0
        if transfer.dossiers:
            files = await self.files.move(transfer.agreement, plan.to_agreement)
        if transfer.stop is Stop.END:
            await self.agreements.end(transfer.agreement, by, why=transfer.why)
        elif transfer.stop is Stop.REVOKE:
            await self.agreements.revoke(transfer.agreement, by, why=transfer.why)
        if transfer.dossiers:  # what was registered meanwhile goes along; then nothing is kept under what has stopped
            files += await self.files.move(transfer.agreement, plan.to_agreement)
            await self.files.drop(transfer.agreement)
        return Moved(transfer.agreement, files, self.control.state.agreements[transfer.agreement].state)


def _as_if_registered(state: ControlState, authorities: Iterable[Authority]) -> ControlState:
    """The state with these authorities known: a preview looks beyond that they are not yet."""
    missing = {row.id: row.organisation for row in authorities if row.id not in state.organisations}
    return replace(state, organisations=state.organisations | missing)


def _text_of(state: ControlState, agreement: Agreement) -> str:
    examined = examine(state, agreement)
    examined.refuse_gaps()
    return examined.text_sha256


def _told(refused: Refused) -> tuple[str, ...]:
    if isinstance(refused, AgreementRefused):
        return tuple(f"{path}: {text} [{code}]" for code, path, text in refused.findings)
    return (str(refused),)
