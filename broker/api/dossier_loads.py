"""Bulk files of dossiers over HTTP: read as they come in, answered line by line once they are in.

An answer holds line numbers and the agency's own references, never a subject.
"""

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from broker.api.agreements import AgreementId
from broker.api.auth import Caller
from broker.api.dossier_forms import ClosingForm, DossierForm
from broker.api.dossier_lines import CsvLines, JsonLines, Lines, split
from broker.api.dossiers import Unknown, UnknownSubjects, asked_of_source, require_own
from broker.api.line_answers import NDJSON, answered, require_size
from broker.api.services import Broker
from broker.control.registrations import Closing, Opening, Outcome, refused
from broker.control.subjects import Refusal
from broker.errors import Invalid

routes = APIRouter(prefix="/v1/agreements/{agreement}/dossiers", tags=["dossiers"])

UNBUFFERED = re.compile(r"/v1/agreements/[^/]+/dossiers(/end)?/bulk")
"""Paths whose bodies are bounded here, as they are read."""

CSV = "text/csv"

_AT_ONCE = 1_000
_BODY = {
    "requestBody": {"required": True, "content": {kind: {"schema": {"type": "string"}} for kind in (CSV, NDJSON)}},
    "responses": {"200": {"content": {NDJSON: {"schema": {"type": "string"}}}}},
}

_Form = TypeVar("_Form", bound=BaseModel)
_Handled = Callable[[Sequence[_Form]], Awaitable[Sequence[Outcome]]]


@routes.post("/bulk", openapi_extra=_BODY, response_class=StreamingResponse)
async def add_dossiers(
    agreement: AgreementId,
    request: Request,
    broker: Broker,
    caller: Caller,
    unknown: UnknownSubjects = Unknown.REFUSE,
) -> StreamingResponse:
    """Register the files of a CSV (insz or kbo, referentie, hoedanigheid, begin, einde) or NDJSON body.

    A subject that the source has no record of now is `unknown` and not registered, unless `unknown=register`. One JSON object per line that is not blank: `line`, `status` (registered, already, invalid, unknown), and where they
    say more the agency's `reference`, a `code` (MAGDA's where it has one) and a `problem`. The same file again is safe.
    """
    require_own(broker.control.state, agreement, caller)
    known = asked_of_source(broker, agreement, unknown)

    async def handled(forms: Sequence[DossierForm]) -> Sequence[Outcome]:
        rows = [Opening(form.subject, form.reference, form.capacity, form.begin, form.end) for form in forms]
        return await broker.dossiers.add_many(agreement, caller.organisation, rows, known=known)

    return await _answered(request, _lines(request, DossierForm), handled)


@routes.post("/end/bulk", openapi_extra=_BODY, response_class=StreamingResponse)
async def end_dossiers(agreement: AgreementId, request: Request, broker: Broker, caller: Caller) -> StreamingResponse:
    """End the files of a CSV (insz or kbo, referentie, einde) or NDJSON body; answered as a bulk registration is.

    `status` is ended, already, unknown (no such file) or invalid.
    """
    require_own(broker.control.state, agreement, caller)

    async def handled(forms: Sequence[ClosingForm]) -> Sequence[Outcome]:
        rows = [Closing(form.subject, form.reference, form.end) for form in forms]
        return await broker.dossiers.end_many(agreement, caller.organisation, rows)

    return await _answered(request, _lines(request, ClosingForm), handled)


def _lines(request: Request, form: type[_Form]) -> Lines[_Form]:
    """Reader for the stated media type; a file that is stated to be too large is refused before it is read."""
    require_size(request)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == CSV:
        return CsvLines(form)
    if kind == NDJSON:
        return JsonLines(form)
    raise Invalid(f"the content type is {CSV} or {NDJSON}")


async def _answered(request: Request, lines: Lines[_Form], handled: _Handled[_Form]) -> StreamingResponse:
    """Handle the whole body in parts, then answer."""

    async def parts() -> AsyncIterator[bytes]:
        number, read = 0, list[tuple[int, _Form | Refusal]]()
        async for part in split(request.stream()):
            for line in part:
                number += 1
                stated = lines.read(line)
                if stated is not None:
                    read.append((number, stated))
                if len(read) >= _AT_ONCE:
                    yield await _outcomes(read, handled)
                    read.clear()
        yield await _outcomes(read, handled)

    return await answered(parts())


async def _outcomes(read: Sequence[tuple[int, _Form | Refusal]], handled: _Handled[_Form]) -> bytes:
    """One line per line read; what could be read is handled together, in order."""
    forms = [stated for _, stated in read if not isinstance(stated, Refusal)]
    done = iter(await handled(forms) if forms else ())
    return b"".join(
        _told(number, None, refused(stated)) if isinstance(stated, Refusal) else _told(number, stated, next(done))
        for number, stated in read
    )


def _told(number: int, form: Any, outcome: Outcome) -> bytes:
    """A refused line's reference is left out: in a file with swapped columns it is the subject."""
    told = {
        "line": number,
        "reference": None if outcome.status == "invalid" else form.reference,
        "status": outcome.status,
        "code": outcome.code,
        "problem": outcome.problem,
    }
    return json.dumps({name: value for name, value in told.items() if value is not None}).encode() + b"\n"
