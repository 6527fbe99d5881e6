"""Agreements as their parties and the operator read them: listed, shown by version, and one event per step they took."""

from bisect import bisect_right
from itertools import islice, takewhile
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from broker.api.auth import AGENCY, SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.errors import Forbidden, NotFound
from broker.model import topics
from broker.model.agreement_book import Event
from broker.model.control_state import ControlState
from broker.model.lifecycle import Advice, AgreementEntry, Signature, Transition, awaited

routes = APIRouter(prefix="/v1/agreements", tags=["agreements"])

AgreementId = Annotated[str, Path(max_length=80, description="Slug of the agreement.")]
Version = Annotated[int | None, Query(ge=1, description="Version; without it the one in force, else the latest.")]

OWN_WORDS = frozenset({"events", "drafts"})
"""Paths beside the agreements themselves, so that none can be called so."""


def entry_for(state: ControlState, agreement: str, caller: Principal, version: int | None = None) -> AgreementEntry:
    """The agreement if the caller is a party to it, the operator or a supervisor; raises `NotFound` alike for unknown and foreign."""
    entry = state.agreements.get(agreement)
    if entry is None or not sees(entry, caller):
        raise NotFound("no such agreement of this organisation")
    if version is None:
        return entry
    found = state.versions_of(agreement).get(version)
    if found is None:
        raise NotFound("the agreement has no such version")
    return found


def sees(entry: AgreementEntry, caller: Principal) -> bool:
    """Whether the caller may know of it."""
    return caller.oversees or caller.organisation in {entry.source, entry.agency}


def require_owner(entry: AgreementEntry, caller: Principal, *, operator: bool = False) -> None:
    """Raise `Forbidden` for anyone but the source's owner; `operator`: it may too, as it may stop deliveries, never start."""
    if not (operator and caller.is_operator):
        require_side(entry, caller, entry.source, SOURCE_OWNER)


def require_either_side(entry: AgreementEntry, caller: Principal, *, also: str | None = None) -> None:
    """Raise `Forbidden` for anyone but the two sides, each with a credential of its role or of `also`."""
    if also in caller.roles and caller.organisation in {entry.source, entry.agency}:
        return
    source = caller.organisation == entry.source
    require_side(entry, caller, entry.source if source else entry.agency, SOURCE_OWNER if source else AGENCY)


def require_side(entry: AgreementEntry, caller: Principal, organisation: str, role: str) -> None:
    """Raise `Forbidden` for anyone but one of the sides, with a credential of `role`."""
    if caller.organisation != organisation or role not in caller.roles:
        sides = {entry.source: "the owner of the source", entry.agency: "the agency"}
        raise Forbidden(f"only {sides[organisation]} ({organisation}) may do this, with a credential of role {role}")


def agency_entry(state: ControlState, agreement: str, caller: Principal, act: str) -> AgreementEntry:
    """The agreement, if the caller is its agency; a source or operator that sees it is told that only that one may `act`."""
    entry = entry_for(state, agreement, caller)
    if entry.agency != caller.organisation:
        raise Forbidden(f"only the agreement's agency {act}")
    if AGENCY not in caller.roles:
        raise Forbidden(f"this needs the role {AGENCY}")
    return entry


def shown(entry: AgreementEntry) -> dict[str, Any]:
    """An agreement as JSON; `topic` is where its deliveries are, once it is active."""
    document = entry.document
    activated = entry.activated_at
    return {
        "id": entry.id,
        "version": entry.version,
        "state": entry.state.value,
        "title": document["title"],
        "source": document["source"],
        "product": document["product"],
        "agency": document["agency"],
        "purpose": document["purpose"],
        "since": entry.since.isoformat(),
        "activatedAt": activated and activated.isoformat(),
        "epoch": entry.epoch,
        "topic": activated and topics.delivery(document["agency"], entry.id),
        "egressSchemaId": entry.egress_schema_id,
        "textSha256": entry.text_sha256,
        "advice": [_advice(each) for each in entry.advice],
        "signatures": [_signature(each) for each in entry.signatures],
        "awaits": [{"step": step.value, "by": organisation} for step, organisation in awaited(entry)],
    }


@routes.get("")
async def list_agreements(
    broker: Broker,
    caller: Caller,
    after: Annotated[str, Query(max_length=80, description="Id of the last one already seen.")] = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """The caller's agreements by id; `next` is where the following page starts, null on the last."""
    entries = broker.control.state.agreements
    own = sorted(name for name in entries if name > after and sees(entries[name], caller))
    page = own[:limit]
    return {"items": [shown(entries[name]) for name in page], "next": page[-1] if len(own) > limit else None}


@routes.get("/events")
async def list_events(
    broker: Broker,
    caller: Caller,
    after: Annotated[int, Query(ge=-1, description="`next` of the answer before; without it from the start.")] = -1,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> dict[str, Any]:
    """One event for every step that an agreement of the caller took, by epoch, each exactly once and sealed.

    `product-deprecated` is no step: the product's owner announced its sunset, and `why` says so.

    `next` is never null: ask again with it, at once or later, for what came since. `seal` is an Ed25519 signature in
    hexadecimal by `sealKey`, over `datanuts agreement event`, a line feed, and the event without its seal as JSON with
    sorted keys and no spaces, in UTF-8.
    """
    events = broker.control.state.events
    start = bisect_right(events, after, key=lambda event: event.transition.epoch)
    own = (event for event in islice(events, start, None) if _told(event, caller))
    page = list(islice(own, limit))
    last = page[-1].transition.epoch if page else after
    # A fact about a product is one event per agreement: `next` is an epoch, so all of them are on one page.
    page += takewhile(lambda event: event.transition.epoch == last, own)
    return {
        "items": [broker.seals.sealed(_event(event)) for event in page],
        "next": last,
        "sealKey": broker.seals.key(),
    }


@routes.get("/{agreement}")
async def show_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, version: Version = None
) -> dict[str, Any]:
    """One version with its document and history, the numbers of all versions, and the amendment being negotiated."""
    state = broker.control.state
    entry = entry_for(state, agreement, caller, version)
    amendment = state.amendments.get(agreement)
    return shown(entry) | {
        "document": entry.document,
        "history": [_transition(each) for each in entry.history],
        "versions": list(state.versions_of(agreement)),
        "amendment": amendment and shown(amendment),
    }


def _told(event: Event, caller: Principal) -> bool:
    return caller.oversees or caller.organisation in {event.source, event.agency}


def _event(event: Event) -> dict[str, Any]:
    return {
        "agreement": event.agreement,
        "version": event.version,
        "state": event.state.value,
        "source": event.source,
        "agency": event.agency,
        **_transition(event.transition),
    }


def _transition(taken: Transition) -> dict[str, Any]:
    return {
        "type": taken.type.value,
        "by": taken.by,
        "function": taken.function,
        "at": taken.at.isoformat(),
        "why": taken.why,
        "epoch": taken.epoch,
    }


def _advice(advice: Advice) -> dict[str, Any]:
    return {
        "organisation": advice.organisation,
        "verdict": advice.verdict.value,
        "reference": advice.reference,
        "departure": advice.departure,
    }


def _signature(signature: Signature) -> dict[str, Any]:
    return {
        "organisation": signature.organisation,
        "function": signature.function,
        "mandate": signature.mandate,
        "method": signature.method.value,
        "documentSha256": signature.document_sha256,
        "signedAt": signature.signed_at.isoformat(),
    }
