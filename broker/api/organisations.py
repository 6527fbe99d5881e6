"""Organisations: the public bodies of an installation, read by all, registered by the operator."""

from typing import Annotated, Any

from fastapi import APIRouter, Body

from broker.api.auth import OPERATOR, Caller
from broker.api.services import Broker
from broker.policy.organisations import organisation_document

routes = APIRouter(prefix="/v1/organisations", tags=["organisations"])


@routes.get("")
async def list_organisations(broker: Broker, _caller: Caller) -> dict[str, Any]:
    """Every body this installation knows, by slug."""
    known = broker.control.state.organisations
    return {"items": [organisation_document(known[name]) for name in sorted(known)], "next": None}


@routes.post("")
async def register_organisation(
    document: Annotated[dict[str, Any], Body(description="`{id, name, ovo, kbo}`.")], broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Make a body known, or known otherwise; the same again changes nothing. It gets no credential by this."""
    caller.require(OPERATOR)
    written = await broker.policies.register(document, caller.organisation)
    known = broker.control.state.organisations
    return organisation_document(known[str(document["id"])]) | {"written": written}
