"""A source's quarantine: what lies there and why, the bytes of one record, and another look at it."""

from base64 import b64encode
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.control.quarantine import Note, tallied
from broker.errors import Forbidden
from broker.model.control_state import ControlState
from broker.model.quarantine_book import Place

routes = APIRouter(prefix="/v1/quarantine/{organisation}/{product}", tags=["quarantine"])

_Name = Annotated[str, Path(max_length=80)]
_Number = Annotated[int, Path(ge=0, lt=1 << 63)]


class OpeningForm(BaseModel):
    """Why somebody has to see the bytes of a record."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    why: str = Field(
        min_length=10,
        max_length=300,
        pattern=r"^[^\x00-\x1f]*$",
        description="Kept for ever beside who asked and for which record; it names nobody.",
    )


@routes.get("")
async def list_quarantine(
    organisation: _Name,
    product: _Name,
    broker: Broker,
    caller: Caller,
    code: Annotated[str | None, Query(max_length=64, description="Items of this code only.")] = None,
    after: Annotated[int, Query(ge=-1, description="`next` of the page before.")] = -1,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> dict[str, Any]:
    """Open items by code with their number, first and last; the source's owner gets the items too, oldest first.

    `whole` is false where there are more than were read: the latest.
    """
    if not caller.is_operator:
        _require_owner(caller, organisation)
    held = await broker.quarantine.held(organisation, product)
    shown = [note for note in held.notes if code in (None, note.code)]
    codes = [
        {"code": each.code, "count": each.count, "first": each.first, "last": each.last} for each in tallied(shown)
    ]
    body: dict[str, Any] = {"source": organisation, "product": product, "whole": held.whole, "codes": codes}
    if not _owns(caller, organisation):
        return body | {"items": [], "next": None}
    page = [note for note in shown if note.number > after][: limit + 1]
    state = broker.control.state
    return body | {
        "items": [_shown(note, organisation, product, state) for note in page[:limit]],
        "next": page[limit - 1].number if len(page) > limit else None,
    }


@routes.get("/{partition}/{offset}")
async def show_quarantined(
    organisation: _Name, product: _Name, partition: _Number, offset: _Number, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """One quarantined record: where it lies, why, who opened it, and what came of a retry."""
    _require_owner(caller, organisation)
    note = await broker.quarantine.find(Place(organisation, product, partition, offset))
    return _shown(note, organisation, product, broker.control.state)


@routes.post("/{partition}/{offset}/open")
async def open_quarantined(
    organisation: _Name,
    product: _Name,
    partition: _Number,
    offset: _Number,
    form: OpeningForm,
    response: Response,
    broker: Broker,
    caller: Caller,
) -> dict[str, Any]:
    """The bytes of a quarantined record, as its source wrote them; who opened it and why is a fact before they leave.

    For the source itself: the operator never sees a record. `value` is base64, null for a deletion.
    """
    _require_owner(caller, organisation)
    place = Place(organisation, product, partition, offset)
    by, credential = caller.organisation, caller.credential
    value = await broker.quarantine.open(place, why=form.why, by=by, credential=credential)
    response.headers["Cache-Control"] = "no-store"
    return {
        "partition": partition,
        "offset": offset,
        "value": None if value is None else b64encode(value).decode(),
    }


@routes.post("/{partition}/{offset}/retry", status_code=202)
async def retry_quarantined(
    organisation: _Name, product: _Name, partition: _Number, offset: _Number, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Have the record looked at again, in its place; what came of it is shown with the item.

    It is routed unless it is refused again, or a newer record of its subject was routed (`SUPERSEDED`).
    """
    _require_owner(caller, organisation)
    retry = await broker.quarantine.retry(Place(organisation, product, partition, offset), by=caller.organisation)
    return {"partition": partition, "offset": offset, "run": retry.epoch}


def _shown(note: Note, source: str, product: str, state: ControlState) -> dict[str, Any]:
    shown = {
        "number": note.number,
        "code": note.code,
        "path": note.path,
        "digest": note.digest,
        "at": note.at,
        "trace": note.trace,
        "adapter": note.adapter,
        "partition": note.lane,
        "offset": note.offset,
        "outcome": note.outcome,
        "run": note.run,
        "retrying": False,
        "opened": [],
    }
    if note.lane is None or note.offset is None:  # an adapter set it aside: it never was a record here
        return shown
    place = Place(source, product, note.lane, note.offset)
    asked = state.quarantine.latest_retry(place)
    opened = state.quarantine.openings.get(place, ())
    return shown | {
        "retrying": asked is not None and (note.run or -1) < asked.epoch,
        "opened": [{"by": each.by, "credential": each.credential, "why": each.why, "at": each.at} for each in opened],
    }


def _owns(caller: Principal, organisation: str) -> bool:
    return SOURCE_OWNER in caller.roles and caller.organisation == organisation


def _require_owner(caller: Principal, organisation: str) -> None:
    if not _owns(caller, organisation):
        raise Forbidden("this is for the owner of the source")
