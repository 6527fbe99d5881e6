"""What a lane holds packed is what a plain model of it holds, whatever comes in whatever order."""

import asyncio
import heapq
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.control.consent_records import encode_consent
from broker.control.dossier_book import DossierBook
from broker.control.dossier_records import Place, encode, place_of
from broker.model import topics
from broker.model.agreement import Consent, Dossier
from broker.policy.calendar import milliseconds
from broker.policy.papers import Papers, Told
from broker.routing.causes import TIMER, Cause
from broker.routing.subjects import Position, Subjects

K_LANE = bytes(range(32))
START = datetime(2026, 11, 26, 9, tzinfo=UTC)
NOW = milliseconds(START)
MINUTE_MS = 60_000
PEOPLE = [b"%032x" % number for number in range(4)]
NAMES = ["parkeren", "parkeren-gent", "huur"]


@dataclass
class Record:
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int = NOW


@dataclass
class Log:
    """One partition behind a consumer's few methods."""

    records: list[Record] = field(default_factory=list)
    at: int = 0

    def add(self, key: bytes, value: bytes | None) -> None:
        self.records.append(Record(len(self.records), key, value))

    async def start(self) -> None: ...

    def assign(self, targets: Any) -> None: ...

    def pause(self, *targets: Any) -> None: ...

    def resume(self, *targets: Any) -> None: ...

    async def seek_to_beginning(self, *_targets: Any) -> None:
        self.at = 0

    async def end_offsets(self, targets: Any) -> Any:
        return dict.fromkeys(targets, len(self.records))

    async def position(self, _target: Any) -> int:
        return self.at

    async def getmany(self, target: Any, timeout_ms: int, max_records: int) -> Any:
        del timeout_ms
        found = self.records[self.at : self.at + max_records]
        self.at += len(found)
        return {target: found}


@dataclass
class Plain:
    """Files of one lane with an object for everything."""

    told_ms: int
    head: int = 0
    book: DossierBook = field(default_factory=DossierBook)
    waiting: dict[Place, Cause] = field(default_factory=dict)
    noted: dict[Place, Told] = field(default_factory=dict)
    times: list[tuple[int, Place, bool]] = field(default_factory=list)

    def of(self, place: Place) -> tuple[Dossier, ...]:
        return tuple(file for file in self.book.of(place.subject) if file.agreement == place.agreement)

    def take(self, record: Record, *, untold: bool) -> None:
        place = place_of(record.key)
        assert place is not None
        if untold:
            self.noted.setdefault(place, Told(Papers(self.of(place)), self.told_ms))
            known = self.waiting.get(place)
            if known is None or known.first < 0:
                self.waiting.pop(place, None)
                known = Cause(place, topics.DOSSIERS, record.offset, first=record.offset)
            self.waiting[place] = known._replace(offset=record.offset)
        self.book.apply(record.key, record.value, record.timestamp)
        for file in self.of(place):
            for instant in (file.since, file.end):
                if instant is not None and milliseconds(instant) > self.told_ms:
                    heapq.heappush(self.times, (milliseconds(instant), place, False))
        self.head = record.offset + 1

    def come(self, now_ms: int) -> None:
        while self.times and self.times[0][0] <= now_ms:
            at, place, aging = heapq.heappop(self.times)
            self.waiting.setdefault(place, Cause(place, TIMER, at, aging))

    def position(self, causes: list[Cause], now_ms: int) -> Position:
        left = list(self.waiting.values())[len(causes) :]
        firsts = [cause.first for cause in left if cause.first >= 0]
        return Position(min(firsts, default=self.head), self.told_ms if left else now_ms)

    def settle(self, causes: list[Cause], now_ms: int) -> None:
        for cause in causes:
            del self.waiting[cause.place]
        if self.waiting:
            self.noted |= {cause.place: Told(Papers(self.of(cause.place)), now_ms) for cause in causes}
        else:
            self.noted.clear()
            self.told_ms = now_ms

    def told(self, place: Place) -> tuple[tuple[Dossier, ...], int]:
        told = self.noted.get(place) or Told(Papers(self.of(place)), self.told_ms)
        return tuple(told.papers.dossiers), told.at


MINUTES = st.integers(-90, 200)
FILES = st.tuples(
    st.just("file"), st.sampled_from(PEOPLE), st.sampled_from(NAMES), st.integers(1, 2), MINUTES, MINUTES | st.none()
)
STEPS = st.lists(
    FILES
    | st.tuples(st.just("later"), st.integers(0, 100))
    | st.tuples(st.just("age"), st.sampled_from(PEOPLE), st.sampled_from(NAMES), st.integers(-5, 5))
    | st.tuples(st.just("tell"), st.integers(0, 3)),
    max_size=40,
)


@given(STEPS, st.integers(0, 10), st.booleans())
@settings(max_examples=300, deadline=None)
def test_it_is_what_a_plain_model_is(steps, before, first_start) -> None:
    asyncio.run(_compared(steps, before, 0 if first_start else NOW))


async def _compared(steps: list[tuple[Any, ...]], before: int, told_ms: int) -> None:
    log, plain, now = Log(), Plain(told_ms), NOW
    for step in [step for step in steps[:before] if step[0] == "file"]:
        log.add(*_file(*step[1:]))
    told = len(log.records) // 2
    packed = Subjects(log, 0, K_LANE)
    await packed.open(told, told_ms)
    for record in log.records:
        plain.take(record, untold=record.offset >= told)
    for kind, *given_ in steps[before:]:
        if kind == "tell":
            _tell_both(packed, plain, given_[0], now)
        elif kind == "later":
            now += given_[0] * MINUTE_MS
            packed.come(now)
            plain.come(now)
        elif kind == "age":
            who, name, minutes = given_
            packed.age([Place(who, name)], now + minutes * MINUTE_MS)
            heapq.heappush(plain.times, (now + minutes * MINUTE_MS, Place(who, name), True))
        else:
            log.add(*_file(*given_))
            await packed.read_to(len(log.records))
            plain.take(log.records[-1], untold=True)
        assert packed.causes(99) == list(plain.waiting.values())
        for who in PEOPLE:
            for name in NAMES:
                _same(packed, plain, Place(who, name))
    assert packed.touched({*PEOPLE, b"nobody"}) == {who for who in PEOPLE if plain.book.of(who)}


def _tell_both(packed: Subjects, plain: Plain, most: int, now: int) -> None:
    causes = list(packed.causes(most))
    assert causes == list(islice(plain.waiting.values(), most))
    for cause in causes:
        _same(packed, plain, cause.place)
    assert packed.position(causes, now) == plain.position(causes, now)
    packed.settle(causes, now)
    plain.settle(causes, now)


def _same(packed: Subjects, plain: Plain, place: Place) -> None:
    told = packed.told(place)
    own = tuple(file for file in told.papers.dossiers if file.agreement == place.agreement)
    assert (own, told.at) == plain.told(place)


def _file(who: bytes, name: str, number: int, begin: int, lasts: int | None) -> tuple[bytes, bytes | None]:
    """Key and value; a negative length forgets the file."""
    opens = START + timedelta(minutes=begin)
    ends = None if lasts is None else opens + timedelta(minutes=abs(lasts))
    # The first number's file is one and the same whenever it begins: the log then tells of it anew.
    dossier = Dossier(name, who, "801", f"P-{number}", START if number == 1 else opens, ends, opens)
    key, value = encode(dossier, K_LANE)
    return key, None if lasts is not None and lasts < 0 else value


@pytest.mark.parametrize("most", [0, 1])
async def test_a_lane_commits_no_further_than_its_first_untold_record(most) -> None:
    ann, ben = PEOPLE[:2]
    log = Log()
    log.add(*_file(ann, "huur", 1, 0, 60))
    subjects = Subjects(log, 0, K_LANE)
    await subjects.open(1, NOW)
    subjects.come(NOW + 60 * MINUTE_MS)
    for who in (ben, ann):  # of Ann, whom time alone concerned until now, there is a later record than of Ben
        log.add(*_file(who, "huur", 2, 0, None))
    await subjects.read_to(len(log.records))
    told = subjects.causes(most)
    assert subjects.position(told, NOW).offset == 1 + most


async def test_consents_of_then_are_told_beside_files() -> None:
    ann, log = PEOPLE[0], Log()
    consent = Consent("huur", ann, START, None, START, None, "C-1")
    log.add(*encode_consent(consent, K_LANE))
    log.add(*_file(ann, "huur", 1, 0, None))
    subjects = Subjects(log, 0, K_LANE)
    await subjects.open(2, NOW)
    log.add(encode_consent(consent, K_LANE)[0], None)
    await subjects.read_to(3)
    told = subjects.told(Place(ann, "huur"))
    assert ([each.reference for each in told.papers.consents], len(told.papers.dossiers)) == (["C-1"], 1)
    assert subjects.of(ann).consents == ()
