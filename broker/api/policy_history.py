"""Questions about the past: what a draft would have released, and whether a past decision comes out the same again.

Both read history with consumers of their own; nothing is delivered, written or moved.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from broker.api.auth import SOURCE_OWNER, Caller, Principal
from broker.api.policy import require_own, schema_of
from broker.api.problems import problem
from broker.api.services import Broker, Services
from broker.control.redecision import Redecided, Said, redecide
from broker.delivery.trail import TracedReceipt
from broker.errors import BrokerError, Conflict, Invalid, KafkaUnavailable, NotFound
from broker.model.agreement import Agreement
from broker.model.control_state import ControlState
from broker.policy import documents
from broker.policy.calendar import instant_of
from broker.policy.check import check
from broker.policy.findings import refuse_if
from broker.policy.forms import Instant
from broker.policy.limits import limits_of
from broker.routing.rehearsal import Rehearsed, Tally
from broker.schema.avro import encode_literal

routes = APIRouter(prefix="/v1/policy", tags=["policy"])

LONGEST_RUN_S = 45.0
"""A run over history ends by then, complete or not, and so does a search in it."""

FEWEST = 5
"""Counts below this are not told to an agency, and others in steps of it."""

_PROGRESS_S = 0.5


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class WhatIfForm(_Form):
    """The draft, and since when history counts."""

    document: dict[str, Any]
    since: Instant


class RedecideForm(_Form):
    """A receipt: by the id of one of its deliveries, or by its place in the topic of receipts."""

    delivery: Annotated[str, Field(pattern="^[0-9a-f]{32}$")] | None = None
    lane: Annotated[int, Field(ge=0)] | None = None
    offset: Annotated[int, Field(ge=0)] | None = None


@routes.post("/what-if")
async def what_if(form: Annotated[WhatIfForm, Body()], broker: Broker, caller: Caller) -> StreamingResponse:
    """What a draft would have released since an instant, against the version in force; delivers and changes nothing.

    Answers one JSON object per line: `{read, total}` while it runs, and at the end `{result}` or `{problem}`. The owner
    of the source gets exact counts; the agency gets none below five, and others in steps of five.
    """
    await broker.control.read_to_head()
    state, draft = broker.control.state, documents.agreement(form.document)
    require_own(draft, caller)
    if form.since > datetime.now(UTC):
        raise Invalid("since: lies in the future")
    _check(draft, state)
    current = _in_force(draft, state)
    about = {
        "agreement": draft.id,
        "version": draft.version,
        "since": form.since.isoformat(),
        "against": current and current.version,
        "fields": [{"path": field.path, "as": field.transform.value} for field in draft.fields],
    }
    exact = SOURCE_OWNER in caller.roles and caller.organisation == draft.source
    run = broker.rehearsals.run(state, draft, current, form.since.astimezone(UTC), seconds=LONGEST_RUN_S)
    lines = _lines(run, about, exact=exact)
    return StreamingResponse(lines, media_type="application/x-ndjson", headers={"Cache-Control": "no-store"})


@routes.post("/redecide")
async def redecide_receipt(form: Annotated[RedecideForm, Body()], broker: Broker, caller: Caller) -> dict[str, Any]:
    """A past decision made again with the policy, record and files of then: `identical`, `different` or `policy-only`.

    Parties see the decisions under their own agreements, the operator all of the receipt.
    """
    await broker.control.read_to_head()
    state, receipt = broker.control.state, await _receipt(form, broker)
    if receipt is None or not any(_sees(state, leaf.agreement, caller) for leaf in receipt.decisions):
        raise NotFound("no such receipt with a decision under an agreement of this organisation")
    try:
        async with asyncio.timeout(LONGEST_RUN_S):
            found = await redecide(broker.history, receipt, state)
    except TimeoutError as error:
        raise KafkaUnavailable("the history of this lane is too long to be searched now") from error
    return {
        "topic": receipt.topic,
        "lane": receipt.lane,
        "offset": receipt.offset,
        "epoch": receipt.epoch,
        "decidedAt": instant_of(receipt.decided_at_ms).isoformat(),
        "decisions": [_redecided(each) for each in found if _sees(state, each.agreement, caller)],
    }


async def _lines(run: AsyncGenerator[Rehearsed, None], about: Mapping[str, Any], *, exact: bool) -> AsyncIterator[str]:
    told = time.monotonic()
    done: Rehearsed | None = None
    try:
        async with aclosing(run):
            async for done in run:
                if time.monotonic() - told > _PROGRESS_S:
                    told = time.monotonic()
                    yield _line({"read": done.read, "total": done.total})
    except BrokerError as error:  # too late for a status
        yield _line({"problem": problem(error)})
        return
    if done is not None:
        yield _line({"result": {**about, **_rehearsed(done, exact=exact)}})


def _line(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _check(draft: Agreement, state: ControlState) -> None:
    """Refuse a draft that could not be requested: nobody learns from history what no agreement may ask."""
    schema, limits = schema_of(state, draft), limits_of(state)
    findings = check(
        draft,
        purposes=limits.purposes,
        ceilings=limits.ceilings,
        schema=schema,
        encode=partial(encode_literal, schema),
        organisations=state.organisations,
    )
    refuse_if(findings)


def _in_force(draft: Agreement, state: ControlState) -> Agreement | None:
    """The version that the draft would replace."""
    entry = state.agreements.get(draft.id)
    if entry is None or entry.activated_at is None:
        return None
    current = documents.agreement(entry.document)
    if (current.source, current.product, current.agency) != (draft.source, draft.product, draft.agency):
        raise Conflict("id: is of an agreement between other parties, or on another product")
    return current


def _rehearsed(done: Rehearsed, *, exact: bool) -> dict[str, Any]:
    return {
        "complete": done.complete,
        "records": _count(done.records, exact=exact),
        "subjects": _count(done.subjects, exact=exact),
        "files": done.files,
        "draft": _tally(done.draft, exact=exact),
        "current": done.current and _tally(done.current, exact=exact),
        "gained": _count(done.gained, exact=exact),
        "lost": _count(done.lost, exact=exact),
    }


def _tally(tally: Tally, *, exact: bool) -> dict[str, Any]:
    mean = tally.bytes // max(1, tally.released - tally.left)
    volume = tally.bytes if exact else mean * (tally.released - tally.released % FEWEST)
    return {
        "released": _count(tally.released, exact=exact),
        "withoutValues": _count(tally.left, exact=exact),
        "subjects": _count(tally.subjects, exact=exact),
        "bytes": volume if exact or tally.released >= FEWEST else None,
        "withheld": {reason: _count(number, exact=exact) for reason, number in sorted(tally.withheld.items())},
    }


def _count(number: int, *, exact: bool) -> int | str:
    """A count as its reader may know it: small ones, and small differences between two runs, could point at a person."""
    if exact:
        return number
    return f"<{FEWEST}" if number < FEWEST else number - number % FEWEST


async def _receipt(form: RedecideForm, broker: Services) -> TracedReceipt | None:
    place = form.lane, form.offset
    if (form.delivery is None) == (None in place) or (form.delivery and place != (None, None)):
        raise Invalid("name the id of a `delivery`, or the `lane` and `offset` of a receipt")
    if form.delivery is None:
        return await broker.receipts.at(form.lane or 0, form.offset or 0)
    found = await broker.receipts.find(bytes.fromhex(form.delivery))
    return next((each for each in found if any(leaf.delivery == form.delivery for leaf in each.decisions)), None)


def _sees(state: ControlState, agreement: str, caller: Principal) -> bool:
    entry = state.agreements.get(agreement)
    parties = () if entry is None else (entry.document["agency"], entry.document["source"])
    return caller.is_operator or caller.organisation in parties


def _redecided(again: Redecided) -> dict[str, Any]:
    return {
        "agreement": again.agreement,
        "version": again.version,
        "check": again.check.value,
        "why": again.why,
        "recorded": _said(again.recorded),
        "decided": _said(again.decided),
        "policySha256": again.policy_sha256,
        "sameToday": again.same_today,
    }


def _said(said: Said | None) -> dict[str, Any] | None:
    return None if said is None else dict(zip(("outcome", "kind", "reason"), said, strict=True))
