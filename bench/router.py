"""The router against a raw transactional copy of the same records, and peers if asked for, one after the other, on one node."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.structs import TopicPartition

from bench import peer
from bench.copy import Run, Shape, copy
from bench.peer import Job, PeerRun
from bench.peer_programs import Program
from bench.population import publish, records, set_up
from broker.cli.installation import Installation
from broker.cli.router import collect_rarely, lane_maker
from broker.cli.site import Site
from broker.control import keys
from broker.control.agreements import Agreements
from broker.control.barriers import Barriers
from broker.control.enforcement import Enforcement
from broker.model import topics
from broker.model.topology import TopicSpec
from broker.routing.counts import Counts
from broker.routing.router import Router

_COPY_RECEIPTS = "bench-copy-receipts"
Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All contenders over the same source records."""

    agreements: int
    router: Run
    copy: Run
    deliveries: int
    transactions: int
    peers: Mapping[str, Sequence[PeerRun]] = field(default_factory=dict)
    """Runs of each, one per commit interval."""

    def as_json(self) -> Mapping[str, Any]:
        """Rates in source records, and router ÷ copy by wall clock and per CPU second of the process.

        Of a peer its better run, router ÷ peer in the same two ways, and all its runs.
        """
        return {
            "agreements": self.agreements,
            "records": self.router.records,
            "deliveries": self.deliveries,
            "transactions": self.transactions,
            "router": _rates(self.router),
            "copy": _rates(self.copy),
            "ratio": round(self.router.per_second / self.copy.per_second, 3),
            "ratio_per_cpu": round(self.router.per_cpu_second / self.copy.per_cpu_second, 3),
            **({"peers": {name: self._against(runs) for name, runs in self.peers.items()}} if self.peers else {}),
        }

    def _against(self, runs: Sequence[PeerRun]) -> Mapping[str, Any]:
        best = max(runs, key=lambda found: found.run.per_second)
        return {
            **best.as_json(),
            "ratio": round(self.router.per_second / best.run.per_second, 3),
            "ratio_per_cpu": round(self.router.per_cpu_second / best.run.per_cpu_second, 3),
            "runs": [found.as_json() for found in runs],
        }


async def compare(
    here: Site, *, agreements: int, number: int, progress: Progress, peers: Sequence[Program] = ()
) -> Comparison:
    """Set an empty installation up, publish `number` records, route them, copy them, have each peer route them.

    Raises `Fatal` where a peer did not do the same job.
    """
    installation = Installation.of(here)
    progress(f"activating {agreements} agreements")
    enforcement = Enforcement(here.admin, here.keys, Barriers(here.clients, here.lanes))
    cases = Agreements(here.control, enforcement, fictional=True)
    product, schema = await set_up(installation, cases, agreements)
    source = topics.source(product.source, product.id)
    progress(f"publishing {number} records")
    k_lane = here.keys.ensure(keys.LANE)
    await publish(here.clients, source, records(schema, product, number, agreements, here.lanes, k_lane))
    progress("routing them")
    counts = Counts()
    routed, transactions = await _route(here, number, counts)
    deliveries = sum(counts.delivered.values())
    progress("copying them")
    shape = await _shape(here, counts, transactions)
    targets = [f"bench-copy-{index}" for index in range(agreements)]
    index = {"segment.index.bytes": "131072"}
    await here.admin.ensure_topics(
        [*(TopicSpec(name, config=index) for name in targets), TopicSpec(_COPY_RECEIPTS, here.lanes, index)]
    )
    per_transaction = max(1, number // transactions)
    copied = await copy(here.clients, source, here.lanes, targets, _COPY_RECEIPTS, shape, per_transaction)
    job = Job.of(here, product, agreements, number, frozenset(name for name, _ in shape.delivery[2]))
    measured = {each.name: await peer.measure(here, each, job, progress) for each in peers}
    return Comparison(agreements, routed, copied, deliveries, transactions, measured)


async def _route(here: Site, number: int, counts: Counts) -> tuple[Run, int]:
    open_lane = await lane_maker(here)
    lanes = [open_lane(lane) for lane in range(here.lanes)]
    for lane in lanes:
        await lane.open()
    collect_rarely()  # as the router's process does, and the copy after it
    steps = 0
    wall, cpu = time.perf_counter(), time.process_time()

    async def until_done(router: Router) -> int:
        taken = 0
        while counts.records < number:
            taken += bool(await router.step())
        return taken

    steps = sum(await asyncio.gather(*(until_done(Router(lane, counts)) for lane in lanes)))
    run = Run(number, time.perf_counter() - wall, time.process_time() - cpu)
    for lane in lanes:
        await lane.close()
    return run, steps


async def _shape(here: Site, counts: Counts, transactions: int) -> Shape:
    """What the router wrote: how much of it, and one record of each kind for the copy to repeat."""
    agreement = next(iter(counts.delivered))
    document = here.control.state.agreements[agreement].document
    ends = await here.admin.end_offsets(topics.RECEIPTS)
    receipts = sum(ends.values()) - transactions  # a transaction's marker takes an offset too
    delivery = await _first(here, topics.delivery(document["agency"], agreement), [0])
    receipt = await _first(here, topics.RECEIPTS, list(range(here.lanes)))
    return Shape(
        deliveries=sum(counts.delivered.values()) / counts.records,
        receipts=receipts / counts.records,
        delivery=(delivery.key, delivery.value, list(delivery.headers)),
        receipt=(receipt.key, receipt.value, list(receipt.headers)),
    )


async def _first(here: Site, topic: str, partitions: list[int]) -> Any:
    async with here.clients.consumer() as consumer:
        consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        await consumer.seek_to_beginning()
        return await consumer.getone()


def _rates(run: Run) -> Mapping[str, float]:
    return {
        "records_per_s": round(run.per_second),
        "records_per_cpu_s": round(run.per_cpu_second),
        "wall_s": round(run.wall_s, 2),
        "cpu_s": round(run.cpu_s, 2),
    }
