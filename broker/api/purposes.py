"""Purposes: why an agency may process; read by all, set as one list by the operator."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Query, Response

from broker.api.auth import OPERATOR, Caller
from broker.api.ceilings import tag_in, told
from broker.api.services import Broker
from broker.errors import NotFound
from broker.policy import limit_documents
from broker.policy.limits import limits_of

routes = APIRouter(prefix="/v1/purposes", tags=["purposes"])

Preview = Annotated[bool, Query(description="Say what the change would cut, and change nothing.")]
IfMatch = Annotated[str | None, Header(max_length=80, description="ETag of the list that was read (RFC 9110).")]


@routes.get("")
async def list_purposes(broker: Broker, _caller: Caller, response: Response) -> dict[str, Any]:
    """The whole list; its ETag names this version of it."""
    state = broker.control.state
    response.headers["ETag"] = f'"{state.version("purposes")}"'
    return {"items": list(state.purposes), "next": None, "version": str(state.version("purposes"))}


@routes.get("/{code}")
async def show_purpose(code: str, broker: Broker, _caller: Caller) -> dict[str, Any]:
    """One purpose with all above it, nearest first: whoever may process for it never gets more than each of these allows."""
    purposes = limits_of(broker.control.state).purposes
    if code not in purposes.by_code:
        raise NotFound("no such purpose")
    own, *above = purposes.lineage(code)
    listed = limit_documents.purpose_documents(purposes)
    return next(each for each in listed if each["code"] == own.code) | {"lineage": [each.code for each in above]}


@routes.put("")
async def set_purposes(
    document: Annotated[dict[str, Any], Body(description="The whole list, as `purposes.yaml`.")],
    broker: Broker,
    caller: Caller,
    *,
    preview: Preview = False,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Replace the list; the answer lists the agreements this cuts. A purpose that is in use stays."""
    caller.require(OPERATOR)
    change = await broker.policies.set_purposes(
        document, caller.organisation, if_match=tag_in(if_match), preview=preview
    )
    return told(change)
