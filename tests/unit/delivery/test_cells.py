"""Counts per day say nothing about one person: shown steps, and the fold of receipts behind them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from broker.delivery import cells
from broker.delivery.cells import FEWEST, Cell, at_least, shown
from broker.delivery.tally import DAYS, DELIVERED, WITHHELD, DailyTally
from broker.model import receipt
from broker.model.decision import Kind, Reason
from broker.model.record import wire_header
from broker.policy.calendar import milliseconds

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
YESTERDAY = date(2026, 11, 25)
EVENTS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["changed", "initial", "consent"])), max_size=200)


def counted(events: list[tuple[int, str]], *, closed: bool) -> dict[str, int]:
    kept: dict[str, Cell] = {name: Cell() for name in ("changed", "initial", "consent")}
    for subject, name in events:
        kept[name].add(b"%d" % subject)
    if closed:
        for cell in kept.values():
            cell.close()
    return {name: cell.count for name, cell in kept.items()}


def step(text: str) -> int:
    return 0 if text.startswith("<") else int(text.removesuffix("+"))


@given(EVENTS, st.integers(0, 40), st.booleans())
def test_one_person_moves_no_count_by_more_than_a_step(events, person, closed) -> None:
    having = counted(events, closed=closed)
    lacking = counted([event for event in events if event[0] != person], closed=closed)
    for name, count in having.items():
        told, else_told = shown(count), shown(lacking[name])
        assert step(told) - step(else_told) in {0, FEWEST}
        if count < FEWEST:
            assert told == else_told == "<5"


@given(EVENTS, EVENTS)
def test_a_sum_tells_nothing_that_its_parts_do_not(some, others) -> None:
    one, other = counted(some, closed=True), counted(others, closed=True)
    if [shown(count) for count in one.values()] == [shown(count) for count in other.values()]:
        assert at_least(one.values()) == at_least(other.values())


def test_a_crowd_is_counted_in_bounded_memory_and_wider_steps(monkeypatch) -> None:
    monkeypatch.setattr(cells, "MOST", 10)
    cell = Cell()
    for number in range(12):
        cell.add(b"%d" % number)
    cell.add(b"0")
    assert (len(cell._subjects or ()), cell.count) == (10, 12)
    assert [shown(count) for count in (0, 4, 5, 9)] == ["<5", "<5", "5+", "5+"]
    monkeypatch.undo()
    assert [shown(count) for count in (9_999, 10_000, 10_999, 123_456)] == ["9995+", "10000+", "10000+", "120000+"]


@dataclass
class Record:
    value: bytes | None
    timestamp: int


@dataclass
class Receipts:
    """The topic of receipts in memory, one lane after another."""

    lanes: dict[int, list[Record]] = field(default_factory=lambda: {0: [], 1: []})
    consumers: int = 0

    def decided(self, lane: int, at: datetime, *leaves: bytes, subject: int = 1) -> None:
        at_ms = milliseconds(at)
        head = receipt.prefix(wire_header(1), receipt.Coordinates("source.a.persoon.v1", lane, 1, 1, at_ms))
        value = receipt.receipt(head, len(self.lanes[lane]), b"%016d" % subject, b"t" * 16, leaves)
        self.lanes[lane].append(Record(value, at_ms))

    def consumer(self) -> "Consumer":
        self.consumers += 1
        return Consumer(self)


@dataclass
class Consumer:
    log: Receipts
    positions: dict[TopicPartition, int] = field(default_factory=dict)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    def assign(self, targets: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(targets, -1)

    def seek(self, target: TopicPartition, offset: int) -> None:
        self.positions[target] = offset

    async def position(self, target: TopicPartition) -> int:
        return self.positions[target]

    async def end_offsets(self, targets: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {target: len(self.log.lanes[target.partition]) for target in targets}

    async def beginning_offsets(self, targets: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(targets, 0)

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, Any]:
        found: dict[TopicPartition, Any] = {}
        for target, at_ms in times.items():
            later = [at for at, each in enumerate(self.log.lanes[target.partition]) if each.timestamp >= at_ms]
            found[target] = _Place(later[0]) if later else None
        return found

    async def getmany(self, *targets: TopicPartition, timeout_ms: int, max_records: int) -> Mapping[Any, list[Record]]:
        assert timeout_ms
        found = {}
        for target in targets:
            start = self.positions[target]
            found[target] = self.log.lanes[target.partition][start : start + max_records]
            self.positions[target] += len(found[target])
        return found


@dataclass
class _Place:
    offset: int


@dataclass
class Clock:
    now: datetime = NOW

    def __call__(self) -> int:
        return milliseconds(self.now)


@pytest.fixture
def log() -> Receipts:
    return Receipts()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(log: Receipts, clock: Clock) -> DailyTally:
    schema = (ROOT / "schemas" / "receipt.v1.avsc").read_text()
    return DailyTally(log.consumer, schema, 2, now_ms=clock)


def released(agreement: str, kind: Kind = Kind.CHANGED) -> bytes:
    return receipt.released(agreement, 1, kind) + b"d" * 16


async def test_a_day_counts_subjects_by_kind_and_class_of_reason(log, tally) -> None:
    at = NOW - timedelta(days=1)
    for subject in range(6):
        for _ in range(3):
            log.decided(subject % 2, at, released("gent"), released("leuven", Kind.LEFT_POPULATION), subject=subject)
    for reason in (Reason.SUSPENDED, Reason.REVOKED):
        log.decided(0, at, receipt.withheld("gent", 1, reason, Kind.CHANGED), subject=reason == Reason.REVOKED)
    counted = await tally.of("gent")
    assert counted.whole
    assert [day.day for day in counted.days] == [YESTERDAY - timedelta(days=back) for back in range(DAYS - 1, -1, -1)]
    assert (counted.days[-1].delivered, counted.days[-1].withheld) == ({"changed": 6}, {"stopped": 2})
    assert all(not day.delivered and not day.withheld for day in counted.days[:-1])
    assert (await tally.of("leuven")).days[-1].delivered == {"left-population": 6}
    assert (await tally.of("elsewhere")).days[-1].delivered == {}


async def test_the_present_day_is_told_when_it_is_over_and_the_oldest_forgotten(log, tally, clock) -> None:
    log.decided(0, NOW, released("gent"))
    log.decided(0, NOW - timedelta(days=DAYS + 1), released("gent"))  # before the window
    assert all(not day.delivered for day in (await tally.of("gent")).days)
    clock.now += timedelta(days=1)
    assert (await tally.of("gent")).days[-1].delivered == {"changed": 1}
    clock.now += timedelta(days=DAYS)
    assert all(not day.delivered for day in (await tally.of("gent")).days)
    assert tally._cells == {}


async def test_days_that_are_over_hold_no_subject(log, tally, clock) -> None:
    log.decided(0, NOW, released("gent"), subject=1)
    log.decided(1, NOW, released("gent"), subject=2)
    await tally.of("gent")
    assert next(iter(tally._cells["gent", NOW.date()].values()))._subjects
    clock.now += timedelta(days=1)
    assert (await tally.of("gent")).days[-1].delivered == {"changed": 2}
    assert next(iter(tally._cells["gent", NOW.date()].values()))._subjects is None


async def test_it_goes_on_where_it_stood_and_says_when_it_could_not_read_all(log, clock) -> None:
    schema = (ROOT / "schemas" / "receipt.v1.avsc").read_text()
    hurried = DailyTally(log.consumer, schema, 2, now_ms=clock, longest_s=-1.0)
    log.decided(0, NOW - timedelta(days=1), released("gent"))
    assert not (await hurried.of("gent")).whole
    hurried._longest_s = 5.0
    for _ in range(2):
        counted = await hurried.of("gent")
        assert (counted.whole, counted.days[-1].delivered) == (True, {"changed": 1})


def test_every_reason_that_is_receipted_has_a_class_and_every_kind_a_cell() -> None:
    assert set(DELIVERED) == {kind.value for kind in Kind}
    assert "other" in WITHHELD
