"""An agency's webhook under one of its agreements: where deliveries are sent, how that goes, and what to do about it."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import Field

from broker.api.agreements import AgreementId, agency_entry
from broker.api.auth import Caller, Principal
from broker.api.pushes import RESUMPTION, PushForm, ResumptionForm, registration_shown, standing_shown
from broker.api.services import Broker, Services
from broker.delivery.egress_guard import LONGEST_URL
from broker.delivery.push_subscriptions import Start
from broker.delivery.webhook_subscriptions import Webhooks
from broker.errors import NotFound
from broker.model.webhook_book import Subscription

routes = APIRouter(prefix="/v1/agreements/{agreement}/webhook", tags=["webhooks"])

_LONGEST_OVERLAP_H = 168


class WebhookForm(PushForm):
    """Where deliveries go; `start` (for a new one): the oldest retained record, or what comes from now on."""

    url: Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_URL)]
    start: Start = Start.OLDEST


class RotationForm(PushForm):
    """Hours for which the present secret signs too."""

    overlap_hours: Annotated[int, Field(strict=True, ge=0, le=_LONGEST_OVERLAP_H)] = 24


_ROTATION = RotationForm.model_validate({})


@routes.put("")
async def set_webhook(
    agreement: AgreementId, form: Annotated[WebhookForm, Body()], broker: Broker, caller: Caller, response: Response
) -> dict[str, Any]:
    """Have deliveries sent to a URL. The answer to the first time (201) shows the secret, and no other ever does."""
    made, secret = await _for(broker, agreement, caller).set(agreement, caller.organisation, form.url, start=form.start)
    response.status_code = 200 if secret is None else 201
    return _subscription(made) | _once(response, secret)


@routes.get("")
async def show_webhook(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """State, position and lag, last success and failure, the next attempt, and what happened to it so far."""
    standing = await _for(broker, agreement, caller).standing(agreement, caller.organisation)
    return _subscription(standing.subscription) | standing_shown(standing)


@routes.delete("")
async def remove_webhook(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Send nothing any more; its secret and its position are of no use afterwards."""
    await _for(broker, agreement, caller).remove(agreement, caller.organisation)
    return {"agreement": agreement, "state": "removed"}


@routes.post("/resume")
async def resume_webhook(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Annotated[ResumptionForm, Body()] = RESUMPTION
) -> dict[str, Any]:
    """Go on after a suspension, at the stored position."""
    webhooks = _for(broker, agreement, caller)
    return _subscription(await webhooks.resume(agreement, caller.organisation, accept_loss=form.accept_loss))


@routes.post("/rotate")
async def rotate_secret(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    response: Response,
    form: Annotated[RotationForm, Body()] = _ROTATION,
) -> dict[str, Any]:
    """A new secret, shown once; the present one signs beside it for a while."""
    webhooks = _for(broker, agreement, caller)
    made, secret = await webhooks.rotate(agreement, caller.organisation, timedelta(hours=form.overlap_hours))
    return _subscription(made) | _once(response, secret)


@routes.post("/test")
async def test_webhook(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Send one signed event of type `be.vlaanderen.datanuts.webhook.test`; nothing of what the receiver says is shown."""
    done = await _for(broker, agreement, caller).test(agreement, caller.organisation)
    return {"delivered": done.failure is None, "status": done.status, "failure": done.failure}


def _for(broker: Services, agreement: str, caller: Principal) -> Webhooks:
    agency_entry(broker.control.state, agreement, caller, "sets its webhook")
    if broker.webhooks is None:
        raise NotFound("this broker sends no webhooks")
    return broker.webhooks


def _once(response: Response, secret: str | None) -> dict[str, str]:
    response.headers["Cache-Control"] = "no-store"
    return {} if secret is None else {"secret": secret}


def _subscription(subscription: Subscription) -> dict[str, Any]:
    return registration_shown("webhook", subscription) | {
        "url": subscription.url,
        "secretOverlapUntil": subscription.until and subscription.until.isoformat(),
    }
