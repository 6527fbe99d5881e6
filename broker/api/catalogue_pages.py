"""The catalogue for people, in a browser: public, as the pages of protocols are, and under the same headers and pace."""

from http import HTTPStatus
from itertools import islice
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Response
from fastapi.responses import HTMLResponse

from broker.api.catalogue import quality_of
from broker.api.open_forms import HEADERS, paced
from broker.api.services import Broker
from broker.policy.catalogue_page import list_page, notice_page, product_page

routes = APIRouter(prefix="/catalogus", tags=["catalogue"], dependencies=[Depends(paced)])

_ON_A_PAGE = 200
_NONE = "Dit dataproduct bestaat niet."
_Name = Annotated[str, Path(max_length=80)]


@routes.get("", response_class=HTMLResponse)
async def list_products(
    broker: Broker, after: Annotated[str, Query(max_length=161, alias="na", description="Last one seen.")] = ""
) -> Response:
    """Every product by source, 200 a page."""
    state, figures = broker.control.state, await quality_of(broker)
    source, _, product = after.partition("/")
    found = (state.products[name] for name in sorted(state.products) if name > (source, product))
    shown = list(islice(found, _ON_A_PAGE + 1))
    last = shown[_ON_A_PAGE - 1] if len(shown) > _ON_A_PAGE else None
    following = None if last is None else f"{last.source}/{last.id}"
    return _page(list_page(shown[:_ON_A_PAGE], state, figures, after=after, following=following))


@routes.get("/{organisation}/{product}", response_class=HTMLResponse)
async def show_product(organisation: _Name, product: _Name, broker: Broker) -> Response:
    """The page of one product: its fields, quality and purposes, and how to ask for it."""
    state, figures = broker.control.state, await quality_of(broker)
    known = state.products.get((organisation, product))
    if known is None:
        return _page(notice_page(_NONE), HTTPStatus.NOT_FOUND)
    return _page(product_page(known, state, figures.get((organisation, product))))


def _page(html: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    return HTMLResponse(html, status, dict(HEADERS))
