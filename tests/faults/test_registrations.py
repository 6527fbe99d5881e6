"""SIGKILL while files are opened and closed: each is told once, under its own reference, with its receipt."""

import asyncio
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest

from broker.control.registrations import Closing, Opening
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES, header
from broker.routing.causes import TIMER
from broker.routing.faultpoints import FaultPoint
from broker.schema.reference import decode
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd
from tests.stage import ROOT, Stage

pytestmark = pytest.mark.timeout(150)

PEOPLE, PIECE = 400, 4
_RECEIPT = (ROOT / "schemas" / "receipt.v1.avsc").read_text()


async def told(stage: Stage, agreement: str) -> list[tuple[str, bytes, str]]:
    """(kind, subject's key, delivery id) of everything in an agreement's stream."""
    found = []
    for message in await stage.read(stage.delivery_topic(agreement)):
        kind, identifier = header(message.headers, "ce_kind"), header(message.headers, "ce_id")
        if kind is not None and identifier is not None:
            found.append((kind.decode(), message.key, identifier.decode()))
    return found


async def released(stage: Stage, agreement: str) -> list[str]:
    """Delivery ids in the receipts on registrations."""
    receipts = [decode(_RECEIPT, raw.value[WIRE_HEADER_BYTES:]) for raw in await stage.read(topics.RECEIPTS)]
    return [
        leaf["delivery"].hex()
        for receipt in receipts
        if receipt["topic"] in {topics.DOSSIERS, TIMER}  # a file that opens as it is read may be told by its instant
        for leaf in receipt["decisions"]
        if leaf["agreement"] == agreement and leaf["outcome"] == "release"
    ]


async def under_kills(stage: Stage, point: FaultPoint, work: Any) -> None:
    """Do the work while three routers die at the point one after the other, then let one finish."""
    async with AsyncExitStack() as held:
        victims = [f"{point.value}:{passes}" for passes in (1, 2, 3)]
        routers = [await held.enter_async_context(stage.router(victim)) for victim in victims]
        died = asyncio.gather(*(router.ended(within=90) for router in routers))
        await work(died)
        assert await died == [-signal.SIGKILL] * len(victims)


@pytest.mark.parametrize("point", [FaultPoint.PRODUCED, FaultPoint.CHECKED, FaultPoint.COMMITTED])
async def test_every_file_is_told_once_when_it_opens_and_once_when_it_closes(
    stage: Stage, crowd: Crowd, point: FaultPoint
) -> None:
    agreement = await stage.agreement("parkeerboetes-gent", agency="gent-parkeren")
    values = list(crowd.people(PEOPLE))
    people = [person["insz"] for person in values]
    await stage.publish(SOURCE, PRODUCT, values)
    async with stage.router():
        await stage.drained(TOPIC)
    dossiers = stage.stack.services.dossiers

    async def open_files(died: "asyncio.Future[Any]") -> None:
        rows = [Opening(insz, f"P-{number}", "schuldeiser") for number, insz in enumerate(people)]
        for start in range(0, PEOPLE, PIECE):
            await dossiers.add_many(agreement, "gent-parkeren", rows[start : start + PIECE])
            if not died.done():
                await asyncio.wait([died], timeout=0.3)

    async def close_files() -> None:
        rows = [Closing(insz, f"P-{number}") for number, insz in enumerate(people)]
        await dossiers.end_many(agreement, "gent-parkeren", rows)

    await under_kills(stage, point, open_files)
    async with stage.router():

        async def all_told() -> bool:
            return len(await told(stage, agreement)) >= PEOPLE

        await wait_until(all_told, timeout=60, every=0.5)
        await _settled(stage)
        opened = await told(stage, agreement)
        _once(opened, {"initial": PEOPLE})
        await close_files()

        async def all_left() -> bool:
            return len(await told(stage, agreement)) >= 2 * PEOPLE

        await wait_until(all_left, timeout=60, every=0.5)
        await _settled(stage)
    everything = await told(stage, agreement)
    _once(everything, {"initial": PEOPLE, "left-population": PEOPLE})
    assert sorted(await released(stage, agreement)) == sorted(identifier for _, _, identifier in everything)


def _once(found: Sequence[tuple[str, bytes, str]], kinds: dict[str, int]) -> None:
    """Every subject once per kind, under ids of its own."""
    assert Counter(kind for kind, _, _ in found) == kinds
    assert max(Counter((kind, key) for kind, key, _ in found).values()) == 1
    assert len({identifier for _, _, identifier in found}) == len(found)


async def _settled(stage: Stage) -> None:
    """Return once every lane has told what is in the log of dossiers."""
    ends = await stage.ends(topics.DOSSIERS)

    async def reached() -> bool:
        positions = await stage.positions(topics.DOSSIERS)
        return all((positions[lane] or 0) >= end for lane, end in ends.items() if end)

    await wait_until(reached, timeout=60, every=0.25)
