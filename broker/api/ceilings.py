"""Ceilings: the most a source lets anyone have of a product, per purpose; read by all, set by the source's owner."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Header, Path, Query, Response

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.control.limits import LimitChange, tag
from broker.errors import Forbidden, NotFound
from broker.model.agreement import Ceiling
from broker.model.control_state import ControlState
from broker.policy import limit_documents
from broker.policy.limits import effective_ceiling, limits_of, own_ceiling

routes = APIRouter(prefix="/v1/products/{source}/{product}/ceilings", tags=["ceilings"])

Source = Annotated[str, Path(max_length=80, description="Slug of the source.")]
Product = Annotated[str, Path(max_length=80, description="Versioned product, such as `persoon.v1`.")]
Purpose = Annotated[str, Path(max_length=80, description="Code of the purpose.")]
Preview = Annotated[bool, Query(description="Say what the change would cut, and change nothing.")]
IfMatch = Annotated[str | None, Header(max_length=80, description="ETag of the ceiling that was read (RFC 9110).")]


@routes.get("")
async def list_ceilings(source: Source, product: Product, broker: Broker, _caller: Caller) -> dict[str, Any]:
    """The ceilings that count for this source, by purpose."""
    state = _offered(broker.control.state, source, product)
    limits = limits_of(state)
    held = {code: own_ceiling(limits.ceilings, source, product, code) for code in sorted(limits.purposes.by_code)}
    items = [_shown(state, source, ceiling) for ceiling in held.values() if ceiling is not None]
    return {"items": items, "next": None}


@routes.get("/{purpose}")
async def show_ceiling(
    source: Source, product: Product, purpose: Purpose, broker: Broker, _caller: Caller, response: Response
) -> dict[str, Any]:
    """One ceiling, and what is left of it under the purposes above: `effective`. Its ETag names this version of it."""
    state = _offered(broker.control.state, source, product)
    limits = limits_of(state)
    ceiling = own_ceiling(limits.ceilings, source, product, purpose)
    if ceiling is None:
        raise NotFound("no ceiling of this source for this purpose: nobody gets anything")
    effective = effective_ceiling(limits.purposes, limits.ceilings, source, product, purpose)
    shown = _shown(state, source, ceiling)
    response.headers["ETag"] = f'"{shown["version"]}"'
    return shown | {"effective": limit_documents.ceiling_document(effective)}


@routes.put("/{purpose}")
async def set_ceiling(
    source: Source,
    product: Product,
    purpose: Purpose,
    document: Annotated[dict[str, Any], Body(description="Fields with transforms, selectable paths, onward sharing.")],
    broker: Broker,
    caller: Caller,
    *,
    preview: Preview = False,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Set it; the answer lists the agreements this cuts, with path and clause. Routers withhold from the next record on."""
    _require_owner(caller, source)
    change = await broker.policies.set_ceiling(
        source, product, purpose, document, caller.organisation, if_match=tag_in(if_match), preview=preview
    )
    return {"source": source, "product": product, "purpose": purpose} | told(change)


@routes.delete("/{purpose}")
async def withdraw_ceiling(
    source: Source,
    product: Product,
    purpose: Purpose,
    broker: Broker,
    caller: Caller,
    *,
    preview: Preview = False,
    if_match: IfMatch = None,
) -> dict[str, Any]:
    """Let nobody have anything for this purpose any more: the source's ceiling becomes empty."""
    _require_owner(caller, source)
    change = await broker.policies.withdraw_ceiling(
        source, product, purpose, caller.organisation, if_match=tag_in(if_match), preview=preview
    )
    return {"source": source, "product": product, "purpose": purpose} | told(change)


def told(change: LimitChange) -> dict[str, Any]:
    """A change of limits as JSON."""
    return {
        "written": change.written,
        "differs": change.differs,
        "cut": [
            {
                "agreement": each.agreement,
                "version": each.version,
                "state": each.state.value,
                "findings": [{"code": code, "path": path, "text": text} for code, path, text in each.findings],
            }
            for each in change.touched
            if each.findings
        ],
        "restored": [
            {"agreement": each.agreement, "version": each.version, "state": each.state.value}
            for each in change.touched
            if not each.findings
        ],
    }


def _shown(state: ControlState, source: str, ceiling: Ceiling) -> dict[str, Any]:
    return {
        "source": source,
        "product": ceiling.product,
        "purpose": ceiling.purpose,
        "own": ceiling.source is not None,
        "version": tag(state, source, ceiling.product, ceiling.purpose),
        "document": limit_documents.ceiling_document(ceiling),
    }


def _offered(state: ControlState, source: str, product: str) -> ControlState:
    if (source, product) not in state.products:
        raise NotFound("no such product of this source")
    return state


def _require_owner(caller: Principal, source: str) -> None:
    if SOURCE_OWNER not in caller.roles or caller.organisation != source:
        raise Forbidden("a ceiling is the source's own: only its owner sets it")


def tag_in(header: str | None) -> str | None:
    """The tag in an If-Match header; a list or a weak tag matches nothing, so it is refused as outdated."""
    return header if header is None else header.strip().removeprefix('"').removesuffix('"')
