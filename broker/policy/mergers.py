"""What a merger asks of the agreements under a template: which file goes where, and what ends. A pure plan.

The successor's own agreement must be in force first: its population is its territory, the merged ones' included (one
NIS code), and it starts a stream of its own. Then the predecessors' dossiers go over to it under their own references,
and the predecessors' agreements end. Who goes on as the successor itself (Hasselt, with Kortessem) ends nothing: its
agreement is amended to its new territory.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from broker.errors import Invalid
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import IN_FORCE, OPEN
from broker.policy.accessions import Need, accessions, waits_for
from broker.policy.authorities import Authorities, Authority
from broker.policy.templates import Template

_WHY = "fusie: {successor} volgt {predecessor} op"


class Stop(StrEnum):
    """How a predecessor's agreement stops."""

    END = "end"
    """It was in force."""
    REVOKE = "revoke"
    """It never was."""
    STOPPED = "stopped"
    """An interrupted merger stopped it already: what is left is to let go of its files."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One predecessor's agreement: its files, where it works with files, go to the successor's, and it stops."""

    agreement: str
    agency: str
    dossiers: bool
    stop: Stop
    why: str


@dataclass(frozen=True, slots=True)
class MergerPlan:
    """Transfers of one template in order, to the agreement `to_agreement` of the successor `to_agency`.

    With problems, nothing may be done yet.
    """

    template: str
    to_agency: str
    to_agreement: str
    transfers: tuple[Transfer, ...]
    problems: tuple[str, ...]


def merger_plan(
    template: Template,
    authorities: Authorities,
    state: ControlState,
    on: date,
    *,
    predecessors: Iterable[str],
    successor: str,
) -> MergerPlan:
    """Plan of one merger under one template, as the table has it on a day.

    Raises `Invalid` where the table does not know the merger: a merger is a fact of law, not a choice made here.
    """
    heir = authorities.find(successor, on)
    merged = {row.id: row for row in authorities.merged_into(successor, on)}
    chosen = tuple(dict.fromkeys(predecessors))
    for name in chosen:
        if name not in merged:
            raise Invalid(f"{successor} did not take over from {name} on or before {on} in the table of authorities")
    (target,) = accessions(template, [heir], state)
    transfers = tuple(
        transfer for name in chosen if name != heir.id and (transfer := _transfer(template, merged[name], heir, state))
    )
    problems = list(target.problems)
    if target.need is not Need.NOTHING:
        what = "has no agreement" if target.need is Need.DRAFT else "has not agreed to its present territory"
        problems.append(f"{target.agreement}: {heir.id} {what} under template {template.id}: onboard it first")
    elif target.state is not State.ACTIVE:
        problems.append(f"{target.agreement} is not in force: it waits for {waits_for(target.held) or 'a new version'}")
    return MergerPlan(template.id, heir.id, target.agreement, transfers, tuple(dict.fromkeys(problems)))


def _transfer(template: Template, row: Authority, heir: Authority, state: ControlState) -> Transfer | None:
    """None where the predecessor has no agreement, or one that stopped for another reason."""
    entry = state.agreements.get(template.agreement_id(row))
    why = _WHY.format(successor=heir.organisation.name, predecessor=row.organisation.name)
    if entry is None:
        return None
    if entry.state in IN_FORCE | OPEN:
        stop = Stop.END if entry.state in IN_FORCE else Stop.REVOKE
    elif entry.history[-1].why == why:
        stop = Stop.STOPPED
    else:
        return None
    return Transfer(entry.id, row.id, bool(entry.document["population"].get("dossiers")), stop, why)
