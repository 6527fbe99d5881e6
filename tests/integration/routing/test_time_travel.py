"""Over a real Kafka: past decisions come out the same again, and a draft that is in force would do what was done."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from adapters.synthetic import GENT, LEUVEN
from broker.control.redecision import Check, redecide
from broker.model import topics
from broker.model.agreement import Agreement, Population
from broker.policy import documents
from broker.routing.rehearsal import Rehearsed
from tests.integration.routing.conftest import World


async def receipts(world: World) -> list[Any]:
    """Receipts of this test, read back one by one where they lie."""
    places = [(record.partition, record.offset) for record in await world.read(topics.RECEIPTS)]
    found = [await world.services.receipts.at(*place) for place in places]
    own = f"-{world.suffix}"
    return [each for each in found if each and any(leaf.agreement.endswith(own) for leaf in each.decisions)]


async def what_if(world: World, draft: Agreement, since: datetime) -> Rehearsed:
    state = world.site.control.state
    current = documents.agreement(state.agreements[draft.id].document)
    run = world.services.rehearsals.run(state, draft, current, since, seconds=60)
    return [step async for step in run][-1]


async def test_past_decisions_are_made_again_and_a_draft_is_tried_without_a_trace(world: World) -> None:
    since = datetime.now(UTC)
    await world.declare()
    gent, parking = await world.agree("inwoners-gent"), await world.agree("parkeerboetes-gent")
    router = await world.router()
    people = world.people(12, GENT) + world.people(6, LEUVEN)
    for number, person in enumerate(people[::3]):
        await world.register(parking, person, f"P-{number}")
    await router.route(world.topic, await world.publish(*people))
    moves = [world.moved(person, LEUVEN) for person in people[:4]] + [world.moved(people[-1], GENT)]
    await router.route(world.topic, await world.publish(*moves))
    await world.close_file(parking, people[0], "P-0")
    await router.settle()
    await router.route(world.topic, await world.delete(people[5]))
    async with router.running():
        await world.services.agreements.suspend(gent, world.source)
    await router.route(world.topic, await world.publish(people[6]))

    held = await receipts(world)
    state = world.site.control.state
    checks: Counter[Check] = Counter()
    for receipt in held:
        for again in await redecide(world.services.history, receipt, state):
            checks[again.check] += 1
            assert again.check is not Check.DIFFERENT, again
            assert again.check is Check.IDENTICAL or receipt.topic == topics.DOSSIERS or again.why
    assert checks[Check.IDENTICAL] > 20
    reasons = {leaf.reason for receipt in held for leaf in receipt.decisions}
    assert "SUSPENDED" in reasons

    before = await ends(world)
    agreement = documents.agreement(state.agreements[parking].document)
    same = await what_if(world, agreement, since)
    told = [leaf for receipt in held if receipt.topic == world.topic for leaf in receipt.decisions]
    released = [leaf for leaf in told if leaf.agreement == parking and leaf.outcome == "release"]
    assert same.current is not None
    assert same.draft == same.current
    assert same.draft.released == len(released)
    assert (same.complete, same.gained, same.lost, same.files) == (True, 0, 0, 6)
    everyone = replace(agreement, population=Population())
    wider = await what_if(world, everyone, since)
    assert wider.gained == len(people) - same.draft.subjects
    assert await ends(world) == before


async def ends(world: World) -> dict[str, dict[int, int]]:
    """Where every topic of this test, and every topic that all share, ends."""
    names = [world.topic, topics.RECEIPTS, topics.DOSSIERS, topics.quarantine(world.source, "persoon.v1")]
    names += [
        topics.delivery(entry.document["agency"], entry.id)
        for entry in world.site.control.state.agreements.values()
        if entry.id.endswith(f"-{world.suffix}")
    ]
    return {name: await world.site.admin.end_offsets(name) for name in names}
