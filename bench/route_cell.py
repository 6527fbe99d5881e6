"""A backlog routed under one cell's circumstances, and the same backlog copied raw after it, in one process on one node."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

from aiokafka.structs import TopicPartition

from bench.bulk import set_up_many
from bench.cells import Cell, Part
from bench.copy import Run, Shape, copy
from bench.load import Row4, rows_of
from bench.population import publish
from bench.stand_ins import put
from broker.cli.router import collect_rarely, lane_maker
from broker.cli.site import Site
from broker.control import keys
from broker.model import topics, topology
from broker.model.topology import TopicSpec
from broker.routing.counts import Counts
from broker.routing.router import Router
from broker.schema.avro import load_schema

_PEOPLE, _WARM = 20_000, 4_000
_PATIENCE_S, _LONGEST_S = 60.0, 900.0
_MARKERS = 20
_SOURCE, _RECEIPTS = "bench-copy-source", "bench-copy-receipts"
_INDEX = {"segment.index.bytes": "131072"}
Progress = Callable[[str], None]


async def measure(here: Site, cell: Cell, *, progress: Progress) -> Mapping[str, Any]:
    """Rates of both, in source records per second of wall clock and of CPU time of this process, and their ratios.

    The installation is set up in its first run; then everybody is routed once, so that later runs meet nobody new.
    """
    first = not here.control.state.products
    if first:
        await set_up_many(here, cell.agreements, fan_out=cell.fan_out, progress=progress)
        await here.admin.ensure_topics(
            [*(TopicSpec(name, config=_INDEX) for name in _targets(cell)), TopicSpec(_RECEIPTS, here.lanes, _INDEX)]
        )
    if cell.without is not None:
        put(cell.without)
    (product,) = here.control.state.products.values()
    schema = load_schema(here.control.state.schemas[product.schema_id].text)
    municipalities = -(-cell.agreements // cell.fan_out)
    k_lane = here.keys.ensure(keys.LANE)
    rows = rows_of(schema, product, _PEOPLE, municipalities, here.lanes, k_lane, cell.size)
    source = topics.source(product.source, product.id)
    whole = first or cell.without is Part.GUARD  # what it admitted before, it must have seen in this process
    progress(f"{cell.name}: warming")
    warm = rows if whole else rows[:_WARM]
    await publish(here.clients, source, iter(warm))
    await _route(here, len(warm), 0)
    backlog = [rows[index % len(rows)] for index in range(cell.records)]
    await publish(here.clients, source, iter(backlog))
    progress(f"{cell.name}: routing {cell.records} records")
    before = await _receipts(here)
    routed, steps, counts = await _route(here, cell.records, cell.commit_ms)
    receipts = 0 if cell.without is Part.RECEIPTS else await _receipts(here) - before - steps
    progress(f"{cell.name}: copying them")
    copied = await _copied(here, cell, backlog, counts, steps, receipts)
    ratio, per_cpu = routed.per_second / copied.per_second, routed.per_cpu_second / copied.per_cpu_second
    detail = {
        "records_per_s": round(routed.per_second),
        "records_per_cpu_s": round(routed.per_cpu_second),
        "copy_per_s": round(copied.per_second),
        "copy_per_cpu_s": round(copied.per_cpu_second),
        "ratio_per_cpu": round(per_cpu, 3),
        "transactions": steps,
        "deliveries": sum(counts.delivered.values()),
    }
    return {"value": detail["records_per_s"], "unit": "records/s", "ratio": round(ratio, 3), "detail": detail}


async def _route(here: Site, number: int, commit_ms: int) -> tuple[Run, int, Counts]:
    make, counts = await lane_maker(here), Counts()
    lanes = [make(lane) for lane in range(here.lanes)]
    await asyncio.gather(*(lane.open() for lane in lanes))
    collect_rarely()
    wall, cpu = time.perf_counter(), time.process_time()

    async def until_done(router: Router) -> int:
        steps = 0
        while counts.records < number:
            began = time.perf_counter()
            steps += bool(await router.step())
            await asyncio.sleep(max(0.0, began + commit_ms / 1000 - time.perf_counter()))
        return steps

    async with asyncio.timeout(_LONGEST_S):
        steps = sum(await asyncio.gather(*(until_done(Router(lane, counts)) for lane in lanes)))
    run = Run(number, time.perf_counter() - wall, time.process_time() - cpu)
    for lane in lanes:
        await lane.close()
    return run, steps, counts


async def _copied(here: Site, cell: Cell, backlog: list[Row4], counts: Counts, steps: int, receipts: int) -> Run:
    """The same records out of a topic of this run's own, into as many outputs in as large transactions."""
    source = f"{_SOURCE}-{time.time_ns()}"
    await here.admin.ensure_topics([TopicSpec(source, here.lanes, topology.source("x", "x.v1", here.lanes).config)])
    await publish(here.clients, source, iter(backlog))
    agreement = next(iter(counts.delivered))
    delivery = await _last(here, topics.delivery(f"afnemer-{agreement.rpartition('-')[2]}", agreement), [0])
    receipt = await _last(here, topics.RECEIPTS, list(range(here.lanes))) if receipts else delivery
    shape = Shape(
        deliveries=sum(counts.delivered.values()) / counts.records,
        receipts=receipts / counts.records,
        delivery=(delivery.key, delivery.value, list(delivery.headers)),
        receipt=(receipt.key, receipt.value, list(receipt.headers)),
    )
    per_transaction = max(1, cell.records // steps)
    run = await copy(here.clients, source, here.lanes, _targets(cell), _RECEIPTS, shape, per_transaction)
    await here.admin.delete_topics([source])
    return run


def _targets(cell: Cell) -> list[str]:
    return [f"bench-copy-{number}" for number in range(cell.agreements)]


async def _receipts(here: Site) -> int:
    return sum((await here.admin.end_offsets(topics.RECEIPTS)).values())


async def _last(here: Site, topic: str, partitions: list[int]) -> Any:
    """The last record of a topic: of this run's size. Behind it lie the markers of every lane's transaction."""
    targets = [TopicPartition(topic, partition) for partition in partitions]
    async with asyncio.timeout(_PATIENCE_S), here.clients.consumer() as consumer:
        consumer.assign(targets)
        ends = await consumer.end_offsets(targets)
        target = max(targets, key=lambda each: ends[each])
        consumer.assign([target])
        first = (await consumer.beginning_offsets([target]))[target]
        consumer.seek(target, max(first, ends[target] - _MARKERS * here.lanes))
        found = await consumer.getone()
        while await consumer.position(target) < ends[target]:
            polled = await consumer.getmany(target, timeout_ms=250)
            found = next(reversed(polled.get(target, [])), found)
        return found
