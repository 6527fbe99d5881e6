"""The life of a product version over HTTP: its owner launches, deprecates and ends it; each party reads what that asks of it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from broker.api.agreements import sees
from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.control.product_lives import NOTICE_DAYS, Announced, Concerned, all_concerned
from broker.errors import Forbidden, NotFound
from broker.model.product_life import Life
from broker.policy.forms import Instant
from broker.policy.succession import RULES, Asked

routes = APIRouter(prefix="/v1/products", tags=["products"])

_Name = Annotated[str, Path(max_length=80)]
_Text = Annotated[str, Field(max_length=1000, pattern=r"^[^\x00-\x1f]*$")]


class DeprecationForm(BaseModel):
    """What the owner announces of a version."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    sunset: Instant = Field(description="From then on nothing begins on the version any more.")
    reason: Annotated[_Text, Field(min_length=1, description="For a person to read; it names nobody.")]
    successor: str | None = Field(
        default=None, max_length=80, description="A later version, or another type of the source."
    )
    notice_days: int = Field(
        default=NOTICE_DAYS,
        ge=0,
        le=3650,
        alias="noticeDays",
        description="Before the sunset, for what is to be signed.",
    )
    dry_run: bool = Field(default=False, alias="dryRun", description="Only answer what it would ask of each agreement.")


class EndForm(BaseModel):
    """How a version ends."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    why: _Text = ""
    end_agreements: bool = Field(
        default=False, alias="endAgreements", description="End what is still in force on it first."
    )


_AS_IT_IS = EndForm()


@routes.post("/{organisation}/{product}/launch")
async def launch_product(organisation: _Name, product: _Name, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Make a planned version live: from now on agreements on it are published."""
    _require_owner(caller, organisation)
    life = await broker.lives.launch(organisation, product, by=caller.organisation)
    return {"id": product, "source": organisation, **life_shown(life)}


@routes.post("/{organisation}/{product}/deprecate")
async def deprecate_product(
    organisation: _Name, product: _Name, form: DeprecationForm, broker: Broker, caller: Caller
) -> dict[str, Any]:
    """Announce the sunset of a version, and answer every agreement on it: must its text change, why, where, and by when.

    Its parties are told in their streams and as a sealed event. The same again changes nothing; a sunset only moves later.
    """
    _require_owner(caller, organisation)
    told = Announced(form.sunset, form.reason, form.successor, form.notice_days)
    if form.dry_run:
        found = await broker.lives.examine(organisation, product, told)
    else:
        found = await broker.lives.deprecate(organisation, product, told, by=caller.organisation)
    life = broker.control.state.lives.of(organisation, product)
    return {
        "id": product,
        "source": organisation,
        "dryRun": form.dry_run,
        **life_shown(life),
        "agreements": _all_shown(found),
    }


@routes.get("/{organisation}/{product}/succession")
async def show_succession(organisation: _Name, product: _Name, broker: Broker, caller: Caller) -> dict[str, Any]:
    """What the deprecation of a version asks of the caller's agreements on it; none where it is not deprecated."""
    state = broker.control.state
    if (organisation, product) not in state.products:
        raise NotFound("no such product")
    life = state.lives.of(organisation, product)
    own: Sequence[Concerned] = ()
    if life.deprecation is not None:
        own = await all_concerned(state, organisation, product, life.deprecation, lambda entry: sees(entry, caller))
    return {"id": product, "source": organisation, **life_shown(life), "agreements": _all_shown(own)}


@routes.post("/{organisation}/{product}/end")
async def end_product(
    organisation: _Name, product: _Name, broker: Broker, caller: Caller, form: EndForm = _AS_IT_IS
) -> dict[str, Any]:
    """End a version after its sunset; answers when every agreement that was ended for it delivers nothing any more.

    409 while agreements are in force on it, unless `endAgreements`.
    """
    _require_owner(caller, organisation)
    ended = await broker.lives.end(
        organisation, product, by=caller.organisation, why=form.why, end_agreements=form.end_agreements
    )
    life = broker.control.state.lives.of(organisation, product)
    return {"id": product, "source": organisation, **life_shown(life), "agreementsEnded": list(ended)}


def life_shown(life: Life) -> dict[str, Any]:
    """A version's state, and what was announced of it; null where nothing was."""
    told = life.deprecation
    return {
        "state": life.state.value,
        "deprecatedSince": told and told.since.isoformat(),
        "sunset": told and told.sunset.isoformat(),
        "successor": told and told.successor,
        "reason": told and told.reason,
        "noticeDays": told and told.notice_days,
        "ended": _instant(life.ended),
    }


def _all_shown(found: Iterable[Concerned]) -> list[dict[str, Any]]:
    return [
        {
            "id": each.entry.id,
            "version": each.entry.version,
            "state": each.entry.state.value,
            "agency": each.entry.agency,
            "purpose": each.entry.document["purpose"],
            "by": _instant(each.by.at),
            "rule": each.by.rule.value,
            "ruleText": RULES[each.by.rule],
            **_asked(each.asked),
        }
        for each in found
    ]


def _asked(asked: Asked | None) -> dict[str, Any]:
    """Null and empty where nothing follows the version: then its agreements end with it."""
    if asked is None:
        return {"textMustChange": None, "grounds": [], "clauses": [], "forPrograms": []}
    return {
        "textMustChange": asked.text_must_change,
        "grounds": [
            {"reason": each.reason.value, "path": each.path, "text": each.text, "to": each.to} for each in asked.grounds
        ],
        "clauses": [
            {"article": each.article, "title": each.title, "before": list(each.before), "after": list(each.after)}
            for each in asked.clauses
        ],
        "forPrograms": [
            {"path": each.path, "rule": each.rule.value, "reason": each.reason} for each in asked.for_programs
        ],
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _require_owner(caller: Principal, organisation: str) -> None:
    if SOURCE_OWNER not in caller.roles or caller.organisation != organisation:
        raise Forbidden("this is for the owner of the source: a credential of it with the role source-owner")
