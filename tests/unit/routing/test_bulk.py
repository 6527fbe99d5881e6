"""What the native core routes at once is what the router routes record by record: streams, receipts, counts and memory."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.sdk import Change
from adapters.synthetic import GENT, move, people
from broker.model.facts import FactType
from broker.model.receipt import Coordinates
from broker.model.wall import SubjectWall
from broker.native.library import core
from broker.policy.calendar import milliseconds
from broker.policy.papers import NO_PAPERS
from broker.routing import router
from broker.routing.backfill import Progress, Reach
from broker.routing.bulk import FEWEST
from broker.routing.checkpoint import Checkpoint
from broker.routing.counts import Counts
from broker.routing.fetched import Fetched
from broker.routing.knowledge import LaneKeys, instant
from broker.routing.lane_state import Absorbed, LaneState
from broker.routing.plans import Plans
from broker.routing.router import Router

from .conftest import K_LANE, K_LEDGER, LANES, NOW, PERSON, Keys, log_of_two

LANE = 1
NOW_MS = milliseconds(NOW) + 1_000
TRACE = b"00-" + b"0123456789abcdef" * 2 + b"-0123456789abcdef-01"


def test_the_core_is_built() -> None:
    """`make setup` builds it; without it the router is right but slow."""
    assert core() is not None


class Batch:
    """Records as a node has them."""

    def __init__(self, records: list[Any]) -> None:
        self.base_offset = self.first = records[0].offset
        self.next = records[-1].offset + 1
        self._records = records

    def __len__(self) -> int:
        return len(self._records)

    def records(self) -> Iterator[Any]:
        return iter(self._records)

    def plain(self) -> bytes:
        builder = BatchBuilder(1 << 22, 0)
        for each in self._records:
            builder.append(key=each.key, value=each.value, timestamp=each.timestamp, headers=list(each.headers))
        raw = builder._build()
        raw[:8] = self.base_offset.to_bytes(8)
        return bytes(raw)


def fetched(records: list[Any]) -> Fetched:
    return Fetched([Batch(records[at : at + 7]) for at in range(0, len(records), 7)])


class Producer:
    """Makes batches as a transactional client does."""

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(1 << 20, 0, is_transactional=1)


@dataclass
class Lane:
    """What the router asks of a lane, without Kafka."""

    state: LaneState
    progress: Progress = field(default_factory=Progress)
    number: int = LANE
    lanes: int = LANES

    def reach(self, _topic: str, _progress: Progress | None = None) -> Reach:
        return self.progress.reach

    def previous(self, plan: Any, keys: Any, _progress: Progress | None = None) -> Any:
        found = self.state.read(plan.topic, keys)
        return {key: self.progress.reach.told(known) for key, known in found.items()}


@dataclass
class Twin:
    """One way through the router, over several batches."""

    fewest: int
    lane: Lane
    counts: Counts = field(default_factory=Counts)
    streams: dict[tuple[str, int], list[Any]] = field(default_factory=lambda: defaultdict(list))

    def route(self, plan: Any, records: list[Any], now_ms: int, papers: set[bytes]) -> None:
        subjects = SimpleNamespace(
            touched=lambda keys: keys & papers, of=lambda _key: NO_PAPERS, root=lambda _key, _product: None
        )
        knowledge = SimpleNamespace(
            instant=instant(now_ms),
            keys=LaneKeys(K_LANE, K_LEDGER),
            subjects=subjects,
            progress={},
            receipt_frame=b"\0\0\0\0\7",
            coordinates=lambda topic, lane, run=0: Coordinates(topic, lane, 5, 7, now_ms, run),
        )
        way = Router(self.lane, self.counts)
        work, counts = Checkpoint(Producer(), timestamp_ms=now_ms // 1000 * 1000), Counts()
        before, router.FEWEST = router.FEWEST, self.fewest
        try:
            routed = asyncio.run(way._route_alike(plan, fetched(records), knowledge, work, counts))
            self.rest, changes = len(routed.rest), {}
            way._route(plan, routed.rest, knowledge, work, counts, changes)
        finally:
            router.FEWEST = before
        self.counts.add(counts)
        gone = {record.key: record.offset for record in routed.rest if record.value is None}
        position = Absorbed(plan.topic, records[-1].offset + 1, plan.engine.paths)
        self.lane.state.write({plan.topic: changes}, [position], {plan.topic: gone}, {plan.topic: routed.rows})
        for target, packed in work._outputs.items():
            self.streams[target] += read(packed)


def read(packed: Any) -> Iterator[Any]:
    for batch in packed.batches:
        batch._set_producer_state(3, 4, 5)
        records = MemoryRecords(bytes(batch._build()))
        while records.has_next():
            parsed = records.next_batch()
            assert parsed.validate_crc()
            assert (parsed.producer_id, parsed.producer_epoch, parsed.base_sequence) == (3, 4, 5)
            assert parsed.is_transactional
            for place, each in enumerate(parsed):
                assert each.offset == place
                yield each.timestamp, each.key, each.value, tuple(each.headers)


@pytest.fixture
def twins() -> Iterator[tuple[Twin, Twin]]:
    states = LaneState(None), LaneState(None)
    yield Twin(1, Lane(states[0])), Twin(1 << 60, Lane(states[1]))
    for state in states:
        state.close()


@pytest.fixture(scope="module")
def rows(publication_of_lane: Any) -> list[Any]:
    """Some people of one lane, each now and after a removal to Gent."""
    rng = random.Random(3)
    found = []
    for person in people(rng, 160, on=date(2026, 11, 24)):
        moved = move(person, GENT, rng, on=date(2026, 11, 24))
        stated = [publication_of_lane.state(Change("-", PERSON, each)) for each in (person, moved)]
        if stated[0].lane == LANE:
            found.append((stated[0].key, *(each.value for each in stated)))
    assert len(found) > 20
    return found


@pytest.fixture(scope="module")
def publication_of_lane(publication: Any) -> Any:
    return publication


def record(key: bytes | None, value: bytes | None, offset: int, headers: tuple[Any, ...] = ()) -> Any:
    return SimpleNamespace(
        topic="source", partition=LANE, offset=offset, key=key, value=value, headers=headers, timestamp=1
    )


def equal(twins: tuple[Twin, Twin], plan: Any, *, in_order: bool) -> None:
    fast, slow = twins
    order = (lambda rows: rows) if in_order else (lambda rows: sorted(rows, key=repr))
    assert {target: order(rows) for target, rows in fast.streams.items() if rows} == {
        target: order(rows) for target, rows in slow.streams.items() if rows
    }
    for each in (0, 1):  # per subject the order is the log's, whatever was left over
        for target, rows in fast.streams.items():
            by_key = defaultdict(list), defaultdict(list)
            for row in rows:
                by_key[0][row[1]].append(row)
            for row in slow.streams[target]:
                by_key[1][row[1]].append(row)
            assert by_key[each] == by_key[1 - each]
    assert fast.counts.as_json() == slow.counts.as_json()
    assert list(fast.lane.state.all(plan.topic)) == list(slow.lane.state.all(plan.topic))


def both(
    twins: tuple[Twin, Twin], plan: Any, records: list[Any], now_ms: int = NOW_MS, papers: Any = frozenset()
) -> None:
    for twin in twins:
        twin.route(plan, [copy(each) for each in records], now_ms, set(papers))


def test_first_records_stays_removals_and_deletions(twins, plan, rows) -> None:
    both(twins, plan, [record(key, value, at, (("traceparent", TRACE),)) for at, (key, value, _) in enumerate(rows)])
    both(twins, plan, [record(key, value, 1000 + at) for at, (key, value, _) in enumerate(rows)], NOW_MS + 5_000)
    both(twins, plan, [record(key, value, 2000 + at) for at, (key, _, value) in enumerate(rows)], NOW_MS + 9_000)
    both(twins, plan, [record(key, None, 3000 + at) for at, (key, _, _) in enumerate(rows)], NOW_MS + 12_000)
    both(twins, plan, [record(key, value, 4000 + at) for at, (key, value, _) in enumerate(rows)], NOW_MS + 13_000)
    assert twins[0].rest == 0
    assert sum(twins[1].counts.delivered.values()) > len(rows)
    equal(twins, plan, in_order=True)


def test_a_subject_several_times_in_one_batch(twins, plan, rows) -> None:
    told = [
        value for key, first, second in rows[:9] for value in ((key, first), (key, second), (key, None), (key, first))
    ]
    both(twins, plan, [record(key, value, at) for at, (key, value) in enumerate(told)])
    assert twins[0].rest == 0
    equal(twins, plan, in_order=True)


def test_what_is_not_surely_right_is_left_over_with_all_of_its_subject(twins, plan, rows) -> None:
    (key, value, moved), (other, second, _) = rows[:2]
    records = [
        record(key, value, 0),
        record(other, second, 1),
        record(key, value[:-1], 2),
        record(key, moved, 3),
        record(None, value, 4),
        record(b"short", value, 5),
        record(key.upper(), value, 6),
        record(other, b"", 7),
    ]
    both(twins, plan, records)
    assert twins[0].rest == len(records)
    again = [record(each.key, each.value, 9 + each.offset) for each in records]
    both(twins, plan, [record(rows[2][0], rows[2][1], 8), *again])
    assert twins[0].rest == len(records)
    equal(twins, plan, in_order=False)


def test_a_subject_with_papers_is_left_over(twins, plan, rows) -> None:
    records = [record(key, value, at) for at, (key, value, _) in enumerate(rows)]
    both(twins, plan, records, papers={rows[0][0], rows[3][0]})
    assert twins[0].rest == 2
    equal(twins, plan, in_order=False)


def test_suspended_revoked_and_amended_agreements(twins, plans, log, rows) -> None:
    topic = "source.rijksregister.persoon.v1"
    both(twins, plans.at(log.state)[topic], [record(key, value, at) for at, (key, value, _) in enumerate(rows)])
    log.move("inwoners-gent", FactType.AGREEMENT_SUSPENDED)
    both(
        twins,
        plans.at(log.state)[topic],
        [record(key, value, 100 + at) for at, (key, _, value) in enumerate(rows)],
        NOW_MS + 2_000,
    )
    log.move("inwoners-gent", FactType.AGREEMENT_ENDED)
    log.agree("inwoners-gent", version=2)
    log.agree("jeugddienst-leuven")
    plan = plans.at(log.state)[topic]
    both(twins, plan, [record(key, value, 200 + at) for at, (key, value, _) in enumerate(rows)], NOW_MS + 4_000)
    assert set(twins[0].counts.as_json()["agreements"]["inwoners-gent"]["withheld"]) >= {"SUSPENDED"}
    equal(twins, plan, in_order=True)


def test_who_was_told_by_a_backfill_counts_as_told_since(twins, plan, rows) -> None:
    early = milliseconds(NOW - timedelta(days=400))
    both(twins, plan, [record(key, value, at) for at, (key, value, _) in enumerate(rows)], early)
    for twin in twins:
        half = len(rows) // 2
        twin.lane.progress = Progress(Reach(half, milliseconds(NOW), half + 3, half + 9, milliseconds(NOW) + 500))
    both(twins, plan, [record(key, value, 500 + at) for at, (key, value, _) in enumerate(rows)])
    equal(twins, plan, in_order=True)


def test_large_batches_are_cut_where_the_client_would_cut_them(twins, plan, rows, monkeypatch) -> None:
    monkeypatch.setattr("broker.routing.bulk.MAX_BATCH_BYTES", 4_000)
    records = [record(*rows[at % len(rows)][:2], at) for at in range(600)]
    both(twins, plan, records)
    equal(twins, plan, in_order=True)


@pytest.fixture(scope="module")
def plan_once() -> Any:
    """The plan of `plan`, once for all examples."""
    return Plans(Keys(), SubjectWall("synthetic")).at(log_of_two().state)["source.rijksregister.persoon.v1"]


damages = st.tuples(
    st.integers(0, 1 << 20), st.sampled_from([0, 1, 2, 3, 0x7F, 0x80, 0xC3, 0xFF]) | st.integers(0, 255)
)
"""A place in a value, and the byte that comes there."""


@given(drawn=st.lists(st.tuples(st.integers(0, 1 << 10), st.booleans(), st.none() | damages), min_size=1, max_size=6))
@settings(max_examples=150, deadline=None)
def test_any_bytes_meet_the_same_end(drawn, plan_once, rows) -> None:
    records = []
    for at, (which, later, damage) in enumerate(drawn):
        key, *values = rows[which % len(rows)]
        value = bytearray(values[later])
        if damage is not None:
            value[damage[0] % len(value)] = damage[1]
        records.append(record(key, bytes(value), at))
    states = LaneState(None), LaneState(None)
    twins = Twin(1, Lane(states[0])), Twin(1 << 60, Lane(states[1]))
    try:
        both(twins, plan_once, records)
        equal(twins, plan_once, in_order=False)
    finally:
        for state in states:
            state.close()


@pytest.mark.parametrize(("number", "left"), [(FEWEST, 0), (FEWEST - 1, FEWEST - 1)])
def test_from_so_many_records_on_the_core_takes_them(plan, rows, number: int, left: int) -> None:
    state = LaneState(None)
    try:
        twin = Twin(FEWEST, Lane(state))
        records = [record(*rows[at % len(rows)][:2], at) for at in range(number)]
        twin.route(plan, records, records[-1].timestamp + 1, set())
        assert twin.rest == left
    finally:
        state.close()
