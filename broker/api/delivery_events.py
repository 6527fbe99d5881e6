"""One agreement's deliveries as server-sent events (WHATWG HTML §9.2), for as long as the caller may see them."""

import asyncio
import time
from collections.abc import AsyncGenerator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from broker.api.agreements import AgreementId
from broker.api.auth import Caller
from broker.api.deliveries import After
from broker.api.pouring import OpenAnswers, Poured
from broker.api.reading import Reading
from broker.api.services import Broker
from broker.api.sunsets import sunset_headers
from broker.delivery.formats import Page, line
from broker.delivery.streams import position_of
from broker.errors import BrokerError

routes = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

MEDIA_TYPE = "text/event-stream"
HEARTBEAT_S = 15.0
LOOK_S = 0.4
"""Seconds between two looks at the right of a reader for whom nothing comes."""

_PIECE = 50
_FAREWELL_S = 0.8
_LATE_FAREWELL_S = 2.0
_AGAIN_S = 0.05
_RETRY = b"retry: 3000\n\n"


@routes.get(
    "/{agreement}/events",
    response_class=Response,
    responses={200: {"content": {MEDIA_TYPE: {}}}, 204: {"description": "The agreement has ended: do not come back."}},
)
async def events(
    agreement: AgreementId,
    request: Request,
    broker: Broker,
    caller: Caller,
    after: After = None,
    last_event_id: Annotated[str | None, Header(max_length=200, description="Goes before `after`.")] = None,
) -> Response:
    """Events `delivery` and `life-cycle` after the cursor (none: the oldest retained), as they are committed.

    `id` is a cursor, `data` an item of the pull. The stream closes when the agreement has stopped, after the event that
    says so, and when the credential is withdrawn; 204 for a stopped one of which all was seen, 410 and 429 as elsewhere.
    """
    reading = Reading.of(request, broker, caller, agreement, "deliver.events")
    stated = last_event_id or after
    position = None if stated is None else position_of(reading.known(), stated)
    answers: OpenAnswers = request.app.state.open_answers
    place = answers.take(caller.organisation)
    with place.preparing():
        page = await reading.page(position, limit=_PIECE)
        if page.stream.stopped and not page.messages:
            page = await _farewell(reading, page, _LATE_FAREWELL_S)
        if page.stream.stopped and not page.messages:
            place.release()
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"Cache-Control": "no-store"})
        told = sunset_headers(broker.control.state, agreement)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **told}
        return Poured(_pieces(reading, page), place=place, media_type=MEDIA_TYPE, headers=headers, whole=False)


async def _pieces(reading: Reading, page: Page) -> AsyncGenerator[bytes, None]:
    """What goes to the reader; ends with the right to it, or where nothing can be released."""
    yield _RETRY
    told_s = time.monotonic()
    try:
        while True:
            if page.messages:
                yield b"".join(map(_event, page.items()))
                told_s = time.monotonic()
            if page.stream.stopped:
                return
            if not page.messages:
                while not await reading.more(page.position, wait_s=LOOK_S):
                    if (await reading.standing()).stopped:
                        break
                    if time.monotonic() - told_s >= HEARTBEAT_S:
                        # With its id, so that a reader's place does not expire while there is nothing for it.
                        yield f":\nid: {page.next}\n\n".encode()
                        told_s = time.monotonic()
            page = await reading.page(page.position, limit=_PIECE)
            if page.stream.stopped and not page.messages:
                page = await _farewell(reading, page, _FAREWELL_S)
    except BrokerError:
        return  # the reader comes back with its last id and is told why, by a status


async def _farewell(reading: Reading, page: Page, wait_s: float) -> Page:
    """The life-cycle events after `page` of a stopped stream, waiting for the first of them."""
    deadline = time.monotonic() + wait_s
    while not page.messages and time.monotonic() < deadline:
        await asyncio.sleep(_AGAIN_S)
        page = await reading.page(page.position, limit=_PIECE)
    return page


def _event(item: dict[str, Any]) -> bytes:
    name = "life-cycle" if item["kind"] == "life-cycle" else "delivery"
    return f"id: {item['cursor']}\nevent: {name}\ndata: ".encode() + line(item) + b"\n\n"
