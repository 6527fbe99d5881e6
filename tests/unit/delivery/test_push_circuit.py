"""Pauses grow to a bound, honour what the receiver asks within reason, and end in a suspension; a success forgives all."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from broker.delivery.push_circuit import Failure, Health, Patience, again, as_json, failed, of_json, succeeded
from broker.delivery.webhook_calls import judged
from broker.model.push_book import Reason

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
PATIENCE = Patience(give_up=timedelta(hours=2))


def test_pauses_double_from_a_second_to_five_minutes() -> None:
    health, now, pauses = Health(), NOW, []
    for _ in range(12):
        health, reason = failed(health, Failure.SERVER, now, PATIENCE, random=1.0)
        assert reason is None
        pauses.append(health.pause(now))
        now += timedelta(seconds=pauses[-1])
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert failed(Health(), Failure.SERVER, NOW, PATIENCE, random=0.0)[0].pause(NOW) == 0.5


def test_what_the_receiver_asks_lengthens_a_pause_and_never_shortens_it() -> None:
    def pause(asked_s: float) -> float:
        return failed(Health(), Failure.SERVER, NOW, PATIENCE, random=1.0, asked_s=asked_s)[0].pause(NOW)

    assert [pause(asked) for asked in (0, 0.2, 90, 1e5, 1e300)] == [1, 1, 90, 3600, 3600]


def test_failing_too_long_suspends_and_a_success_in_between_does_not() -> None:
    health, _ = failed(Health(), Failure.CONNECT, NOW, PATIENCE, random=0)
    assert failed(health, Failure.CONNECT, NOW + timedelta(minutes=119), PATIENCE, random=0)[1] is None
    assert failed(health, Failure.CONNECT, NOW + timedelta(hours=2), PATIENCE, random=0)[1] is Reason.FAILING
    fine = succeeded(health, NOW + timedelta(hours=1))
    assert failed(fine, Failure.CONNECT, NOW + timedelta(hours=2), PATIENCE, random=0)[1] is None


def test_a_receiver_that_is_gone_for_good_is_believed_at_once() -> None:
    health, reason = failed(Health(), Failure.GONE, NOW, PATIENCE, random=0)
    assert (reason, health.next_attempt) == (Reason.GONE, None)


class Circuit(RuleBasedStateMachine):
    """Any order of outcomes: whoever reads the note goes on exactly as whoever wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.health, self.now, self.since, self.suspended = Health(), NOW, None, False

    @rule(failure=st.sampled_from(Failure), random=st.floats(0, 0.999), asked=st.none() | st.floats(0, 1e9))
    def fails(self, failure: Failure, random: float, asked: float | None) -> None:
        self.since = self.since or self.now
        self.health, reason = failed(self.health, failure, self.now, PATIENCE, random=random, asked_s=asked)
        late = self.now - self.since >= PATIENCE.give_up
        assert (reason is not None) == (late or failure is Failure.GONE)
        if reason is not None:
            self.health, self.since = again(self.health), None

    @rule()
    def succeeds(self) -> None:
        self.health, self.since = succeeded(self.health, self.now), None

    @rule(minutes=st.integers(0, 90))
    def waits(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @invariant()
    def holds(self) -> None:
        assert 0 <= self.health.pause(self.now) <= 3600
        assert self.health.failing_since == self.since
        assert (self.health.failures == 0) == (self.since is None)
        assert of_json(json.loads(json.dumps(as_json(self.health)))) == self.health


TestCircuit = Circuit.TestCase
TestCircuit.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@pytest.mark.parametrize(
    ("status", "failure"),
    [(200, None), (202, None), (204, None), (299, None), (300, "REDIRECT_REFUSED"), (301, "REDIRECT_REFUSED"),
     (304, "REDIRECT_REFUSED"), (307, "REDIRECT_REFUSED"), (400, "CLIENT_ERROR"), (404, "CLIENT_ERROR"),
     (410, "RECEIVER_GONE"), (429, "CLIENT_ERROR"), (500, "SERVER_ERROR"), (503, "SERVER_ERROR"), (599, "SERVER_ERROR"),
     (999, "SERVER_ERROR")],
)  # fmt: skip
def test_only_success_counts_as_received(status: int, failure: str | None) -> None:
    assert judged(status, None, NOW).failure == failure


@pytest.mark.parametrize(
    ("status", "header", "asked"),
    [(503, "120", 120), (429, "3", 3), (503, "Thu, 26 Nov 2026 12:01:00 GMT", 60), (503, "Thu, 26 Nov 2026 11:00:00 GMT", 0),
     (503, "soon", None), (503, "-1", None), (503, "٣", None), (503, "99999999", None), (400, "120", None),
     (503, "Thu, 26 Nov 2026 12:01:00", None), (503, "", None), (200, "120", None), (503, "Thu, 99 Nov 2026 12:01:00 GMT", None)],
)  # fmt: skip
def test_a_retry_after_is_a_number_or_a_date(status: int, header: str, asked: float | None) -> None:
    assert judged(status, header, NOW).asked_s == asked


@given(st.text(max_size=40))
def test_no_retry_after_is_an_error(header: str) -> None:
    asked = judged(503, header, NOW).asked_s
    assert asked is None or asked >= 0
