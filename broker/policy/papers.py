"""A subject's papers: the files that agencies hold on it and the consents it gave, as the compiled engine looks at them."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from broker.model.agreement import Consent, Dossier
from broker.policy.buckets import FOREVER, Plan
from broker.policy.calendar import instant_of, milliseconds


class Papers(NamedTuple):
    """A subject's files and consents, under whatever agreement (the lane keeps them by lane key).

    `replaced`: products ("<source>/<product>") in which another identity replaced it.
    """

    dossiers: Sequence[Dossier] = ()
    consents: Sequence[Consent] = ()
    replaced: Collection[str] = ()


NO_PAPERS = Papers()


class Told(NamedTuple):
    """What a subject's papers were when its lane last told anything, and that instant (ms)."""

    papers: Papers
    at: int


@dataclass(frozen=True, slots=True)
class PapersAt:
    """A subject's papers under one agreement at one instant: the open file's reference, and what it agrees to.

    `open`: a file is, or none is asked for; never for a subject that was replaced.
    """

    open: bool
    reference: str | None
    agreed: frozenset[str]
    dossiers: Sequence[Dossier]
    consents: Sequence[Consent]
    keys: frozenset[str]

    @classmethod
    def of(cls, plan: Plan, papers: Papers, at: int) -> "PapersAt":
        """By the papers that the population asks for; the file that began first gives its reference."""
        agreement, keys = plan.agreement, plan.keys
        name, asked, instant = agreement.id, agreement.population, instant_of(at)
        files = [file for file in papers.dossiers if file.agreement == name] if asked.dossiers else ()
        opened = [(file.begin, file.reference) for file in files if file.holds(instant)]
        consents = [each for each in papers.consents if each.agreement == name] if asked.consent else ()
        agreed = _agreed(keys, consents, instant) if asked.consent else keys
        reference = min(opened)[1] if opened else None
        there = not asked.dossiers or bool(opened)
        if papers.replaced and f"{agreement.source}/{agreement.product}" in papers.replaced:
            there = False
        return cls(there, reference, agreed, files, consents, keys)

    def told(self, decided: int, now: int) -> int:
        """When the agency was last told: at a record's decision, or when a paper began."""
        papers: tuple[Dossier | Consent, ...] = (*self.dossiers, *self.consents)
        began = (milliseconds(paper.since) for paper in papers)
        return max([decided, *(since for since in began if since <= now)])

    def granted(self, appended: int) -> frozenset[str]:
        """What was agreed to now, and when the record entered the log."""
        if not self.consents or appended == FOREVER:
            return self.agreed
        return self.agreed & _agreed(self.keys, self.consents, instant_of(appended))


def _agreed(keys: frozenset[str], consents: Sequence[Consent], at: datetime) -> frozenset[str]:
    given = [consent.fields for consent in consents if consent.holds(at)]
    if None in given:
        return keys
    return keys & frozenset[str]().union(*(fields for fields in given if fields is not None))
