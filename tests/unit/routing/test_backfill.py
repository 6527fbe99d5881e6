"""How far backfills came: from that, and where a subject's last record lies, follows what was told of it."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.policy.engine import Previous
from broker.routing.backfill import Progress, Reach, Replayed, read_progress


def told(reach: Reach, offset: int, at: int = 5) -> int:
    return reach.told(Previous((), at, offset)).at


def test_who_lies_before_the_reach_was_told_and_who_lies_after_it_was_not() -> None:
    reach = Reach().begun(100, 1_000)
    assert reach.under_way
    assert told(reach, 0) == 5
    reach = reach.advanced(40)
    assert [told(reach, offset) for offset in (0, 39, 40, 99, 100)] == [1_000, 1_000, 5, 5, 5]
    reach = reach.advanced(100)
    assert not reach.under_way
    assert [told(reach, offset) for offset in (99, 100)] == [1_000, 5]


def test_a_next_backfill_takes_nothing_back() -> None:
    reach = Reach().begun(100, 1_000).advanced(100).begun(150, 2_000).advanced(20)
    assert [told(reach, offset) for offset in (0, 19, 20, 99, 100, 149)] == [2_000, 2_000, 1_000, 1_000, 5, 5]


def test_a_subject_that_was_told_later_by_a_record_stays_so() -> None:
    assert told(Reach().begun(10, 1_000).advanced(10), 3, at=1_500) == 1_500


def test_where_there_is_nothing_to_read_it_is_done_at_once() -> None:
    reach = Reach().begun(0, 1_000)
    assert (reach.under_way, reach.at_ms) == (False, 1_000)


def test_a_replay_is_done_at_its_end_and_a_next_one_is_another() -> None:
    replayed = Replayed().begun(40, 10).advanced(4)
    assert (replayed.under_way, replayed.next) == (True, 4)
    assert replayed.begun(50, 12).next == 0
    done = replayed.advanced(10)
    assert (done.under_way, done.done) == (False, 40)
    assert done == replayed.given_up()
    assert done.begun(50, 12).under_way


_number = st.integers(-1, 1 << 60)


@given(st.tuples(*[_number] * 5), st.tuples(*[_number] * 4))
def test_it_goes_with_an_offset_as_text(reach: Any, replayed: Any) -> None:
    progress = Progress(Reach(*reach), Replayed(*replayed))
    assert read_progress(progress.encode()) == progress
    assert len(progress.encode()) < 200
    assert read_progress("") == Progress()
