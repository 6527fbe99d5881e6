"""The demo's agreements brought into force and its files registered; what an earlier run left is gone on from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from adapters.synthetic import Municipality
from broker.api.services import Services
from broker.control.dev_signing import bring_into_force
from broker.demo.cast import ELSEWHERE, HOME, THIRD, File
from broker.errors import AgreementRefused
from broker.model import topics
from broker.model.agreement import Agreement, State
from broker.policy import documents

PARKING, YOUTH, STATISTICS = "parkeerboetes-gent", "jeugddienst-leuven", "statistiek-vlaanderen"
REFUSED, EXPIRED = "nationaliteit-onderzoek", "verkiezingen-2024"

Findings = tuple[tuple[str, str, str], ...]
"""Broken clauses: stable code, place in the document, clause with what to do."""


def residents(place: Municipality) -> str:
    """The agreement under which a municipality knows its own inhabitants."""
    return {HOME: "inwoners-gent", ELSEWHERE: "inwoners-leuven", THIRD: "inwoners-oostende"}[place]


REVOKED = residents(THIRD)
"""The agreement that the scenario revokes."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The reviewed agreements, by id."""

    agreements: Mapping[str, Agreement]

    @property
    def delivering(self) -> tuple[Agreement, ...]:
        """All but the one that is refused."""
        return tuple(agreement for agreement in self.agreements.values() if agreement.id != REFUSED)

    def topic(self, agreement: str) -> str:
        """Delivery topic of an agreement."""
        return topics.delivery(self.agreements[agreement].agency, agreement)

    async def refusal(self, services: Services) -> Findings:
        """What the broker answers to the request that is above its ceiling; empty if it was accepted."""
        asked = self.agreements[REFUSED]
        try:
            await services.agreements.request(documents.agreement_document(asked), asked.agency)
        except AgreementRefused as refusal:
            return refusal.findings
        return ()

    async def in_force(self, services: Services, at: datetime) -> None:
        """Every other agreement taken through its whole life cycle, each step by its own actor (with `dev` signatures).

        One that was stopped in an earlier run is ended for good and asked for again as the next version.
        """
        steps, state = services.agreements, services.control.state
        for agreement in self.delivering:
            entry = state.agreements.get(agreement.id)
            if entry is not None and entry.state is State.ACTIVE:
                continue
            if entry is not None and entry.state in {State.REVOKED, State.SUSPENDED}:
                entry = await steps.end(agreement.id, agreement.source)
            version = 1 if entry is None else entry.version + (entry.state is State.ENDED)
            await bring_into_force(steps, documents.agreement_document(replace(agreement, version=version)), at)

    async def on_file(self, services: Services, agreement: str, capacity: str, files: tuple[File, ...]) -> None:
        """The agency's files registered, before the source has published anybody; those it holds already stay as they are."""
        for file in files:
            await services.dossiers.add(
                agreement,
                self.agreements[agreement].agency,
                subject=file.subject,
                capacity=capacity,
                reference=file.reference,
                begin=None,
                end=None,
            )
