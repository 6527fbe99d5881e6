"""What the addresses of webhooks and drops have in common: the form of a resumption, and how a registration fares."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from broker.delivery.push_subscriptions import Standing
from broker.model.push_book import PushEvent, R, Registration


class PushForm(BaseModel):
    """A body; members that it does not know are refused, and refusals repeat nothing of it."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, alias_generator=to_camel)


class ResumptionForm(PushForm):
    """`acceptLoss`: go on with the oldest retained record where the stored position is gone."""

    accept_loss: Annotated[bool, Field(strict=True)] = False


RESUMPTION = ResumptionForm.model_validate({})


def registration_shown(kind: str, registration: Registration) -> dict[str, Any]:
    """State and events of a registration of a kind."""
    suspended = registration.suspended
    return {
        "agreement": registration.agreement,
        "state": "active" if suspended is None else "suspended",
        "reason": suspended and suspended.value,
        "events": [_event(kind, event) for event in registration.events],
    }


def standing_shown(standing: Standing[R]) -> dict[str, Any]:
    """Position, lag, successes and failures."""
    health = standing.health
    instants = {
        "lastSuccess": health.last_success,
        "failingSince": health.failing_since,
        "lastFailure": health.last_failure,
        "nextAttempt": health.next_attempt if standing.subscription.suspended is None else None,
    }
    return {
        "position": standing.position,
        "lag": standing.lag,
        "failures": health.failures,
        "failure": health.failure and health.failure.value,
        **{name: at and at.isoformat() for name, at in instants.items()},
    }


def _event(kind: str, event: PushEvent) -> dict[str, Any]:
    return {
        "type": f"{kind}.{event.type.value}",
        "at": event.at.isoformat(),
        "reason": event.reason and event.reason.value,
        "epoch": event.epoch,
    }
