"""Consents: an agency registers what subjects agreed to. The subject is in the body, never in a URL or answer."""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import Field

from broker.api.agreements import AgreementId, agency_entry
from broker.api.auth import Caller
from broker.api.dossier_forms import Form, Instant, Subject, Word
from broker.api.services import Broker
from broker.model.agreement import GivenBy

routes = APIRouter(prefix="/v1/agreements/{agreement}/consents", tags=["consents"])


class ConsentForm(Form):
    """What one subject agreed to; `reference` is the agency's own, of the proof it keeps (art. 7.1 GDPR)."""

    subject: Subject
    reference: Word
    givenBy: GivenBy = GivenBy.SUBJECT  # noqa: N815 - as it is written in JSON
    begin: Instant | None = None
    end: Instant | None = None
    fields: Annotated[
        list[str] | None, Field(max_length=500, description="Released fields it is limited to, by path or name.")
    ] = None


class WithdrawalForm(Form):
    """Which consent is withdrawn, and as of when (now if absent; it may be in the past)."""

    subject: Subject
    reference: Word
    end: Instant | None = None


@routes.post("", status_code=201)
async def grant_consent(
    agreement: AgreementId, form: Annotated[ConsentForm, Body()], broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Register a consent, or narrow or widen one: `status` is `granted`, `changed` or `already`.

    `settled` tells whether the stream has it: then the subject's present state is in it.
    """
    agency_entry(broker.control.state, agreement, caller, "registers consents")
    status, settled = await broker.consents.grant(
        agreement,
        caller.organisation,
        subject=form.subject,
        reference=form.reference,
        given_by=form.givenBy,
        begin=form.begin,
        end=form.end,
        fields=form.fields,
    )
    return {"agreement": agreement, "reference": form.reference, "status": status, "settled": settled}


@routes.post("/withdraw")
async def withdraw_consent(
    agreement: AgreementId, form: Annotated[WithdrawalForm, Body()], broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Withdraw a consent: once `settled`, nothing of this subject follows its departure in the stream."""
    agency_entry(broker.control.state, agreement, caller, "registers consents")
    status, settled = await broker.consents.withdraw(
        agreement, caller.organisation, subject=form.subject, reference=form.reference, end=form.end
    )
    return {"agreement": agreement, "reference": form.reference, "status": status, "settled": settled}


@routes.get("")
async def list_consents(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """The consents that the agency registered, by reference; never their subjects."""
    agency_entry(broker.control.state, agreement, caller, "registers consents")
    held = await broker.consents.list(agreement, caller.organisation)
    items = [
        {
            "reference": consent.reference,
            "givenBy": consent.given_by.value,
            "begin": consent.begin.isoformat(),
            "end": consent.end and consent.end.isoformat(),
            "fields": None if consent.fields is None else sorted(consent.fields),
        }
        for consent in sorted(held, key=lambda consent: (consent.reference, consent.begin))
    ]
    return {"items": items}
