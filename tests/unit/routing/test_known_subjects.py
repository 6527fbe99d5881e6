"""Whom a source has a record of: from the first record of a subject until its deletion, whatever goes wrong meanwhile."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import TopicPartition

from broker.errors import KafkaUnavailable, NotYetKnown
from broker.routing.known_subjects import KnownSubjects
from broker.testing import wait_until

TOPIC, OTHER, LANES = "source.bron.persoon.v1", "source.bron.adres.v1", 2
DAY = 24 * 3600
EVERYBODY = [b"%032x" % number for number in range(40)]


@dataclass
class Record:
    key: bytes | None
    value: bytes | None


@dataclass
class Log:
    """Topics in memory; `given` counts the records that consumers handed out."""

    lanes: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    given: int = 0
    largest: int = 0
    open: asyncio.Event = field(default_factory=asyncio.Event)
    breaks_after: int | None = None

    def write(self, *keys: bytes | None, value: bytes | None = b"v", topic: str = TOPIC) -> None:
        for key in keys:
            lane = key[-1] % LANES if key else 0
            self.lanes.setdefault((topic, lane), []).append(Record(key, value))

    def of(self, target: TopicPartition) -> list[Record]:
        return self.lanes.get((target.topic, target.partition), [])


@dataclass
class Consumer:
    log: Log
    positions: dict[TopicPartition, int] = field(default_factory=dict)
    paused: set[TopicPartition] = field(default_factory=set)
    stopped: bool = False

    async def start(self) -> None: ...

    async def stop(self) -> None:
        self.stopped = True

    def assign(self, targets: list[TopicPartition]) -> None:
        self.positions = dict.fromkeys(targets, -1)

    def pause(self, *targets: TopicPartition) -> None:
        self.paused.update(targets)

    def resume(self, *targets: TopicPartition) -> None:
        self.paused.difference_update(targets)

    def seek(self, target: TopicPartition, offset: int) -> None:
        self.positions[target] = offset

    async def position(self, target: TopicPartition) -> int:
        return self.positions[target]

    async def beginning_offsets(self, targets: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return dict.fromkeys(targets, 0)

    async def end_offsets(self, targets: list[TopicPartition]) -> Mapping[TopicPartition, int]:
        return {target: len(self.log.of(target)) for target in targets}

    async def getmany(
        self, *targets: TopicPartition, timeout_ms: int, max_records: int
    ) -> Mapping[TopicPartition, list[Record]]:
        assert timeout_ms
        assert not self.stopped
        assert not self.paused & set(targets)
        await self.log.open.wait()
        if self.log.breaks_after is not None and self.log.given >= self.log.breaks_after:
            raise KafkaConnectionError
        for target in targets:
            start = self.positions[target]
            found = self.log.of(target)[start : start + min(max_records, self.log.largest or max_records)]
            if found:
                self.positions[target] += len(found)
                self.log.given += len(found)
                return {target: found}
        return {}


@dataclass
class Clock:
    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., KnownSubjects]


@pytest.fixture
def log() -> Log:
    made = Log()
    made.open.set()
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def make(log: Log, clock: Clock, tmp_path: Path) -> AsyncIterator[Make]:
    """One more process on the same folder."""
    made: list[KnownSubjects] = []

    def process(**given: Any) -> KnownSubjects:
        made.append(KnownSubjects(lambda: Consumer(log), LANES, tmp_path / "known", now_s=clock, **given))
        return made[-1]

    yield process
    for each in made:
        await each.close()


async def test_a_subject_is_known_from_its_first_record_until_its_deletion(make: Make, log: Log) -> None:
    known = make()
    assert await known.among(TOPIC, EVERYBODY) == set()
    log.write(*EVERYBODY[:10])
    log.write(*EVERYBODY[:10], topic=OTHER)
    assert await known.among(TOPIC, EVERYBODY) == set(EVERYBODY[:10])
    log.write(*EVERYBODY[:3], value=None)
    log.write(*EVERYBODY[20:21], EVERYBODY[1])
    assert await known.among(TOPIC, EVERYBODY) == {EVERYBODY[1], *EVERYBODY[3:10], EVERYBODY[20]}
    assert await known.among(TOPIC, EVERYBODY[:1]) == set()
    assert await known.among(OTHER, EVERYBODY) == set(EVERYBODY[:10])
    log.write(EVERYBODY[20], value=None)
    assert await known.among(TOPIC, EVERYBODY[20:]) == set()


async def test_what_is_no_lane_key_is_nobodys(make: Make, log: Log) -> None:
    odd = (None, b"", b"\xff" * 32, b"0" * 31, b"0" * 34, b"barrier/0")
    log.write(*odd, EVERYBODY[0])
    asked = [key for key in odd if key is not None]
    assert await make().among(TOPIC, [*asked, EVERYBODY[0]]) == {EVERYBODY[0]}


async def test_the_next_process_reads_on_where_the_last_one_was(make: Make, log: Log, tmp_path: Path) -> None:
    log.write(*EVERYBODY)
    first = make()
    assert await first.among(TOPIC, EVERYBODY) == set(EVERYBODY)
    await first.close()
    for file in (tmp_path / "known").iterdir():
        assert file.stat().st_mode & 0o077 == 0, "a keyed hash of a subject is personal data"
    log.given = 0
    log.write(EVERYBODY[0], value=None)
    assert await make().among(TOPIC, EVERYBODY) == set(EVERYBODY[1:])
    assert log.given == 1


async def test_processes_beside_each_other_have_files_of_their_own(make: Make, log: Log, tmp_path: Path) -> None:
    log.write(*EVERYBODY)
    one, other = make(), make()
    assert await one.among(TOPIC, EVERYBODY) == await other.among(TOPIC, EVERYBODY) == set(EVERYBODY)
    assert len(list((tmp_path / "known").glob("*.sqlite"))) == 2
    await one.close()
    assert await other.among(TOPIC, EVERYBODY) == set(EVERYBODY)
    assert await make().among(TOPIC, EVERYBODY) == set(EVERYBODY)
    assert len(list((tmp_path / "known").glob("*.sqlite"))) == 2


async def test_who_cannot_wait_for_the_first_reading_is_told_how_far_it_is_and_it_goes_on(make: Make, log: Log) -> None:
    log.write(*EVERYBODY)
    log.open.clear()
    known = make(patience_s=0.01)
    for _ in range(2):
        with pytest.raises(NotYetKnown, match=r"still reading \(0% done\).*unknown=register") as told:
            await known.among(TOPIC, EVERYBODY)
        assert 1 <= told.value.after_s <= 60
    log.open.set()

    async def found() -> frozenset[bytes]:
        try:
            return await known.among(TOPIC, EVERYBODY)
        except NotYetKnown:
            return frozenset()

    assert await wait_until(found) == set(EVERYBODY)
    assert log.given == len(EVERYBODY), "no question began the reading anew"


async def test_a_question_is_answered_by_a_reading_that_began_after_it(make: Make, log: Log) -> None:
    known = make()
    await known.among(TOPIC, [])
    log.write(EVERYBODY[0])
    log.open.clear()
    early = asyncio.create_task(known.among(TOPIC, EVERYBODY))
    await wait_until(lambda: known._readings[TOPIC]._begun == 2)
    log.write(EVERYBODY[2])
    late = [asyncio.create_task(known.among(TOPIC, EVERYBODY)) for _ in range(20)]
    for _ in range(3):
        await asyncio.sleep(0)
    log.open.set()
    assert EVERYBODY[0] in await early
    assert await asyncio.gather(*late) == [{EVERYBODY[0], EVERYBODY[2]}] * 20
    assert known._readings[TOPIC]._begun <= 4, "twenty questions share a reading"


async def test_trouble_halfway_loses_no_record(make: Make, log: Log) -> None:
    known = make()
    log.write(*EVERYBODY[:5])
    await known.among(TOPIC, [])
    log.write(*EVERYBODY)
    log.largest, log.breaks_after = 3, log.given + 10
    with pytest.raises(KafkaUnavailable):
        await known.among(TOPIC, EVERYBODY)
    log.breaks_after = None
    assert await known.among(TOPIC, EVERYBODY) == set(EVERYBODY)


@pytest.mark.parametrize("harm", [b"no database at all" * 500, b""])
async def test_a_damaged_file_is_made_again(make: Make, log: Log, tmp_path: Path, harm: bytes) -> None:
    log.write(*EVERYBODY)
    first = make()
    await first.among(TOPIC, EVERYBODY)
    await first.close()
    (tmp_path / "known" / "0.sqlite").write_bytes(harm)
    assert await make().among(TOPIC, EVERYBODY) == set(EVERYBODY)


async def test_a_file_that_is_damaged_while_it_is_used_is_made_again_by_the_next_question(make: Make, log: Log) -> None:
    log.write(*EVERYBODY)
    known = make()
    await known.among(TOPIC, EVERYBODY)
    assert known._index is not None
    known._index._db.execute("DROP TABLE subject")
    with pytest.raises(NotYetKnown, match="starts again"):
        await known.among(TOPIC, EVERYBODY)
    assert await known.among(TOPIC, EVERYBODY) == set(EVERYBODY)


@pytest.mark.parametrize(("days", "again"), [(6, 0), (8, len(EVERYBODY))])
@pytest.mark.parametrize("restarted", [True, False])
async def test_a_file_that_may_have_missed_a_deletion_is_read_from_the_beginning(
    make: Make, log: Log, clock: Clock, days: int, again: int, *, restarted: bool
) -> None:
    log.write(*EVERYBODY)
    known = make()
    await known.among(TOPIC, EVERYBODY)
    if restarted:
        await known.close()
        known = make()
    log.given, clock.now = 0, clock.now + days * DAY
    assert await known.among(TOPIC, EVERYBODY) == set(EVERYBODY)
    assert log.given == again
    clock.now += 5 * DAY
    await known.among(TOPIC, EVERYBODY)
    assert log.given == again, "every look at the head counts"


async def test_a_topic_that_was_made_again_is_read_from_its_beginning(make: Make, log: Log) -> None:
    log.write(*EVERYBODY)
    first = make()
    await first.among(TOPIC, EVERYBODY)
    await first.close()
    log.lanes.clear()
    log.write(*EVERYBODY[:2])
    assert await make().among(TOPIC, EVERYBODY) == set(EVERYBODY[:2])


async def test_others_have_their_turn_while_a_long_topic_is_read(make: Make, log: Log) -> None:
    log.write(*(b"%032x" % number for number in range(20_000)))
    log.largest, turns = 500, 0

    async def beat() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beating = asyncio.create_task(beat())
    assert await make().among(TOPIC, EVERYBODY) == set(EVERYBODY)
    beating.cancel()
    assert turns >= 20_000 / log.largest, "the client hands out what it holds without a pause: we must make one"
