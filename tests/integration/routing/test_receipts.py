"""Every delivery has its receipt and every receipt its delivery, in the transaction that moved the lane on (R5)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiokafka.structs import TopicPartition

from adapters.synthetic_names import GENT, LEUVEN
from broker.model import topics
from broker.model.keyed import subject_reference
from broker.model.record import header, trace_id_of
from broker.routing.router import Router
from broker.testing import wait_until


class Interrupted:
    """A lane to which something happens between a decision and its commit."""

    def __init__(self, lane: Any, happens: Callable[[Any], Awaitable[None]]) -> None:
        self._lane, self._happens = lane, happens

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lane, name)

    async def commit(self, work: Any, batch: Any, knowledge: Any, decided: Any) -> bool:
        if batch.records:
            await self._happens(knowledge)
        return bool(await self._lane.commit(work, batch, knowledge, decided))


async def test_receipts_are_deliveries_and_receipted_withholds(world) -> None:
    agreements = [
        await world.agree(name)
        for name in ("inwoners-gent", "inwoners-leuven", "statistiek-vlaanderen", "verkiezingen-2024")
    ]
    router = await world.router()
    people = world.people(25, GENT)
    places = await world.publish(*people, *(world.moved(person, LEUVEN) for person in people[:10]))
    places += await world.delete(*people[20:])
    await router.route(world.topic, places)
    receipts = await world.receipts()
    leaves = [(receipt, leaf) for receipt in receipts for leaf in receipt["decisions"]]
    released = Counter(leaf["delivery"].hex() for _, leaf in leaves if leaf["outcome"] == "release")
    withheld = Counter((leaf["agreement"], leaf["reason"]) for _, leaf in leaves if leaf["outcome"] == "withhold")
    delivered = {each.headers["ce_id"].decode(): each for name in agreements for each in await world.delivered(name)}
    assert released == Counter(dict.fromkeys(delivered, 1))
    assert withheld == {(agreements[3], "NOT_IN_TERM"): 35}
    # Each record once, by its coordinates; none without a decision.
    assert len({(receipt["lane"], receipt["offset"]) for receipt in receipts}) == len(receipts) == len(places)
    for receipt, leaf in leaves:
        if leaf["outcome"] == "release":
            delivery = delivered[leaf["delivery"].hex()]
            assert leaf["kind"].replace("_", "-") == delivery.kind
            assert delivery.headers["traceparent"].split(b"-")[1] == delivery.headers["ce_id"]
        assert receipt["epoch"] <= world.site.control.state.epoch
    # A router that takes over does also what others left behind, so only this test's agreements are counted.
    assert sum(router.counts.delivered[name] for name in agreements) == len(delivered)


async def test_a_receipt_links_the_sources_trace_and_one_reference_per_subject(world) -> None:
    await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    await router.route(world.topic, await world.publish(person, person))
    sources = await world.read(world.topic)
    receipts = await world.receipts()
    traces = [trace_id_of(header(record.headers, "traceparent")) for record in sources]
    assert [receipt["trace"] for receipt in receipts] == traces
    k_ledger = next(iter(router.lanes.values())).keys.ledger
    assert {receipt["subject"] for receipt in receipts} == {subject_reference(k_ledger, world.key(person))}
    keys = {record.key for record in await world.read(topics.RECEIPTS)}
    assert world.key(person) not in keys


async def stamped_position(world, topic: str, lane: int) -> Any:
    """A lane's committed position once its stamp is there: a transaction's positions show after its answer came."""
    target = TopicPartition(topic, lane)
    async with world.site.clients.consumer(topics.ROUTER_GROUP) as consumer:

        async def stamped() -> Any:
            found = (await consumer._coordinator.fetch_committed_offsets([target]))[target]
            return found if found.metadata else None

        return await wait_until(stamped)


async def test_committed_positions_carry_the_epoch_the_instant_and_what_is_told(world) -> None:
    await world.agree("inwoners-gent")
    router = await world.router()
    (person,) = world.people(1, GENT)
    ((lane, offset),) = await world.publish(person)
    await router.route(world.topic, [(lane, offset)])
    epoch = world.site.control.state.epoch
    found = await stamped_position(world, world.topic, lane)
    (receipt,) = await world.receipts()
    decided_ms = round(receipt["decidedAt"].timestamp() * 1000)
    again = router.lanes[lane]._rereading.progress[world.topic].encode()
    assert (found.offset, found.metadata) == (offset + 1, f"{epoch}/{decided_ms}/{decided_ms}/{again}")
    assert receipt["epoch"] == epoch


async def test_a_quiet_source_keeps_its_position_beside_a_busy_one(world) -> None:
    """Kafka forgets a position that is not committed again for a year."""
    quiet = await world.declare(f"stil-{world.suffix}")
    await world.agree("inwoners-gent")
    router = await world.router()
    ((lane, offset),) = await world.publish(*world.people(1, GENT))
    await router.route(world.topic, [(lane, offset)])
    found = await stamped_position(world, quiet, lane)
    assert found.offset == 0
    assert found.metadata.startswith(f"{world.site.control.state.epoch}/")


async def test_nothing_in_one_agencys_stream_occurs_in_anothers(world) -> None:
    one, other = await world.agree("inwoners-gent"), await world.agree("statistiek-vlaanderen")
    router = await world.router()
    people = world.people(20, GENT)
    await router.route(world.topic, await world.publish(*people, *people))
    streams = []
    for agreement in (one, other):
        records = await world.read(topics.delivery(world.agency(agreement), agreement))
        assert len(records) == 40
        held = {record.key for record in records}
        held |= {header(record.headers, "ce_id") for record in records}
        held |= {header(record.headers, "traceparent") for record in records}
        assert all(record.timestamp % 1000 == 0 for record in records)
        assert all(header(record.headers, "ce_subject") is None for record in records)
        streams.append(held)
    assert not streams[0] & streams[1]
    assert not streams[0] & {record.key for record in await world.read(world.topic)}
    shown = str(await world.delivered(other))
    assert not any(person["insz"] in shown for person in people)


async def test_an_outdated_decision_is_made_again(world) -> None:
    """A fact arrives between decision and commit: nothing of the first decision is visible, and it is not counted."""
    gent = await world.agree("inwoners-gent")
    router = await world.router()
    places = await world.publish(*world.people(3, GENT))
    number, tried = places[0][0], []

    async def meanwhile(knowledge) -> None:
        if not tried:
            tried.append(knowledge.policy_epoch)
            await world.agree("statistiek-vlaanderen")

    router.routers[number] = Router(Interrupted(router.lanes[number], meanwhile), router.counts)
    await router.route(world.topic, places)
    assert tried
    assert await world.kinds(gent) == ["initial"] * 3
    epochs = {receipt["epoch"] for receipt in await world.receipts() if receipt["lane"] == number}
    assert min(epochs) > tried[0]
    assert router.counts.delivered[gent] == 3


async def test_a_stop_has_only_that_made_again_which_is_decided_under_the_same_agreement(world) -> None:
    gent, other = await world.agree("inwoners-gent"), await world.agree("inwoners-leuven")
    router = await world.router()
    tried: list[str] = []
    for stopped in (other, gent):
        places = await world.publish(*world.people(1, GENT))
        (number, _) = places[0]
        stopping: list[asyncio.Task[Any]] = []

        async def meanwhile(knowledge, stopped=stopped, stopping=stopping) -> None:
            tried.append(stopped)
            if not stopping:
                stopping.append(asyncio.create_task(world.services.agreements.suspend(stopped, "test")))
                await wait_until(lambda: world.site.control.state.policy_epoch > knowledge.policy_epoch)

        router.routers[number] = Router(Interrupted(router.lanes[number], meanwhile), router.counts)
        async with router.running():
            await wait_until(lambda places=places: router.routed(world.topic, places))
            await stopping[0]
        router.routers[number] = Router(router.lanes[number], router.counts)
    assert tried == [other, gent, gent]
    assert [each.kind for each in await world.delivered(gent) if not each.barrier] == ["initial"]
    assert router.withheld(gent) == {"SUSPENDED": 1}
