"""Pseudonyms of an agreement: their key epoch, a rotation, and the continuity map, which only the agency itself gets."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from broker.api.agreements import AgreementId, entry_for
from broker.api.auth import AGENCY, Caller, Principal
from broker.api.services import Broker, PseudonymKey, Services
from broker.errors import Forbidden
from broker.model.control_state import ControlState

routes = APIRouter(prefix="/v1/agreements/{agreement}/pseudonyms", tags=["pseudonyms"])

_Epoch = Annotated[int, Query(ge=1, le=1_000_000)]


@routes.get("")
async def show_pseudonyms(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Epoch of the key behind the agreement's pseudonyms, and the public key (Ed25519, hexadecimal) that seals maps."""
    entry_for(broker.control.state, agreement, caller)
    return _shown(broker, broker.pseudonyms.key_of(agreement))


@routes.post("/rotate")
async def rotate_pseudonyms(agreement: AgreementId, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Make other pseudonyms from now on, under every agreement of this agency for this purpose."""
    if not caller.is_operator:
        _require_agency(broker.control.state, agreement, caller)
    return _shown(broker, await broker.pseudonyms.rotate(agreement, caller.organisation))


@routes.get("/map", response_class=StreamingResponse)
async def map_pseudonyms(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    old: Annotated[_Epoch, Query(alias="from", description="Epoch of the pseudonyms that the agency has.")],
    new: Annotated[_Epoch, Query(alias="to", description="A later epoch, at most the present one.")],
) -> StreamingResponse:
    """Old pseudonym to new, a line (NDJSON) for every subject that the agreement would deliver now; the last is the seal."""
    _require_agency(broker.control.state, agreement, caller)
    pieces = await broker.pseudonyms.continuity(agreement, old, new)
    return StreamingResponse(pieces, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


def _require_agency(state: ControlState, agreement: str, caller: Principal) -> None:
    """The operator and the source never see a subject, so that neither gets what stands for one."""
    if entry_for(state, agreement, caller).document["agency"] != caller.organisation or AGENCY not in caller.roles:
        raise Forbidden("only the agreement's agency may do this")


def _shown(broker: Services, key: PseudonymKey) -> dict[str, Any]:
    return {
        "agency": key.agency,
        "purpose": key.purpose,
        "epoch": key.epoch,
        "agreements": list(key.agreements),
        "sealKey": broker.pseudonyms.seal_key(),
    }
