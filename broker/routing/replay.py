"""Brings a lane's state up to its committed position by reading the source again, without output (design §2)."""

from contextlib import suppress
from typing import Any

from aiokafka.structs import TopicPartition

from broker.errors import PoisonRecord
from broker.policy.engine import Previous
from broker.routing.door import admit
from broker.routing.lane_state import Absorbed, LaneState
from broker.routing.plans import TopicPlan

_CHUNK = 50_000
_POLL_MS = 250


async def replay(
    consumer: Any, plan: TopicPlan, state: LaneState, *, lane: int, lanes: int, end: int, k_lane: bytes
) -> None:
    """Absorb what was routed of the plan's topic before offset `end`; `consumer` is given unstarted, and stopped here.

    What was quarantined then is passed over now, by the same door. The log does not tell when a record was decided: its
    LogAppendTime stands in, except for subjects whose decision instant the state still holds.
    """
    start = state.absorbed(plan.topic, plan.engine.paths)
    target = TopicPartition(plan.topic, lane)
    await consumer.start()
    try:
        consumer.assign([target])
        first = (await consumer.beginning_offsets([target]))[target]
        consumer.seek(target, max(start, first))
        while await consumer.position(target) < end:
            polled = await consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_CHUNK)
            changes: dict[bytes, Previous | None] = {}
            for record in polled.get(target, ()):
                if record.offset < end:
                    with suppress(PoisonRecord):
                        offsets = admit(record, plan, lanes=lanes, k_lane=k_lane)
                        values = None if offsets is None else plan.select(record.value, offsets)
                        changes[record.key] = (
                            None if values is None else Previous(values, record.timestamp, record.offset)
                        )
            reached = min(end, await consumer.position(target))
            state.write({plan.topic: changes}, [Absorbed(plan.topic, reached, plan.engine.paths)])
        state.write({}, [Absorbed(plan.topic, end, plan.engine.paths)])
    finally:
        await consumer.stop()
