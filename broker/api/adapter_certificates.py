"""Certificates of adapters: handed in by a source's owner, countersigned by the operator, withdrawn by either."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import OPERATOR, SOURCE_OWNER, Caller, Principal
from broker.api.services import Broker
from broker.errors import Forbidden, NotFound
from broker.model.adapter_certificates import AdapterCertificate
from broker.policy.forms import Instant

routes = APIRouter(prefix="/v1/adapters/certificates", tags=["adapters"])

_Id = Annotated[str, Path(max_length=32)]
_Name = Annotated[str, Field(min_length=1, max_length=80)]
_Told = Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f]*$")]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid")


class CheckForm(_Form):
    """What became of one check."""

    code: str = Field(max_length=64, pattern=r"^[A-Z][A-Z0-9_]*$")
    outcome: Literal["passed", "failed", "not-applicable", "not-tried"]
    seen: _Told = ""
    seconds: float = Field(default=0.0, ge=0)


class ReportForm(_Form):
    """A report as the conformance kit writes it (docs/conformance.md); it holds no value of the sample."""

    format: Literal["datanuts-conformance/1"]
    kit: str = Field(max_length=16)
    adapter: _Name
    module: str = Field(max_length=200, pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$")
    package: str = Field(pattern=r"^sha256:[0-9a-f]{64}$")
    source: _Name
    product: _Name
    http: bool
    at: Instant
    versions: dict[Annotated[str, Field(max_length=40)], Annotated[str, Field(max_length=40)]] = Field(max_length=10)
    passed: bool
    checks: list[CheckForm] = Field(max_length=200)


@routes.get("")
async def list_certificates(broker: Broker, caller: Caller) -> dict[str, Any]:
    """Certificates for the caller's own sources, oldest first; all of them for the operator and a supervisor."""
    held = broker.control.state.adapter_certificates.held.values()
    seen = [each for each in held if caller.oversees or each.binding.source == caller.organisation]
    return {"items": [_shown(each) for each in seen], "next": None}


@routes.post("", status_code=201)
async def certify(form: ReportForm, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Answer for a report about an adapter of the caller's own source; valid once the operator countersigned."""
    if SOURCE_OWNER not in caller.roles or caller.organisation != form.source:
        raise Forbidden("only the owner of the source certifies an adapter for it")
    made = await broker.adapter_certificates.certify(form.model_dump(mode="json"), by=caller.organisation)
    return _shown(made)


@routes.post("/{certificate}/countersign")
async def countersign(certificate: _Id, broker: Broker, caller: Caller) -> dict[str, Any]:
    """Answer for it too, having run the kit: valid from now on, for twelve months."""
    caller.require(OPERATOR)
    return _shown(await broker.adapter_certificates.countersign(certificate, by=caller.organisation))


@routes.delete("/{certificate}")
async def withdraw(
    certificate: _Id, broker: Broker, caller: Caller, why: Annotated[str, Query(max_length=300)] = ""
) -> dict[str, Any]:
    """End it for good: from the answer on nothing more of a running adapter is committed. `why` names nobody."""
    await broker.control.read_to_head()
    _require_its_owner(caller, broker.control.state.adapter_certificates.held.get(certificate))
    return _shown(await broker.adapter_certificates.withdraw(certificate, by=caller.organisation, why=why))


def _require_its_owner(caller: Principal, held: AdapterCertificate | None) -> None:
    if caller.is_operator:
        return
    if held is None or held.binding.source != caller.organisation:
        raise NotFound("no such certificate")
    if SOURCE_OWNER not in caller.roles:
        raise Forbidden("this is for the owner of the source, or the operator")


def _shown(held: AdapterCertificate) -> dict[str, Any]:
    return {
        "id": held.id,
        "standing": held.standing(datetime.now(UTC)).value,
        "adapter": held.adapter,
        "module": held.binding.module,
        "package": held.binding.package,
        "source": held.binding.source,
        "product": held.binding.product,
        "certified": held.certified.isoformat(),
        "countersigned": _instant(held.countersigned),
        "countersignedBy": held.countersigned_by or None,
        "expires": _instant(held.expires),
        "withdrawn": _instant(held.withdrawn),
        "withdrawnBy": held.withdrawn_by or None,
        "why": held.why or None,
        "notApplicable": [
            each["code"] for each in held.report.get("checks", ()) if each["outcome"] == "not-applicable"
        ],
    }


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()
