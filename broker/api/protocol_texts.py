"""The Dutch text of an agreement version, as Markdown and as a PDF to sign, and what differs between two versions."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from broker.api.agreements import AgreementId, entry_for
from broker.api.auth import Caller, Principal
from broker.api.services import Broker
from broker.errors import NotFound
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents
from broker.policy.difference import difference
from broker.policy.protocol_pdf import pdf
from broker.policy.protocol_text import agreed_text, stated_at, text_hash

routes = APIRouter(prefix="/v1/agreements/{agreement}", tags=["agreements"])

Version = Annotated[int | None, Query(ge=1, description="Version; without it the one in force, else the latest.")]


@routes.get("/text")
async def show_text(agreement: AgreementId, broker: Broker, caller: Caller, version: Version = None) -> dict[str, Any]:
    """The protocol as Markdown, as it was requested; `sha256` is of this text, `agreedSha256` what was approved and signed.

    They differ only for a version of before texts were kept. `title` and `statedAt` are what its PDF states.
    """
    entry = _version_for(broker.control.state, agreement, caller, version)
    value = documents.agreement(entry.document)
    text = agreed_text(entry, broker.control.state)
    return {
        "text": text,
        "sha256": text_hash(text),
        "agreedSha256": entry.text_sha256,
        "version": entry.version,
        "title": value.title,
        "statedAt": stated_at(value).isoformat(),
    }


@routes.get("/text.pdf", response_class=Response, responses={200: {"content": {"application/pdf": {}}}})
async def show_pdf(agreement: AgreementId, broker: Broker, caller: Caller, version: Version = None) -> Response:
    """The same text as a PDF to sign; asked again, the same bytes."""
    entry = _version_for(broker.control.state, agreement, caller, version)
    value = documents.agreement(entry.document)
    content = pdf(agreed_text(entry, broker.control.state), title=value.title, at=stated_at(value))
    name = f"{entry.id}-v{entry.version}.pdf"
    return Response(
        content, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'}
    )


@routes.get("/difference")
async def show_difference(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    before: Annotated[int, Query(ge=1, alias="from", description="The earlier version.")],
    after: Annotated[int, Query(ge=1, alias="to", description="The later version.")],
) -> dict[str, Any]:
    """Every clause in which two versions differ, in document order."""
    state = broker.control.state
    old, new = (
        documents.agreement(_version_for(state, agreement, caller, version).document) for version in (before, after)
    )
    return {"from": before, "to": after, "items": [found._asdict() for found in difference(old, new)]}


def _version_for(state: ControlState, agreement: str, caller: Principal, version: int | None) -> AgreementEntry:
    """The version if the caller is a party to the agreement or the operator; raises `NotFound`."""
    entry = entry_for(state, agreement, caller)
    if version is None:
        return entry
    found = state.versions_of(agreement).get(version)
    if found is None:
        raise NotFound("the agreement has no such version")
    return found
