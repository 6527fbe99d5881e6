"""An agency's webhook under one of its agreements: where deliveries are sent, how that goes, and what to do about it."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from broker.api.agreements import AgreementId, agency_entry
from broker.api.auth import Caller, Principal
from broker.api.services import Broker, Services
from broker.delivery.egress_guard import LONGEST_URL
from broker.delivery.webhook_subscriptions import Standing, Start, Webhooks
from broker.errors import NotFound
from broker.model.webhook_book import Subscription, WebhookEvent

routes = APIRouter(prefix="/v1/agreements/{agreement}/webhook", tags=["webhooks"])

_LONGEST_OVERLAP_H = 168


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)


class WebhookForm(_Form):
    """Where deliveries go; `start` (for a new one): the oldest retained record, or what comes from now on."""

    url: Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_URL)]
    start: Start = Start.OLDEST


class RotationForm(_Form):
    """Hours for which the present secret signs too."""

    overlap_hours: Annotated[int, Field(strict=True, ge=0, le=_LONGEST_OVERLAP_H)] = 24


class ResumptionForm(_Form):
    """`acceptLoss`: go on with the oldest retained record where the stored position is gone."""

    accept_loss: Annotated[bool, Field(strict=True)] = False


_ROTATION, _RESUMPTION = RotationForm.model_validate({}), ResumptionForm.model_validate({})


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
    return _standing(await _for(broker, agreement, caller).standing(agreement, caller.organisation))


@routes.delete("")
async def remove_webhook(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Send nothing any more; its secret and its position are of no use afterwards."""
    await _for(broker, agreement, caller).remove(agreement, caller.organisation)
    return {"agreement": agreement, "state": "removed"}


@routes.post("/resume")
async def resume_webhook(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Annotated[ResumptionForm, Body()] = _RESUMPTION
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
    suspended = subscription.suspended
    return {
        "agreement": subscription.agreement,
        "url": subscription.url,
        "state": "active" if suspended is None else "suspended",
        "reason": suspended and suspended.value,
        "secretOverlapUntil": subscription.until and subscription.until.isoformat(),
        "events": [_event(event) for event in subscription.events],
    }


def _standing(standing: Standing) -> dict[str, Any]:
    health = standing.health
    instants = {
        "lastSuccess": health.last_success,
        "failingSince": health.failing_since,
        "lastFailure": health.last_failure,
        "nextAttempt": health.next_attempt if standing.subscription.suspended is None else None,
    }
    return {
        **_subscription(standing.subscription),
        "position": standing.position,
        "lag": standing.lag,
        "failures": health.failures,
        "failure": health.failure and health.failure.value,
        **{name: at and at.isoformat() for name, at in instants.items()},
    }


def _event(event: WebhookEvent) -> dict[str, Any]:
    return {
        "type": f"webhook.{event.type.value}",
        "at": event.at.isoformat(),
        "reason": event.reason and event.reason.value,
        "epoch": event.epoch,
    }
