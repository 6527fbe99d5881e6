"""What became of an agreement's records, day by day, from the receipts: the only place that outlives every process.

A fold over the last days of the topic of receipts, held in memory with its position: caught up when somebody asks, so that it
costs nothing while nobody does, and made anew after a restart. Only days that are over are told.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from typing import Any

import fastavro
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.delivery.cells import Cell
from broker.errors import KafkaUnavailable
from broker.model import topics
from broker.model.decision import Kind, Reason
from broker.model.record import WIRE_HEADER_BYTES
from broker.policy.calendar import belgian_day, day_began, milliseconds
from broker.stopping import stop_quietly

DAYS = 14
"""Days told, the last one yesterday."""

DELIVERED = tuple(kind.value for kind in Kind)
"""Cells of what was delivered: one per kind, as the items of the stream say it."""

WITHHELD = ("ceiling", "consent", "other", "stopped", "term", "unchanged")
"""Cells of what was withheld: classes of reasons. `other` holds what must not be told apart."""

_CLASSES: Mapping[str, str] = {
    Reason.ABOVE_CEILING: "ceiling",
    Reason.NO_CONSENT: "consent",
    Reason.SUSPENDED: "stopped",
    Reason.REVOKED: "stopped",
    Reason.NOT_IN_TERM: "term",
    Reason.UNCHANGED_ANSWER: "unchanged",
}
_DAY_MS = 24 * 3600 * 1000
_LATE_MS = 10 * 60 * 1000
_AT_ONCE = 500
_KAFKA_S = 10.0


@dataclass(frozen=True, slots=True)
class Day:
    """Counts of one Belgian calendar day, by cell; a cell that is not there is empty."""

    day: date
    delivered: Mapping[str, int]
    withheld: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Days:
    """The last days of one agreement, oldest first; `whole` is false where more receipts remained than could be read."""

    days: tuple[Day, ...]
    whole: bool


class DailyTally:
    """Folds the receipts of all agreements; `schema` is the receipt's Avro JSON, consumers are made unstarted."""

    def __init__(
        self,
        new_consumer: Callable[[], Any],
        schema: str,
        lanes: int,
        *,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        longest_s: float = 5.0,
    ) -> None:
        self._new_consumer = new_consumer
        self._schema = fastavro.parse_schema(json.loads(schema))
        self._targets = [TopicPartition(topics.RECEIPTS, lane) for lane in range(lanes)]
        self._now_ms = now_ms
        self._longest_s = longest_s
        self._positions: dict[TopicPartition, int] = {}
        self._cells: dict[tuple[str, date], dict[tuple[str, str], Cell]] = {}
        self._turn = asyncio.Lock()
        self._whole = False

    async def of(self, agreement: str) -> Days:
        """The last `DAYS` days that are over, after reading on for 5 s at most. Raises `KafkaUnavailable`."""
        async with self._turn:
            await self._read_on()
            today = belgian_day(self._now_ms())
            days = (today - timedelta(days=back) for back in range(DAYS, 0, -1))
            return Days(tuple(self._day(agreement, day) for day in days), self._whole)

    def _day(self, agreement: str, day: date) -> Day:
        cells = self._cells.get((agreement, day), {})
        told: dict[str, dict[str, int]] = {"release": {}, "withhold": {}}
        for (outcome, name), cell in cells.items():
            told[outcome][name] = cell.count
        return Day(day, told["release"], told["withhold"])

    async def _read_on(self) -> None:
        consumer, deadline = self._new_consumer(), time.monotonic() + self._longest_s
        try:
            async with asyncio.timeout(self._longest_s + _KAFKA_S):
                await consumer.start()
                consumer.assign(self._targets)
                ends = await consumer.end_offsets(self._targets)
                await self._seek(consumer)
                behind = [target for target in self._targets if self._positions[target] < ends[target]]
                while behind and time.monotonic() < deadline:
                    polled = await consumer.getmany(*behind, timeout_ms=200, max_records=_AT_ONCE)
                    for records in polled.values():
                        for record in records:
                            self._take(record)
                    for target in behind:
                        self._positions[target] = await consumer.position(target)
                    behind = [target for target in behind if self._positions[target] < ends[target]]
                self._whole = not behind
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("receipts cannot be counted now", operator=type(error).__name__) from error
        finally:
            await stop_quietly(consumer)
        self._tidy()

    async def _seek(self, consumer: Any) -> None:
        """To where the fold stands, or where the first day that is told begins; archived receipts are passed over."""
        first = await consumer.beginning_offsets(self._targets)
        if not self._positions:
            since = day_began(self._now_ms() - DAYS * _DAY_MS)
            found = await consumer.offsets_for_times(dict.fromkeys(self._targets, since))
            ends = await consumer.end_offsets(self._targets)
            self._positions = {each: found[each].offset if found.get(each) else ends[each] for each in self._targets}
        for target in self._targets:
            self._positions[target] = max(self._positions[target], first[target])
            consumer.seek(target, self._positions[target])

    def _take(self, record: Any) -> None:
        if record.value is None:
            return
        body = BytesIO(record.value)
        body.seek(WIRE_HEADER_BYTES)
        held: Any = fastavro.schemaless_reader(body, self._schema, None)
        day = belgian_day(milliseconds(held["decidedAt"]))
        for leaf in held["decisions"]:
            if leaf["outcome"] == "release":
                name = leaf["kind"].replace("_", "-")
            else:
                name = _CLASSES.get(leaf["reason"], "other")
            cells = self._cells.setdefault((leaf["agreement"], day), {})
            cells.setdefault((leaf["outcome"], name), Cell()).add(held["subject"])

    def _tidy(self) -> None:
        """Forget days that are not told any more, and the subjects of days that are over."""
        now = self._now_ms()
        oldest = belgian_day(now) - timedelta(days=DAYS)
        over = belgian_day(now - _LATE_MS)
        for agreement, day in list(self._cells):
            if day < oldest:
                del self._cells[agreement, day]
            elif day < over and self._whole:
                for cell in self._cells[agreement, day].values():
                    cell.close()
