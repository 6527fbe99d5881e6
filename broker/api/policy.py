"""Questions about policies: why a record would be released or not, and what one agreement lets through beyond another.

The record of a question is hypothetical and comes in the body; answers name paths and what the agreement itself says.
Nothing is changed by asking.
"""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field

from broker.api.agreements import entry_for
from broker.api.auth import AGENCY, SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.errors import Forbidden, Invalid, NotFound
from broker.model.agreement import Agreement
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents, questions
from broker.policy.compare import compare
from broker.policy.limits import limits_of
from broker.policy.standing import Standing
from broker.schema.avro import Schema, load_schema

routes = APIRouter(prefix="/v1/policy", tags=["policy"])

Document = dict[str, Any]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Named(_Form):
    """An agreement by id, as it is in force; or one version of it; or a document."""

    agreement: Annotated[str, Field(max_length=80)] | None = None
    version: Annotated[int, Field(ge=1)] | None = None
    document: Document | None = None


class ExplainForm(Named):
    """Under which agreement, and the hypothetical case: values by leaf path (null: absent), and what holds of its subject."""

    record: Annotated[Document | None, Field(repr=False)]
    kind: str = "changed"
    dossier: bool = False
    consent: bool = False
    at: str | None = None
    previous: Annotated[Document | None, Field(repr=False)] = None


class CompareForm(_Form):
    """The old agreement and the new one."""

    old: Named
    new: Named


@routes.post("/explain")
async def explain_record(form: Annotated[ExplainForm, Body()], broker: Broker, caller: Caller) -> dict[str, Any]:
    """Every clause that was looked at with its outcome, the result, and the clause that settled it (`rule`)."""
    state = broker.control.state
    standing = _standing(state, form, caller)
    asked = form.model_dump(include={"record", "kind", "dossier", "consent", "at", "previous"})
    case = questions.case(asked, schema_of(state, standing.agreement), now=datetime.now(UTC))
    answer = questions.explained(case.explained(standing, limits_of(state)))
    return {"agreement": standing.agreement.id, "version": standing.agreement.version} | answer


@routes.post("/compare")
async def compare_agreements(form: Annotated[CompareForm, Body()], broker: Broker, caller: Caller) -> dict[str, Any]:
    """Whether `new` is equal to, wider than, narrower than or incomparable with `old`, with example records."""
    state = broker.control.state
    old, new = (_standing(state, named, caller).agreement for named in (form.old, form.new))
    # Two intricate populations take seconds, in which this process must go on answering.
    answer = questions.compared(await asyncio.to_thread(compare, old, new, schema_of(state, new)))
    return {"old": _called(old), "new": _called(new)} | answer


def _standing(state: ControlState, named: Named, caller: Principal) -> Standing:
    """The agreement a party asks about, as it stands; a document as if it were active."""
    if (named.agreement is None) == (named.document is None) or (named.version and named.document):
        raise Invalid("name one `agreement`, with its `version` or as it is in force, or give one `document`")
    if named.document is not None:
        agreement = documents.agreement(named.document)
        require_own(agreement, caller)
        return questions.as_if_active(agreement)
    entry = _version(state, entry_for(state, named.agreement or "", caller), named.version)
    agreement = documents.agreement(entry.document)
    require_own(agreement, caller)
    return Standing(agreement, entry.state, entry.activated_at)


def _version(state: ControlState, entry: AgreementEntry, version: int | None) -> AgreementEntry:
    if version is None:
        return entry
    found = state.versions_of(entry.id).get(version)
    if found is None:
        raise NotFound(f"{entry.id} has no version {version}")
    return found


def require_own(agreement: Agreement, caller: Principal) -> None:
    """An agency asks for itself, an owner about its own source; raises `Forbidden`."""
    own = (AGENCY, agreement.agency), (SOURCE_OWNER, agreement.source)
    if not any(role in caller.roles and caller.organisation == organisation for role, organisation in own):
        raise Forbidden("a party to the agreement asks about it: its agency, or the owner of its source")


def schema_of(state: ControlState, agreement: Agreement) -> Schema:
    """Schema of the agreement's product; raises `Invalid` where its source offers none."""
    product = state.products.get((agreement.source, agreement.product))
    if product is None:
        raise Invalid(f"product: {agreement.source} offers no {agreement.product}")
    return load_schema(state.schemas[product.schema_id].text)


def _called(agreement: Agreement) -> Mapping[str, Any]:
    return {"agreement": agreement.id, "version": agreement.version}
