"""Raw sources over HTTP: a source declares a name, and lets a program of its own write it on Kafka; nobody reads it here."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Path, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.credentials import USUAL_DAYS, Csr, Lasting, require_one_of_ours, shown_once
from broker.api.services import Broker
from broker.errors import Forbidden
from broker.model import topics
from broker.model.raw_book import RawSource

routes = APIRouter(prefix="/v1/sources/{organisation}/raw", tags=["raw sources"])

OrganisationId = Annotated[str, Path(max_length=80, description="Slug of the source.")]
RawName = Annotated[
    str, Path(max_length=80, description="Slug of the raw source, such as the table's name with hyphens.")
]


class WriterForm(BaseModel):
    """How long a writer lasts; with `csr` it is a client certificate, and there is no password."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    csr: Csr | None = None
    valid_days: Annotated[Lasting, Field(alias="validDays")] = USUAL_DAYS


@routes.get("")
async def list_raw_sources(organisation: OrganisationId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Raw sources of the organisation, with the credentials that write them; never what they hold."""
    require_owner(caller, organisation)
    await broker.control.read_to_head()
    state = broker.control.state
    declared = sorted(state.raw.declared.values(), key=lambda each: each.name)
    writers = sorted(state.credentials.values(), key=lambda each: each.id)
    items = [
        _shown(each) | {"writers": [held.id for held in writers if held.writes == each.topic]}
        for each in declared
        if each.organisation == organisation
    ]
    return {"items": items, "next": None}


@routes.put("/{name}")
async def declare_raw_source(
    organisation: OrganisationId, name: RawName, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Have a topic for what a system of the caller states; the same declaration again changes nothing. It is never undone."""
    require_owner(caller, organisation)
    return _shown(await broker.raw_sources.declare(organisation, name, by=caller.organisation))


@routes.post("/{name}/writers", status_code=201)
async def issue_writer(
    organisation: OrganisationId,
    name: RawName,
    broker: Broker,
    caller: Caller,
    response: Response,
    form: Annotated[WriterForm | None, Body()] = None,
) -> dict[str, Any]:
    """A Kafka user that writes this topic and does nothing else, here or there; its password is shown once, in this answer.

    It is listed, rotated, revoked and reported stolen as every credential is.
    """
    require_owner(caller, organisation)
    require_one_of_ours(caller)
    asked = form or WriterForm()
    issued = await broker.credentials.issue_writer(
        organisation,
        name,
        by=caller.organisation,
        lasting=timedelta(days=asked.valid_days),
        shown=caller.credential,
        csr=asked.csr,
    )
    return shown_once(response, issued) | {"topic": topics.raw(organisation, name)}


def require_owner(caller: Principal, organisation: str) -> None:
    """Raise `Forbidden` unless the caller owns the source, or operates the broker."""
    if not (caller.is_operator or (SOURCE_OWNER in caller.roles and caller.organisation == organisation)):
        raise Forbidden("this is for the owner of the source, or the operator")


def _shown(held: RawSource) -> dict[str, Any]:
    return {
        "organisation": held.organisation,
        "name": held.name,
        "topic": held.topic,
        "declared": held.declared.isoformat(),
    }
