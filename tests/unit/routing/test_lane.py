"""What a lane knows for a batch: everything as of one epoch, however the log moves meanwhile."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from broker.errors import Stale
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.routing.backfill import Progress, Reach, Replayed
from broker.routing.fetching import Fetching
from broker.routing.knowledge import LaneKeys, instant, stamped
from broker.routing.lane import Lane
from broker.routing.lane_state import LaneState
from broker.routing.looks import LastRecords
from broker.routing.subjects import Subjects

TOPIC = "source.rijksregister.persoon.v1"
PROGRESS = Progress(Reach(9, 1, 2, 7, 3), Replayed(-1, 40, 3, 7))
NOW_MS = 1_795_521_660_500


class Control:
    def __init__(self, log: Any) -> None:
        self.log, self.is_fresh = log, True

    @property
    def state(self) -> Any:
        return self.log.state

    async def read_to_head(self) -> int:
        return int(self.state.epoch)

    async def read_beside(self, target: Any) -> tuple[int, float]:
        del target
        return 5, 0.0

    def fresh(self) -> bool:
        return self.is_fresh

    async def wait_for_change(self, epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - as the log's
        del epoch, timeout
        return bool(await asyncio.Event().wait())  # there is none


class Clients:
    """Telling a producer its topics takes a while, in which anything may happen."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], None] = lambda: None

    async def know_topics(self, producer: Any, topics: Any) -> None:
        del producer, topics
        self.meanwhile()


class Dossiers:
    """The log of the lane's dossiers: there are none any more."""

    async def position(self, target: Any) -> int:
        del target
        return 5


@pytest.fixture
def lane(log, plans) -> Any:
    state = LaneState(None)
    made = Lane(
        number=1,
        lanes=4,
        clients=Clients(),
        control=Control(log),
        plans=plans,
        keys=LaneKeys(b"l" * 32, b"r" * 32),
        state=state,
        clock_ms=lambda: NOW_MS,
        receipt_frame=b"\x00\x00\x00\x00\x09",
        large=asyncio.Semaphore(2),
    )
    made._subjects, made._next = Subjects(Dossiers(), 1, b"l" * 32), {TOPIC: 0}
    made._records, made._fetching = LastRecords(None, 1), Fetching(None, 1, made.large)
    yield made
    state.close()


async def test_a_revocation_meanwhile_is_not_taken_for_known(lane, log) -> None:
    """Plans of before it under an epoch of after it would release what is revoked, and pass the last look."""
    lane.clients.meanwhile = lambda: log.move("inwoners-gent", FactType.AGREEMENT_REVOKED)
    before = log.state.policy_epoch
    knowledge = await lane.refresh()
    states = {each.agreement.id: each.state for each in knowledge.plans[TOPIC].engine.plans}
    assert states["inwoners-gent"] is State.ACTIVE
    assert (knowledge.policy_epoch, knowledge.epoch) == (before, before)
    assert list(knowledge.barriers) == []
    lane.clients.meanwhile = lambda: None
    after = await lane.refresh()
    assert {each.agreement.id: each.state for each in after.plans[TOPIC].engine.plans}["inwoners-gent"] is State.REVOKED
    assert after.policy_epoch > before
    (due,) = after.barriers
    assert (due.topic, due.row[0]) == ("delivery.stad-gent.inwoners-gent", b"barrier/1")


async def test_a_worker_that_is_not_fresh_knows_nothing(lane) -> None:
    lane.control.is_fresh = False
    with pytest.raises(Stale):
        await lane.refresh()


async def test_the_instant_never_goes_back_and_is_not_before_an_activation(lane) -> None:
    lane.clock_ms = lambda: 1_000
    first = await lane.refresh()
    assert first.instant.at_ms == 1_795_521_600_000  # when the agreements of this test were activated
    lane.clock_ms = lambda: NOW_MS
    assert (await lane.refresh()).instant.at_ms == NOW_MS
    lane.clock_ms = lambda: NOW_MS - 10
    again = await lane.refresh()
    assert again.instant.at_ms == NOW_MS
    assert (again.subjects_offset, again.coordinates(TOPIC, 1).decided_at_ms) == (5, NOW_MS)


def test_a_stamp_reads_back_and_its_absence_is_the_beginning() -> None:
    assert stamped(f"17/1795521600000/1795521500000/{PROGRESS.encode()}") == (
        17,
        1_795_521_600_000,
        1_795_521_500_000,
        PROGRESS,
    )
    assert stamped("17/1795521600000") == (17, 1_795_521_600_000, 1_795_521_600_000, Progress())
    assert stamped("17") == (17, 0, 0, Progress())
    assert stamped("") == stamped(None) == (-1, 0, 0, Progress())


def test_an_instant_is_cut_to_its_second_and_shown_on_the_belgian_day() -> None:
    late = instant(1_795_562_999_999)  # 2026-11-24T23:29:59.999Z
    assert (late.time, late.day) == (b"2026-11-24T23:29:59Z", "2026-11-25")


@dataclass(frozen=True)
class Fetch:
    """A batch of these offsets."""

    first: int
    next: int

    @property
    def base_offset(self) -> int:
        return self.first

    def __len__(self) -> int:
        return self.next - self.first


class Log:
    """A consumer of one partition that gives at most 2,500 records an answer, however many are asked for."""

    def __init__(self, records: int) -> None:
        self.records, self.given, self.asked = records, 0, list[int]()

    async def getmany(self, *, timeout_ms: int, max_records: int) -> Mapping[TopicPartition, list[Any]]:
        del timeout_ms
        self.asked.append(max_records)
        first, self.given = self.given, min(self.given + min(2_500, max_records), self.records)
        return {TopicPartition(TOPIC, 1): [Fetch(first, self.given)]} if self.given > first else {}

    def last_stable_offset(self, target: TopicPartition) -> int:
        del target
        return self.records


_LEFT = [13_500, 11_000, 8_500, 6_000, 3_500, 1_000]


@pytest.mark.parametrize(
    ("waiting", "asked", "taken"),
    [(0, [16_000], 0), (900, [16_000], 900), (3_000, [16_000], 2_500), (20_000, [16_000, *_LEFT], 16_000)],
    ids=["nothing", "little", "no more than a little left", "backlog"],
)
async def test_a_transaction_takes_as_much_as_fits_where_much_waits(lane, waiting, asked, taken) -> None:
    """Every topic it touches costs the same, however many records it gets; who has caught up waits for nobody."""
    lane.fetching.consumer = log = Log(waiting)
    async with lane.fetching.filled(await lane.fetch()) as batch:
        assert (log.asked, batch.size) == (asked, taken)


async def test_few_lanes_have_a_large_transaction_at_a_time(lane) -> None:
    lane.fetching.consumer = log = Log(20_000)
    async with lane.large, lane.large:
        fetched = await lane.fetch()
        waiting = asyncio.ensure_future(_taken(lane, fetched))
        await asyncio.sleep(0)
        assert (log.asked, waiting.done()) == ([16_000], False)
    assert await waiting == 16_000


async def _taken(lane: Any, fetched: Any) -> int:
    async with lane.fetching.filled(fetched) as batch:
        return int(batch.size)
