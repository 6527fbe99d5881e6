"""An agreement's deliveries as a Linked Data Event Stream: a root, pages that never change once full, single members.

Links begin with the installation's public URL. Without one they begin with what the request was addressed to, which its
sender chose: such an answer is never left to a shared cache.
"""

import json
import time
from collections.abc import Sequence
from hashlib import blake2b
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from broker.api.accept import negotiated
from broker.api.agreements import AgreementId
from broker.api.auth import Caller, Principal
from broker.api.reading import Reading
from broker.api.services import Broker, Services
from broker.api.sunsets import sunset_headers
from broker.delivery import ldes, linked, tree, turtle
from broker.delivery.streams import Message, Stream
from broker.errors import StreamStopped
from broker.model.record import header
from broker.schema.linked_terms import Json, NodeType
from broker.telemetry import record_spans

routes = APIRouter(prefix="/v1/ldes", tags=["ldes"])

SPAN = "deliver.ldes"
_FORMS = (linked.MEDIA_TYPE, turtle.MEDIA_TYPE)
_SHOWN: dict[int | str, dict[str, Any]] = {200: {"content": {form: {} for form in _FORMS}}}
_WEEK_S, _DAY_S = 604_800, 86_400
_PRIVATE = "private, no-store"

PageNumber = Annotated[int, Path(ge=0, le=10**12, description="Number of the page.")]
DeliveryId = Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Delivery id: how a member's IRI ends.")]


@routes.get("/{agreement}", response_class=Response, responses=_SHOWN)
async def show_root(agreement: AgreementId, request: Request, broker: Broker, caller: Caller) -> Response:
    """The stream's root node: its paths, shape and retention, and a relation to the oldest page that is retained."""
    reading = await _reading(request, broker, caller, agreement)
    first = await ldes.first_retained(broker.deliveries, reading.known().topic)
    await _standing(reading)
    state = broker.control.state
    document = tree.root(
        _links(reading),
        base=broker.iri_base,
        first_page=tree.page_of(first),
        retention_days=state.agreements[agreement].document["retention_days"],
        type_=ldes.type_in_force(state, agreement, broker.iri_base),
    )
    return _answer(reading, document)


@routes.get("/{agreement}/pages/{number}", response_class=Response, responses=_SHOWN)
async def show_page(
    agreement: AgreementId, number: PageNumber, request: Request, broker: Broker, caller: Caller
) -> Response:
    """One page: members in the order of the stream, and a relation to the next page once this one is full.

    410 POSITION_EXPIRED where nothing of it is retained any more, 410 STREAM_STOPPED after a revocation or the end.
    """
    reading = await _reading(request, broker, caller, agreement)
    stretch = await ldes.stretch(broker.deliveries, reading.known().topic, number)
    found_ns = time.time_ns()
    stream = await _standing(reading)
    members = _members(reading, stream, stretch.messages)
    document = tree.page(_links(reading), number, members, base=broker.iri_base, closed=stretch.closed)
    _record(reading, stretch.messages, found_ns, len(members))
    return _answer(reading, document, immutable=stretch.closed and stretch.whole)


@routes.get("/{agreement}/members/{delivery}", response_class=Response, responses=_SHOWN)
async def show_member(
    agreement: AgreementId,
    delivery: DeliveryId,
    request: Request,
    broker: Broker,
    caller: Caller,
    page: Annotated[int | None, Query(ge=0, le=10**12, description="The page that showed it: found at once.")] = None,
) -> Response:
    """One member by the end of its IRI; 410 POSITION_EXPIRED where it is not retained."""
    reading = await _reading(request, broker, caller, agreement)
    message = await ldes.find(broker.deliveries, reading.known().topic, delivery, page)
    found_ns = time.time_ns()
    ((type_, node),) = _members(reading, await _standing(reading), (message,))
    terms = linked.context(broker.iri_base) | (type_.context() if type_ else {})
    _record(reading, (message,), found_ns, 1)
    return _answer(reading, {"@context": terms} | node, cached=False)


async def _reading(request: Request, broker: Services, caller: Principal, agreement: str) -> Reading:
    reading = Reading.of(request, broker, caller, agreement, SPAN)
    if reading.known().stopped:
        await _standing(reading)
    return reading


async def _standing(reading: Reading) -> Stream:
    """The stream at the control log's head; a stopped one has been emptied, and life-cycle events are no members."""
    stream = await reading.standing()
    if stream.stopped:
        raise StreamStopped("the agreement was revoked or has ended: its stream is over, and nothing of it is kept")
    return stream


def _members(reading: Reading, stream: Stream, messages: tuple[Message, ...]) -> Sequence[tuple[NodeType | None, Json]]:
    broker, egress = reading.broker, reading.request.app.state.egress
    return list(ldes.members(messages, stream, broker.control.state, egress, broker.iri_base))


def _record(reading: Reading, messages: tuple[Message, ...], found_ns: int, count: int) -> None:
    record_spans(
        SPAN,
        (header(message.headers, "traceparent") for message in messages if not message.is_life_cycle),
        start_ns=found_ns,
        end_ns=time.time_ns(),
        attributes={"agreement": reading.agreement, "records": count},
    )


def _links(reading: Reading) -> tree.Links:
    base = reading.broker.public_url or str(reading.request.base_url).rstrip("/")
    return tree.Links(f"{base}/v1/ldes/{reading.agreement}")


def _answer(reading: Reading, document: Json, *, immutable: bool = False, cached: bool = True) -> Response:
    form = negotiated(reading.request.headers.get("accept"), _FORMS)
    text = turtle.turtle(document) if form == turtle.MEDIA_TYPE else _json(document)
    body = text.encode()
    told = sunset_headers(reading.broker.control.state, reading.agreement)
    headers = {"Vary": "Accept", "Cache-Control": _PRIVATE, **told}
    if cached and _may_be_shared(reading.broker, reading.agreement):
        tag = f'"{blake2b(body, digest_size=16).hexdigest()}"'
        headers |= {"Cache-Control": _shared(reading, immutable=immutable), "ETag": tag}
        if tag in _tags(reading.request.headers.get("if-none-match", "")):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(body, headers=headers, media_type=form)


def _may_be_shared(broker: Services, agreement: str) -> bool:
    return broker.public_url is not None and ldes.is_open(broker.control.state, agreement)


def _shared(reading: Reading, *, immutable: bool) -> str:
    if not immutable:
        return f"public, max-age={tree.POLLING_S // 2}"
    kept = reading.broker.control.state.agreements[reading.agreement].document["retention_days"] * _DAY_S
    return f"public, max-age={min(_WEEK_S, kept)}, immutable"


def _tags(stated: str) -> list[str]:
    """Entity tags of an If-None-Match, compared weakly (RFC 9110 §13.1.2)."""
    return [tag.strip().removeprefix("W/") for tag in stated.split(",")]


def _json(document: Json) -> str:
    return json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
