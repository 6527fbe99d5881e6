"""Which requests count as sent before: by their idempotency key, their bytes and their place, for a day."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.control.intake_keys import (
    KEPT_MS,
    KnownRequests,
    Piece,
    Pushed,
    content_of,
    encode,
    request_of,
    slot_of,
)
from broker.errors import KeyReused
from broker.model.topics import INTAKE_SLOTS

K = bytes(range(32))
NOW_MS = 1_795_000_000_000
PUSHED = Pushed("rijksregister", "personen", "bulk", "sleutel-1")


def piece(number: int, *lines: bytes, last: bool = False) -> Piece:
    return Piece(number, lines, lines, last)


@dataclass
class Log:
    """The topic of one slot, and what a process that read it knows."""

    now_ms: int = NOW_MS
    rows: list[tuple[bytes, bytes]] = field(default_factory=list)
    known: KnownRequests = field(init=False)

    def __post_init__(self) -> None:
        self.known = KnownRequests(lambda: self.now_ms)

    def write(self, part: Piece, pushed: Pushed = PUSHED) -> bool:
        """As a slot does; whether something was written."""
        request = request_of(K, pushed, pushed.key or "")
        content = content_of(K, pushed, part)
        if self.known.has(request, part, content):
            return False
        for row in encode(request, part, content, self.now_ms):
            self.rows.append(row)
            self.known.apply(*row)
        return True

    def write_all(self, parts: list[Piece]) -> list[bool]:
        return [self.write(part) for part in parts]

    def restarted(self) -> "Log":
        """Another process, that reads the topic."""
        made = Log(self.now_ms, list(self.rows))
        for row in self.rows:
            made.known.apply(*row)
        return made


def test_the_same_again_is_known_also_to_another_process() -> None:
    log = Log()
    parts = [piece(0, b"a"), piece(1, b"b"), piece(2, b"c", last=True)]
    assert log.write_all(parts) == [True] * 3
    for again in (log, log.restarted()):
        assert again.write_all(parts) == [False] * 3


def test_a_request_that_was_cut_short_goes_on_where_it_was() -> None:
    log = Log()
    log.write(piece(0, b"a"))
    assert log.restarted().write_all([piece(0, b"a"), piece(1, b"b", last=True)]) == [False, True]


@pytest.mark.parametrize(
    "other",
    [
        [piece(0, b"x"), piece(1, b"b", last=True)],
        [piece(0, b"a"), piece(1, b"x", last=True)],
        [piece(0, b"a", last=True)],
        [piece(0, b"a"), piece(1, b"b"), piece(2, b"c", last=True)],
        [piece(0, b"a"), piece(1, b"b", b"", last=True)],
    ],
    ids=["begins otherwise", "ends otherwise", "is shorter", "is longer", "has a blank line more"],
)
def test_another_request_under_the_key_is_refused_before_it_is_written(other: list[Piece]) -> None:
    log = Log()
    log.write(piece(0, b"a"))
    log.write(piece(1, b"b", last=True))
    rows = list(log.rows)
    with pytest.raises(KeyReused, match="new key") as refused:
        log.write_all(other)
    assert log.rows == rows
    assert "sleutel-1" not in str(refused.value)


def test_an_object_is_not_a_file_of_one_line() -> None:
    log = Log()
    log.write(piece(0, b"{}", last=True))
    with pytest.raises(KeyReused):
        log.write(piece(0, b"{}", last=True), Pushed("rijksregister", "personen", "object", "sleutel-1"))


def test_the_key_of_one_raw_source_says_nothing_about_another() -> None:
    log = Log()
    log.write(piece(0, b"a", last=True))
    assert log.write(piece(0, b"x", last=True), Pushed("rijksregister", "adressen", "bulk", "sleutel-1"))
    assert log.write(piece(0, b"x", last=True), Pushed("kbo", "personen", "bulk", "sleutel-1"))


def test_a_key_counts_for_a_day_and_then_begins_anew() -> None:
    log = Log()
    log.write(piece(0, b"a", last=True))
    log.now_ms += KEPT_MS
    assert not log.write(piece(0, b"a", last=True))
    log.now_ms += 1
    assert log.write(piece(0, b"x", last=True))
    assert not log.restarted().write(piece(0, b"x", last=True))
    assert len(log.restarted().known) == 1


def test_nothing_of_a_key_or_a_request_stands_in_the_topic() -> None:
    log = Log()
    log.write(piece(0, b"84621512345", last=True))
    written = b"".join(key + value for key, value in log.rows)
    for told in (b"sleutel-1", b"84621512345", b"rijksregister", b"personen"):
        assert told not in written
    assert "sleutel-1" not in repr(PUSHED)
    assert "84621512345" not in repr(piece(0, b"84621512345"))


@given(st.lists(st.tuples(st.binary(max_size=24) | st.none(), st.binary(max_size=30) | st.none())))
def test_records_of_others_change_nothing(records) -> None:
    known = KnownRequests(lambda: NOW_MS)
    for record in records:
        known.apply(*record)
    request = request_of(K, PUSHED, "sleutel-1")
    assert not known.has(request, piece(0, b"a"), content_of(K, PUSHED, piece(0, b"a")))


@given(st.permutations(range(6)), st.integers(0, 5))
def test_what_is_read_twice_or_late_is_known_once(order, repeated) -> None:
    log = Log()
    for number in range(6):
        log.write(piece(number, b"%d" % number, last=number == 5))
    again = log.restarted()
    for number in [*order, repeated]:
        again.known.apply(*log.rows[number])
    assert [again.write(piece(number, b"%d" % number, last=number == 5)) for number in range(6)] == [False] * 6


@given(st.text(min_size=1, max_size=20))
def test_every_request_has_a_slot(key) -> None:
    assert 0 <= slot_of(request_of(K, PUSHED, key)) < INTAKE_SLOTS
