"""Lane state is what the records say, however they came; it never goes back, and damage costs a replay only."""

import stat
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import lmdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.policy.engine import Previous
from broker.routing import derived_map
from broker.routing.lane_state import Absorbed, LaneState

TOPIC, OTHER = "source.rijksregister.persoon.v1", "source.kbo.organisatie.v1"
PATHS = ("adres.gemeente.nis", "geboorte.datum")
KEYS = tuple(b"%032x" % number for number in range(4))

values = st.tuples(st.binary(max_size=5), st.binary(max_size=300))
log = st.lists(st.tuples(st.sampled_from(KEYS), st.none() | values), max_size=30)


@pytest.fixture
def state() -> Iterator[LaneState]:
    made = LaneState(None)
    yield made
    made.close()


def absorb(state: LaneState, records: list, start: int, end: int) -> None:
    changes = {
        key: None if value is None else Previous(value, at=offset)
        for offset, (key, value) in enumerate(records[start:end], start)
    }
    state.write({TOPIC: changes}, [Absorbed(TOPIC, end, PATHS)])


def put(state: LaneState, end: int, *, at: int = 1, value: tuple = (b"a", b"b"), paths: tuple = PATHS) -> None:
    state.write({TOPIC: {KEYS[0]: Previous(value, at)}}, [Absorbed(TOPIC, end, paths)])


@given(records=log, cuts=st.lists(st.integers(0, 30), max_size=5))
def test_the_same_records_in_any_chunks_give_the_same_state(records, cuts) -> None:
    whole, chunked = LaneState(None), LaneState(None)
    try:
        absorb(whole, records, 0, len(records))
        edges = sorted({0, len(records), *(cut for cut in cuts if cut < len(records))})
        for start, end in pairwise(edges):
            absorb(chunked, records, start, end)
        found = chunked.read(TOPIC, KEYS)
        assert found == whole.read(TOPIC, KEYS)
        last = dict(records)
        assert {key: known.values for key, known in found.items()} == {
            key: value for key, value in last.items() if value is not None
        }
        assert chunked.absorbed(TOPIC, PATHS) == len(records)
    finally:
        whole.close()
        chunked.close()


def test_what_a_late_owner_writes_again_changes_nothing(state) -> None:
    put(state, 10, at=5, value=(b"old", b""))
    put(state, 20, at=9, value=(b"new", b""))
    put(state, 10, at=5, value=(b"old", b""))
    put(state, 20, at=7, value=(b"old", b""))
    put(state, 30, at=7, value=(b"old", b""), paths=("other",))
    assert state.read(TOPIC, KEYS) == {KEYS[0]: Previous((b"new", b""), 9)}
    assert state.absorbed(TOPIC, PATHS) == 20


def test_other_paths_forget_the_values_but_not_when_they_were_decided(state) -> None:
    put(state, 10, at=500)
    assert state.absorbed(TOPIC, PATHS[:1]) == 0
    assert state.read(TOPIC, KEYS) == {}
    put(state, 10, at=100, value=(b"a",), paths=PATHS[:1])
    assert state.read(TOPIC, KEYS) == {KEYS[0]: Previous((b"a",), 500)}


def test_topics_share_nothing(state) -> None:
    put(state, 10)
    state.write({OTHER: {KEYS[0]: Previous((b"x",), 2)}}, [Absorbed(OTHER, 3, ("p",))])
    state.forget(OTHER)
    assert state.absorbed(OTHER, ("p",)) == 0
    assert state.absorbed(TOPIC, PATHS) == 10
    assert state.read(OTHER, KEYS) == {}
    assert state.read(TOPIC, KEYS) == {KEYS[0]: Previous((b"a", b"b"), 1)}


def test_a_lane_without_paths_still_knows_whom_it_saw(state) -> None:
    state.write({TOPIC: {KEYS[0]: Previous((), 1)}}, [Absorbed(TOPIC, 1, ())])
    assert state.read(TOPIC, KEYS) == {KEYS[0]: Previous((), 1)}
    assert state.absorbed(TOPIC, ()) == 1


def test_more_subjects_than_one_question_can_name(state) -> None:
    keys = [b"%032x" % number for number in range(1500)]
    state.write({TOPIC: {key: Previous((key,), 1) for key in keys}}, [Absorbed(TOPIC, 1500, PATHS)])
    assert {key: known.values for key, known in state.read(TOPIC, keys).items()} == {key: (key,) for key in keys}


def test_the_file_is_its_owners_and_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "lanes" / "3.sqlite"
    first = LaneState(path)
    put(first, 10)
    assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}
    first.close()
    second = LaneState(path)
    assert second.absorbed(TOPIC, PATHS) == 10
    second.close()


@pytest.mark.parametrize(
    "key", [b"", b"0" * 31, b"0" * 33, b"0" * 30 + b"zz", b"f" * 32 + b"0" * 600, "é".encode() * 16]
)
def test_what_is_no_lane_key_was_never_seen(state, key: bytes) -> None:
    put(state, 10)
    assert state.read(TOPIC, [key, KEYS[0]]) == state.read(TOPIC, KEYS[:1])
    assert state.newest(TOPIC, key) == -1


def test_a_file_that_was_open_when_the_machine_went_down_is_thrown_away(tmp_path: Path, monkeypatch) -> None:
    closed, torn = LaneState(tmp_path / "0"), LaneState(tmp_path / "1")
    put(closed, 10)
    closed.close()
    put(torn, 10)
    monkeypatch.setattr(derived_map, "_boot", lambda: "the next boot")
    again = LaneState(tmp_path / "0"), LaneState(tmp_path / "1")
    assert [state.absorbed(TOPIC, PATHS) for state in again] == [10, 0]
    assert torn.absorbed(TOPIC, PATHS) == 10  # whoever has it open keeps it
    for state in (torn, *again):
        state.close()


def test_two_owners_in_one_process_see_what_the_other_wrote(tmp_path: Path) -> None:
    first, second = LaneState(tmp_path / "0"), LaneState(tmp_path / "0")
    put(first, 10)
    first.close()
    assert second.absorbed(TOPIC, PATHS) == 10
    put(second, 20)
    second.close()


def test_an_owner_stopped_in_a_write_does_not_hold_up_its_successor_for_ever(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(derived_map, "_PATIENCE_S", 0)
    stopped, successor = LaneState(tmp_path / "0"), LaneState(tmp_path / "0")
    put(stopped, 10)
    put(successor, 20)
    with stopped._file.at_once(), pytest.raises(lmdb.LockError):
        put(successor, 30)
    put(successor, 30)
    for state in (stopped, successor):
        state.close()


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\x00" + b"\x07" * 5000])
def test_a_damaged_file_is_thrown_away(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "0.sqlite"
    path.write_bytes(content)
    state = LaneState(path)
    assert state.absorbed(TOPIC, PATHS) == 0
    put(state, 10)
    state.close()


def test_a_write_that_fails_leaves_nothing_behind(state) -> None:
    put(state, 10)
    with pytest.raises(TypeError):
        state.write({TOPIC: {KEYS[1]: Previous((b"a", b"b"), [])}}, [Absorbed(TOPIC, 20, PATHS)])
    assert state.absorbed(TOPIC, PATHS) == 10
    assert KEYS[1] not in state.read(TOPIC, KEYS)


def test_a_deletion_stays_known_as_the_newest(state) -> None:
    put(state, 10)
    state.write(
        {TOPIC: {KEYS[0]: None, KEYS[1]: None}}, [Absorbed(TOPIC, 20, PATHS)], {TOPIC: {KEYS[0]: 15, KEYS[1]: 16}}
    )
    assert state.read(TOPIC, KEYS) == {}
    assert [state.newest(TOPIC, key) for key in KEYS[:3]] == [15, 16, -1]


def test_a_retry_is_taken_in_once_and_never_over_something_newer(state) -> None:
    state.write({TOPIC: {KEYS[0]: Previous((b"new",), 9, 8)}}, [Absorbed(TOPIC, 10, PATHS)])
    state.amend(TOPIC, {KEYS[0]: Previous((b"old",), 11, 5), KEYS[1]: Previous((b"was aside",), 11, 6)}, retried=40)
    assert state.read(TOPIC, KEYS) == {KEYS[0]: Previous((b"new",), 9, 8), KEYS[1]: Previous((b"was aside",), 11, 6)}
    assert state.retried(TOPIC) == 40
    state.amend(TOPIC, {KEYS[1]: Previous((b"late owner",), 12, 6)}, retried=40)
    assert state.read(TOPIC, KEYS[1:2]) == {KEYS[1]: Previous((b"was aside",), 11, 6)}
    put(state, 20)
    assert state.retried(TOPIC) == 40  # however far the lane goes
