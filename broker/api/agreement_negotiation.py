"""The way of a version into force over HTTP: who may take which step, and what is stated with it.

The use-cases check the organisation again; here its credential must also hold the role of that side.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response

from broker.api.agreement_forms import (
    NO_TEXT,
    NOTHING,
    PDF,
    AdviceForm,
    ApprovalForm,
    SignatureForm,
    Stated,
    document_body,
    signature_form,
)
from broker.api.agreements import (
    OWN_WORDS,
    AgreementId,
    entry_for,
    require_either_side,
    require_owner,
    require_side,
    shown,
)
from broker.api.auth import AGENCY, DPO, OPERATOR, Caller, Principal
from broker.api.services import Broker, Services
from broker.control.limits import small_cells
from broker.errors import Forbidden, Invalid
from broker.model.lifecycle import Advice, AgreementEntry, Method, Signature
from broker.policy import documents

routes = APIRouter(prefix="/v1/agreements", tags=["agreements"])

UNBUFFERED = re.compile(r"/v1/agreements/[^/]+/signatures")
"""Paths whose bodies are bounded here, as they are read."""

Document = Annotated[dict[str, Any], Body(description="The agreement document.")]


@routes.post("/drafts", status_code=201)
async def draft_agreement(document: Document, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Keep a version that is being written, for its agency to request; only its form is checked."""
    caller.require(AGENCY, OPERATOR)
    _own(document, broker, caller, also=OPERATOR)
    return shown(await broker.agreements.draft(document, caller.organisation))


@routes.post("", status_code=201)
async def request_agreement(document: Document, broker: Broker, caller: Caller, response: Response) -> dict[str, Any]:
    """Check a version against schema, ceilings and clauses, and register it for approval by the source's owner.

    `warnings` name combinations of fields that may point at one person, for both sides to weigh. Answers 200 where this document was requested already and nothing changed.
    """
    caller.require(AGENCY)
    _own(document, broker, caller)
    return await _requested(broker, caller, document, response)


@routes.post("/{agreement}/request", status_code=201)
async def request_draft(agreement: AgreementId, broker: Broker, caller: Caller, response: Response) -> dict[str, Any]:
    """Request the draft as it stands."""
    entry = _negotiated(broker, agreement, caller)
    require_side(entry, caller, entry.agency, AGENCY)
    return await _requested(broker, caller, entry.document, response)


@routes.post("/{agreement}/approve")
async def approve_agreement(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    form: Annotated[ApprovalForm, Body(description="Optional.")] = NO_TEXT,
) -> dict[str, Any]:
    """Agree with its text; only the owner of the source may."""
    require_owner(_negotiated(broker, agreement, caller), caller)
    steps, digest = broker.agreements, form.text_sha256
    return shown(await steps.approve(agreement, caller.organisation, text_sha256=digest, **form.said()))


@routes.post("/{agreement}/advice", status_code=201)
async def advise_on_agreement(
    agreement: AgreementId, form: AdviceForm, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """The advice of the caller's own data protection officer on the text of this hash."""
    require_either_side(_negotiated(broker, agreement, caller), caller, also=DPO)
    advice = Advice(caller.organisation, form.verdict, form.reference, form.text_sha256, form.departure)
    return shown(await broker.agreements.advise(agreement, advice, caller.organisation, **form.said()))


@routes.post(
    "/{agreement}/signatures",
    status_code=201,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": SignatureForm.model_json_schema()},
                PDF: {"schema": {"type": "string", "format": "binary"}},
            },
        }
    },
)
async def sign_agreement(
    agreement: AgreementId,
    request: Request,
    broker: Broker,
    caller: Caller,
    function: Annotated[str | None, Query(description="With a PDF: function of who signs.")] = None,
    mandate: Annotated[str | None, Query(description="With a PDF: on what ground that function may.")] = None,
    text_sha256: Annotated[str | None, Query(alias="textSha256", description="With a PDF: the text's hash.")] = None,
) -> dict[str, Any]:
    """Sign for the caller's own side: JSON with method `dev` where all persons are fictional, else the signed PDF.

    Of a signed PDF its SHA-256 and signing time are kept, nothing of the certificate.
    """
    require_either_side(_negotiated(broker, agreement, caller), caller)
    body = await document_body(request)
    pdf = body if request.headers.get("content-type", "").partition(";")[0].strip().lower() == PDF else None
    stated = {"function": function, "mandate": mandate, "textSha256": text_sha256, "method": Method.QES_DOCUMENT}
    form = signature_form(body) if pdf is None else signature_form(stated)
    signature = Signature(
        organisation=caller.organisation,
        function=form.function,
        mandate=form.mandate,
        method=form.method,
        text_sha256=form.text_sha256,
        document_sha256=None,
        signed_at=datetime.now(UTC),
    )
    return shown(await broker.agreements.sign(agreement, signature, caller.organisation, pdf=pdf, **form.said()))


@routes.post("/{agreement}/publish")
async def publish_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """Make the signed text known; only the owner of the source may. Active at once where its term has begun."""
    require_owner(_negotiated(broker, agreement, caller), caller)
    return shown(await broker.agreements.publish(agreement, caller.organisation, **form.said()))


@routes.post("/{agreement}/withdraw")
async def withdraw_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """Give up the version that is being negotiated; either party may. One in force stays so."""
    require_either_side(_negotiated(broker, agreement, caller), caller)
    return shown(await broker.agreements.withdraw(agreement, caller.organisation, **form.said()))


async def _requested(
    broker: Services, caller: Principal, document: Mapping[str, Any], response: Response
) -> dict[str, Any]:
    before = broker.control.state.versions_of(str(document["id"]))
    entry = await broker.agreements.request(document, caller.organisation)
    known = before.get(entry.version)
    if known is not None and known.epoch == entry.epoch:
        response.status_code = 200
    weighed = small_cells(broker.control.state, documents.agreement(entry.document))
    return shown(entry) | {"warnings": [{"code": code, "path": path, "text": text} for code, path, text in weighed]}


def _own(document: Mapping[str, Any], broker: Services, caller: Principal, *, also: str | None = None) -> None:
    """Raise unless the document is the caller's to draft or request, under an id that is free or its own."""
    identifier = document.get("id")
    if not isinstance(identifier, str):
        raise Invalid("id: Field required")
    if identifier in OWN_WORDS:
        raise Invalid("id: this is a word of the interface: choose another")
    if also in caller.roles:
        return
    if document.get("agency") != caller.organisation:
        raise Forbidden("an agency requests agreements for itself")
    known = broker.control.state.agreements.get(identifier)
    if known is not None and known.agency != caller.organisation:
        raise Forbidden("this id is taken")


def _negotiated(broker: Services, agreement: str, caller: Principal) -> AgreementEntry:
    """The version that is being negotiated, else the one in force; raises `NotFound` as `entry_for`."""
    entry = entry_for(broker.control.state, agreement, caller)
    return broker.control.state.amendments.get(agreement, entry)
