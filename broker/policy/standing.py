"""An agreement as it stands at one policy epoch: what the reference and the compiled engine both take as input."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from broker.model.agreement import Agreement, ReleasedField, State
from broker.model.lifecycle import OPEN, AgreementEntry, Step
from broker.policy import documents


@dataclass(frozen=True, slots=True)
class Former:
    """A version whose place another took at `until`."""

    agreement: Agreement
    until: datetime


@dataclass(frozen=True, slots=True)
class Standing:
    """An agreement version with its life-cycle state, the instant it was activated (UTC), and the static check's verdict.

    `amended_at` is when this version took another's place: what it asks was told to nobody before.
    `formers` are the versions before it, the oldest first, where any had another population or other fields: whoever was
    told of a subject under one of them was told by its population.
    `above_ceiling` is true where the version was activated under a wider ceiling than today's: all its records are
    withheld until it is amended. A version that was never activated has no standing (`in_force` is false).
    """

    agreement: Agreement
    state: State = State.ACTIVE
    activated_at: datetime | None = None
    above_ceiling: bool = False
    amended_at: datetime | None = None
    formers: tuple[Former, ...] = ()

    def version_at(self, told: datetime) -> Agreement:
        """The version under which an agency was told at `told`."""
        return next((former.agreement for former in self.formers if told < former.until), self.agreement)

    @property
    def in_force(self) -> bool:
        """Whether decisions are owed: true from activation on, also when suspended, revoked or ended."""
        return self.state not in OPEN


def standing_of(
    entry: AgreementEntry, versions: Mapping[int, AgreementEntry], allow: Callable[[Agreement], bool]
) -> Standing:
    """A version as it stands under ceilings that `allow`; `versions` are all of the agreement's, by number.

    Of the agreement it has what decides (`documents.deciding`).
    """
    agreement = in_force_since(entry, versions)
    return Standing(
        agreement,
        entry.state,
        entry.activated_at,
        not allow(agreement),
        amended_at(entry),
        _formers(entry, agreement, versions),
    )


def released(agreement: Agreement) -> tuple[ReleasedField, ...]:
    """Its fields without why: what makes a delivery another one."""
    return tuple(replace(field, why="") for field in agreement.fields)


def _formers(entry: AgreementEntry, agreement: Agreement, versions: Mapping[int, AgreementEntry]) -> tuple[Former, ...]:
    found: list[Former] = []
    while entry.amends is not None:
        until, entry = amended_at(entry), versions[entry.amends]
        if until is not None:
            before = replace(documents.deciding(entry.document), term=agreement.term)
            found.append(Former(before, until))
    other = any(
        (former.agreement.population, released(former.agreement)) != (agreement.population, released(agreement))
        for former in found
    )
    return tuple(reversed(found)) if other else ()


def amended_at(entry: AgreementEntry) -> datetime | None:
    """When this version took the place of another; None where it was the first, or never did."""
    if entry.amends is None:
        return None
    return next((taken.at for taken in entry.history if taken.type in {Step.ACTIVATED, Step.AMENDED}), None)


def in_force_since(entry: AgreementEntry, versions: Mapping[int, AgreementEntry]) -> Agreement:
    """The agreement of `entry`, its term from where that of the first version it amends began.

    Whoever belonged to the population under an earlier version still belongs to it: an amendment is no new beginning.
    That its own term has begun is what activated it. `versions` are all of the agreement's, by number.
    """
    agreement, earlier = documents.deciding(entry.document), entry.amends
    start = agreement.term.start
    while earlier is not None:
        before = versions[earlier]
        start, earlier = min(start, documents.deciding(before.document).term.start), before.amends
    return replace(agreement, term=replace(agreement.term, start=start))
