"""What a lane has told of papers and of time, through commits, failures and restarts; over a log in memory."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka.structs import TopicPartition

from broker.control.dossier_records import Place, encode
from broker.model import topics
from broker.model.agreement import Dossier
from broker.policy.calendar import milliseconds
from broker.routing.causes import TIMER
from broker.routing.subjects import Subjects

K_LANE = bytes(range(32))
START = datetime(2026, 11, 26, 9, tzinfo=UTC)
NOW = milliseconds(START)
HOUR = timedelta(hours=1)
ANN, BEN, CAS = (b"%032x" % number for number in (1, 2, 3))


@dataclass
class Record:
    offset: int
    key: bytes
    value: bytes
    timestamp: int = NOW


@dataclass
class Log:
    """One partition behind a consumer's few methods."""

    records: list[Record] = field(default_factory=list)
    at: int = 0

    def open_file(self, subject: bytes, begin: datetime = START, end: datetime | None = None) -> None:
        key, value = encode(Dossier("parkeren", subject, "801", "P-1", begin, end, START), K_LANE)
        self.records.append(Record(len(self.records), key, value))

    async def start(self) -> None: ...

    def assign(self, targets: Any) -> None: ...

    def pause(self, *targets: Any) -> None: ...

    def resume(self, *targets: Any) -> None: ...

    async def seek_to_beginning(self, *_targets: Any) -> None:
        self.at = 0

    async def end_offsets(self, targets: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(targets, len(self.records))

    async def position(self, target: TopicPartition) -> int:
        assert target == TopicPartition(topics.DOSSIERS, 0)
        return self.at

    async def getmany(
        self, target: TopicPartition, timeout_ms: int, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        assert timeout_ms
        found = self.records[self.at : self.at + max_records]
        self.at += len(found)
        return {target: found}


@pytest.fixture
def log() -> Log:
    return Log()


async def opened(log: Log, told: int | None = 0, told_ms: int = NOW) -> Subjects:
    made = Subjects(log, 0, K_LANE)
    await made.open(told, told_ms)
    return made


def who(subjects: Subjects, most: int = 10) -> list[tuple[bytes, str]]:
    return [(cause.place.subject, cause.topic) for cause in subjects.causes(most)]


async def test_what_lies_before_the_committed_offset_is_told_and_the_rest_is_not(log) -> None:
    for subject in (ANN, BEN, CAS):
        log.open_file(subject)
    assert who(await opened(log, 1)) == [(BEN, topics.DOSSIERS), (CAS, topics.DOSSIERS)]
    assert who(await opened(log, 3)) == who(await opened(log, None)) == []


async def test_what_was_told_of_a_paper_is_what_it_was_before(log) -> None:
    log.open_file(ANN)
    subjects = await opened(log, 1)
    log.open_file(ANN, end=START + HOUR)
    await subjects.read_to(len(log.records))
    (cause,) = subjects.causes(10)
    assert [file.end for file in subjects.told(cause.place).papers.dossiers] == [None]
    assert [file.end for file in subjects.of(ANN).dossiers] == [START + HOUR]


async def test_a_period_comes_when_it_is_due_once_and_after_a_restart_too(log) -> None:
    log.open_file(ANN, begin=START + HOUR, end=START + 2 * HOUR)
    subjects = await opened(log, 1)
    subjects.come(milliseconds(START + HOUR) - 1)
    assert who(subjects) == []
    subjects.come(milliseconds(START + HOUR))
    assert who(subjects) == [(ANN, TIMER)]
    causes, at = subjects.causes(10), milliseconds(START + HOUR)
    assert subjects.position(causes, at) == (1, at)
    subjects.settle(causes, at)
    subjects.come(at)
    assert who(subjects) == []
    again = await opened(log, 1, at)
    again.come(milliseconds(START + 3 * HOUR))
    assert [cause.offset for cause in again.causes(10)] == [milliseconds(START + 2 * HOUR)]


async def test_while_some_wait_offset_and_instant_stay_before_them(log) -> None:
    for subject in (ANN, BEN, CAS):
        log.open_file(subject)
    subjects = await opened(log)
    first = subjects.causes(2)
    assert subjects.position(first, NOW + 5) == (2, NOW)
    subjects.settle(first, NOW + 5)
    assert who(subjects) == [(CAS, topics.DOSSIERS)]
    told = subjects.told(Place(ANN, "parkeren"))
    assert (len(told.papers.dossiers), told.at) == (1, NOW + 5)
    last = subjects.causes(2)
    assert subjects.position(last, NOW + 9) == (3, NOW + 9)
    subjects.settle(last, NOW + 9)
    assert subjects.told(Place(ANN, "parkeren")).at == NOW + 9


@pytest.mark.parametrize("won", [True, False])
async def test_after_a_commit_in_doubt_it_goes_on_by_what_is_committed(log, won) -> None:
    log.open_file(ANN)
    subjects = await opened(log)
    position = subjects.position(subjects.causes(10), NOW + 5)
    assert subjects.agrees(*(position if won else (0, NOW)))
    assert who(subjects) == ([] if won else [(ANN, topics.DOSSIERS)])


async def test_another_owners_position_is_not_ours(log) -> None:
    log.open_file(ANN)
    subjects = await opened(log)
    subjects.position(subjects.causes(10), NOW + 5)
    assert not subjects.agrees(1, NOW + 4)
    assert not subjects.agrees(None, 0)


async def test_records_of_nobody_and_damaged_ones_concern_nobody(log) -> None:
    log.records += [Record(0, b"anything", b"{}"), Record(1, ANN + b"/replaced-0011223344556677", b"[]")]
    subjects = await opened(log)
    assert who(subjects) == []
    assert subjects.position((), NOW) == (2, NOW)
