"""Who could read a delivery: its agency, and the processors that read for it; worked out from the control log's facts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry, Step
from broker.model.mandates import Actor

_PIECE = timedelta(days=1)
"""Kafka drops a delivery topic's records by pieces of this length (`segment.ms`), each once its last record is old enough."""

_LONGEST_DAYS = 14
"""What an agreement that says nothing gets, and the most that one may say."""

_EMPTYING = frozenset({Step.REVOKED, Step.ENDED})


@dataclass(frozen=True, slots=True)
class Readers:
    """`principal` is the agency that the delivery is for; `actors` could read it in its name."""

    principal: str
    actors: tuple[Actor, ...]


def readers_of(state: ControlState, agreement: str, version: int, epoch: int, decided_at: datetime) -> Readers | None:
    """Readers of a release under `version` of an agreement, by its receipt's epoch and decision instant (UTC).

    None where `state` does not know the version. The operator's trace shows this, and so does every other view of a
    receipt, a citizen's included: ask here. Receipts do not hold it: a mandate that is given tomorrow reads what is kept
    from today (ADR actors-of-a-receipt).
    """
    versions = state.versions_of(agreement)
    held = versions.get(version)
    if held is None:
        return None
    until = kept_until(versions.values(), version, epoch, decided_at)
    return Readers(held.agency, state.mandates.actors_of(held.agency, agreement, epoch, decided_at, until))


def kept_until(versions: Iterable[AgreementEntry], version: int, epoch: int, decided_at: datetime) -> datetime:
    """The latest instant at which a delivery under `version` could still be read, of all versions of its agreement.

    Its stream keeps records for as long as the version in force says, and up to a day more; the agreement's end or
    revocation empties it. A narrowing that emptied it earlier is not looked at: rather one reader too many than too few.
    """
    since = [each for each in versions if each.version >= version and each.activated_at is not None]
    days = max((int(each.document.get("retention_days", _LONGEST_DAYS)) for each in since), default=0)
    steps = (step for each in since for step in each.history)
    emptied = (step.at for step in steps if step.type in _EMPTYING and step.epoch > epoch)
    return min((decided_at + timedelta(days=days) + _PIECE, *emptied))
