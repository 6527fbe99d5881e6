"""Templates: preview, draft and follow one agreement per local authority, and carry out mergers. For the operator."""

from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import OPERATOR, Caller, Principal
from broker.api.services import Broker
from broker.errors import Invalid
from broker.policy.accessions import Accession, waits_for
from broker.policy.authorities import Authorities, authorities
from broker.policy.mergers import MergerPlan
from broker.policy.templates import Template, template

routes = APIRouter(prefix="/v1/templates", tags=["templates"])

MOST_AT_ONCE = 50
"""Authorities whose agreements one request writes; a reader of many asks again with the next ones."""
_MOST_LOOKED_AT = 700


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    template: dict[str, Any] = Field(description="The template's document.")
    authorities: str = Field(
        max_length=200_000, description="Lines of the table of authorities, as CSV with its header."
    )

    def read(self, most: int) -> tuple[Template, Authorities]:
        """The template and the table; raises `Invalid` naming the place."""
        table = authorities(self.authorities)
        if len(table.rows) > most:
            raise Invalid(f"authorities: at most {most} at once")
        return template(self.template), table


class _Look(_Request):
    """What to look at; with `texts` every agreement is examined and its Dutch text named by its hash."""

    texts: bool = True


class _Work(_Request):
    """What to write; `amend` drafts another text too, `sign: dev` takes every actor's step (fictional persons only)."""

    amend: bool = False
    sign: Literal["dev"] | None = None


class _Merger(_Request):
    """A merger in the table's terms, as it stands on a day; the table's lines are those of all concerned."""

    predecessors: Annotated[tuple[str, ...], Field(min_length=1, max_length=20)]
    successor: str
    on: date
    dry_run: bool = True


@routes.post("/preview")
async def preview(request: _Look, broker: Broker, caller: Caller) -> dict[str, Any]:
    """What onboarding would do for each authority, its problems, and where its agreement stands; writes nothing."""
    _only_operator(caller)
    chosen, table = request.read(_MOST_LOOKED_AT)
    look = broker.templates.preview if request.texts else broker.templates.standing
    return {"items": [shown(each) for each in await look(chosen, table.rows)]}


@routes.post("/onboard")
async def onboard(request: _Work, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Register and draft for each authority what is not there yet. One authority's problem does not stop the others."""
    _only_operator(caller)
    chosen, table = request.read(MOST_AT_ONCE)
    done = await broker.templates.onboard(
        chosen, table.rows, caller.organisation, amend=request.amend, sign=request.sign is not None
    )
    return {"items": [shown(each) for each in done]}


@routes.post("/merge")
async def merge(request: _Merger, broker: Broker, caller: Caller) -> dict[str, Any]:
    """The plan of a merger under a template; without `dryRun` it is carried out, unless it has problems."""
    _only_operator(caller)
    chosen, table = request.read(_MOST_LOOKED_AT)
    plan = await broker.templates.merger(
        chosen, table, request.on, predecessors=request.predecessors, successor=request.successor
    )
    if request.dry_run:
        return _plan(plan) | {"moved": None}
    moved = await broker.templates.merge(plan, caller.organisation)
    told = [{"agreement": each.agreement, "dossiers": each.dossiers, "state": each.state.value} for each in moved]
    return _plan(plan) | {"moved": told}


def shown(accession: Accession) -> dict[str, Any]:
    """One authority's accession as JSON; `document` is what its agreement says or would say."""
    held = accession.held
    return {
        "authority": accession.authority.id,
        "name": accession.authority.organisation.name,
        "registered": accession.registered,
        "agreement": accession.agreement,
        "need": accession.need.value,
        "version": (accession.document or {}).get("version"),
        "state": held and held.state.value,
        "waitsFor": waits_for(held),
        "textSha256": accession.text_sha256,
        "problems": list(accession.problems),
        "differences": [{"path": each.path, "label": each.label.value} for each in accession.differences],
    }


def _plan(plan: MergerPlan) -> dict[str, Any]:
    return {
        "template": plan.template,
        "agency": plan.to_agency,
        "agreement": plan.to_agreement,
        "transfers": [
            {
                "agreement": each.agreement,
                "agency": each.agency,
                "dossiers": each.dossiers,
                "stop": each.stop.value,
                "why": each.why,
            }
            for each in plan.transfers
        ],
        "problems": list(plan.problems),
    }


def _only_operator(caller: Principal) -> None:
    caller.require(OPERATOR)
