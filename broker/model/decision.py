"""Decisions are values: what the engine answers for one record under one agreement (design §6)."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a record or a delivery says happened; the order is the order of the Avro enum in every schema."""

    SNAPSHOT = "snapshot"
    ADDED = "added"
    CHANGED = "changed"
    CORRECTED = "corrected"
    CANCELLED = "cancelled"
    ENDED = "ended"
    REPLACED = "replaced"
    INITIAL = "initial"
    LEFT_POPULATION = "left-population"


RECORD_KINDS: tuple[Kind, ...] = tuple(Kind)[:7]
"""Kinds that a source may state; `initial` and `left-population` exist on deliveries only."""


class Reason(StrEnum):
    """Stable reason codes of a withhold; `OUTSIDE_POPULATION` and `NO_DOSSIER` are counted, never receipted."""

    NOT_IN_TERM = "NOT_IN_TERM"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"
    ABOVE_CEILING = "ABOVE_CEILING"
    UNCHANGED_ANSWER = "UNCHANGED_ANSWER"
    NO_CONSENT = "NO_CONSENT"
    OUTSIDE_POPULATION = "OUTSIDE_POPULATION"
    NO_DOSSIER = "NO_DOSSIER"

    @property
    def receipted(self) -> bool:
        """Whether the record matched the agreement's population, so that a receipt is owed."""
        return self not in _COUNTED_ONLY


_COUNTED_ONLY = frozenset({Reason.OUTSIDE_POPULATION, Reason.NO_DOSSIER})


class Departure(StrEnum):
    """Reason class a `left-population` carries: why the subject left, never where it went."""

    RECORD_CHANGED = "RECORD_CHANGED"
    DOSSIER_ENDED = "DOSSIER_ENDED"
    DELETED = "DELETED"
    CONSENT_ENDED = "CONSENT_ENDED"
    REPLACED = "REPLACED"
    AMENDED = "AMENDED"


@dataclass(frozen=True, slots=True)
class Release:
    """Deliver under `agreement` as `kind`; `reference` is the dossier's own reference.

    `without` are the keys of released fields that the subject's consent leaves out.
    """

    agreement: str
    kind: Kind
    reference: str | None = None
    departure: Departure | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Withhold:
    """Deliver nothing under `agreement`, for `reason`."""

    agreement: str
    reason: Reason


Decision = Release | Withhold
