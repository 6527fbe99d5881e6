"""Replays: an agency that lost what it had, or missed what is no longer retained, is told again."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from broker.api.agreements import AgreementId, entry_for
from broker.api.auth import AGENCY, Caller
from broker.api.services import Broker
from broker.errors import Forbidden
from broker.policy.forms import Instant

routes = APIRouter(prefix="/v1/agreements/{agreement}/replays", tags=["replays"])


class ReplayForm(BaseModel):
    """From when on the agency needs to be told again."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    since: Instant | None = Field(
        default=None, description="Subjects whose last record the broker got at this instant or later; all without it."
    )


@routes.post("", status_code=202)
async def request_replay(
    agreement: AgreementId, broker: Broker, caller: Caller, form: ReplayForm | None = None
) -> dict[str, Any]:
    """Have the full present state of every subject that the agreement lets the agency know delivered again, as `initial`.

    Each lane says `REPLAY_BEGINS` and `REPLAY_ENDS` in the stream; after the last of these, whoever was not told of is no
    longer in the population. Live changes go on between. A replay that is under way makes place for this one.
    """
    entry = entry_for(broker.control.state, agreement, caller)
    own = AGENCY in caller.roles and entry.agency == caller.organisation
    if not (own or caller.is_operator):
        raise Forbidden("only the agreement's agency may ask for a replay, or the operator for it")
    since = None if form is None else form.since
    replay = await broker.replays.request(agreement, since=since, now=datetime.now(UTC), by=caller.organisation)
    return {"agreement": agreement, "run": replay.epoch, "since": replay.since, "lanes": broker.replays.lanes}
