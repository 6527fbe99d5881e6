"""What is done to an agreement in force, over HTTP: suspended, resumed, ended, revoked."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter

from broker.api.agreement_forms import NOTHING, Stated, StepForm
from broker.api.agreements import AgreementId, entry_for, require_either_side, require_owner, shown
from broker.api.auth import Caller, Principal
from broker.api.services import Broker, Services
from broker.model.lifecycle import AgreementEntry

routes = APIRouter(prefix="/v1/agreements", tags=["agreements"])


@routes.post("/{agreement}/suspend")
async def suspend_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """Withhold everything until it is resumed."""
    return await _as_owner(broker, caller, agreement, form, broker.agreements.suspend, operator=True)


@routes.post("/{agreement}/resume")
async def resume_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """Release again."""
    return await _as_owner(broker, caller, agreement, form, broker.agreements.resume)


@routes.post("/{agreement}/end")
async def end_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """End it for good; either party may."""
    require_either_side(entry_for(broker.control.state, agreement, caller), caller)
    return shown(await broker.agreements.end(agreement, caller.organisation, **form.said()))


@routes.post("/{agreement}/revoke")
async def revoke_agreement(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Stated = NOTHING
) -> dict[str, Any]:
    """Stop deliveries now: answers when every lane's barrier is committed; after it there are 0 records."""
    require_owner(entry_for(broker.control.state, agreement, caller), caller, operator=True)
    done = await broker.agreements.revoke(agreement, caller.organisation, **form.said())
    return {
        "id": agreement,
        "state": broker.control.state.agreements[agreement].state.value,
        "barriers": _by_lane(done.barriers),
        "durationMs": round(done.duration_ms, 1),
        "fencedLanes": sorted(done.fenced),
    }


async def _as_owner(
    broker: Services,
    caller: Principal,
    agreement: str,
    form: StepForm,
    step: Callable[..., Awaitable[AgreementEntry]],
    *,
    operator: bool = False,
) -> dict[str, Any]:
    require_owner(entry_for(broker.control.state, agreement, caller), caller, operator=operator)
    return shown(await step(agreement, caller.organisation, **form.said()))


def _by_lane(offsets: Mapping[int, int]) -> dict[str, int]:
    return {str(lane): offsets[lane] for lane in sorted(offsets)}
