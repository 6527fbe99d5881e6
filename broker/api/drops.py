"""An agency's drop under one of its agreements: where files of deliveries are put, how that goes, and what to do about it."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Body, Response
from pydantic import Field

from broker.api.agreements import AgreementId, agency_entry
from broker.api.auth import Caller, Principal
from broker.api.pushes import RESUMPTION, PushForm, ResumptionForm, registration_shown, standing_shown
from broker.api.services import Broker, Services
from broker.delivery.drop_subscriptions import Drops
from broker.delivery.push_subscriptions import Start
from broker.errors import NotFound
from broker.model.drop_book import Destination, Drop
from broker.model.file_format import FileFormat
from broker.model.ssh_keys import LONGEST_LINE

routes = APIRouter(prefix="/v1/agreements/{agreement}/drop", tags=["drops"])

_A_WEEK_MIN = 7 * 24 * 60
_LONGEST_HOST, _LONGEST_DIRECTORY, _LONGEST_USERNAME = 253, 400, 64


class DropForm(PushForm):
    """The SFTP server, and its public key as a line of OpenSSH; `start` (for a new one): the oldest retained record, or what comes now."""

    host: Annotated[str, Field(strict=True, min_length=1, max_length=_LONGEST_HOST)]
    port: Annotated[int, Field(strict=True, ge=1, le=65535)] = 22
    username: Annotated[str, Field(strict=True, min_length=1, max_length=_LONGEST_USERNAME)]
    directory: Annotated[str, Field(strict=True, min_length=1, max_length=_LONGEST_DIRECTORY)] = "."
    format: FileFormat = FileFormat.NDJSON
    host_key: Annotated[str, Field(strict=True, min_length=1, max_length=LONGEST_LINE)]
    every_minutes: Annotated[int, Field(strict=True, ge=1, le=_A_WEEK_MIN)] = 60
    start: Start = Start.OLDEST

    def destination(self) -> Destination:
        """Where files go."""
        every = timedelta(minutes=self.every_minutes)
        return Destination(self.host, self.port, self.username, self.directory, self.format, self.host_key, every)


@routes.put("")
async def set_drop(
    agreement: AgreementId, form: Annotated[DropForm, Body()], broker: Broker, caller: Caller, response: Response
) -> dict[str, Any]:
    """Have files put on an SFTP server, 201 the first time. `publicKey` is what its user has to admit."""
    drops = _for(broker, agreement, caller)
    made, new = await drops.set(agreement, caller.organisation, form.destination(), start=form.start)
    response.status_code = 201 if new else 200
    return _drop(drops, made)


@routes.get("")
async def show_drop(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """State, the key to admit, position and lag, last success and failure, the next attempt, and what happened to it so far."""
    drops = _for(broker, agreement, caller)
    standing = await drops.standing(agreement, caller.organisation)
    return _drop(drops, standing.subscription) | standing_shown(standing)


@routes.delete("")
async def remove_drop(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Put nothing there any more; files that are there stay."""
    await _for(broker, agreement, caller).remove(agreement, caller.organisation)
    return {"agreement": agreement, "state": "removed"}


@routes.post("/resume")
async def resume_drop(
    agreement: AgreementId, broker: Broker, caller: Caller, form: Annotated[ResumptionForm, Body()] = RESUMPTION
) -> dict[str, Any]:
    """Go on after a suspension, at the stored position."""
    drops = _for(broker, agreement, caller)
    return _drop(drops, await drops.resume(agreement, caller.organisation, accept_loss=form.accept_loss))


@routes.post("/test")
async def test_drop(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Write, rename and remove a file about nobody; nothing of what the server says is shown."""
    failure = await _for(broker, agreement, caller).test(agreement, caller.organisation)
    return {"delivered": failure is None, "failure": failure}


def _for(broker: Services, agreement: str, caller: Principal) -> Drops:
    agency_entry(broker.control.state, agreement, caller, "sets its drop")
    if broker.drops is None:
        raise NotFound("this broker puts no files anywhere")
    return broker.drops


def _drop(drops: Drops, drop: Drop) -> dict[str, Any]:
    to = drop.to
    return registration_shown("drop", drop) | {
        "host": to.host,
        "port": to.port,
        "username": to.username,
        "directory": to.directory,
        "format": to.format.value,
        "hostKey": to.host_key,
        "everyMinutes": int(to.every.total_seconds() // 60),
        "publicKey": drops.public_key(drop),
    }
