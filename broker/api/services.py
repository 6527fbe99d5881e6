"""What the HTTP interface needs of the rooms below it; composed once, in `broker.cli.stack`."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Protocol, Unpack

from fastapi import Depends, Request

from broker.api.identity.door import NO_TOKENS, Accepted
from broker.control.adapter_certificates import AdapterCertificates
from broker.control.credentials import Credentials
from broker.control.dossiers import Known
from broker.control.event_seals import EventSeals
from broker.control.halts import Halts
from broker.control.history import History
from broker.control.limits import Policies
from broker.control.mandates import Mandates
from broker.control.negotiation import Said
from broker.control.onboarding import Onboarding
from broker.control.product_lives import ProductLives
from broker.control.products import Products
from broker.control.quarantine import Quarantine
from broker.control.raw_intake import RawIntake
from broker.control.raw_sources import RawSources
from broker.control.registrations import Closing, Opening, Outcome
from broker.control.replays import Replays
from broker.delivery.drop_subscriptions import Drops
from broker.delivery.looks import Looks
from broker.delivery.pull import Slice
from broker.delivery.quality import QualityFigures
from broker.delivery.streams import Message
from broker.delivery.tally import DailyTally
from broker.delivery.trail import TracedReceipt
from broker.delivery.webhook_subscriptions import Webhooks
from broker.model.agreement import Consent, GivenBy
from broker.model.control_state import ControlState
from broker.model.credentials import Credential
from broker.model.lifecycle import Advice, AgreementEntry, Signature
from broker.model.registered import BoundClient
from broker.policy.odrl_terms import BASE
from broker.routing.rehearsal import Rehearsals


class Control(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head; returns the epoch."""

    def fresh(self) -> bool:
        """Whether this process keeps up with the control log (design R6)."""


class Revoked(Protocol):
    """What a revocation did."""

    @property
    def barriers(self) -> Mapping[int, int]:
        """Offset of the barrier in the delivery topic, by lane."""

    @property
    def duration_ms(self) -> float:
        """From the request to the last barrier."""

    @property
    def fenced(self) -> Sequence[int]:
        """Lanes whose owner did not write its barrier in time and was fenced."""


class Agreements(Protocol):
    """Life cycle of agreements, each step by the organisation `by`, with what it says about it.

    Each raises `NotFound` or `Conflict` where the step is not possible now, and `Forbidden` for the wrong organisation.
    """

    async def draft(self, document: Mapping[str, Any], by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Keep a version that is being written; raises `Invalid`."""

    async def request(self, document: Mapping[str, Any], by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Check and register a version; raises `Invalid` or `AgreementRefused`."""

    async def approve(
        self, agreement: str, by: str, *, text_sha256: str | None = None, **said: Unpack[Said]
    ) -> AgreementEntry:
        """The source's owner agrees with the text; raises `AgreementRefused`."""

    async def advise(self, agreement: str, advice: Advice, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Advice of one side's data protection officer."""

    async def sign(
        self, agreement: str, signature: Signature, by: str, *, pdf: bytes | None = None, **said: Unpack[Said]
    ) -> AgreementEntry:
        """Sign for one side; raises `Forbidden` for a method that does not count here, `Invalid` for a wrong PDF."""

    async def publish(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Make it known; active where its term has begun."""

    async def withdraw(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Give up the version that is being negotiated."""

    async def suspend(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Withhold everything until resumed."""

    async def resume(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """Release again after a suspension."""

    async def end(self, agreement: str, by: str, **said: Unpack[Said]) -> AgreementEntry:
        """End it for good."""

    async def revoke(self, agreement: str, by: str, **said: Unpack[Said]) -> Revoked:
        """Return once every lane's barrier is committed (design §8)."""


class Registration(Protocol):
    """One dossier as its agency sees it: never with its subject."""

    @property
    def reference(self) -> str:
        """The agency's own file reference."""

    @property
    def capacity(self) -> str:
        """Hoedanigheid."""

    @property
    def begin(self) -> datetime:
        """Start of the period, UTC."""

    @property
    def end(self) -> datetime | None:
        """End of the period, UTC; None while open."""


class Registrations(Protocol):
    """A page of an agency's files."""

    @property
    def files(self) -> Sequence[Registration]:
        """In no order."""

    @property
    def next(self) -> str | None:
        """Where the following page starts; None on the last."""


class Standing(Protocol):
    """Numbers of an agency's files."""

    @property
    def total(self) -> int:
        """All of them."""

    @property
    def open(self) -> int:
        """Those that are open, or will be."""


class Dossiers(Protocol):
    """Registrations of the files an agency handles."""

    async def add(
        self,
        agreement: str,
        agency: str,
        *,
        subject: str,
        capacity: str,
        reference: str,
        begin: datetime | None,
        end: datetime | None,
        known: Known | None = None,
    ) -> str:
        """`registered`, or `already` where the agency holds this file already; raises `UnknownSubject`."""

    async def end(self, agreement: str, agency: str, *, subject: str, reference: str, end: datetime | None) -> str:
        """`ended`, or `already`; raises `NotFound` without such a file."""

    def stream_key(self, agreement: str, agency: str, subject: str) -> bytes:
        """Key of a subject in the agreement's stream; raises `Invalid` as `add`."""

    async def add_many(
        self, agreement: str, agency: str, rows: Sequence[Opening], *, known: Known | None = None
    ) -> Sequence[Outcome]:
        """The outcome of each row, in order."""

    async def end_many(self, agreement: str, agency: str, rows: Sequence[Closing]) -> Sequence[Outcome]:
        """The outcome of each row, in order."""

    async def page(self, agreement: str, agency: str, after: str | None, *, limit: int) -> Registrations:
        """Some of the agency's files under the agreement; raises `Invalid` for a foreign cursor."""

    async def standing(self, agreement: str, agency: str) -> Standing:
        """Their numbers now."""


class KnownSubjects(Protocol):
    """Whom sources have a record of."""

    async def among(self, topic: str, keys: Collection[bytes]) -> Collection[bytes]:
        """Those of some lane keys that have a record in a source topic now; raises `NotYetKnown`."""


class Consents(Protocol):
    """What subjects agreed to."""

    async def grant(
        self,
        agreement: str,
        agency: str,
        *,
        subject: str,
        reference: str,
        given_by: GivenBy,
        begin: datetime | None,
        end: datetime | None,
        fields: Sequence[str] | None,
    ) -> tuple[str, bool]:
        """`granted`, `changed` or `already`, and whether the subject's lane has acted on it."""

    async def withdraw(
        self, agreement: str, agency: str, *, subject: str, reference: str, end: datetime | None
    ) -> tuple[str, bool]:
        """`withdrawn` or `already`, and whether the subject's lane has acted on it; raises `NotFound`."""

    async def list(self, agreement: str, agency: str) -> Sequence[Consent]:
        """All consents to the agreement."""


class Replaced(Protocol):
    """What followed a replaced identity."""

    @property
    def status(self) -> str:
        """`replaced` or `already`."""

    @property
    def files(self) -> int:
        """Open files that are now on the new identity."""

    @property
    def consents(self) -> int:
        """Consents that are now the new identity's."""


class Replacements(Protocol):
    """Chains of identities."""

    async def replace(self, source: str, product: str, *, old: str, new: str) -> Replaced:
        """Have files, consents and pseudonyms follow; raises `Conflict`, or `NotYetKnown` until the old lane has drained."""


class Deliveries(Protocol):
    """Reader of delivery topics."""

    async def head(self, topic: str) -> int:
        """Position after the last committed record."""

    async def since(self, topic: str, at_ms: int) -> int:
        """Position of the first record written at this epoch millisecond or later, else the head."""

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        """Whether there is more from `position` on, waiting up to `wait_s` for it without holding a connection."""

    async def find(self, topic: str, position: int, key: bytes, *, wait_s: float) -> Message | None:
        """First record of a key from `position` on, waiting up to `wait_s` for it."""

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float) -> Slice:
        """Committed records from `position` on (None: the oldest retained); raises `PositionExpired`."""


class Receipts(Protocol):
    """Reader of receipts."""

    async def find(self, identifier: bytes) -> Sequence[TracedReceipt]:
        """Receipts with this source trace id or delivery id (16 bytes)."""

    async def at(self, lane: int, offset: int) -> TracedReceipt | None:
        """The receipt at this place of the topic of receipts; None where there is none."""


class PseudonymKey(Protocol):
    """Which key makes an agency's pseudonyms for a purpose."""

    @property
    def agency(self) -> str:
        """The agency."""

    @property
    def purpose(self) -> str:
        """The purpose."""

    @property
    def epoch(self) -> int:
        """Number of the key, from 1 on."""

    @property
    def agreements(self) -> Sequence[str]:
        """Agreements that have these pseudonyms."""


class Pseudonyms(Protocol):
    """Key epochs of pseudonyms. Each raises `NotFound` for an agreement without them."""

    def key_of(self, agreement: str) -> PseudonymKey:
        """The key behind this agreement's pseudonyms."""

    def seal_key(self) -> str:
        """Public key (Ed25519, hexadecimal) that maps are sealed with."""

    async def rotate(self, agreement: str, by: str) -> PseudonymKey:
        """Make other pseudonyms from now on; raises `Conflict` if somebody else did meanwhile."""

    async def continuity(self, agreement: str, old: int, new: int) -> Iterator[bytes]:
        """The sealed map between two epochs in pieces; raises `Invalid`, `Conflict` or `Stale`."""


class Tokens(Protocol):
    """Checks access tokens of trusted issuers."""

    async def accept(self, text: str, state: ControlState) -> Accepted:
        """Whom it speaks for; raises `Unauthenticated`, `Forbidden` or `IssuerUnavailable`."""


class Issuer(Protocol):
    """The installation's own issuer of access tokens."""

    @property
    def url(self) -> str | None:
        """What its tokens name as issuer and audience; None while it issues none."""

    def reached_at(self, url: str) -> None:
        """Issue from now on, under this URL."""

    def issue(self, credential: Credential) -> str:
        """A short-lived token for the holder of a credential."""

    def key_set(self) -> Mapping[str, Any]:
        """Public keys that its tokens are checked with (RFC 7517)."""

    async def rotate(self, *, keep: bool, by: str) -> int:
        """Sign with a new key; without `keep`, tokens of earlier ones end at once. Returns the key's number."""


class Clients(Protocol):
    """OAuth clients of outside issuers, bound to organisations."""

    async def bind(self, wanted: BoundClient, *, by: str) -> bool:
        """Have a client act as an organisation; raises `Invalid`, `NotFound` or `Conflict`."""

    async def unbind(self, issuer: str, client: str, *, by: str) -> None:
        """Refuse its tokens from now on; raises `NotFound`."""


class Span(Protocol):
    """One finished span of the local store."""

    @property
    def name(self) -> str:
        """Event-like name of the step."""

    @property
    def service(self) -> str:
        """Process that took it."""

    @property
    def start_ms(self) -> float:
        """Epoch milliseconds."""

    @property
    def duration_ms(self) -> float:
        """Milliseconds."""


class Spans(Protocol):
    """Local span store."""

    def find(self, trace_id: str) -> Sequence[Span]:
        """Spans of one trace (32 hex), oldest first."""


@dataclass(frozen=True, slots=True)
class Services:
    """The use-cases behind the HTTP interface."""

    control: Control
    agreements: Agreements
    dossiers: Dossiers
    known: KnownSubjects
    consents: Consents
    replacements: Replacements
    deliveries: Deliveries
    receipts: Receipts
    spans: Spans
    policies: Policies
    pseudonyms: Pseudonyms
    templates: Onboarding
    history: History
    rehearsals: Rehearsals
    credentials: Credentials
    looks: Looks
    tally: DailyTally
    replays: Replays
    halts: Halts
    mandates: Mandates
    adapter_certificates: AdapterCertificates
    products: Products
    lives: ProductLives
    raw_sources: RawSources
    raw_intake: RawIntake
    quarantine: Quarantine
    seals: EventSeals
    clients: Clients | None = None
    """None where no issuer is trusted."""
    tokens: Tokens = NO_TOKENS
    issuer: Issuer | None = None
    iri_base: str = BASE
    """What the IRIs of our own begin with in open forms."""
    public_url: str | None = None
    """Where others reach the HTTP interface; None where nobody said so."""
    webhooks: Webhooks | None = None
    drops: Drops | None = None
    quality: QualityFigures | None = None
    """None where nobody takes any."""


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Broker = Annotated[Services, Depends(_services)]
