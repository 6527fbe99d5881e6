"""Halts of a product, and what agencies are told in their streams: outages, deprecations."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.control.halts import ANNOUNCED, Announced
from broker.errors import Forbidden, Invalid
from broker.model.notice import NoticeReason
from broker.policy.forms import Instant

routes = APIRouter(prefix="/v1", tags=["announcements"])

_Name = Annotated[str, Path(max_length=80)]
_Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class WhyForm(BaseModel):
    """Why; agencies are told on resumption, auditors always."""

    model_config = ConfigDict(extra="forbid")

    why: _Text = ""


class AnnouncementForm(BaseModel):
    """What to tell, to the agencies of a product, of all of a source's, or (operator) of the broker."""

    model_config = ConfigDict(extra="forbid")

    reason: NoticeReason
    text: Annotated[_Text, Field(min_length=1, description="For a person to read; it names nobody.")]
    source: str | None = Field(default=None, max_length=80)
    product: str | None = Field(default=None, max_length=80)
    begins: Instant | None = None
    ends: Instant | None = None


@routes.post("/products/{organisation}/{product}/halt")
async def halt_product(
    organisation: _Name, product: _Name, broker: Broker, caller: Caller, form: WhyForm | None = None
) -> dict[str, Any]:
    """Stop every stream of the product; the answer comes when nothing more can follow in any of them.

    Its exits answer 409 PRODUCT_HALTED until it is resumed, at the position where the agency is.
    """
    _require_owner(caller, organisation)
    why = "" if form is None else form.why
    stopped = await broker.halts.halt(organisation, product, by=caller.organisation, why=why)
    return {
        "source": organisation,
        "product": product,
        "halted": True,
        "barriers": len(stopped.barriers),
        "fenced": list(stopped.fenced),
        "durationMs": round(stopped.duration_ms, 1),
    }


@routes.post("/products/{organisation}/{product}/resume")
async def resume_product(
    organisation: _Name, product: _Name, broker: Broker, caller: Caller, form: WhyForm | None = None
) -> dict[str, Any]:
    """Release again. What was withheld meanwhile stays withheld: an agency that needs it asks for a replay."""
    _require_owner(caller, organisation)
    await broker.halts.resume(organisation, product, by=caller.organisation, text="" if form is None else form.why)
    return {"source": organisation, "product": product, "halted": False}


@routes.post("/announcements", status_code=202)
async def announce(form: AnnouncementForm, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Tell every agency concerned, once, in its stream, as a life-cycle event: OUTAGE, DEPRECATION or INFORMATION."""
    if form.source is None and not caller.is_operator:
        raise Forbidden("only the operator tells everybody: name your own organisation as source")
    if form.source is not None:
        _require_owner(caller, form.source)
    if form.reason not in ANNOUNCED:
        raise Invalid(f"reason: one of {', '.join(sorted(ANNOUNCED))}")
    told = Announced(form.reason, form.text, form.begins, form.ends)
    epoch = await broker.halts.announce(form.source, form.product, told, by=caller.organisation)
    return {"epoch": epoch, "reason": form.reason.value}


def _require_owner(caller: Principal, organisation: str) -> None:
    if caller.is_operator or (SOURCE_OWNER in caller.roles and caller.organisation == organisation):
        return
    raise Forbidden("this is for the owner of the source, or the operator")
