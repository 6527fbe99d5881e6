"""The barrier: the line in a delivery topic after which a lane releases nothing of a version any more (design §8)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from broker.model import topics
from broker.model.agreement import State
from broker.model.lifecycle import AgreementEntry
from broker.model.record import EVENT_NAMESPACE, Headers, header

BARRIER_TYPE = f"{EVENT_NAMESPACE}.agreement.barrier"

AMENDED = "amended"
"""Reason of the barrier between two versions: what a lane writes after it is of the next one."""

HALTED = "halted"
"""Reason of the barrier of a halted product."""

_KEY = b"barrier/"
_BARRED = frozenset({State.SUSPENDED, State.REVOKED, State.ENDED})


@dataclass(frozen=True, slots=True)
class Barrier:
    """A barrier that a lane owes: its topic, and key, value and headers of the record."""

    topic: str
    row: tuple[bytes, None, Headers]


def barrier(topic: str, lane: int, epoch: int, reason: str) -> Barrier:
    """Barrier of one lane, for a `reason` (the state that stops, `AMENDED` or `HALTED`): stock deserializers see null, our exits show a life-cycle event."""
    headers: Headers = [
        ("ce_specversion", b"1.0"),
        ("ce_type", BARRIER_TYPE.encode()),
        ("ce_reason", reason.upper().encode()),
        ("ce_epoch", str(epoch).encode()),
    ]
    return Barrier(topic, (_KEY + b"%d" % lane, None, headers))


def barriers_due(agreements: Mapping[str, AgreementEntry], *, lane: int, since_epoch: int) -> list[Barrier]:
    """Barriers a lane still owes: one per agreement that stopped or was amended after the epoch of its last commit."""
    due = []
    for entry in agreements.values():
        if entry.activated_at is None or max(entry.epoch, entry.amended_epoch) <= since_epoch:
            continue
        topic = topics.delivery(entry.agency, entry.id)
        if entry.epoch > since_epoch and entry.state in _BARRED:
            due.append(barrier(topic, lane, entry.epoch, entry.state))
        elif entry.amended_epoch > since_epoch:
            due.append(barrier(topic, lane, entry.amended_epoch, AMENDED))
    return due


def lane_barred(key: bytes | None, headers: Iterable[tuple[str, bytes]], *, epoch: int) -> int | None:
    """The lane whose barrier of `epoch` or later this record is; None for any other record."""
    if key is None or not key.startswith(_KEY) or header(headers, "ce_type") != BARRIER_TYPE.encode():
        return None
    stated = int(header(headers, "ce_epoch") or -1)
    return int(key[len(_KEY) :]) if stated >= epoch else None
