"""Mandates: an agency lets a processor (art. 28 GDPR) read its streams, for a term, and takes that back at once."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import AGENCY, Caller, Principal
from broker.api.services import Broker
from broker.errors import Forbidden
from broker.model.mandates import Mandate
from broker.policy.forms import Instant

routes = APIRouter(prefix="/v1", tags=["mandates"])

_Name = Annotated[str, Path(max_length=80)]


class MandateForm(BaseModel):
    """What the processor may read, and on what ground."""

    model_config = ConfigDict(extra="forbid")

    reference: str = Field(min_length=1, max_length=200, description="Of the contract between the two.")
    agreements: list[Annotated[str, Field(max_length=80)]] | None = Field(
        default=None, max_length=1000, description="Ids; all of the organisation's without it, those to come included."
    )
    begin: Instant | None = Field(default=None, description="Now without it.")
    end: Instant | None = None


@routes.get("/mandates")
async def list_mandates(broker: Broker, caller: Caller) -> dict[str, Any]:
    """Mandates that the caller's organisation gave or holds; all of them for the operator and a supervisor."""
    given = broker.control.state.mandates.given
    seen = [each for key, each in sorted(given.items()) if caller.oversees or caller.organisation in key]
    return {"items": [_shown(each) for each in seen], "next": None}


@routes.put("/organisations/{organisation}/mandates/{processor}")
async def give_mandate(
    organisation: _Name, processor: _Name, form: MandateForm, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Let a processor read, with a credential of its own in the role `processor`; in the place of an earlier mandate."""
    _require_own(caller, organisation)
    made = await broker.mandates.give(
        organisation,
        processor,
        reference=form.reference,
        agreements=form.agreements,
        begin=form.begin,
        end=form.end,
        by=caller.organisation,
    )
    return _shown(made)


@routes.delete("/organisations/{organisation}/mandates/{processor}")
async def end_mandate(organisation: _Name, processor: _Name, broker: Broker, caller: Caller) -> dict[str, Any]:
    """End it: from the answer on the processor gets nothing more at any exit."""
    _require_own(caller, organisation)
    return _shown(await broker.mandates.end(organisation, processor, now=datetime.now(UTC), by=caller.organisation))


def _require_own(caller: Principal, organisation: str) -> None:
    if AGENCY not in caller.roles or caller.organisation != organisation:
        raise Forbidden("only the organisation itself gives a mandate on its streams, or ends it")


def _shown(mandate: Mandate) -> dict[str, Any]:
    return {
        "organisation": mandate.organisation,
        "processor": mandate.processor,
        "reference": mandate.reference,
        "agreements": None if mandate.agreements is None else sorted(mandate.agreements),
        "begin": mandate.begin.isoformat(),
        "end": None if mandate.end is None else mandate.end.isoformat(),
        "inForce": mandate.holds(datetime.now(UTC)),
    }
