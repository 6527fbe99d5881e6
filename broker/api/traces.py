"""For operator and supervisor: what happened to one record, by trace id or delivery id, without saying whom it is about."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from broker.api.auth import OPERATOR, SUPERVISOR, Caller
from broker.api.services import Broker, Span
from broker.delivery.trail import TracedDecision, TracedReceipt
from broker.errors import NotFound
from broker.model.control_state import ControlState
from broker.model.mandates import Actor
from broker.model.readers import readers_of
from broker.policy.calendar import instant_of

routes = APIRouter(prefix="/v1/traces", tags=["traces"])


@routes.get("/{trace}")
async def show_trace(
    trace: Annotated[str, Path(pattern="^[0-9a-f]{32}$", description="Trace id or delivery id, 32 hex.")],
    broker: Broker,
    caller: Caller,
) -> dict[str, Any]:
    """Spans and receipts of the record and of its deliveries; a delivery id leads to the record it came from.

    Each release names its agency (`principal`) and the processors that could read it under a mandate (`actors`): those of
    when it was decided, and with `later` those let in while it was kept.
    """
    caller.require(OPERATOR, SUPERVISOR)
    await broker.control.read_to_head()
    receipts = await broker.receipts.find(bytes.fromhex(trace))
    source = receipts[0].trace if receipts else trace
    spans = [_span(span, None) for span in broker.spans.find(source)]
    for leaf in (leaf for receipt in receipts for leaf in receipt.decisions):
        # A delivery has a trace of its own, named by its id, so that no agency can join it to another's.
        if leaf.delivery is not None:
            spans += [_span(span, leaf.agreement) for span in broker.spans.find(leaf.delivery)]
    if not receipts and not spans:
        raise NotFound("no such trace: not routed yet, matched no agreement, or no longer kept")
    return {
        "trace": source,
        "spans": sorted(spans, key=lambda span: span["startMs"]),
        "receipts": [_receipt(receipt, broker.control.state) for receipt in receipts],
    }


def _span(span: Span, agreement: str | None) -> dict[str, Any]:
    return {
        "name": span.name,
        "service": span.service,
        "agreement": agreement,
        "startMs": round(span.start_ms, 3),
        "durationMs": round(span.duration_ms, 3),
    }


def _receipt(receipt: TracedReceipt, state: ControlState) -> dict[str, Any]:
    return {
        "topic": receipt.topic,
        "lane": receipt.lane,
        "offset": receipt.offset,
        "epoch": receipt.epoch,
        "decidedAtMs": receipt.decided_at_ms,
        "writtenMs": receipt.written_ms,
        "decisions": [
            {
                "agreement": leaf.agreement,
                "version": leaf.version,
                "outcome": leaf.outcome,
                "kind": leaf.kind,
                "reason": leaf.reason,
                "delivery": leaf.delivery,
                **_readers(leaf, receipt, state),
            }
            for leaf in receipt.decisions
        ],
    }


def _readers(leaf: TracedDecision, receipt: TracedReceipt, state: ControlState) -> dict[str, Any]:
    """Nobody of a withhold: there was nothing to read."""
    decided_at = instant_of(receipt.decided_at_ms)
    found = leaf.delivery and readers_of(state, leaf.agreement, leaf.version, receipt.epoch, decided_at)
    return {
        "principal": found.principal if found else None,
        "actors": [_actor(each) for each in found.actors] if found else [],
    }


def _actor(actor: Actor) -> dict[str, Any]:
    return {
        "processor": actor.processor,
        "reference": actor.reference,
        "since": actor.since.isoformat(),
        "until": actor.until and actor.until.isoformat(),
        "later": actor.later,
    }
