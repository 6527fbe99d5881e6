"""Open forms of agreements: ODRL for programs, the records of art. 30 GDPR, and the public protocol pages.

Only what was published is shown without a credential: the pages, the text and the ODRL of versions that were published. These
are the only routes that answer anyone, so they share one pace per process and send headers that forbid a browser everything.
"""

from collections.abc import Mapping
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from broker.api.agreements import AgreementId, entry_for
from broker.api.agreements import Version as AnyVersion
from broker.api.auth import Caller, caller_of
from broker.api.services import Broker, Services
from broker.errors import TooManyRequests, Unauthenticated
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents
from broker.policy.limits import limits_of
from broker.policy.odrl import MEDIA_TYPE, to_odrl
from broker.policy.page_frame import STYLE_HASH
from broker.policy.processing_register import (
    Activity,
    Mandate,
    controllers_register,
    csv_text,
    json_rows,
    operators_register,
)
from broker.policy.protocol_page import list_page, notice_page, protocol_page, published, shown
from broker.policy.protocol_text import agreed_text

routes = APIRouter(tags=["open forms"])

HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=60",
    "Content-Security-Policy": f"default-src 'none'; style-src '{STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_ON_A_PAGE = 200
_NONE = "Dit protocol bestaat niet, of werd niet bekendgemaakt."

PublishedVersion = Annotated[int | None, Query(ge=1, alias="versie", description="A published version.")]


async def paced(request: Request) -> None:
    """Anonymous requests take at most their share of the process; raises `TooManyRequests`."""
    if not request.app.state.public_pace.take():
        raise TooManyRequests("too many requests for public pages: try again in a moment")


@routes.get("/v1/register-of-processing")
async def show_register(
    broker: Broker, caller: Caller, kind: Annotated[Literal["csv", "json"], Query(alias="format")] = "json"
) -> Response:
    """The caller's own records of processing activities: as controller (art. 30.1 GDPR), or the operator's (30.2)."""
    state, own = broker.control.state, caller.organisation
    kept: type[Activity | Mandate] = Mandate if caller.is_operator else Activity
    rows = operators_register(own, state) if caller.is_operator else controllers_register(own, state)
    private = {"Cache-Control": "no-store"}
    if kind == "json":
        return JSONResponse({"items": json_rows(rows), "next": None}, headers=private)
    named = {"Content-Disposition": f'attachment; filename="register-{own}.csv"'}
    return Response(csv_text(rows, kept), media_type="text/csv; charset=utf-8", headers=private | named)


@routes.get("/v1/agreements/{agreement}/odrl", responses={200: {"content": {MEDIA_TYPE: {}}}})
async def show_odrl(agreement: AgreementId, request: Request, broker: Broker, version: AnyVersion = None) -> Response:
    """The agreement as an `odrl:Agreement` with DPV terms: to its parties and the operator, to all once it is published."""
    state, credential = broker.control.state, request.headers.get("authorization")
    if credential is None:
        await paced(request)
        entry = _published(state, agreement, version)
        if entry is None:
            raise Unauthenticated("a valid credential is needed")
    else:
        caller = await caller_of(request, broker)
        entry = _published(state, agreement, version) or entry_for(state, agreement, caller, version)
    return JSONResponse(_odrl(entry, broker), media_type=MEDIA_TYPE, headers={"X-Content-Type-Options": "nosniff"})


@routes.get("/protocollen", response_class=HTMLResponse, dependencies=[Depends(paced)])
async def list_protocols(
    broker: Broker, after: Annotated[str, Query(max_length=80, alias="na", description="Last one seen.")] = ""
) -> Response:
    """Every protocol that was published, by id, 200 a page."""
    state = broker.control.state
    found = (shown(agreement, state) for agreement in sorted(state.agreements) if agreement > after)
    public = list(islice((entry for entry in found if entry is not None), _ON_A_PAGE + 1))
    following = public[_ON_A_PAGE - 1].id if len(public) > _ON_A_PAGE else None
    return _page(list_page(public[:_ON_A_PAGE], state, after=after, following=following))


@routes.get("/protocollen/{agreement}", response_class=HTMLResponse, dependencies=[Depends(paced)])
async def show_protocol(agreement: AgreementId, broker: Broker, version: PublishedVersion = None) -> Response:
    """The page of one protocol: the version that counts now, or an earlier one that was published."""
    entry = _published(broker.control.state, agreement, version)
    if entry is None:
        return _page(notice_page(_NONE), HTTPStatus.NOT_FOUND)
    return _page(protocol_page(entry, broker.control.state))


@routes.get("/protocollen/{agreement}/tekst", dependencies=[Depends(paced)])
async def show_protocol_text(agreement: AgreementId, broker: Broker, version: PublishedVersion = None) -> Response:
    """The Markdown of one protocol, byte for byte what its fingerprint is of."""
    entry = _published(broker.control.state, agreement, version)
    if entry is None:
        return _page(notice_page(_NONE), HTTPStatus.NOT_FOUND)
    text = agreed_text(entry, broker.control.state)
    return Response(text, media_type="text/markdown; charset=utf-8", headers=dict(HEADERS))


def _published(state: ControlState, agreement: str, version: int | None) -> AgreementEntry | None:
    if version is None:
        return shown(agreement, state)
    return next((entry for entry in published(agreement, state) if entry.version == version), None)


def _odrl(entry: AgreementEntry, broker: Services) -> dict[str, Any]:
    state = broker.control.state
    return to_odrl(
        documents.agreement(entry.document),
        organisations=state.organisations,
        purposes=limits_of(state).purposes.by_code,
        base=broker.iri_base,
    )


def _page(html: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(html, status, dict(HEADERS))
