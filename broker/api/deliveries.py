"""Cursor pull over one agreement's deliveries: at least once, in order, resumable anywhere."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from broker.api.agreements import AgreementId
from broker.api.auth import AGENCY, Caller
from broker.api.services import Broker, Services
from broker.delivery.pull import Slice
from broker.delivery.streams import Egress, Stream, cursor, item, position_of, stream_of
from broker.errors import NotFound, PositionExpired, Stale
from broker.model.record import header
from broker.telemetry import record_spans

routes = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

LONGEST_WAIT_S = 30


@routes.get("/{agreement}")
async def pull(
    agreement: AgreementId,
    request: Request,
    response: Response,
    broker: Broker,
    caller: Caller,
    after: Annotated[str | None, Query(max_length=200, description="`next` of an earlier answer.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a first record.")] = 0,
) -> dict[str, Any]:
    """Items after the cursor (none: the oldest retained) and the cursor after them.

    410 POSITION_EXPIRED where records after the cursor are no longer retained.
    """
    if AGENCY not in caller.roles:
        raise NotFound("no such agreement of this agency")
    stream = stream_of(broker.control.state, agreement, caller.organisation)
    position = None if after is None else position_of(stream, after)
    found = await _read(broker, stream, position, limit, 0 if stream.stopped else wait)
    found_ns = time.time_ns()
    # Read again at the head: what was revoked while we waited, in whatever process, is not shown any more.
    await broker.control.read_to_head()
    if not broker.control.fresh():
        raise Stale("the broker cannot see its control log: nothing is released now")
    state = broker.control.state
    stream = stream_of(state, agreement, caller.organisation)
    egress: Egress = request.app.state.egress
    shown = [message for message in found.messages if message.is_life_cycle or not stream.stopped]
    items = [
        item(stream, message, egress.decode(message.value, state.schemas) if message.value else None)
        for message in shown
    ]
    record_spans(
        "deliver.pull",
        (header(message.headers, "traceparent") for message in shown if not message.is_life_cycle),
        start_ns=found_ns,
        end_ns=time.time_ns(),
        attributes={"agreement": agreement, "records": len(items)},
    )
    response.headers["Cache-Control"] = "no-store"
    return {"agreement": agreement, "items": items, "next": cursor(stream, found.position)}


async def _read(broker: Services, stream: Stream, position: int | None, limit: int, wait_s: float) -> Slice:
    try:
        return await broker.deliveries.read(stream.topic, position, limit=limit, wait_s=wait_s)
    except PositionExpired:
        if not stream.stopped:
            raise
        # A stopped stream was emptied on purpose: nothing was missed, and its barriers tell why.
        return await broker.deliveries.read(stream.topic, None, limit=limit, wait_s=wait_s)
