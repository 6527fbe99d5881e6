"""Whom an agreement would deliver under a pseudonym now: its population, read anew through the router's own door.

Every current source record is admitted, matched and decided as if it were the first of its subject. What the router would
release it for counts; what it would withhold, quarantine or pass over does not.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.control.keys import LANE, KeyStore
from broker.errors import KafkaUnavailable, NotFound, PoisonRecord
from broker.model.agreement import Transform
from broker.model.control_state import ControlState
from broker.model.decision import Kind, Release
from broker.policy import documents
from broker.routing.door import door
from broker.routing.plans import Plans, TopicPlan
from broker.routing.subjects import Subjects
from broker.schema.guard import compile_select
from broker.schema.leaf_values import text_of
from broker.stopping import stop_quietly

_CHUNK = 500
_POLL_MS = 250
_SILENCE_S = 10.0


class Clients(Protocol):
    """Makes Kafka clients; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""


class Control(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""


@dataclass(frozen=True, slots=True)
class Pseudonymised:
    """Reader of populations; it holds nothing between two calls. `now_ms` gives the decision instant."""

    clients: Clients
    control: Control
    keys: KeyStore
    plans: Plans
    lanes: int
    now_ms: Callable[[], int]

    async def identifiers(self, agreement: str) -> set[bytes]:
        """Every identifier that the agreement would deliver as a pseudonym now, in memory; raises `KafkaUnavailable`."""
        state = self.control.state
        entry = state.agreements.get(agreement)
        if entry is None:
            raise NotFound("no such agreement")
        released = documents.agreement(entry.document).fields
        paths = [field.path for field in released if field.transform is Transform.PSEUDONYM]
        reader = _Lane(self.plans.of(entry, state), paths, self.lanes, self.keys.get(LANE), self.now_ms())
        found: set[bytes] = set()
        try:
            for lane in range(self.lanes):
                papers, source = self.clients.consumer(None), self.clients.consumer(None)
                subjects = Subjects(papers, lane, reader.k_lane)
                try:
                    await subjects.open(None, reader.now_ms)
                    found |= await reader.read(source, lane, subjects)
                finally:
                    await stop_quietly(papers)
                    await stop_quietly(source)
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("the population cannot be read now", operator=type(error).__name__) from error
        return found


@dataclass(frozen=True, slots=True)
class _Lane:
    """How one lane's records become identifiers."""

    plan: TopicPlan
    paths: list[str]
    lanes: int
    k_lane: bytes
    now_ms: int

    async def read(self, consumer: Any, lane: int, subjects: Subjects) -> set[bytes]:
        """Identifiers of the lane's subjects by their last admitted record; `consumer` is given unstarted."""
        target = TopicPartition(self.plan.topic, lane)
        await consumer.start()
        consumer.assign([target])
        await consumer.seek_to_beginning(target)
        end = (await consumer.end_offsets([target]))[target]
        known: dict[bytes, tuple[bytes, ...]] = {}
        identifiers = self._identifiers()
        async with asyncio.timeout(_SILENCE_S) as silence:
            while await consumer.position(target) < end:
                polled = await consumer.getmany(target, timeout_ms=_POLL_MS, max_records=_CHUNK)
                for record in polled.get(target, ()):
                    with suppress(PoisonRecord):
                        known[record.key] = identifiers(record, subjects)
                    silence.reschedule(asyncio.get_running_loop().time() + _SILENCE_S)
                await asyncio.sleep(0)  # a long read of what is buffered already must not stop the heartbeat
        return {identifier for found in known.values() for identifier in found}

    def _identifiers(self) -> Callable[[Any, Subjects], tuple[bytes, ...]]:
        plan, batch = self.plan, self.plan.engine.batch(self.now_ms)
        select = compile_select(plan.walker, self.paths)
        admit = door(plan, lanes=self.lanes, k_lane=self.k_lane)
        readers = [text_of(plan.schema.fields[path]) for path in self.paths]

        def identifiers(record: Any, subjects: Subjects) -> tuple[bytes, ...]:
            offsets = admit(record)
            if offsets is None:
                return ()
            values = plan.select(record.value, offsets)
            decided = batch.decide(None, values, Kind.SNAPSHOT, subjects.of(record.key), record.timestamp)
            if not any(isinstance(decision, Release) for _, decision in decided):
                return ()
            root = subjects.root(record.key, plan.product)
            texts = (
                root if root is not None and path == plan.schema.principal else read(raw)
                for path, read, raw in zip(self.paths, readers, select(record.value, offsets), strict=True)
            )
            return tuple(text for text in texts if text is not None)

        return identifiers
