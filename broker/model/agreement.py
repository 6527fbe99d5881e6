"""Agreements, ceilings and populations as values; the documents that produce them live in `policy/documents.py`.

Legal frame: art. 8 of the Flemish e-government decree of 18 July 2008 (protocol), art. 5 and 6 GDPR.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Literal

from broker.model.conditions import NO_CONDITIONS, Conditions


class FieldClass(StrEnum):
    """Sensitivity class of a schema field (design §6)."""

    NATIONAL_NUMBER = "national-number"
    IDENTIFYING = "identifying"
    CONTACT = "contact"
    FAMILY = "family"
    FINANCIAL = "financial"
    SOCIAL = "social"
    SPECIAL = "special"
    CRIMINAL = "criminal"
    PUBLIC = "public"


class Transform(StrEnum):
    """What happens to a released field: copied, or replaced by something that says less."""

    KEEP = "keep"
    OWN_REFERENCE = "own-reference"
    PSEUDONYM = "pseudonym"
    YEAR = "year"
    ADULT = "meerderjarig"
    DECADE = "decade"
    BAND = "band"
    AGE = "leeftijd-vanaf"
    LIVES_IN = "woont-in"
    NOTIFY_ONLY = "notify-only"


class Instrument(StrEnum):
    """Legal instrument an agreement rests on (design §6)."""

    PROTOCOL_VL = "protocol-vl"
    PROTOCOL_FED = "protocol-fed"
    IVC = "ivc"
    RIJKSREGISTER = "rijksregister"
    ACCESSION = "accession"
    OPEN_DATA = "open-data"


class State(StrEnum):
    """Life cycle of an agreement version (`broker.model.lifecycle`)."""

    DRAFT = "draft"
    REQUESTED = "requested"
    APPROVED = "approved"
    SIGNED = "signed"
    PUBLISHED = "published"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ReleasedField:
    """One field of the agreement: a leaf path of the source schema, its transform, and why it is needed.

    `name` is the egress field name of a derived value (every transform but keep and notify-only); None for these.
    `arguments` are those of the transform: the lower bounds of `band`, the age of `leeftijd-vanaf`, the NIS codes of
    `woont-in`; empty for the others.
    """

    path: str
    transform: Transform
    why: str
    name: str | None = None
    arguments: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """What it is known by in the deliveries: the name of a derived value, the path of a kept one."""
        return self.name or self.path


@dataclass(frozen=True, slots=True)
class Equals:
    """The value at `path` is one of `values` (as written in the document; one value is plain equality)."""

    path: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """The text at `path` lies in [low, high] by code point order; None is an open side. ISO dates order correctly."""

    path: str
    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Prefix:
    """The text at `path` starts with `prefix`."""

    path: str
    prefix: str


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every part holds; without parts: always true."""

    parts: tuple["Constraint", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one part holds; without parts: never."""

    parts: tuple["Constraint", ...]


Constraint = Equals | Range | Prefix | AllOf | AnyOf
EVERYONE = AllOf(())


@dataclass(frozen=True, slots=True)
class Population:
    """Which subjects: `where` holds on the record, the agency holds a dossier if `dossiers`, they agreed if `consent`."""

    where: Constraint = EVERYONE
    dossiers: bool = False
    consent: bool = False


@dataclass(frozen=True, slots=True)
class Term:
    """Half-open interval [start, end) in UTC during which records may be released; `end` None = until ended."""

    start: datetime
    end: datetime | None

    def holds(self, instant: datetime) -> bool:
        """Whether `instant` lies in the term."""
        return self.start <= instant and (self.end is None or instant < self.end)


@dataclass(frozen=True, slots=True)
class LegalBasis:
    """Instrument with its reference and date, the GDPR basis (`6.1.c`, `9.2.g`, `10`, …), and where it is published."""

    instrument: Instrument
    reference: str
    gdpr: str
    text: str
    dated: date | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """One immutable version of an agreement."""

    id: str
    version: int
    title: str
    source: str
    product: str
    agency: str
    purpose: str
    bases: tuple[LegalBasis, ...]
    fields: tuple[ReleasedField, ...]
    population: Population
    term: Term
    retention_days: int = 14
    """Days that the delivery topic keeps a record for the agency."""
    conditions: Conditions = NO_CONDITIONS


@dataclass(frozen=True, slots=True)
class FieldCeiling:
    """What the owner allows for one path: the transforms that may deliver it (`keep` allows the value itself)."""

    path: str
    transforms: frozenset[Transform]


@dataclass(frozen=True, slots=True)
class Ceiling:
    """The most the owner of `product` lets anyone have for `purpose`.

    `selectable` paths may be used in a population (a path so used counts as disclosed); `onward_sharing`: an agency may
    be allowed to pass the data on. `source` None: for every source of the product that has set none itself.
    `quasi_identifiers` are combinations of paths that can point at one person though none of them does alone.
    """

    product: str
    purpose: str
    fields: Mapping[str, FieldCeiling]
    selectable: frozenset[str]
    onward_sharing: bool = False
    source: str | None = None
    quasi_identifiers: tuple[tuple[str, ...], ...] = ()

    @property
    def key(self) -> tuple[str | None, str, str]:
        """(source, product, purpose): what there is one ceiling for."""
        return self.source, self.product, self.purpose


@dataclass(frozen=True, slots=True)
class Dossier:
    """An agency's registration that it handles a file on a subject, under one agreement.

    `key` is the subject's lane key (hex); `[begin, end)` the period in UTC; `registered` the instant it entered the log.
    """

    agreement: str
    key: bytes
    capacity: str
    reference: str
    begin: datetime
    end: datetime | None
    registered: datetime

    def holds(self, instant: datetime) -> bool:
        """Whether the file is open at `instant`, as known then."""
        return self.registered <= instant and self.begin <= instant and (self.end is None or instant < self.end)

    @property
    def since(self) -> datetime:
        """When it opened: not before the log knew it."""
        return max(self.begin, self.registered)


class GivenBy(StrEnum):
    """Who gave a consent: the subject, or somebody who may for it (art. 8 GDPR, art. 492 of the old Civil Code)."""

    SUBJECT = "subject"
    REPRESENTATIVE = "representative"


@dataclass(frozen=True, slots=True)
class Consent:
    """A subject's consent (art. 4.11 and 7 GDPR) to one agreement, given in person or by a representative.

    `key` is the subject's lane key (hex); `[begin, end)` the period in UTC: a withdrawal may end it in the past.
    `fields` are the keys of the released fields that it is limited to; None where it is given to all.
    """

    agreement: str
    key: bytes
    begin: datetime
    end: datetime | None
    registered: datetime
    fields: frozenset[str] | None = None
    reference: str = ""
    """The agency's own, of the proof."""
    given_by: GivenBy = GivenBy.SUBJECT

    def holds(self, instant: datetime) -> bool:
        """Whether the subject agrees at `instant`."""
        return self.begin <= instant and (self.end is None or instant < self.end)

    @property
    def since(self) -> datetime:
        """When it could first be acted on: not before the log knew it."""
        return max(self.begin, self.registered)


Outcome = Literal["release", "withhold"]
