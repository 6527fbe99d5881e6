"""Schema registry that stock clients understand: the read side of Confluent's REST API.

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
from broker.model.facts import ControlState

routes = APIRouter(tags=["registry"])

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_NO_SUBJECT, _NO_VERSION, _NO_SCHEMA = 40401, 40402, 40403


@routes.get("/schemas/ids/{identifier}")
async def schema_by_id(identifier: int, broker: Broker, caller: Caller) -> JSONResponse:
    """The text of a schema that a record's frame names."""
    state = broker.control.state
    if identifier not in set(_visible(state, caller).values()):
        return _refused(_NO_SCHEMA, "Schema not found")
    return _answer({"schema": state.schemas[identifier].text})


@routes.get("/schemas/types")
async def schema_types(_caller: Caller) -> JSONResponse:
    """Avro only."""
    return _answer(["AVRO"])


@routes.get("/subjects")
async def subjects(broker: Broker, caller: Caller) -> JSONResponse:
    """Names of the subjects the caller may read."""
    return _answer(sorted({subject for subject, _ in _visible(broker.control.state, caller)}))


@routes.get("/subjects/{subject}/versions")
async def versions(subject: str, broker: Broker, caller: Caller) -> JSONResponse:
    """Versions of one subject."""
    found = _versions(broker.control.state, caller, subject)
    return _answer(sorted(found)) if found else _refused(_NO_SUBJECT, "Subject not found.")


@routes.get("/subjects/{subject}/versions/{version}")
async def version_of_subject(subject: str, version: str, broker: Broker, caller: Caller) -> JSONResponse:
    """One version of a subject, by number or `latest`."""
    state = broker.control.state
    found = _versions(state, caller, subject)
    if not found:
        return _refused(_NO_SUBJECT, "Subject not found.")
    number = max(found) if version in {"latest", "-1"} else int(version) if version.isdecimal() else 0
    if number not in found:
        return _refused(_NO_VERSION, "Version not found.")
    identifier = found[number]
    return _answer({"subject": subject, "version": number, "id": identifier, "schema": state.schemas[identifier].text})


def _visible(state: ControlState, caller: Principal) -> Mapping[tuple[str, int], int]:
    """Schema ids that the caller may read, by (subject, version)."""
    found = {(f"{topics.source(item.source, item.id)}-value", 1): item.schema_id for item in state.products.values()}
    for entry in (entry for name in state.agreements for entry in state.versions_of(name).values()):
        agency = entry.document["agency"]
        if entry.egress_schema_id is not None and (caller.is_operator or agency == caller.organisation):
            found[f"{topics.delivery(agency, entry.id)}-value", entry.version] = entry.egress_schema_id
    if caller.is_operator:
        found |= {(item.subject, 1): item.id for item in state.schemas.values() if item.subject == topics.RECEIPTS}
    return found


def _versions(state: ControlState, caller: Principal, subject: str) -> dict[int, int]:
    return {version: held for (name, version), held in _visible(state, caller).items() if name == subject}


def _answer(body: object) -> JSONResponse:
    return JSONResponse(body, media_type=_MEDIA_TYPE)


def _refused(code: int, message: str) -> JSONResponse:
    body: dict[str, Any] = {"error_code": code, "message": message}
    return JSONResponse(body, HTTPStatus.NOT_FOUND, media_type=_MEDIA_TYPE)
