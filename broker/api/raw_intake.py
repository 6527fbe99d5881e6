"""The push API: a source that can call us sends its changes, one object or many; they lie on its raw topic before the answer.

An adapter's runner publishes them from there through a mapping file (docs/adapters.md). The Idempotency-Key header is that
of draft-ietf-httpapi-idempotency-key-header: with one, a request that is sent again is written once.
"""

import json
import re
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Request
from fastapi.responses import StreamingResponse

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.line_answers import NDJSON, answered, require_size
from broker.api.raw_lines import Looked, pieces, wrong
from broker.api.raw_sources import OrganisationId, RawName
from broker.api.services import Broker, Services
from broker.control.intake_keys import Piece, Pushed
from broker.errors import Forbidden, Invalid, NotFound

routes = APIRouter(prefix="/v1/sources/{organisation}/raw/{name}", tags=["raw sources"])

UNBUFFERED = re.compile(r"/v1/sources/[^/]+/raw/[^/]+/bulk")
"""Paths whose bodies are bounded here, as they are read."""

IDEMPOTENCY_KEY = "Idempotency-Key"

_JSON = "application/json"
_KEY = re.compile(r'"([\x20-\x21\x23-\x5b\x5d-\x7e]{1,255})"|([\x21\x23-\x5b\x5d-\x7e]{1,255})')
_LONGEST_KEY = 257
_OBJECT = {"requestBody": {"required": True, "content": {_JSON: {"schema": {"type": "object"}}}}}
_FILE = {
    "requestBody": {"required": True, "content": {NDJSON: {"schema": {"type": "string"}}}},
    "responses": {"202": {"content": {NDJSON: {"schema": {"type": "string"}}}}},
}

_Key = Annotated[
    str | None,
    Header(
        alias=IDEMPOTENCY_KEY,
        max_length=_LONGEST_KEY,
        description="Yours for this request, remembered for 24 hours: a UUID, in quotes or not. It names nobody.",
    ),
]


@routes.post("", status_code=202, openapi_extra=_OBJECT)
async def push_object(
    organisation: OrganisationId, name: RawName, request: Request, broker: Broker, caller: Caller, key: _Key = None
) -> dict[str, Any]:
    """Take one change, a JSON object of at most 256 KiB, as the source states it.

    Once this is answered it lies on the raw topic, behind everything that was answered before. The same key and object
    again: the same answer, and nothing is written; the same key with another request is 422 `IDEMPOTENCY_KEY_REUSED`.
    """
    pushed = _pushed(organisation, name, "object", request, broker, caller, key)
    _require_kind(request, _JSON)
    body = await request.body()
    found = wrong(body)
    if found is not None:
        raise Invalid(f"{found.problem} [{found.code}]")
    await broker.raw_intake.write(pushed, Piece(0, [body], [body], last=True))
    return {"organisation": organisation, "name": name, "accepted": 1}


@routes.post("/bulk", status_code=202, openapi_extra=_FILE, response_class=StreamingResponse)
async def push_objects(
    organisation: OrganisationId, name: RawName, request: Request, broker: Broker, caller: Caller, key: _Key = None
) -> StreamingResponse:
    """Take the changes of an NDJSON body in its order: at most 1,000,000 lines of 256 KiB, and 256 MiB.

    One JSON object per line that is not blank: `line`, `status` (accepted, invalid), and for an invalid one, which is not
    written, a `code` and a `problem`. It is written in pieces as it comes in. After a failure send the same body with the
    same key again: what was written is not written again, and what was not is.
    """
    pushed = _pushed(organisation, name, "bulk", request, broker, caller, key)
    require_size(request)
    _require_kind(request, NDJSON)

    async def parts() -> AsyncIterator[bytes]:
        async for looked in pieces(request.stream()):
            await broker.raw_intake.write(pushed, looked.piece)
            yield _told(looked)

    return await answered(parts(), status=202)


def _pushed(
    organisation: str,
    name: str,
    form: Literal["object", "bulk"],
    request: Request,
    broker: Services,
    caller: Principal,
    key: str | None,
) -> Pushed:
    """What the request is, before its body is read; raises `Forbidden`, `NotFound` and `Invalid`."""
    if SOURCE_OWNER not in caller.roles or caller.organisation != organisation:
        raise Forbidden("only the owner of the source pushes to it")
    if (organisation, name) not in broker.control.state.raw.declared:
        raise NotFound("no raw source of this name: declare it first (datanuts raw declare)")
    if key is None:
        return Pushed(organisation, name, form)
    found = _KEY.fullmatch(key)
    if found is None or len(request.headers.getlist(IDEMPOTENCY_KEY)) > 1:
        raise Invalid(f"{IDEMPOTENCY_KEY}: once, 1 to 255 visible characters of ASCII without quotes, such as a UUID")
    return Pushed(organisation, name, form, found[1] or found[2])


def _require_kind(request: Request, wanted: str) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != wanted:
        raise Invalid(f"the content type is {wanted}")


def _told(looked: Looked) -> bytes:
    lines = (
        {"line": place, "status": "accepted"}
        if found is None
        else {"line": place, "status": "invalid", "code": found.code, "problem": found.problem}
        for place, found in looked.outcomes
    )
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)
