"""What is in a topic, for tests."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.structs import TopicPartition

_PATIENCE_S = 60


async def committed_records(clients: Any, admin: Any, topic: str, since: Mapping[int, int] | None = None) -> list[Any]:
    """Everything committed on `topic` from `since` on, by partition and offset.

    Reads to the end with open transactions included: the answer to a commit comes before its markers are in every
    partition, so a reader that stops at the last stable offset may miss what has just been committed.
    """
    ends = {TopicPartition(topic, number): end for number, end in (await admin.end_offsets(topic)).items()}
    consumer = clients.consumer(None)
    await consumer.start()
    try:
        consumer.assign(list(ends))
        for target, first in (await consumer.beginning_offsets(list(ends))).items():
            consumer.seek(target, max(first, (since or {}).get(target.partition, 0)))
        found: list[Any] = []
        async with asyncio.timeout(_PATIENCE_S):
            while behind := [target for target, end in ends.items() if await consumer.position(target) < end]:
                for records in (await consumer.getmany(*behind, timeout_ms=250)).values():
                    found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()
