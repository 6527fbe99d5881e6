"""Brings a lane's state up to its committed position by reading the source again, without output (design §2)."""

from contextlib import suppress
from typing import Any

from aiokafka.structs import TopicPartition

from broker.errors import PoisonRecord
from broker.policy.engine import Previous
from broker.routing.door import door
from broker.routing.lane_state import Absorbed, LaneState
from broker.routing.plans import TopicPlan
from broker.routing.quarantine import passed_over

_CHUNK = 10_000
"""Records at a time: the state's file keeps the room that its largest write took."""
_POLL_MS = 250


async def replay(
    consumer: Any, plan: TopicPlan, state: LaneState, *, lane: int, lanes: int, end: int, k_lane: bytes
) -> None:
    """Absorb what was routed of the plan's topic before offset `end`; `consumer` is given unstarted, and stopped here.

    What was quarantined then is passed over now: by the same door, and by its quarantine, for a door that has become wider
    has told nobody yet. The log does not tell when a record was decided: its LogAppendTime stands in, except for subjects
    whose decision instant the state still holds.
    """
    start, admit = state.absorbed(plan.topic, plan.engine.paths), door(plan, lanes=lanes, k_lane=k_lane)
    target = TopicPartition(plan.topic, lane)
    await consumer.start()
    try:
        aside = passed_over(await _values(consumer, TopicPartition(plan.quarantine, 0)), lane)
        consumer.assign([target])
        first = (await consumer.beginning_offsets([target]))[target]
        consumer.seek(target, max(start, first))
        while await consumer.position(target) < end:
            polled = await consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_CHUNK)
            changes: dict[bytes, Previous | None] = {}
            deletions: dict[bytes, int] = {}
            for record in polled.get(target, ()):
                if record.offset < end and record.offset not in aside:
                    with suppress(PoisonRecord):
                        offsets = admit(record)
                        values = None if offsets is None else plan.select(record.value, offsets)
                        changes[record.key] = (
                            None if values is None else Previous(values, record.timestamp, record.offset)
                        )
                        if values is None:
                            deletions[record.key] = record.offset
            reached = min(end, await consumer.position(target))
            position = Absorbed(plan.topic, reached, plan.engine.paths)
            state.write({plan.topic: changes}, [position], {plan.topic: deletions})
        state.write({}, [Absorbed(plan.topic, end, plan.engine.paths)])
    finally:
        await consumer.stop()


async def _values(consumer: Any, target: TopicPartition) -> list[bytes | None]:
    """Values of everything committed in one partition by now.

    Another lane's open transaction hides the tail of a partition that lanes share: it is waited for.
    """
    consumer.assign([target])
    first = (await consumer.beginning_offsets([target]))[target]
    end = (await consumer.end_offsets([target]))[target]
    found: list[bytes | None] = []
    if first < end:
        consumer.seek(target, first)
        marked = False
        while not marked or await consumer.position(target) < end:
            polled = await consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_CHUNK)
            found += [record.value for record in polled.get(target, ())]
            if not marked and (highest := consumer.highwater(target)) is not None:
                end, marked = max(end, highest), True
    return found
