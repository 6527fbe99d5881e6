"""Whether the lanes have told agreements that came into force of the subjects that were there: read from their positions."""

from collections.abc import Iterable
from typing import Any

from aiokafka.structs import TopicPartition

from broker.model import topics
from broker.model.lifecycle import AgreementEntry
from broker.policy.calendar import milliseconds
from broker.routing.knowledge import stamped


async def have_told(consumer: Any, agreements: Iterable[AgreementEntry], topic: str, lanes: Iterable[int]) -> bool:
    """Whether all lanes have told those of `agreements` that are on the topic, as far as they committed.

    `consumer` is a started one of the routers' group. A lane that has routed nothing of the topic has nobody to tell of.
    """
    own = (entry for entry in agreements if topics.source(entry.source, str(entry.document["product"])) == topic)
    since_ms = max((milliseconds(entry.activated_at) for entry in own if entry.activated_at is not None), default=0)
    targets = [TopicPartition(topic, lane) for lane in lanes]
    committed = await consumer._coordinator.fetch_committed_offsets(targets)  # noqa: SLF001 - metadata
    for position in committed.values():
        reach = stamped(position.metadata)[3].reach
        if position.offset > 0 and (reach.under_way or reach.at_ms < since_ms):
            return False
    return True
