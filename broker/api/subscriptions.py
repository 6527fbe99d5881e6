"""How one subscription stands: exits and positions, last delivery, counts per day, and whether its silence is a fault."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from broker.api.agreements import AgreementId, entry_for
from broker.api.auth import Caller
from broker.api.services import Broker
from broker.api.uses import Pulled, Uses
from broker.delivery.cells import at_least, shown
from broker.delivery.looks import Ends, Progress
from broker.delivery.silence import Alert, alerts, whole_through
from broker.delivery.tally import DELIVERED, WITHHELD, Day
from broker.errors import Conflict
from broker.model import topics
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.push_book import Registration
from broker.policy.calendar import instant_of, milliseconds
from broker.routing.told import Positions, Telling, backfilled, in_force_since, replayed

routes = APIRouter(prefix="/v1/agreements", tags=["subscriptions"])

_HOUR_MS = 3600 * 1000


@routes.get("/{agreement}/subscription")
async def show_subscription(
    agreement: AgreementId,
    broker: Broker,
    caller: Caller,
    request: Request,
    response: Response,
    quiet_hours: Annotated[
        float, Query(alias="quietHours", gt=0, le=8784, description="How long it may be quiet before that is an alert.")
    ] = 24,
) -> dict[str, Any]:
    """The subscription as its agency and the operator see it; other parties see its days only, no position and no instant.

    409 where it was never active.
    """
    entry = entry_for(broker.control.state, agreement, caller)
    if entry.activated_at is None:
        raise Conflict("the agreement is not active yet: there is no stream")
    response.headers["Cache-Control"] = "no-store"
    counted = await broker.tally.of(agreement)
    told = {
        "agreement": entry.id,
        "version": entry.version,
        "state": entry.state.value,
        "since": entry.since.isoformat(),
        "days": [_day(each) for each in counted.days],
        "daysWhole": counted.whole,
    }
    if caller.organisation != entry.agency and not caller.is_operator:
        return told
    ends = await broker.looks.ends(topics.delivery(entry.agency, entry.id))
    progress = await broker.looks.progress(topics.source(entry.source, str(entry.document["product"])))
    now_ms, uses = time.time_ns() // 1_000_000, request.app.state.uses
    webhook = broker.control.state.webhooks.live.get(entry.id)
    drop = broker.control.state.drops.live.get(entry.id)
    found = _alerts(entry, ends, progress, int(quiet_hours * _HOUR_MS), now_ms)
    return told | {
        "first": ends.first,
        "end": ends.end,
        "exits": _exits(ends, uses, entry.id) | {"webhook": _brought(webhook), "drop": _brought(drop)},
        "lastDelivery": _iso(ends.last_delivery_ms),
        "wholeThrough": _iso(whole_through(progress, now_ms)),
        "sourceLastRecord": _iso(progress.last_record_ms),
        **_told(broker.control.state, entry, progress.positions),
        "periodicity": (entry.document.get("conditions") or {}).get("periodicity"),
        "quietHours": quiet_hours,
        "alerts": found,
    }


def _told(state: ControlState, entry: AgreementEntry, positions: Positions) -> dict[str, Any]:
    """How far the lanes are with telling of the subjects that were there: in offsets of the source, so that it counts nobody.

    A replay that is `over` was read to its end or given up: the stream's REPLAY_ENDS say which.
    """
    since, replay = in_force_since(entry, state.versions_of(entry.id)), state.replays.get(entry.id)
    delivers = entry.state is State.ACTIVE and state.announcements.halts(entry) is None
    backfill = backfilled(since, positions) if delivers and since is not None else None
    again = replayed(replay.epoch, positions) if replay is not None else None
    return {
        "backfill": _telling(backfill, len(positions), "done"),
        "replay": {"run": None if replay is None else replay.epoch, **_telling(again, len(positions), "over")},
    }


def _telling(telling: Telling | None, lanes: int, end: str) -> dict[str, Any]:
    found = telling or Telling(0, lanes, 0)
    state = "none" if telling is None else end if telling.done else "running"
    return {"state": state, "lanesDone": found.lanes_done, "lanes": lanes, "percent": found.percent}


def _exits(ends: Ends, uses: Uses, agreement: str) -> dict[str, Any]:
    """Positions by exit, null where one was not seen in use; `behindAtMost` counts markers, too."""
    page = uses.last_page(agreement)
    return {
        "http": page and _pulled(page, ends),
        "httpKnownSince": uses.since.isoformat(),
        "kafka": None
        if ends.committed is None
        else {"committed": ends.committed, "behindAtMost": max(0, ends.end - ends.committed)},
    }


def _brought(registration: Registration | None) -> dict[str, Any] | None:
    """Whether deliveries are brought there; where it stands is told at its own address."""
    if registration is None:
        return None
    return {"suspended": registration.suspended and registration.suspended.value}


def _pulled(page: Pulled, ends: Ends) -> dict[str, Any]:
    """`has`: everything before it was there when the agency asked for more; `handedOut`: and up to here it was sent."""
    return {
        "day": page.at.date().isoformat(),
        "has": page.asked_from,
        "handedOut": page.handed_out,
        "behindAtMost": max(0, ends.end - page.handed_out),
    }


def _alerts(
    entry: AgreementEntry, ends: Ends, progress: Progress, allowed_ms: int, now_ms: int
) -> list[dict[str, Any]]:
    if entry.state is not State.ACTIVE:
        return []
    began_ms = milliseconds(entry.since)  # the latest of activation and resumption
    found = alerts(
        progress, last_delivery_ms=ends.last_delivery_ms, began_ms=began_ms, allowed_ms=allowed_ms, now_ms=now_ms
    )
    return [_alert(each) for each in found]


def _alert(alert: Alert) -> dict[str, Any]:
    return {"code": alert.code.value, "since": _iso(alert.since_ms), "text": alert.text}


def _day(day: Day) -> dict[str, Any]:
    """Every cell there could be; sums are made of what is shown, so that they tell nothing more."""
    delivered = {name: day.delivered.get(name, 0) for name in DELIVERED}
    withheld = {name: day.withheld.get(name, 0) for name in WITHHELD}
    return {
        "day": day.day.isoformat(),
        "delivered": {name: shown(count) for name, count in delivered.items()},
        "withheld": {name: shown(count) for name, count in withheld.items()},
        "atLeast": {"delivered": at_least(delivered.values()), "withheld": at_least(withheld.values())},
    }


def _iso(at_ms: int | None) -> str | None:
    return None if at_ms is None else instant_of(at_ms).isoformat()
