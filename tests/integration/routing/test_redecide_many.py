"""Thousands of past decisions made again by the specification: every one comes out as its receipt says."""

import random
import time
from collections import Counter
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from adapters.synthetic import GENT, LEUVEN, OOSTENDE
from broker.control.dev_signing import bring_into_force
from broker.control.history import History
from broker.control.redecision import Check, redecide
from broker.delivery.trail import ReceiptTrail
from broker.model import topics
from broker.model.control_state import ControlState
from tests.conftest import ROOT
from tests.integration.routing.conftest import LANES, Router4, Value, World
from tests.unit.past import Topics

PEOPLE = 1_200
LEAST, EVERY = 2_000, 200
PLACES = (GENT, LEUVEN, OOSTENDE)


class Run:
    """A population on the move, under agreements that are suspended, amended and revoked meanwhile."""

    def __init__(self, world: World, router: Router4) -> None:
        self.world, self.router = world, router
        self.rng = random.Random(11)
        self.people: list[Value] = []

    async def moves(self, share: float) -> None:
        """Some move, within their municipality or out of it; a few die, and are written in again."""
        chosen = [number for number in range(len(self.people)) if self.rng.random() < share]
        for number in chosen:
            self.people[number] = self.world.moved(self.people[number], self.rng.choice(PLACES))
        places = await self.world.publish(*(self.people[number] for number in chosen))
        gone = [self.people[number] for number in chosen[::20]]
        places += await self.world.delete(*gone)
        places += await self.world.publish(*gone[::2])
        await self.router.route(self.world.topic, places)


async def played(world: World) -> None:
    gent, leuven = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    statistics, parking = await world.agree("statistiek-vlaanderen"), await world.agree("parkeerboetes-gent")
    router = await world.router()
    run, steps = Run(world, router), world.services.agreements
    for place in PLACES:
        run.people += world.people(PEOPLE // len(PLACES), place)
    await router.route(world.topic, await world.publish(*run.people))
    for number, person in enumerate(run.people[::12]):
        await world.register(parking, person, f"P-{number}")
    await router.settle()
    await run.moves(0.5)
    async with router.running():
        await steps.suspend(gent, world.source)
    await run.moves(0.4)
    async with router.running():
        await steps.resume(gent, world.source)
    for number, person in enumerate(run.people[::24]):
        await world.close_file(parking, person, f"P-{2 * number}")
    await router.settle()
    await run.moves(0.4)
    narrower = await world.document("inwoners-leuven", version=2)
    narrower["fields"] = narrower["fields"][:-1]
    async with router.running():
        await bring_into_force(steps, narrower, datetime.now(UTC))
    await router.settle()
    await run.moves(0.4)
    async with router.running():
        await steps.revoke(statistics, world.source)
    await run.moves(0.4)
    assert world.document_of(leuven)["version"] == 2


async def copied(world: World, *names: str) -> Topics:
    """These topics as they are, in memory: reading them anew from Kafka for each receipt would take an hour."""
    held = Topics()
    for name in names:
        for record in await world.read(name):
            place = name, record.partition
            held.logs.setdefault(place, []).append(record)
        for partition, end in (await world.site.admin.end_offsets(name)).items():
            held.ends[name, partition] = end
    return held


class Remembering(History):
    """Replays the control log once for each epoch: the state of an epoch does not change."""

    states: ClassVar[dict[int, ControlState]] = {}

    async def state_at(self, epoch: int) -> ControlState:
        if epoch not in self.states:
            self.states[epoch] = await super().state_at(epoch)
        return self.states[epoch]


@pytest.mark.long
@pytest.mark.timeout(1800)
async def test_every_decision_of_a_long_run_is_made_again_and_equal(world: World) -> None:
    await played(world)
    held = await copied(world, topics.CONTROL_LOG, topics.RECEIPTS, topics.DOSSIERS, world.topic)
    trail = ReceiptTrail(held.consumer, (ROOT / "schemas" / "receipt.v1.avsc").read_text(), LANES)
    history, today = Remembering(held.consumer, LANES), world.site.control.state
    receipts, checks, outcomes = 0, Counter[Check](), Counter[str | None]()
    began = time.perf_counter()
    for lane in range(LANES):
        for record in held.logs[topics.RECEIPTS, lane]:
            receipt = await trail.at(lane, record.offset)
            assert receipt is not None
            if receipt.topic != world.topic:  # another test's, or on a registration: there is no record to decide on
                continue
            found = await redecide(history, receipt, today)
            assert len(found) == len(receipt.decisions)
            assert {again.check for again in found} == {Check.IDENTICAL}, (receipt, found)
            receipts += 1
            checks.update(again.check for again in found)
            outcomes.update(leaf.reason or leaf.kind for leaf in receipt.decisions)
            if receipts % EVERY == 0:
                assert await redecide(world.services.history, receipt, today) == found, "the copy is what Kafka holds"
    took = time.perf_counter() - began
    assert receipts >= LEAST
    assert outcomes.keys() >= {"initial", "changed", "left-population", "SUSPENDED", "REVOKED"}
    print(f"{receipts} receipts, {checks.total()} decisions in {took:.0f} s: {dict(outcomes)}")  # noqa: T201 - shown with -s
