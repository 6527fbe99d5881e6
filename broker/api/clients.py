"""OAuth clients of outside issuers: bound to organisations by the operator; an organisation sees its own."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import OPERATOR, Caller
from broker.api.services import Broker, Clients, Services
from broker.errors import NotFound
from broker.model.registered import BoundClient

routes = APIRouter(prefix="/v1/clients", tags=["identity"])


class _Named(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    issuer: Annotated[str, Field(max_length=500, description="As its tokens say in `iss`.")]
    client: Annotated[str, Field(max_length=255, description="As its tokens say in `azp` or `client_id`.")]


class _Bound(_Named):
    organisation: Annotated[str, Field(max_length=80)]
    roles: Annotated[list[str], Field(min_length=1, max_length=10)]


@routes.get("")
async def list_clients(broker: Broker, caller: Caller) -> dict[str, Any]:
    """Clients that act as the caller's organisation; all of them for the operator."""
    held = broker.control.state.clients
    own = (held[key] for key in sorted(held) if caller.is_operator or held[key].organisation == caller.organisation)
    return {"items": [_shown(each) for each in own], "next": None}


@routes.post("", status_code=201)
async def bind_client(
    form: Annotated[_Bound, Body()], broker: Broker, caller: Caller, response: Response
) -> dict[str, Any]:
    """Have a client of a trusted issuer act as an organisation, with these roles; 200 where it does already."""
    caller.require(OPERATOR)
    wanted = BoundClient(form.issuer, form.client, form.organisation, tuple(form.roles))
    if not await _clients(broker).bind(wanted, by=caller.organisation):
        response.status_code = 200
    return _shown(broker.control.state.clients[form.issuer, form.client])


@routes.post("/unbind")
async def unbind_client(form: Annotated[_Named, Body()], broker: Broker, caller: Caller) -> dict[str, Any]:
    """Refuse the client's tokens from now on."""
    caller.require(OPERATOR)
    await _clients(broker).unbind(form.issuer, form.client, by=caller.organisation)
    return {"issuer": form.issuer, "client": form.client}


def _clients(broker: Services) -> Clients:
    if broker.clients is None:
        raise NotFound("this installation trusts no outside issuer")
    return broker.clients


def _shown(client: BoundClient) -> dict[str, Any]:
    return {
        "issuer": client.issuer,
        "client": client.client,
        "organisation": client.organisation,
        "roles": list(client.roles),
    }
