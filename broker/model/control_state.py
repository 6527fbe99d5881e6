"""The pure fold of the control log into the state that every process shares (design §8).

A fact whose expectation of its aggregate's version is stale is ignored, so all readers agree on which of two concurrent
writers won. Documents stay documents here (JSON objects): `policy.documents` turns them into values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import datetime
from itertools import takewhile
from typing import Any

from broker.model.adapter_certificates import CertificateBook
from broker.model.agreement import State
from broker.model.agreement_book import AgreementBook, Event
from broker.model.announcements import AnnouncementBook
from broker.model.credentials import Credential, CredentialBook
from broker.model.drop_book import DropBook
from broker.model.facts import Fact, FactType
from broker.model.instants import optional_instant
from broker.model.lifecycle import IN_FORCE, AgreementEntry, Step, Transition
from broker.model.mandates import MandateBook
from broker.model.product_life import Life, LifeBook
from broker.model.push_book import Change
from broker.model.quarantine_book import QuarantineBook
from broker.model.raw_book import RawBook
from broker.model.registered import BoundClient, Organisation, Product, RegisteredSchema, Replay, SigningEpoch
from broker.model.seal_keys import SealKeyBook
from broker.model.webhook_book import WebhookBook

_STEPS = {
    FactType.AGREEMENT_DRAFTED: Step.DRAFTED,
    FactType.AGREEMENT_REQUESTED: Step.REQUESTED,
    FactType.AGREEMENT_APPROVED: Step.APPROVED,
    FactType.AGREEMENT_ADVISED: Step.ADVISED,
    FactType.AGREEMENT_SIGNED: Step.SIGNED,
    FactType.AGREEMENT_PUBLISHED: Step.PUBLISHED,
    FactType.AGREEMENT_ACTIVE: Step.ACTIVATED,
    FactType.AGREEMENT_SUSPENDED: Step.SUSPENDED,
    FactType.AGREEMENT_REVOKED: Step.REVOKED,
    FactType.AGREEMENT_ENDED: Step.ENDED,
}

_WEBHOOK = {
    FactType.WEBHOOK_SET: Change.SET,
    FactType.WEBHOOK_REMOVED: Change.REMOVED,
    FactType.WEBHOOK_SUSPENDED: Change.SUSPENDED,
    FactType.WEBHOOK_RESUMED: Change.RESUMED,
}

_DROP = {
    FactType.DROP_SET: Change.SET,
    FactType.DROP_REMOVED: Change.REMOVED,
    FactType.DROP_SUSPENDED: Change.SUSPENDED,
    FactType.DROP_RESUMED: Change.RESUMED,
}

_PUSH = _WEBHOOK | _DROP

_MANDATE = frozenset({FactType.MANDATE_GIVEN, FactType.MANDATE_ENDED})

_ADAPTER = frozenset({FactType.ADAPTER_CERTIFIED, FactType.ADAPTER_COUNTERSIGNED, FactType.ADAPTER_WITHDRAWN})

_SEAL_KEY = frozenset({FactType.SEAL_KEY, FactType.SEAL_KEY_DISTRUSTED})

_IDENTITY = frozenset(
    {
        FactType.ORGANISATION,
        FactType.CREDENTIAL,
        FactType.CREDENTIAL_REVOKED,
        FactType.CLIENT_BOUND,
        FactType.CLIENT_UNBOUND,
        FactType.ISSUER_ROTATED,
        *_MANDATE,
        *_ADAPTER,
        *_SEAL_KEY,
    }
)

_STREAM = frozenset({FactType.REPLAY_REQUESTED, FactType.PRODUCT_HALTED, FactType.PRODUCT_RESUMED, FactType.ANNOUNCED})

_LIFE = frozenset({FactType.PRODUCT_LAUNCHED, FactType.PRODUCT_DEPRECATED, FactType.PRODUCT_ENDED})

_BY_SOURCE = frozenset({FactType.QUARANTINE_OPENED, FactType.QUARANTINE_RETRIED, FactType.RAW_DECLARED})

_DECIDES_NOTHING = (
    _IDENTITY
    | _LIFE
    | frozenset(
        {
            FactType.AGREEMENT_DRAFTED,
            FactType.AGREEMENT_REQUESTED,
            FactType.AGREEMENT_APPROVED,
            FactType.AGREEMENT_ADVISED,
            FactType.AGREEMENT_SIGNED,
            FactType.AGREEMENT_PUBLISHED,
            FactType.REPLAY_REQUESTED,
            FactType.ANNOUNCED,
            *_PUSH,
            *_BY_SOURCE,
        }
    )
)
"""Facts after which every decision is what it was before: no router compiles anew."""

_STOPS = frozenset({FactType.AGREEMENT_SUSPENDED, FactType.AGREEMENT_REVOKED, FactType.AGREEMENT_ENDED})
"""Facts after which every decision under another agreement is what it was before."""


@dataclass(slots=True)
class ControlState:
    """Fold of the control log: `epoch` is the offset of the last fact applied, -1 before the first.

    `apply` is the only way to change it. `policy_epoch` moves only with facts that can change a decision, so that
    routers recompile only then. `products` is keyed by (source, product), `ceilings` by (source or None, product, purpose).
    Without `texts` it keeps no protocol's text, which is half of what an agreement takes and decides nothing.
    """

    texts: InitVar[bool] = True
    epoch: int = -1
    policy_epoch: int = -1
    versions: dict[str, int] = field(default_factory=dict)
    organisations: dict[str, Organisation] = field(default_factory=dict)
    clients: dict[tuple[str, str], BoundClient] = field(default_factory=dict)
    """By (issuer, client id)."""
    signing_epochs: tuple[SigningEpoch, ...] = ()
    """Keys of the local issuer before the present one, which is the next epoch; the first is 1."""
    schemas: dict[int, RegisteredSchema] = field(default_factory=dict)
    schema_ids: dict[str, int] = field(default_factory=dict)
    products: dict[tuple[str, str], Product] = field(default_factory=dict)
    purposes: tuple[Mapping[str, Any], ...] = ()
    ceilings: dict[tuple[str | None, str, str], Mapping[str, Any]] = field(default_factory=dict)
    pseudonym_epochs: dict[tuple[str, str], int] = field(default_factory=dict)
    """By (agency, purpose), where the first key was rotated."""
    replays: dict[str, Replay] = field(default_factory=dict)
    """The latest of each agreement that asked for one."""
    announcements: AnnouncementBook = field(default_factory=AnnouncementBook)
    mandates: MandateBook = field(default_factory=MandateBook)
    quarantine: QuarantineBook = field(default_factory=QuarantineBook)
    webhooks: WebhookBook = field(default_factory=WebhookBook)
    drops: DropBook = field(default_factory=DropBook)
    adapter_certificates: CertificateBook = field(default_factory=CertificateBook)
    seal_keys: SealKeyBook = field(default_factory=SealKeyBook)
    raw: RawBook = field(default_factory=RawBook)
    lives: LifeBook = field(default_factory=LifeBook)
    _others_epoch: int = -1
    """The policy epoch, but for stops."""
    _book: AgreementBook = field(default_factory=AgreementBook)
    _credentials: CredentialBook = field(default_factory=CredentialBook)

    def __post_init__(self, texts: bool) -> None:
        self._book.texts = texts

    @property
    def credentials(self) -> dict[str, Credential]:
        """Credentials by id that were not revoked, expired ones included."""
        return self._credentials.live

    @property
    def revoked_credentials(self) -> dict[str, Credential]:
        """Credentials by id that were."""
        return self._credentials.revoked

    def credential(self, identifier: str) -> Credential | None:
        """A credential, revoked or not."""
        return self.credentials.get(identifier) or self.revoked_credentials.get(identifier)

    def credential_of_certificate(self, thumbprint: str) -> Credential | None:
        """The credential, not revoked, that is the certificate with this digest."""
        return self._credentials.of_certificate(thumbprint)

    @property
    def agreements(self) -> dict[str, AgreementEntry]:
        """Agreements by id: the version in force, else the latest."""
        return self._book.agreements

    @property
    def amendments(self) -> dict[str, AgreementEntry]:
        """By id, the next version of an agreement while another one is in force."""
        return self._book.amendments

    @property
    def events(self) -> Sequence[Event]:
        """Every step that any agreement took, by epoch."""
        return self._book.events

    def stepped_since(self, epoch: int) -> frozenset[str]:
        """Agreements on which a step was taken after `epoch`; the cost does not grow with those on which none was."""
        since = takewhile(lambda event: event.transition.epoch > epoch, reversed(self.events))
        return frozenset(event.agreement for event in since)

    def stopped_since(self, epoch: int) -> frozenset[str] | None:
        """As `stepped_since`; None where a fact since may have changed decisions under others.

        Where nothing is decided under one of them, a decision at `epoch` is what it would be now.
        """
        return None if self._others_epoch > epoch else self.stepped_since(epoch)

    def versions_of(self, agreement: str) -> dict[int, AgreementEntry]:
        """Every version of an agreement by number, in order; empty where there is none."""
        return self._book.versions_of(agreement)

    def next_version(self, agreement: str, step: Step) -> int | None:
        """The version that may be drafted or requested now, anew or again; None where neither may be."""
        return self._book.next_version(agreement, step)

    def life_of(self, document: Mapping[str, Any]) -> Life:
        """The life of the product version that an agreement document is on."""
        return self.lives.of(str(document.get("source")), str(document.get("product")))

    def left_on(self, source: str, product: str) -> tuple[AgreementEntry, ...]:
        """Agreements in force on a product version, by id."""
        entries = (entry for _, entry in sorted(self.agreements.items()) if entry.state in IN_FORCE)
        return tuple(each for each in entries if (each.source, str(each.document["product"])) == (source, product))

    def is_pushed(self, agreement: str) -> bool:
        """Whether the broker itself brings the agreement's deliveries somewhere."""
        return agreement in self.webhooks.live or agreement in self.drops.live

    def pseudonym_epoch(self, agency: str, purpose: str) -> int:
        """Epoch of the key behind the agency's pseudonyms for the purpose; the first is 1."""
        return self.pseudonym_epochs.get((agency, purpose), 1)

    def version(self, aggregate: str) -> int:
        """Version that the next fact on `aggregate` must expect; 0 for a new one."""
        return self.versions.get(aggregate, 0)

    def apply(self, offset: int, fact: Fact) -> bool:
        """Apply one fact read at `offset`; False if it was stale, impossible or damaged and therefore ignored."""
        try:
            accepted = fact.expects == self.version(fact.aggregate) and self._change(offset, fact)
        except (
            KeyError,
            TypeError,
            ValueError,
            AttributeError,
        ):  # its data is not of its type: all readers pass over it alike
            accepted = False
        self.epoch = offset
        if accepted:
            self.versions[fact.aggregate] = fact.expects + 1
            if fact.type not in _DECIDES_NOTHING:
                self.policy_epoch = offset
                self._others_epoch = self._others_epoch if fact.type in _STOPS else offset
        return accepted

    def _change(self, offset: int, fact: Fact) -> bool:
        if fact.type in _STEPS:
            return self._step(offset, fact)
        if fact.type in _STREAM | _LIFE:
            return self._said(offset, fact)
        if fact.type in _PUSH:
            return self._push(offset, fact)
        if fact.type in _IDENTITY:
            return self._identify(offset, fact)
        if fact.type in _BY_SOURCE:
            return self._by_source(offset, fact)
        return self._rule(fact)

    def _step(self, offset: int, fact: Fact) -> bool:
        """What happened to an agreement."""
        data, step = fact.data, _STEPS[fact.type]
        if self._barred(step, data, fact.at):
            return False
        why, function = str(data.get("why", "")), data.get("function")
        taken = Transition(step, fact.by, fact.at, why, None if function is None else str(function), offset)
        accepted = self._book.take(step, data, taken, self._register)
        entry = self.agreements.get(str(data.get("id")))
        if entry is not None and entry.state is not State.ACTIVE:
            self.replays.pop(entry.id, None)
        return accepted

    def _barred(self, step: Step, data: Mapping[str, Any], at: datetime) -> bool:
        """Whether nothing may begin so on the product; what is in force goes on, and is amended."""
        stated = data.get("document")
        held = self.agreements.get(data["id"] if stated is None else stated["id"])
        if held is not None and held.state in IN_FORCE:
            return False
        document = held.document if stated is None and held is not None else stated
        return document is not None and self.life_of(document).bars(step, at)

    def _lived(self, offset: int, fact: Fact) -> bool:
        """What the owner of a product version says of its life; a deprecation is told in every stream on it, and as an event."""
        data = fact.data
        name = str(data["source"]), str(data["product"])
        if name not in self.products:
            return False
        if fact.type is FactType.PRODUCT_LAUNCHED:
            return self.lives.launch(name)
        if fact.type is FactType.PRODUCT_ENDED:
            return not self.left_on(*name) and self.lives.end(name, fact.at)
        if not self.lives.deprecate(name, data, fact.at, offset):
            return False
        self.announcements.deprecate(*name, str(data["text"]), str(data["sunset"]), offset)
        self._book.tell(*name, Transition(Step.DEPRECATED, fact.by, fact.at, str(data["text"]), None, offset))
        return True

    def _push(self, offset: int, fact: Fact) -> bool:
        """Where deliveries are brought to."""
        entry = self.agreements.get(fact.data["agreement"])
        agency = entry.agency if entry is not None and entry.activated_at is not None else None
        book = self.drops if fact.type in _DROP else self.webhooks
        return book.take(_PUSH[fact.type], fact.data, agency, fact.at, offset)

    def _by_source(self, offset: int, fact: Fact) -> bool:
        """What a source does about its quarantined records, and where its programs may write."""
        if fact.type is FactType.RAW_DECLARED:
            return self.raw.declare(fact.data, fact.at, self.organisations)
        if fact.type is FactType.QUARANTINE_OPENED:
            return self.quarantine.open(fact.data, fact.by, fact.at)
        return self.quarantine.retry(fact.data, offset)

    def _rule(self, fact: Fact) -> bool:
        """What may be released at all, of what, and with which keys."""
        data = fact.data
        if fact.type is FactType.SCHEMA:
            self._register(data["subject"], data["text"])
        elif fact.type is FactType.PRODUCT:
            before = self.products.get((data["source"], data["id"]))
            issued = fact.at if before is None else before.issued
            product = Product(data["id"], data["source"], self._register(data["id"], data["schema"]), issued, fact.at)
            self.products[product.source, product.id] = product
            if before is None and data.get("planned") is True:
                self.lives.plan((product.source, product.id))
        elif fact.type is FactType.PSEUDONYM_ROTATED:
            return self._rotate(data["agency"], data["purpose"], data["epoch"])
        elif fact.type is FactType.PURPOSES:
            self.purposes = tuple(data["purposes"])
        else:
            self.ceilings[data.get("source"), data["product"], data["purpose"]] = data
        return True

    def _identify(self, offset: int, fact: Fact) -> bool:
        """Who is known, by what, and for whom else."""
        data = fact.data
        if fact.type in _MANDATE | _ADAPTER | _SEAL_KEY:
            return self._vouch(offset, fact)
        if fact.type is FactType.ORGANISATION:
            self.organisations[data["id"]] = Organisation(data["id"], data["name"], data.get("ovo"), data.get("kbo"))
        elif fact.type is FactType.CREDENTIAL:
            return self._credentials.issue(data, fact.at, fact.by)
        elif fact.type is FactType.CREDENTIAL_REVOKED:
            return self._credentials.revoke(data["id"], fact.at)
        elif fact.type is FactType.CLIENT_BOUND:
            bound = BoundClient(data["issuer"], data["client"], data["organisation"], tuple(data["roles"]))
            self.clients[bound.issuer, bound.client] = bound
        elif fact.type is FactType.CLIENT_UNBOUND:
            return self.clients.pop((data["issuer"], data["client"]), None) is not None
        else:
            return self._rotate_issuer(data["epoch"], fact.at, keep=data["keep"])
        return True

    def _vouch(self, offset: int, fact: Fact) -> bool:
        """Whom, and which adapters and keys, somebody answers for."""
        if fact.type in _MANDATE:
            given = fact.type is FactType.MANDATE_GIVEN
            take = self.mandates.give if given else self.mandates.end
            return take(fact.data, fact.at, offset)
        if fact.type is FactType.SEAL_KEY:
            return fact.data["organisation"] in self.organisations and self.seal_keys.introduce(fact.data, fact.at)
        if fact.type is FactType.SEAL_KEY_DISTRUSTED:
            return self.seal_keys.distrust(fact.data)
        book = self.adapter_certificates
        if fact.type is FactType.ADAPTER_CERTIFIED:
            return book.certify(fact.data, fact.by, fact.at)
        if fact.type is FactType.ADAPTER_COUNTERSIGNED:
            return book.countersign(fact.data, fact.by, fact.at)
        return book.withdraw(fact.data, fact.by, fact.at)

    def _rotate(self, agency: str, purpose: str, epoch: int) -> bool:
        if epoch != self.pseudonym_epoch(agency, purpose) + 1:
            return False
        self.pseudonym_epochs[agency, purpose] = epoch
        return True

    def _rotate_issuer(self, epoch: int, at: datetime, *, keep: bool) -> bool:
        if epoch != len(self.signing_epochs) + 2:
            return False
        before = (*self.signing_epochs, SigningEpoch(epoch - 1, at, trusted=True))
        self.signing_epochs = tuple(SigningEpoch(one.epoch, one.until, trusted=one.trusted and keep) for one in before)
        return True

    def _said(self, offset: int, fact: Fact) -> bool:
        """What is said in streams, and what stops them."""
        data = fact.data
        if fact.type in _LIFE:
            return self._lived(offset, fact)
        if fact.type is FactType.REPLAY_REQUESTED:
            return self._replay(data["agreement"], data.get("since"), offset)
        if fact.type is FactType.ANNOUNCED:
            return self.announcements.announce(data, offset)
        if fact.type is FactType.PRODUCT_RESUMED:
            return self.announcements.resume(data, offset)
        if (data["source"], data["product"]) not in self.products or not self.announcements.halt(data, offset):
            return False
        for entry in self.agreements.values():
            if self.announcements.halts(entry) is not None:
                self.replays.pop(entry.id, None)
        return True

    def _replay(self, agreement: str, since: str | None, offset: int) -> bool:
        entry = self.agreements.get(agreement)
        if entry is None or entry.state is not State.ACTIVE:
            return False
        self.replays[agreement] = Replay(agreement, optional_instant(since), offset)
        return True

    def _register(self, subject: str, text: str) -> int:
        """Id of a schema text: equal texts share one id; ids start at 1 and follow the log."""
        if text not in self.schema_ids:
            identifier = len(self.schemas) + 1
            self.schema_ids[text] = identifier
            self.schemas[identifier] = RegisteredSchema(identifier, subject, text)
        return self.schema_ids[text]
