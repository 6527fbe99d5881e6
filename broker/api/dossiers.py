"""Dossiers: an agency registers that it handles a file on a subject. The subject is in the body, never in a URL or answer."""

from enum import StrEnum
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request

from broker.api.agreements import AgreementId, agency_entry
from broker.api.auth import Caller, Principal
from broker.api.dossier_forms import ClosingForm, DossierForm
from broker.api.services import Broker, Services
from broker.control.dossiers import Known
from broker.delivery.streams import Egress, item, stream_of
from broker.errors import NotFound
from broker.model import topics
from broker.model.control_state import ControlState

routes = APIRouter(prefix="/v1/agreements/{agreement}/dossiers", tags=["dossiers"])

LONGEST_WAIT_S = 5


class Unknown(StrEnum):
    """What to do with a subject that the source has no record of now."""

    REFUSE = "refuse"
    REGISTER = "register"


UnknownSubjects = Annotated[
    Unknown,
    Query(description="Subjects that the source has no record of now: `register` where it will have one later."),
]


@routes.post("", status_code=201)
async def add_dossier(
    agreement: AgreementId,
    form: Annotated[DossierForm, Body()],
    request: Request,
    broker: Broker,
    caller: Caller,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for the present state.")] = 0,
    unknown: UnknownSubjects = Unknown.REFUSE,
) -> dict[str, Any]:
    """Register a file; `status` is `registered`, or `already` where the agency holds it already.

    A subject that the source has no record of now is refused with 404 `UNKNOWN_SUBJECT`, unless `unknown=register`.
    With `wait`, as a counter needs, `delivery` is the item that brings the subject's present state into the stream; null
    where there is none in time: the source does not know the subject, the file is not open now, or nothing is delivered.
    """
    require_own(broker.control.state, agreement, caller)
    stream = stream_of(broker.control.state, agreement, caller.organisation) if wait else None
    head = await broker.deliveries.head(stream.topic) if stream else 0
    status = await broker.dossiers.add(
        agreement,
        caller.organisation,
        subject=form.subject,
        capacity=form.capacity,
        reference=form.reference,
        begin=form.begin,
        end=form.end,
        known=asked_of_source(broker, agreement, unknown),
    )
    told = {"agreement": agreement, "reference": form.reference, "status": status}
    if stream is None:
        return told
    key = broker.dossiers.stream_key(agreement, caller.organisation, form.subject)
    late = status != "registered" or stream.stopped
    found = None if late else await broker.deliveries.find(stream.topic, head, key, wait_s=wait)
    egress: Egress = request.app.state.egress
    state = broker.control.state
    decoded = egress.decode(found.value, state.schemas) if found is not None and found.value else None
    return told | {"delivery": None if found is None else item(stream, found, decoded)}


@routes.post("/end")
async def end_dossier(
    agreement: AgreementId, form: Annotated[ClosingForm, Body()], broker: Broker, caller: Caller
) -> dict[str, Any]:
    """End a file: the agency gets one `left-population` for this subject and nothing after."""
    require_own(broker.control.state, agreement, caller)
    status = await broker.dossiers.end(
        agreement, caller.organisation, subject=form.subject, reference=form.reference, end=form.end
    )
    return {"agreement": agreement, "reference": form.reference, "status": status}


@routes.get("")
async def list_dossiers(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    after: Annotated[str | None, Query(max_length=80, description="`next` of an earlier page.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 500,
) -> dict[str, Any]:
    """Some `limit` of the agency's own files, never their subjects; `next` is null on the last page."""
    require_own(broker.control.state, agreement, caller)
    page = await broker.dossiers.page(agreement, caller.organisation, after, limit=limit)
    items = [
        {
            "reference": file.reference,
            "capacity": file.capacity,
            "begin": file.begin.isoformat(),
            "end": file.end and file.end.isoformat(),
        }
        for file in sorted(page.files, key=lambda file: (file.reference, file.begin))
    ]
    return {"items": items, "next": page.next}


@routes.get("/count")
async def count_dossiers(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, int]:
    """How many files the agency has, and how many of them are open or will be."""
    require_own(broker.control.state, agreement, caller)
    standing = await broker.dossiers.standing(agreement, caller.organisation)
    return {"total": standing.total, "open": standing.open}


def asked_of_source(broker: Services, agreement: str, unknown: Unknown) -> Known | None:
    """Who tells the subjects of the agreement's product that are known now; None where that does not matter."""
    if unknown is Unknown.REGISTER:
        return None
    document = broker.control.state.agreements[agreement].document
    return partial(broker.known.among, topics.source(document["source"], document["product"]))


def require_own(state: ControlState, agreement: str, caller: Principal) -> None:
    """Only the agreement's agency touches its files, where it is asked for any."""
    entry = agency_entry(state, agreement, caller, "keeps dossiers")
    if not entry.document.get("population", {}).get("dossiers", False):
        raise NotFound("this agreement's population does not use dossiers")
