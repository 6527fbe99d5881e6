"""What a lane knows of dossiers: a fold of the topic that compaction does not change, and that nothing in it can break."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.control.dossier_book import AgencyFiles, DossierBook
from broker.control.dossier_records import Place, encode
from broker.model.agreement import Dossier
from broker.model.keyed import lane_key, lane_of

K_LANE = bytes(range(32))
START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SUBJECTS = tuple(lane_key(K_LANE, b"subject %d" % number) for number in range(3))
DAMAGED = b'{"reference": "P-1"}'
Record = tuple[bytes | None, bytes | None]


def dossier(**changes: Any) -> Dossier:
    held = {
        "agreement": "parkeren",
        "key": SUBJECTS[0],
        "capacity": "schuldeiser",
        "reference": "P-1",
        "begin": START,
        "end": None,
        "registered": START + timedelta(microseconds=1),
    }
    return Dossier(**held | changes)


def instants(latest: int) -> st.SearchStrategy[datetime]:
    return st.integers(0, latest).map(lambda hours: START + timedelta(hours=hours))


files = st.builds(
    Dossier,
    agreement=st.sampled_from(("parkeren", "jeugd")),
    key=st.sampled_from(SUBJECTS),
    capacity=st.sampled_from(("schuldeiser", "maatschappelijk werker")),
    reference=st.sampled_from(("P-1", "P-2")),
    begin=instants(2),
    end=st.none() | instants(5),
    registered=instants(5),
)


@st.composite
def logs(draw: st.DrawFn) -> list[tuple[str, Dossier]]:
    """Registrations (an end is a registration with an end), tombstones and damaged values, of few files."""
    few = draw(st.lists(files, min_size=1, max_size=5))
    steps = st.tuples(st.sampled_from(("put", "put", "end", "forget", "damage")), st.sampled_from(few))
    return draw(st.lists(steps, max_size=30))


def record(step: str, file: Dossier, number: int) -> tuple[bytes, bytes | None, Dossier | None]:
    if step == "end":
        file = dossier(
            **{name: getattr(file, name) for name in file.__slots__} | {"end": START + timedelta(days=number)}
        )
    key, value = encode(file, K_LANE)
    if step == "forget":
        return key, None, None
    return (key, DAMAGED, None) if step == "damage" else (key, value, file)


def folded(records: list[tuple[bytes, bytes | None]]) -> DossierBook:
    book = DossierBook()
    for key, value in records:
        book.apply(key, value)
    return book


def answers(book: DossierBook) -> list[tuple[Dossier, ...]]:
    return [tuple(book.of(subject)) for subject in SUBJECTS]


@given(log=logs(), data=st.data())
def test_the_book_is_the_last_word_on_every_file_also_after_compaction(
    log: list[tuple[str, Dossier]], data: st.DataObject
) -> None:
    records = [record(step, file, number) for number, (step, file) in enumerate(log)]
    model: dict[tuple[Any, ...], Dossier | None] = {}
    for (_, about), (_, _, held) in zip(log, records, strict=True):
        model[about.key, about.agreement, about.reference, about.begin] = held
    live = folded([(key, value) for key, value, _ in records])
    for subject, found in zip(SUBJECTS, answers(live), strict=True):
        expected = [file for (key, *_), file in model.items() if file is not None and key == subject]
        assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert live.count == sum(file is not None for file in model.values())
    agencies = AgencyFiles()
    for key, value, _ in records:
        agencies.apply(key, value)
    for agreement in ("parkeren", "jeugd"):
        named = [file for file in model.values() if file is not None and file.agreement == agreement]
        assert sorted(agencies.page(agreement, b"", 1000), key=repr) == sorted(named, key=repr)
        assert sum(book.count for book in agencies.under(agreement)) == len(named)
    # Compaction: of the log up to some offset only the last record of every key stays, tombstones perhaps not even so.
    dirty = data.draw(st.integers(0, len(records)))
    cleaned = {key: value for key, value, _ in records[:dirty]}
    kept = [(key, value) for key, value in cleaned.items() if value is not None or data.draw(st.booleans())]
    kept += [(key, value) for key, value, _ in records[dirty:]]
    assert answers(folded(kept)) == answers(live)


@given(key=st.none() | st.binary(max_size=80), value=st.none() | st.binary(max_size=80))
def test_foreign_records_leave_no_trace(key: bytes | None, value: bytes | None) -> None:
    book = folded([(key, value)])
    assert answers(book) == [(), (), ()]


@pytest.mark.parametrize(
    "changes",
    [
        {"reference": 1},
        {"reference": ""},
        {"reference": "\ud800"},
        {"capacity": None},
        {"begin": "2026-11-24T12:00:00"},
        {"begin": "2026-11-24"},
        {"begin": 5},
        {"begin": "0001-01-01T00:00:00+14:00"},
        {"end": ""},
        {"registered": None},
    ],
)
def test_a_damaged_value_leaves_no_file(changes: dict[str, Any]) -> None:
    key, value = encode(dossier(), K_LANE)
    damaged = json.dumps(json.loads(value) | changes).encode()
    assert folded([(key, value), (key, damaged)]).of(SUBJECTS[0]) == ()
    assert folded([(key, damaged), (key, value)]).of(SUBJECTS[0]) == (dossier(),)


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b"[" * 100_000, b"9" * 5000, b"\xff", DAMAGED])
def test_what_is_no_file_at_all_leaves_none(value: bytes) -> None:
    key, _ = encode(dossier(), K_LANE)
    assert folded([(key, value)]).of(SUBJECTS[0]) == ()


@pytest.mark.parametrize("turn", [bytes.upper, lambda key: key[1:], lambda key: key + b"0", lambda key: key[:33]])
def test_what_is_no_key_of_ours_is_passed_over(turn) -> None:
    key, value = encode(dossier(), K_LANE)
    book = folded([(turn(key), value)])
    assert answers(book) == [(), (), ()]
    assert book.count == 0


def test_a_record_tells_whose_file_it_may_have_changed() -> None:
    key, value = encode(dossier(), K_LANE)
    book, place = DossierBook(), Place(SUBJECTS[0], "parkeren")
    assert [book.apply(key, held) for held in (value, DAMAGED, None)] == [place] * 3
    assert book.apply(b"other", value) is None


def test_files_are_counted_and_past_ones_found_by_their_instants() -> None:
    book = DossierBook()
    spans = {
        "open": dossier(reference="open"),
        "planned": dossier(reference="planned", end=START + timedelta(days=5)),
        "ended": dossier(reference="ended", end=START + timedelta(days=1)),
        "late": dossier(reference="late", end=START, registered=START + timedelta(days=3)),
    }
    keys = {}
    for name, file in spans.items():
        keys[name], value = encode(file, K_LANE)
        book.apply(keys[name], value)
    now = START + timedelta(days=2)
    assert (book.count, book.open_at(now)) == (4, 2)
    assert book.past(now) == [keys["ended"]]
    assert sorted(book.past(START + timedelta(days=4))) == sorted([keys["ended"], keys["late"]])


def test_the_extremes_of_time_and_text_come_back_as_they_were() -> None:
    first, last = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    file = dossier(reference="é" * 200_000, begin=first, end=last, registered=last)
    key, value = encode(file, K_LANE)
    assert folded([(key, value)]).of(SUBJECTS[0]) == (file,)


@given(file=files)
def test_a_key_gives_the_lane_and_a_record_tells_no_subject_but_its_lane_key(file: Dossier) -> None:
    key, value = encode(file, K_LANE)
    assert lane_of(key, 8) == lane_of(file.key, 8)
    assert key.startswith(file.key + b"/" + file.agreement.encode() + b"/")
    assert set(json.loads(value)) == {"reference", "capacity", "begin", "end", "registered"}
    assert json.loads(value)["begin"].endswith("Z")
    assert folded([(key, value)]).of(file.key) == (file,)


def test_no_file_ends_before_the_log_knew_it() -> None:
    """What a lane released meanwhile, it released on an open file; it must see that afterwards."""
    book, ended = DossierBook(), START + timedelta(seconds=10)
    key, value = encode(dossier(end=ended), K_LANE)
    appended = ended + timedelta(milliseconds=7)
    book.apply(key, value, round(appended.timestamp() * 1000))
    (file,) = book.of(SUBJECTS[0])
    assert file.holds(appended)
    assert not file.holds(appended + timedelta(milliseconds=1))
    book.apply(key, value, round((ended - timedelta(days=1)).timestamp() * 1000))
    (planned,) = book.of(SUBJECTS[0])
    assert planned.end == ended
