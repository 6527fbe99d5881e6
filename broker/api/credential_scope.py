"""What could have been read with credentials that fell into other hands: for the report of a breach (art. 33 GDPR).

What is counted, what is only bounded, and what nobody knows are kept apart.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from broker.api.services import Services
from broker.api.uses import Uses
from broker.delivery.push_subscriptions import Pushes
from broker.errors import NotFound
from broker.model import topics
from broker.model.credentials import Credential
from broker.model.lifecycle import AgreementEntry
from broker.model.push_book import Book, Change, R
from broker.model.roles import AGENCY, PROCESSOR
from broker.policy.calendar import milliseconds

_AT_ONCE = 4

MEANING = {
    "deliveredSince": "deliveries in the stream since the last known good use, and their distinct subjects",
    "readable": "all deliveries retained now: an upper bound, since whoever has the credential can read from the oldest on",
    "removedBefore": (
        "position below which retention or a narrowing removed deliveries; those removed since the last known good use "
        "could be read then, and are counted nowhere"
    ),
    "pulled": (
        "the last page that this process handed out on these credentials since `knownSince`; null: none here, which says "
        "nothing about other processes or earlier"
    ),
    "kafkaCommitted": "position committed by the agency's group; whichever of its users committed it is not known",
    "references": "the agency's own file references, which are listed over HTTP",
}


async def remove_planted(broker: Services, fallen: Sequence[Credential], since: datetime) -> dict[str, list[str]]:
    """Remove the organisation's webhooks and drops that were set since; returns their agreements. Who set them is not known."""
    state = broker.control.state
    webhooks = await _removed(broker.webhooks, state.webhooks, fallen[0].organisation, since)
    drops = await _removed(broker.drops, state.drops, fallen[0].organisation, since)
    return {"removedWebhooks": webhooks, "removedDrops": drops}


async def _removed(pushes: Pushes[R] | None, book: Book[R], organisation: str, since: datetime) -> list[str]:
    removed = []
    for held in list(book.live.values()):
        set_since = any(event.type is Change.SET and event.at >= since for event in held.events)
        if pushes is not None and held.agency == organisation and set_since:
            with suppress(NotFound):  # somebody else was faster
                await pushes.remove(held.agreement, organisation)
            removed.append(held.agreement)
    return removed


async def scope_of(broker: Services, uses: Uses, fallen: Sequence[Credential], since: datetime) -> dict[str, Any]:
    """Per agreement that the credentials opened: how much could be read, of how many, and which fields."""
    organisation = fallen[0].organisation
    state = broker.control.state
    own = any(AGENCY in each.roles for each in fallen)
    processes = any(PROCESSOR in each.roles for each in fallen)

    def opened(entry: AgreementEntry) -> bool:
        mandate = state.mandates.given.get((entry.agency, organisation))
        mandated = mandate is not None and mandate.covers(entry.id) and (mandate.end is None or mandate.end > since)
        return (own and entry.agency == organisation) or (processes and mandated)

    entries = [each for each in state.agreements.values() if each.activated_at and opened(each)]
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(entry: AgreementEntry) -> dict[str, Any]:
        async with room:
            return await _stream(broker, uses, entry, fallen, since)

    streams = await asyncio.gather(*(one(entry) for entry in entries))
    steps = [
        {"agreement": event.agreement, "step": event.transition.type.value, "at": event.transition.at.isoformat()}
        for event in state.events
        if event.transition.by == organisation and event.transition.at >= since
    ]
    return {
        "agreements": list(streams),
        "stepsInItsName": steps,
        "knownSince": uses.since.isoformat(),
        "meaning": MEANING,
    }


async def _stream(
    broker: Services, uses: Uses, entry: AgreementEntry, fallen: Sequence[Credential], since: datetime
) -> dict[str, Any]:
    topic = topics.delivery(entry.agency, entry.id)
    held = await broker.looks.held(topic, milliseconds(since))
    ends = await broker.looks.ends(topic)
    pages = [page for each in fallen if (page := uses.last_page(entry.id, each.id)) is not None]
    page = max(pages, key=lambda one: one.at, default=None)
    files = await broker.dossiers.standing(entry.id, entry.agency) if _by_files(entry) else None
    return {
        "agreement": entry.id,
        "version": entry.version,
        "state": entry.state.value,
        "fields": [{"path": one["path"], "as": one["transform"]} for one in entry.document.get("fields", ())],
        "deliveredSince": {"deliveries": held.records_since, "subjects": held.subjects_since},
        "readable": {"deliveries": held.records, "subjects": held.subjects},
        "whole": held.whole,
        "removedBefore": held.removed,
        "pulled": page and {"day": page.at.date().isoformat(), "position": page.handed_out},
        "kafkaCommitted": ends.committed,
        "end": ends.end,
        "references": files and files.total,
    }


def _by_files(entry: AgreementEntry) -> bool:
    population = entry.document.get("population") or {}
    return bool(population.get("dossiers"))
