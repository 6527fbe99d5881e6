"""An agreement as it stands at one policy epoch: what the reference and the compiled engine both take as input."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from broker.model.agreement import Agreement, State
from broker.model.lifecycle import OPEN, AgreementEntry, Step
from broker.policy import documents


@dataclass(frozen=True, slots=True)
class Standing:
    """An agreement version with its life-cycle state, the instant it was activated (UTC), and the static check's verdict.

    `amended_at` is when this version took another's place: what it asks was told to nobody before.
    `above_ceiling` is true where the version was activated under a wider ceiling than today's: all its records are
    withheld until it is amended. A version that was never activated has no standing (`in_force` is false).
    """

    agreement: Agreement
    state: State = State.ACTIVE
    activated_at: datetime | None = None
    above_ceiling: bool = False
    amended_at: datetime | None = None

    @property
    def in_force(self) -> bool:
        """Whether decisions are owed: true from activation on, also when suspended, revoked or ended."""
        return self.state not in OPEN


def amended_at(entry: AgreementEntry) -> datetime | None:
    """When this version took the place of another; None where it was the first, or never did."""
    if entry.amends is None:
        return None
    return next((taken.at for taken in entry.history if taken.type is Step.ACTIVATED), None)


def in_force_since(entry: AgreementEntry, versions: Mapping[int, AgreementEntry]) -> Agreement:
    """The agreement of `entry`, its term from where that of the first version it amends began.

    Whoever belonged to the population under an earlier version still belongs to it: an amendment is no new beginning.
    That its own term has begun is what activated it. `versions` are all of the agreement's, by number.
    """
    agreement, earlier = documents.agreement(entry.document), entry.amends
    start = agreement.term.start
    while earlier is not None:
        before = versions[earlier]
        start, earlier = min(start, documents.agreement(before.document).term.start), before.amends
    return replace(agreement, term=replace(agreement.term, start=start))
