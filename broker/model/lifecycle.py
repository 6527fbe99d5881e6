"""Life cycle of one agreement version as a pure function: which step follows which, by whom, and what it leaves behind.

    draft ▸ requested (agency) ▸ approved (source) ▸ signed (both) ▸ published (source) ▸ active at its instant
                                                            active ▸ suspended | amended | revoked | ended

What is approved, advised on and signed is one rendered text, named by its hash. Legal frame: art. 8 of the Flemish
e-government decree of 18 July 2008 (protocol, advice of both data protection officers, publication).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from sys import intern
from typing import Any

from broker.model.agreement import Instrument, State


class Step(StrEnum):
    """What happened to a version; `RESUMED` and `AMENDED` are how an activation shows where a version was in force already.

    `DEPRECATED` is told of every agreement on a product that its owner deprecated; it changes none of them.
    """

    DRAFTED = "drafted"
    REQUESTED = "requested"
    APPROVED = "approved"
    ADVISED = "advised"
    SIGNED = "signed"
    PUBLISHED = "published"
    ACTIVATED = "activated"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    ENDED = "ended"
    RESUMED = "resumed"
    AMENDED = "amended"
    DEPRECATED = "product-deprecated"


class Verdict(StrEnum):
    """Outcome of a data protection officer's advice."""

    FAVOURABLE = "favourable"
    CONDITIONAL = "conditional"
    UNFAVOURABLE = "unfavourable"


class Method(StrEnum):
    """How a side signed: a qualified electronic signature on the protocol's PDF, or a stand-in for fictional persons."""

    QES_DOCUMENT = "qes-document"
    DEV = "dev"


@dataclass(frozen=True, slots=True)
class Advice:
    """Advice of one side's data protection officer on the text with this hash.

    `departure` is that side's written reason to do otherwise: an unfavourable advice needs one before it can sign.
    """

    organisation: str
    verdict: Verdict
    reference: str
    text_sha256: str
    departure: str | None = None

    @property
    def stands_in_the_way(self) -> bool:
        """Whether this side cannot sign on it."""
        return self.verdict is Verdict.UNFAVOURABLE and not self.departure


@dataclass(frozen=True, slots=True)
class Signature:
    """One side's signature on the text with this hash: function and mandate, never a person's name or certificate.

    `document_sha256` is that of the signed PDF, `signed_at` the time in its signature (`dev`: none, and of the request).
    """

    organisation: str
    function: str
    mandate: str
    method: Method
    text_sha256: str
    document_sha256: str | None
    signed_at: datetime


@dataclass(frozen=True, slots=True)
class Transition:
    """One step: the organisation that took it, when, why, in which function, and the offset of its fact."""

    type: Step
    by: str
    at: datetime
    why: str = ""
    function: str | None = None
    epoch: int = -1


@dataclass(frozen=True, slots=True)
class AgreementEntry:
    """One version of an agreement: its document, state and egress schema, and how it came there.

    `epoch` is the offset of the fact that brought it into this state: lanes write a barrier for every revocation whose
    epoch lies after the one they last committed under. `activated_at` is the instant from which its agency has known
    its population: an amendment keeps that of the version it replaced (`amends`, by the fact at `amended_epoch`).
    `text` is the protocol as it was requested, and is signed: later names and wordings do not change it.
    A version without `text_sha256` was requested before there were texts: it was approved and activated in one step.
    """

    id: str
    version: int
    state: State
    document: Mapping[str, Any]
    egress_schema_id: int | None
    since: datetime
    epoch: int
    activated_at: datetime | None = None
    text_sha256: str | None = None
    text: str | None = None
    advice: tuple[Advice, ...] = ()
    signatures: tuple[Signature, ...] = ()
    history: tuple[Transition, ...] = ()
    amends: int | None = None
    amended_epoch: int = -1

    @property
    def source(self) -> str:
        """The organisation that owns the product."""
        return str(self.document["source"])

    @property
    def agency(self) -> str:
        """The organisation that receives."""
        return str(self.document["agency"])

    def advice_of(self, organisation: str) -> Advice | None:
        """What its data protection officer advised on the present text."""
        return next((advice for advice in self.advice if advice.organisation == organisation), None)

    def signed_by(self, organisation: str) -> bool:
        """Whether it signed the present text."""
        return any(signature.organisation == organisation for signature in self.signatures)

    @property
    def about_nobody(self) -> bool:
        """Whether open data is its only instrument: no advice and no signatures."""
        bases = self.document["bases"]
        return bool(bases) and all(str(basis["instrument"]) == Instrument.OPEN_DATA for basis in bases)


IN_FORCE = frozenset({State.ACTIVE, State.SUSPENDED})
"""States in which the next version is an amendment."""

EDITABLE = frozenset({State.DRAFT, State.REQUESTED, State.APPROVED})
"""States in which the same version may be requested again; what was approved, advised and signed is void then."""

OPEN = EDITABLE | {State.SIGNED, State.PUBLISHED}
"""States before the first activation."""

_TAKEN_IN: Mapping[Step, frozenset[State]] = {
    Step.DRAFTED: frozenset({State.DRAFT}),
    Step.REQUESTED: EDITABLE,
    Step.APPROVED: frozenset({State.REQUESTED}),
    Step.ADVISED: frozenset({State.REQUESTED, State.APPROVED}),
    Step.SIGNED: frozenset({State.APPROVED}),
    Step.PUBLISHED: frozenset({State.SIGNED}),
    Step.ACTIVATED: frozenset({State.PUBLISHED, State.SUSPENDED}),
    Step.SUSPENDED: frozenset({State.ACTIVE}),
    Step.REVOKED: OPEN | IN_FORCE,
    Step.ENDED: IN_FORCE | {State.REVOKED},
}


def states_for(step: Step, entry: AgreementEntry) -> frozenset[State]:
    """States in which this version may take the step."""
    if step is Step.ACTIVATED and entry.text_sha256 is None:
        return frozenset({State.REQUESTED, State.SUSPENDED})
    if step is Step.PUBLISHED and entry.about_nobody:
        return frozenset({State.APPROVED})
    if step in {Step.ADVISED, Step.SIGNED} and entry.about_nobody:
        return frozenset()
    return _TAKEN_IN[step]


def awaited(entry: AgreementEntry) -> tuple[tuple[Step, str], ...]:
    """What a version needs before it is published, and from which organisation, in an order that works; empty after."""
    owed = {
        State.DRAFT: ((Step.REQUESTED, entry.agency),),
        State.REQUESTED: ((Step.APPROVED, entry.source),),
        State.SIGNED: ((Step.PUBLISHED, entry.source),),
    }
    if entry.state is not State.APPROVED:
        return owed.get(entry.state, ())
    if entry.about_nobody:
        return owed[State.SIGNED]
    sides = (entry.source, entry.agency)
    advice = tuple((Step.ADVISED, side) for side in sides if entry.advice_of(side) is None)
    return (*advice, *((Step.SIGNED, side) for side in sides if not entry.signed_by(side)))


def stepped(entry: AgreementEntry, step: Step, data: Mapping[str, Any], taken: Transition) -> AgreementEntry | None:
    """The version after a step, or None where it may not be taken so; `taken` says by whom and when.

    Raises `KeyError`, `TypeError`, `ValueError` or `AttributeError` where `data` is not of its type.
    """
    if entry.state not in states_for(step, entry):
        return None
    changes = _changes(entry, step, data, taken)
    if changes is None:
        return None
    return replace(entry, since=taken.at, epoch=taken.epoch, history=(*entry.history, taken), **changes)


def _changes(entry: AgreementEntry, step: Step, data: Mapping[str, Any], taken: Transition) -> Mapping[str, Any] | None:
    match step:
        case Step.APPROVED | Step.PUBLISHED:
            fits = taken.by == entry.source and data["text_sha256"] == entry.text_sha256
            return {"state": State(step.value)} if fits else None
        case Step.ADVISED:
            return _advised(entry, advice_of(data["advice"]), taken)
        case Step.SIGNED:
            return _signed(entry, signature_of(data["signature"]), taken)
        case Step.ACTIVATED:
            return {"state": State.ACTIVE, "activated_at": entry.activated_at or taken.at}
        case Step.SUSPENDED | Step.REVOKED | Step.ENDED:
            return {"state": State(step.value)}
        case _:
            return None


def _advised(entry: AgreementEntry, advice: Advice, taken: Transition) -> Mapping[str, Any] | None:
    side = advice.organisation
    about_this = advice.text_sha256 == entry.text_sha256 and side in {entry.source, entry.agency}
    if side != taken.by or not about_this or entry.signed_by(side):
        return None
    others = (known for known in entry.advice if known.organisation != side)
    return {"advice": (*others, advice)}


def _signed(entry: AgreementEntry, signature: Signature, taken: Transition) -> Mapping[str, Any] | None:
    side = signature.organisation
    about_this = signature.text_sha256 == entry.text_sha256 and side in {entry.source, entry.agency}
    advice = entry.advice_of(side)
    if side != taken.by or not about_this or entry.signed_by(side) or advice is None or advice.stands_in_the_way:
        return None
    signatures = (*entry.signatures, signature)
    both = {each.organisation for each in signatures} == {entry.source, entry.agency}
    return {"signatures": signatures, "state": State.SIGNED if both else State.APPROVED}


def advice_document(advice: Advice) -> dict[str, Any]:
    """JSON object of an advice; `advice_of` gives an equal value back."""
    return {
        "organisation": advice.organisation,
        "verdict": advice.verdict.value,
        "reference": advice.reference,
        "text_sha256": advice.text_sha256,
        "departure": advice.departure,
    }


def advice_of(data: Mapping[str, Any]) -> Advice:
    """The advice that a fact holds."""
    departure = data["departure"]
    return Advice(
        intern(str(data["organisation"])),
        Verdict(data["verdict"]),
        str(data["reference"]),
        intern(str(data["text_sha256"])),
        None if departure is None else str(departure),
    )


def signature_document(signature: Signature) -> dict[str, Any]:
    """JSON object of a signature; `signature_of` gives an equal value back."""
    return {
        "organisation": signature.organisation,
        "function": signature.function,
        "mandate": signature.mandate,
        "method": signature.method.value,
        "text_sha256": signature.text_sha256,
        "document_sha256": signature.document_sha256,
        "signed_at": signature.signed_at.isoformat(),
    }


def signature_of(data: Mapping[str, Any]) -> Signature:
    """The signature that a fact holds."""
    method, document = Method(data["method"]), data["document_sha256"]
    if (method is Method.QES_DOCUMENT) != (document is not None):
        raise ValueError("a signed document has a digest, a stand-in has none")
    return Signature(
        intern(str(data["organisation"])),
        intern(str(data["function"])),
        intern(str(data["mandate"])),
        method,
        intern(str(data["text_sha256"])),
        None if document is None else str(document),
        datetime.fromisoformat(data["signed_at"]),
    )
