"""How far backfills came: from that, and where a subject's last record lies, follows what was told of it."""

from hypothesis import given
from hypothesis import strategies as st

from broker.policy.engine import Previous
from broker.routing.backfill import Reach, read_reach


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


@given(st.tuples(*(st.integers(0, 1 << 60) for _ in range(5))))
def test_it_goes_with_an_offset_as_text(numbers: tuple[int, int, int, int, int]) -> None:
    assert read_reach(Reach(*numbers).encode()) == Reach(*numbers)
    assert read_reach("") == Reach()
