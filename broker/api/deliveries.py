"""Cursor pull over one agreement's deliveries: at least once, in order, resumable anywhere, in the form that is asked."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from broker.api.accept import negotiated
from broker.api.agreements import AgreementId
from broker.api.auth import Caller
from broker.api.reading import Reading
from broker.api.services import Broker
from broker.api.sunsets import sunset_headers
from broker.delivery.formats import FORMS, rendered
from broker.delivery.streams import position_of

routes = APIRouter(prefix="/v1/deliveries", tags=["deliveries"])

LONGEST_WAIT_S = 30

After = Annotated[str | None, Query(max_length=200, description="`next` of an earlier answer, or any item's `cursor`.")]

_SHOWN: dict[int | str, dict[str, Any]] = {200: {"content": {kind: {} for kind in FORMS}}}


@routes.get("/{agreement}", response_class=Response, responses=_SHOWN)
async def pull(
    agreement: AgreementId,
    request: Request,
    broker: Broker,
    caller: Caller,
    after: After = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="Seconds to wait for a first record.")] = 0,
) -> Response:
    """Items after the cursor (none: the oldest retained) and where to go on, in the form that `Accept` prefers.

    `Link: rel="next"` leads to the following page; `Deprecation` and `Sunset` say that the product is on its way out. An Avro page stops before a change of schema.
    406 NOT_ACCEPTABLE for other forms; 410 POSITION_EXPIRED where records after the cursor are no longer retained.
    """
    reading = Reading.of(request, broker, caller, agreement, "deliver.pull")
    form = FORMS[negotiated(request.headers.get("accept"), list(FORMS))]
    position = None if after is None else position_of(reading.known(), after)
    body, held = rendered(await reading.page(position, limit=limit, wait_s=wait), form)
    told = sunset_headers(broker.control.state, agreement, next_link(request, held.next))
    headers = {"Cache-Control": "no-store", "Vary": "Accept", **told}
    return Response(body, headers=headers, media_type=form.media_type)


def next_link(request: Request, after: str) -> str:
    """Link to what follows (RFC 8288), relative to this host: the same request, from a cursor on."""
    following = request.url.remove_query_params(["after", "since"]).include_query_params(after=after)
    return f'<{following.path}?{following.query}>; rel="next"'
