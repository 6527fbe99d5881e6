"""What an agreement lays down beside the data itself: the rest of the protocol's text, as values.

Legal frame: art. 8 of the Flemish e-government decree of 18 July 2008 (protocol); art. 5, 12-23, 28, 33 and 35 GDPR.
Every part may be missing here: which ones an agreement needs before it can become active is `broker.policy.clauses`.
Texts are Dutch, as the protocol is.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Role(StrEnum):
    """What a party is under the GDPR (art. 4, 7 and 26)."""

    CONTROLLER = "verwerkingsverantwoordelijke"
    JOINT_CONTROLLER = "gezamenlijke-verwerkingsverantwoordelijke"


@dataclass(frozen=True, slots=True)
class Party:
    """One side of the protocol: its role, the function that represents it, and functional addresses (no person's)."""

    role: Role | None = None
    represented_by: str | None = None
    dpo: str | None = None
    breach_contact: str | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """A (category of) recipient at or behind the agency, and why it sees the data."""

    name: str
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Processor:
    """Acts for one side (`source` or `agency`) under a mandate (art. 28 GDPR): its reference and task."""

    name: str
    side: Literal["source", "agency"]
    mandate: str | None = None
    task: str | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """How long the agency keeps what it received, and what it does then."""

    period: str | None = None
    disposal: str | None = None


@dataclass(frozen=True, slots=True)
class Onward:
    """Whether the agency may pass the data on; if so to whom and on what ground."""

    allowed: bool
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Impact:
    """Data-protection impact assessment (art. 35 GDPR): its reference, or the reason why there is none."""

    reference: str | None = None
    reason_for_none: str | None = None


@dataclass(frozen=True, slots=True)
class Publication:
    """Where each side publishes the protocol (art. 8 par. 1 of the decree)."""

    source: str | None = None
    agency: str | None = None


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything the protocol says beside product, purpose, fields, population and term."""

    source: Party | None = None
    agency: Party | None = None
    necessity: str | None = None
    """Why this purpose needs these data, and why not less (proportionality, art. 5.1.c GDPR)."""
    compatibility: str | None = None
    """Why the source collected the data, and why this use is compatible with that (art. 5.1.b and 6.4 GDPR)."""
    periodicity: str | None = None
    retention: Retention | None = None
    onward: Onward | None = None
    recipients: tuple[Recipient, ...] = ()
    processors: tuple[Processor, ...] = ()
    security: tuple[str, ...] = ()
    quality: str | None = None
    """Quality of the data, and who corrects what for whom (art. 5.1.d, 16 and 19 GDPR)."""
    rights: str | None = None
    """How data subjects exercise their rights (art. 12-22 GDPR)."""
    rights_limits: str | None = None
    """Which rights are limited by or under which decree (art. 23 GDPR), or that none is."""
    sanctions: str | None = None
    impact: Impact | None = None
    publication: Publication | None = None


NO_CONDITIONS = Conditions()
