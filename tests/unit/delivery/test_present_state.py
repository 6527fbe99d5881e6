"""What a product's records amount to: exact while they are few, a sound sample where they are many, and always flat memory."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.delivery import present_state
from broker.delivery.present_state import Known, PresentState
from broker.model.intake import Intake, Offered
from broker.model.keyed import lane_key
from broker.model.quality import Quality
from broker.model.record import wire_header
from broker.schema.avro import load_schema
from broker.schema.encoding import compile_encode
from broker.schema.guard import compile_walk
from broker.schema.presence import presence_of

SCHEMA = load_schema((Path(__file__).parents[3] / "schemas" / "hinder.v1.avsc").read_text())
WALKER = compile_walk(SCHEMA)
KNOWN = Known(WALKER, presence_of(WALKER))
ENCODE = compile_encode(SCHEMA)
NOW = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
BEFORE = NOW - timedelta(days=3)


def value(**more: Any) -> bytes:
    held = {
        "kind": "changed",
        "recordedAt": "2026-06-01T00:00:00Z",
        "identificator": "https://gipod.example/id/1",
        "versie": "https://gipod.example/id/1/1",
        "contactorganisaties": [],
        "perioden": [],
        "zones": [],
        "oorzaken": [],
    }
    return wire_header(7) + ENCODE(held | more)


PLAIN, DESCRIBED = value(), value(omschrijving="werken")


class Fold:
    """A fold, fed by subject number."""

    def __init__(self) -> None:
        self.state = PresentState(lambda identifier: KNOWN if identifier == 7 else None)

    def take(self, number: int, held: bytes | None, at: datetime = BEFORE) -> None:
        key = lane_key(b"l" * 32, str(number).encode())
        self.state.take(key, held, int(at.timestamp() * 1000), now_ms=NOW_MS)

    def quality(self, *intakes: Intake, now: datetime = NOW, **more: Any) -> Quality:
        given = {"last_pass": None, "whole": True} | more
        return self.state.quality(KNOWN.presence.paths, intakes, now=now, **given)


@pytest.fixture
def fold() -> Fold:
    return Fold()


def test_completeness_is_of_the_present_state_of_each_subject(fold: Fold) -> None:
    for number in range(20):
        fold.take(number, PLAIN)
        fold.take(number, DESCRIBED if number < 10 else PLAIN)  # the last word counts
    told = fold.quality()
    assert (told.subjects, told.completeness["omschrijving"], told.completeness["status.iri"]) == (20, 50, 0)
    assert "recordedAt" not in told.completeness
    for number in range(10):
        fold.take(number, None)
    assert (fold.quality().subjects, fold.quality().completeness["omschrijving"]) == (10, 0)


def test_of_fewer_than_five_subjects_nothing_is_told(fold: Fold) -> None:
    for number in range(4):
        fold.take(number, DESCRIBED, NOW)
    told = fold.quality()
    assert (told.subjects, told.last_record, told.median_s, told.completeness) == (None, None, None, {})
    fold.take(4, DESCRIBED, NOW)
    told = fold.quality()
    assert (told.subjects, told.last_record, told.completeness["omschrijving"]) == (5, NOW, 100)
    assert told.median_s is not None


def test_what_is_not_read_whole_says_no_number_of_subjects(fold: Fold) -> None:
    for number in range(20):
        fold.take(number, PLAIN)
    told = fold.quality(whole=False)
    assert (told.whole, told.subjects, told.completeness) == (False, None, {})


def test_of_many_subjects_a_sample_is_kept_that_follows_changes_and_deletions(
    fold: Fold, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(present_state, "MOST_SUBJECTS", 400)
    for number in range(10_000):
        fold.take(number, DESCRIBED if number % 4 == 0 else PLAIN)
    assert 150 < len(fold.state._sample) <= 400, "flat memory"
    told = fold.quality()
    assert told.subjects is not None
    assert 8_500 <= told.subjects <= 11_500
    assert 15 <= told.completeness["omschrijving"] <= 35
    for number in range(5_000):
        fold.take(number, None)
    assert 3_900 <= (fold.quality().subjects or 0) <= 6_100


def test_delays_are_those_of_the_last_day(fold: Fold) -> None:
    for number in range(100):
        recorded = NOW - timedelta(seconds=2000 if number < 10 else 60)
        fold.take(number, value(recordedAt=recorded.strftime("%Y-%m-%dT%H:%M:%SZ")), NOW)
        fold.take(number, value(recordedAt="2020-01-01T00:00:00Z"), NOW - timedelta(days=2))
    told = fold.quality()
    assert told.median_s == pytest.approx(60, rel=0.06)
    assert told.p95_s == pytest.approx(2000, rel=0.06)
    assert fold.quality(now=NOW + timedelta(days=2)).median_s is None
    assert fold.state._delays == {}, "flat memory"


def test_a_record_that_is_recorded_in_the_future_was_not_late(fold: Fold) -> None:
    for number in range(10):
        fold.take(number, value(recordedAt="2030-01-01T00:00:00Z"), NOW)
    assert (fold.quality().median_s, fold.quality().p95_s) == (0, 0)


def note(**more: Any) -> bytes:
    line = {
        "topic": "t",
        "partition": 1,
        "offset": 2,
        "code": "TRUNCATED",
        "path": "",
        "digest": "",
        "at": NOW.isoformat(),
    }
    return json.dumps(line | more).encode()


def test_what_was_set_aside_is_of_what_adapters_were_offered_and_what_lanes_refused(fold: Fold) -> None:
    old = Intake("gipod").plus(Offered(300, 15), NOW - timedelta(days=3))
    adapters = old.plus(Offered(80, 5), NOW), Intake("gipod").plus(Offered(20, 0), NOW)
    told = fold.quality(*adapters)
    assert (told.set_aside_day, told.set_aside) == (5, 5)
    for held in (note(), note(offset=3), note(offset=4), note(offset=5), note(offset=6)):
        fold.state.note(held)
    for passed_over in (note(run=9), note(outcome="ROUTED"), note(adapter="wegen"), b"{", b"[]", None):
        fold.state.note(passed_over)
    assert fold.quality(*adapters).set_aside_day == 10
    assert fold.quality(*adapters, now=NOW + timedelta(days=2)).set_aside_day is None


def test_without_an_adapter_what_was_offered_lately_is_what_was_published(fold: Fold) -> None:
    for number in range(20):
        fold.take(number, PLAIN, NOW)
        fold.take(number, PLAIN)
    for offset in range(5):
        fold.state.note(note(offset=offset))
    assert (fold.quality().set_aside_day, fold.quality().set_aside) == (25, None)


@pytest.mark.parametrize(
    ("key", "held"),
    [(None, PLAIN), (b"geen-sleutel!", PLAIN), (b"", PLAIN), (b"ab" * 16, b"\x00\x00"), (b"ab" * 16, PLAIN[:-1])],
)
def test_what_no_lane_would_take_counts_as_nobody(fold: Fold, key: bytes | None, held: bytes) -> None:
    for number in range(5):
        fold.take(number, PLAIN, NOW)
    fold.state.take(key, held, NOW_MS, now_ms=NOW_MS)
    fold.state.take(key, None, NOW_MS, now_ms=NOW_MS)
    assert fold.quality().subjects == 5


def test_a_version_of_the_schema_that_lacks_a_field_lacks_it_in_its_records(fold: Fold) -> None:
    for number in range(10):
        fold.take(number, DESCRIBED)
    told = fold.state.quality(["omschrijving", "nieuw"], [], now=NOW, last_pass=None, whole=True)
    assert told.completeness == {"omschrijving": 100, "nieuw": 0}
