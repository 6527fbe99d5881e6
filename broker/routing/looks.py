"""Looks: a subject reconsidered under one agreement, with all that takes; and where its present value is read from."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka.structs import TopicPartition

from broker.control.dossier_records import Place
from broker.errors import KafkaUnavailable, PositionLost
from broker.policy.buckets import Plan
from broker.policy.calendar import belgian_day
from broker.policy.engine import Previous
from broker.policy.papers import Papers, Told
from broker.routing.causes import Cause
from broker.routing.lane_state import LaneState
from broker.routing.plans import TopicPlan
from broker.routing.subjects import Subjects

_POLL_MS = 1000
_NEAR = 500
"""Offsets that are read through rather than jumped over."""

Remembered = Callable[[str, Collection[bytes]], Mapping[bytes, Previous]]
"""What a lane knows of some subjects of a topic."""


@dataclass(frozen=True, slots=True)
class Look:
    """One subject under one agreement; `value` is its last record, framed, where something may be cut from it."""

    cause: Cause
    topic: TopicPlan
    plan: Plan
    known: Previous
    told: Told
    papers: Papers
    value: bytes


def _holding(plans: Iterable[TopicPlan], name: str) -> Iterator[tuple[TopicPlan, Plan]]:
    """Plans of an agreement, or of everyone on a product ("<source>/<product>"), each with that of its topic."""
    for topic in plans:
        index = topic.index_of(name)
        if index is not None:
            yield topic, topic.engine.plans[index]
        if topic.product == name:
            yield from ((topic, plan) for plan in topic.engine.plans)


async def looks(
    causes: Sequence[Cause],
    plans: Mapping[str, TopicPlan],
    previous: Remembered,
    subjects: Subjects,
    records: "LastRecords",
) -> Sequence[Look]:
    """What there is to reconsider: subjects of which there is a record, in the order of the causes."""
    held = {name: tuple(_holding(plans.values(), name)) for name in {cause.place.agreement for cause in causes}}
    asked = [(cause, topic, plan) for cause in causes for topic, plan in held[cause.place.agreement]]
    keys: dict[str, set[bytes]] = {}
    for cause, topic, _ in asked:
        keys.setdefault(topic.topic, set()).add(cause.place.subject)
    known = {topic: previous(topic, subjects_of) for topic, subjects_of in keys.items()}
    values = {
        topic: await records.read(topic, {last.offset for last in found.values()}) for topic, found in known.items()
    }
    return [
        Look(
            cause,
            topic,
            plan,
            last,
            subjects.told(cause.place),
            subjects.of(cause.place.subject),
            values[topic.topic][last.offset],
        )
        for cause, topic, plan in asked
        if (last := known[topic.topic].get(cause.place.subject)) is not None
    ]


def aged(plans: Mapping[str, TopicPlan], state: LaneState, then_ms: int, now_ms: int) -> Iterator[Place]:
    """Subjects of which an answer is another on the day of `now_ms` than on that of `then_ms`: read through all of them."""
    then, now = belgian_day(then_ms), belgian_day(now_ms)
    for topic in plans.values():
        timed = [(plan, plan.timed) for plan in topic.engine.plans if plan.timed is not None]
        for key, previous in state.all(topic.topic) if timed else ():
            for plan, answers in timed:
                if answers(previous.values, then) != answers(previous.values, now):
                    yield Place(key, plan.agreement.id)


@dataclass(frozen=True, slots=True)
class LastRecords:
    """Reads single records of one lane by their offsets; `consumer` is started and stopped by the lane."""

    consumer: Any
    lane: int

    async def one(self, topic: str, offset: int) -> Any | None:
        """The whole record at an offset before the committed position; None where it was compacted away.

        Raises `KafkaUnavailable`.
        """
        target = TopicPartition(topic, self.lane)
        self.consumer.assign([target])
        first = (await self.consumer.beginning_offsets([target]))[target]
        if offset < first:
            return None
        self.consumer.seek(target, offset)
        while (position := await self.consumer.position(target)) <= offset:
            polled = (await self.consumer.getmany(target, timeout_ms=_POLL_MS)).get(target, ())
            if polled:
                return polled[0] if polled[0].offset == offset else None
            if await self.consumer.position(target) == position:
                raise KafkaUnavailable(f"lane {self.lane} of {topic} cannot be read now")
        return None

    async def read(self, topic: str, offsets: Collection[int]) -> Mapping[int, bytes]:
        """Values by offset; raises `PositionLost` if one is gone, which compaction never does to a subject's last record."""
        target = TopicPartition(topic, self.lane)
        found: dict[int, bytes] = {}
        self.consumer.assign([target])
        for offset in sorted(offsets):
            if offset in found:
                continue
            position = await self.consumer.position(target) if found else None
            if position is None or not position <= offset < position + _NEAR:
                self.consumer.seek(target, offset)
            while offset not in found:
                polled = (await self.consumer.getmany(target, timeout_ms=_POLL_MS)).get(target, ())
                found |= {record.offset: record.value for record in polled}
                if not polled or polled[-1].offset > offset not in found:
                    raise PositionLost(f"lane {self.lane} of {topic}: a subject's last record is gone")
        return found
