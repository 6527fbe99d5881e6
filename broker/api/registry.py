"""Schema registry that stock clients understand: the read side of Confluent's REST API; `registry_writing` is the other.

A delivery topic's subject is `<topic>-value` (TopicNameStrategy) and holds the agreement's egress schema; a product's is
`source.<organisation>.<product>-value`. An egress schema is shown only to an agency with an agreement that uses it: it
tells what others may see. Errors have Confluent's own form and codes (40401 subject, 40402 version, 40403 schema).
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from broker.api.auth import Caller, Principal
from broker.api.services import Broker
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.registered import Product

routes = APIRouter(tags=["registry"])

MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
NO_SUBJECT, NO_VERSION, NO_SCHEMA = 40401, 40402, 40403
_LEVEL = "BACKWARD"


@routes.get("/schemas/ids/{identifier}")
async def schema_by_id(identifier: int, broker: Broker, caller: Caller) -> JSONResponse:
    """The text of a schema that a record's frame names."""
    state = broker.control.state
    if identifier not in set(visible(state, caller).values()):
        return refused(NO_SCHEMA, "Schema not found")
    return answer({"schema": state.schemas[identifier].text})


@routes.get("/schemas/types")
async def schema_types(_caller: Caller) -> JSONResponse:
    """Avro only."""
    return answer(["AVRO"])


@routes.get("/schemas/ids/{identifier}/versions")
async def versions_by_id(identifier: int, broker: Broker, caller: Caller) -> JSONResponse:
    """Subjects and versions that have this schema, of those that the caller may read."""
    found = sorted(place for place, held in visible(broker.control.state, caller).items() if held == identifier)
    if not found:
        return refused(NO_SCHEMA, "Schema not found")
    return answer([{"subject": subject, "version": version} for subject, version in found])


@routes.get("/config")
async def config(_caller: Caller) -> JSONResponse:
    """What a next version may change: Avro's `BACKWARD`, and more that docs/registry.md tells. Nobody sets it otherwise."""
    return answer({"compatibilityLevel": _LEVEL})


@routes.get("/config/{subject}")
async def config_of_subject(subject: str, broker: Broker, caller: Caller) -> JSONResponse:
    """The same for every subject."""
    if not versions_of(broker.control.state, caller, subject):
        return refused(NO_SUBJECT, "Subject not found.")
    return answer({"compatibilityLevel": _LEVEL})


@routes.get("/mode")
async def mode(_caller: Caller) -> JSONResponse:
    """Read and write, always."""
    return answer({"mode": "READWRITE"})


@routes.get("/subjects")
async def subjects(broker: Broker, caller: Caller) -> JSONResponse:
    """Names of the subjects the caller may read."""
    return answer(sorted({subject for subject, _ in visible(broker.control.state, caller)}))


@routes.get("/subjects/{subject}/versions")
async def versions(subject: str, broker: Broker, caller: Caller) -> JSONResponse:
    """Versions of one subject."""
    found = versions_of(broker.control.state, caller, subject)
    return answer(sorted(found)) if found else refused(NO_SUBJECT, "Subject not found.")


@routes.get("/subjects/{subject}/versions/{version}")
async def version_of_subject(subject: str, version: str, broker: Broker, caller: Caller) -> JSONResponse:
    """One version of a subject, by number or `latest`."""
    state = broker.control.state
    found = versions_of(state, caller, subject)
    if not found:
        return refused(NO_SUBJECT, "Subject not found.")
    number = numbered(found, version)
    if number not in found:
        return refused(NO_VERSION, "Version not found.")
    identifier = found[number]
    return answer({"subject": subject, "version": number, "id": identifier, "schema": state.schemas[identifier].text})


def visible(state: ControlState, caller: Principal) -> Mapping[tuple[str, int], int]:
    """Schema ids that the caller may read, by (subject, version)."""
    found = {(subject_of(item), 1): item.schema_id for item in state.products.values()}
    for entry in (entry for name in state.agreements for entry in state.versions_of(name).values()):
        agency = entry.document["agency"]
        if entry.egress_schema_id is not None and (caller.is_operator or agency == caller.organisation):
            found[f"{topics.delivery(agency, entry.id)}-value", entry.version] = entry.egress_schema_id
    if caller.is_operator:
        found |= {(item.subject, 1): item.id for item in state.schemas.values() if item.subject == topics.RECEIPTS}
    return found


def versions_of(state: ControlState, caller: Principal, subject: str) -> dict[int, int]:
    """Schema ids that the caller may read, by version of one subject; empty where it knows of none."""
    return {version: held for (name, version), held in visible(state, caller).items() if name == subject}


def numbered(found: Mapping[int, int], version: str) -> int:
    """Number of a version as paths name it (`latest` and `-1` are the highest of `found`); 0 for what is none."""
    return max(found) if version in {"latest", "-1"} else int(version) if version.isdecimal() else 0


def subject_of(product: Product) -> str:
    """Subject of a product's schema."""
    return f"{topics.source(product.source, product.id)}-value"


def answer(body: object) -> JSONResponse:
    """Something, in the registry's media type."""
    return JSONResponse(body, media_type=MEDIA_TYPE)


def refused(code: int, message: str, status: HTTPStatus = HTTPStatus.NOT_FOUND) -> JSONResponse:
    """A refusal in Confluent's form."""
    body: dict[str, Any] = {"error_code": code, "message": message}
    return JSONResponse(body, status, media_type=MEDIA_TYPE)
