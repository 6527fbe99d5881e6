"""Quality figures of every product, taken from what lies on Kafka already: source topics, quarantines, and adapters' cursors.

Nothing is kept besides. Each process folds the topics for itself, from where it stood: so a restart loses nothing, and any
number of processes say the same, but for the sample of a product of many subjects. Figures are taken anew when somebody asks, once a minute at most.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.delivery.present_state import Known, PresentState
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.instants import stated_instant
from broker.model.intake import CURSOR_KEY, Intake
from broker.model.quality import Quality
from broker.model.registered import Product
from broker.schema.avro import load_schema
from broker.schema.guard import compile_walk
from broker.schema.presence import presence_of
from broker.stopping import stop_quietly

ProductName = tuple[str, str]
"""Source and product."""

_AT_ONCE = 500
_POLL_MS = 200
_KAFKA_S = 10.0
_LONGEST_S = 20.0
"""Reading for one taking; a large product is read on at the next."""

_FORGETFUL = timedelta(days=6)
"""Deletions stay readable for seven days: whoever was away for longer begins anew."""

_STEPS_BACK = (8, 4096, 1 << 40)


class Control(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""


@dataclass(slots=True)
class _Followed:
    """One product's fold, and where it stands in each partition."""

    state: PresentState
    positions: dict[TopicPartition, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What one adapter keeps beside its cursor."""

    passed: datetime | None
    intake: Mapping[str, Intake]


class QualityFigures:
    """Over consumers of its own, made unstarted; `report` hears of what kept figures from being taken."""

    def __init__(
        self,
        new_consumer: Callable[[], Any],
        control: Control,
        lanes: int,
        *,
        report: Callable[[Exception], None] = lambda _error: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        apart: timedelta = timedelta(minutes=1),
    ) -> None:
        self._new_consumer = new_consumer
        self._control = control
        self._lanes = lanes
        self._report = report
        self._now = now
        self._apart = apart
        self._figures: Mapping[ProductName, Quality] = {}
        self._followed: dict[ProductName, _Followed] = {}
        self._schemas: dict[int, Known] = {}
        self._began = datetime.min.replace(tzinfo=UTC)
        self._taking: asyncio.Task[None] | None = None

    async def all(self, *, wait_s: float = 2.0) -> Mapping[ProductName, Quality]:
        """The figures by source and product, waiting up to `wait_s` where they are being taken; a product may lack them."""
        now, taking = self._now(), self._taking
        if taking is None or (taking.done() and now - self._began >= self._apart):
            if taking is not None and now - self._began > _FORGETFUL:
                self._followed.clear()
            self._began, taking = now, asyncio.create_task(self._take(), name="quality")
            self._taking = taking
        if not taking.done():
            await asyncio.wait({taking}, timeout=wait_s)
        return self._figures

    async def close(self) -> None:
        """Stop what is under way."""
        if self._taking is not None:
            self._taking.cancel()
            await asyncio.gather(self._taking, return_exceptions=True)

    async def _take(self) -> None:
        consumer = self._new_consumer()
        try:
            async with asyncio.timeout(_LONGEST_S + 2 * _KAFKA_S):
                await consumer.start()
                await self._taken(consumer)
        except (KafkaError, TimeoutError, OSError) as error:
            self._report(KafkaUnavailable("quality figures cannot be taken now", operator=type(error).__name__))
        except Exception as error:  # noqa: BLE001 - the catalogue is shown without them
            self._report(error)
        finally:
            await stop_quietly(consumer)

    async def _taken(self, consumer: Any) -> None:
        there = await consumer.topics()
        adapters = await _kept(consumer, sorted(each for each in there if each.startswith(topics.CURSORS)))
        deadline = time.monotonic() + _LONGEST_S
        for name, product in list(self._control.state.products.items()):
            source, quarantine = topics.source(*name), topics.quarantine(*name)
            if source not in there:
                continue
            followed = self._followed.setdefault(name, _Followed(PresentState(self._known)))
            targets = [TopicPartition(source, lane) for lane in range(self._lanes)]
            targets += [TopicPartition(quarantine, 0)] if quarantine in there else []
            whole = await self._read_on(consumer, followed, targets, quarantine, deadline)
            self._figures = {**self._figures, name: self._figure(product, followed.state, adapters, whole=whole)}
        self._figures = {name: each for name, each in self._figures.items() if name in self._control.state.products}

    async def _read_on(
        self, consumer: Any, followed: _Followed, targets: list[TopicPartition], quarantine: str, deadline: float
    ) -> bool:
        """Whether everything was read that was there."""
        now_ms = int(self._now().timestamp() * 1000)
        consumer.assign(targets)
        consumer.pause(*targets)  # a fetch that waits for records would hold up every other question
        firsts, ends = await consumer.beginning_offsets(targets), await consumer.end_offsets(targets)
        positions = followed.positions
        for target in targets:
            positions[target] = max(positions.get(target, 0), firsts[target])
            consumer.seek(target, positions[target])
        while behind := [target for target in targets if positions[target] < ends[target]]:
            if time.monotonic() > deadline:
                return False
            consumer.resume(*behind)
            polled = await consumer.getmany(*behind, timeout_ms=_POLL_MS, max_records=_AT_ONCE)
            consumer.pause(*behind)
            for target, records in polled.items():
                for record in records:
                    if target.topic == quarantine:
                        followed.state.note(record.value)
                    else:
                        followed.state.take(record.key, record.value, record.timestamp, now_ms=now_ms)
            for target in behind:
                positions[target] = await consumer.position(target)
        return True

    def _figure(self, product: Product, state: PresentState, adapters: Sequence[_Kept], *, whole: bool) -> Quality:
        present = self._known(product.schema_id)
        of_product = [
            (kept, intake)
            for kept in adapters
            if (intake := kept.intake.get(product.id)) is not None and intake.source == product.source
        ]
        return state.quality(
            present.presence.paths if present else (),
            [intake for _, intake in of_product],
            now=self._now(),
            last_pass=max((kept.passed for kept, _ in of_product if kept.passed), default=None),
            whole=whole,
        )

    def _known(self, identifier: int) -> Known | None:
        known, registered = self._schemas.get(identifier), self._control.state.schemas.get(identifier)
        if known is None and registered is not None:
            walker = compile_walk(load_schema(registered.text))
            known = self._schemas[identifier] = Known(walker, presence_of(walker))
        return known


async def _kept(consumer: Any, names: Sequence[str]) -> list[_Kept]:
    """What adapters keep beside their cursors: the last row of the kind in each of these topics, looked for from its end."""
    if not names:
        return []
    found: dict[TopicPartition, bytes | None] = {}
    targets = [TopicPartition(name, 0) for name in names]
    consumer.assign(targets)
    firsts, ends = await consumer.beginning_offsets(targets), await consumer.end_offsets(targets)
    for back in _STEPS_BACK:
        left = [target for target in targets if target not in found and firsts[target] < ends[target]]
        for target in left:
            consumer.seek(target, max(firsts[target], ends[target] - back))
        while behind := [target for target in left if await consumer.position(target) < ends[target]]:
            polled = await consumer.getmany(*behind, timeout_ms=_POLL_MS, max_records=_AT_ONCE)
            for target, records in polled.items():
                for record in records:
                    if record.key == CURSOR_KEY:
                        found[target] = record.value
    return [kept for value in found.values() if (kept := _read(value)) is not None]


def _read(value: bytes | None) -> _Kept | None:
    try:
        row = json.loads(value or b"")
        intake = {str(product): Intake.of_json(held) for product, held in row["intake"].items()}
        return _Kept(None if row["passed"] is None else stated_instant(row["passed"]), intake)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return None  # of a runner that did not count yet
