"""Retries of quarantined records: each is looked at again once, unless something newer is known of its subject (design §5).

A retry is a fact of the control log; that it was looked at goes with the lane's offsets in the transaction that says what
came of it, so that it happens once. The record keeps its place: its deliveries have its coordinates and the retry's run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.errors import PoisonRecord
from broker.model.control_state import ControlState
from broker.model.quarantine_book import Retry
from broker.policy.engine import Previous
from broker.routing.backfill import Progress
from broker.routing.door import door
from broker.routing.lane_state import LaneState
from broker.routing.looks import LastRecords
from broker.routing.plans import TopicPlan


@dataclass(frozen=True, slots=True)
class Retried:
    """A retry that is due, and its record; None where the subject is further: a newer record, or a deletion, was routed.

    A compacted topic keeps a record until there is a newer one of its key: that one was routed, or lies in quarantine itself.
    """

    retry: Retry
    record: Any | None

    @property
    def topic(self) -> str:
        """Topic of the record."""
        return self.retry.place.topic


@dataclass(frozen=True, slots=True)
class Retries:
    """Finds what one lane has to look at again."""

    lane: int
    state: LaneState

    async def due(
        self,
        plans: Mapping[str, TopicPlan],
        control: ControlState,
        progress: Mapping[str, Progress],
        positions: Mapping[str, int],
        records: LastRecords,
    ) -> Retried | None:
        """The first retry that was not looked at; `positions`: up to where the lane has routed each topic.

        One of a record that is not routed yet waits: it cannot be in quarantine.
        """
        for topic, plan in plans.items():
            done = progress.get(topic, Progress()).retried
            for retry in control.quarantine.retries(topic, self.lane, after=done)[:1]:
                offset = retry.place.offset
                if offset >= positions[topic]:
                    continue
                record = await records.one(topic, offset)
                if record is not None and plan.outlets and self.state.newest(topic, record.key) > offset:
                    record = None
                return Retried(retry, record)
        return None

    async def catch_up(
        self,
        plan: TopicPlan,
        control: ControlState,
        committed: int,
        records: LastRecords,
        *,
        lanes: int,
        k_lane: bytes,
    ) -> None:
        """Take in what retries up to the epoch `committed` made of subjects, where the state has not heard of it."""
        for retry in control.quarantine.retries(plan.topic, self.lane, after=self.state.retried(plan.topic)):
            if retry.epoch > committed:
                return
            record, changes = await records.one(plan.topic, retry.place.offset), {}
            if record is not None:
                try:
                    offsets = door(plan, lanes=lanes, k_lane=k_lane)(record)
                except PoisonRecord:
                    offsets = None
                if offsets is not None:
                    values = plan.select(record.value, offsets)
                    changes = {record.key: Previous(values, record.timestamp, record.offset)}
            self.state.amend(plan.topic, changes, retried=retry.epoch)
