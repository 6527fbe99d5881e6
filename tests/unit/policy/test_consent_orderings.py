"""Consent against records, decisions, withdrawals and the agreement's own end: every ordering, asked of both engines."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from broker.model.agreement import Agreement, Consent, Dossier, Population, State
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.policy import reference
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Previous
from broker.policy.papers import Papers, Told
from broker.policy.standing import Standing
from tests.unit.policy.test_decisions_read_like_the_decree import GENT, JANUARY, MONDAY, agreement, person

ID = "toestemming"
HOUR = timedelta(hours=1)
DECIDED = MONDAY + 6 * HOUR
GIVEN = Consent(ID, b"", MONDAY, None, MONDAY)
NO_CONSENT = Withhold(ID, Reason.NO_CONSENT)
LEFT = Release(ID, Kind.LEFT_POPULATION, None, Departure.CONSENT_ENDED)
INITIAL, CHANGED = Release(ID, Kind.INITIAL), Release(ID, Kind.CHANGED)


class Both:
    """The specification and the compiled engine, which must agree."""

    def __init__(self, schema: object, encode: object, value: Agreement, state: State = State.ACTIVE) -> None:
        self.standing = Standing(value, state, JANUARY)
        self.engine = compile_engine([self.standing], schema, encode)
        self.values = tuple(encode(path, person(GENT)[path]) for path in self.engine.paths)

    def record(
        self,
        *consents: Consent,
        appended: datetime = DECIDED,
        before: datetime | None = None,
        files: tuple[Dossier, ...] = (),
    ) -> Decision | Reason:
        """Decision at DECIDED on a record that entered the log at `appended`."""
        asked = reference.decide(
            self.standing,
            before and reference.Known(person(GENT), before),
            person(GENT),
            kind=Kind.CHANGED,
            now=DECIDED,
            dossiers=files,
            consents=consents,
            appended=appended,
        )
        previous = before and Previous(self.values, milliseconds(before))
        batch, papers = self.engine.batch(milliseconds(DECIDED)), Papers(files, consents)
        found = batch.decide(previous, self.values, Kind.CHANGED, papers, milliseconds(appended))
        assert [decision for _, decision in found] == ([] if isinstance(asked, Reason) else [asked])
        return asked

    def paper(self, told: tuple[Consent, ...], now: tuple[Consent, ...], then: datetime) -> Decision | None:
        """Decision at DECIDED on a subject of which the agency was last told `then`; its record is of JANUARY."""
        asked = reference.reconsider(
            self.standing,
            reference.Known(person(GENT), JANUARY),
            told=reference.Papers((), told),
            then=then,
            papers=reference.Papers((), now),
            now=DECIDED,
        )
        known, batch = Previous(self.values, milliseconds(JANUARY)), self.engine.batch(milliseconds(DECIDED))
        before = Told(Papers((), told), milliseconds(then))
        assert batch.reconsider(self.engine.plans[0], known, before, Papers((), now)) == asked
        return asked


@pytest.fixture
def both(schema: object, encode: object) -> Both:
    return Both(schema, encode, agreement(ID, Population(consent=True)))


def withdrawn(at: datetime) -> Consent:
    """GIVEN, withdrawn as of `at`."""
    return replace(GIVEN, end=at)


def test_1_nobody_agreed(both: Both) -> None:
    assert both.record() == NO_CONSENT


def test_2_agreed_before_the_record(both: Both) -> None:
    assert both.record(GIVEN) == INITIAL
    assert both.record(GIVEN, before=MONDAY + HOUR) == CHANGED


def test_3_agreed_between_the_record_and_its_decision(both: Both) -> None:
    given = replace(GIVEN, begin=MONDAY + 2 * HOUR, registered=MONDAY + 2 * HOUR)
    assert both.record(given, appended=MONDAY + HOUR) == NO_CONSENT


def test_4_agreeing_brings_the_present_state(both: Both) -> None:
    given = replace(GIVEN, begin=MONDAY + 2 * HOUR, registered=MONDAY + 2 * HOUR)
    assert both.paper((), (given,), MONDAY + HOUR) == INITIAL
    assert both.record(given, before=JANUARY) == CHANGED


def test_5_withdrawn_after_a_delivery(both: Both) -> None:
    assert both.paper((GIVEN,), (withdrawn(MONDAY + 2 * HOUR),), MONDAY + HOUR) == LEFT


def test_6_withdrawn_between_the_record_and_its_decision(both: Both) -> None:
    assert both.record(withdrawn(MONDAY + 2 * HOUR), appended=MONDAY + HOUR, before=MONDAY) == NO_CONSENT


def test_7_withdrawn_before_the_record(both: Both) -> None:
    assert both.record(withdrawn(MONDAY + HOUR), appended=MONDAY + 2 * HOUR, before=MONDAY) == NO_CONSENT


def test_8_a_late_withdrawal_takes_back_what_was_delivered_meanwhile(both: Both) -> None:
    late = withdrawn(MONDAY + HOUR)  # as of then, though a record of an hour later was delivered
    assert both.paper((GIVEN,), (late,), MONDAY + 2 * HOUR) == LEFT


def test_9_a_late_withdrawal_before_the_decision(both: Both) -> None:
    late = withdrawn(MONDAY + HOUR)
    assert both.record(late, appended=MONDAY + 2 * HOUR, before=MONDAY) == NO_CONSENT


def test_10_agreeing_again(both: Both) -> None:
    old = withdrawn(MONDAY + HOUR)
    again = replace(GIVEN, begin=MONDAY + 3 * HOUR, registered=MONDAY + 3 * HOUR)
    assert both.paper((old,), (old, again), MONDAY + 2 * HOUR) == INITIAL
    assert both.record(old, again, before=JANUARY) == CHANGED
    assert both.record(old, again, appended=MONDAY + 2 * HOUR, before=JANUARY) == NO_CONSENT


def test_11_a_consent_for_a_period_ends_by_itself(both: Both) -> None:
    period = withdrawn(MONDAY + 2 * HOUR)
    assert both.paper((period,), (period,), MONDAY + HOUR) == LEFT
    assert both.paper((period,), (period,), MONDAY + 3 * HOUR) is None
    assert both.record(period, before=MONDAY + HOUR) == NO_CONSENT


def test_12_a_consent_from_a_later_day_begins_by_itself(both: Both) -> None:
    later = replace(GIVEN, begin=DECIDED, registered=MONDAY)
    assert both.record(replace(later, begin=DECIDED + HOUR)) == NO_CONSENT
    assert both.paper((later,), (later,), MONDAY + HOUR) == INITIAL


def test_a_second_consent_holds_when_one_is_withdrawn(both: Both) -> None:
    representative = replace(GIVEN, begin=MONDAY + HOUR, registered=MONDAY + HOUR)
    ended = withdrawn(MONDAY + 3 * HOUR)
    assert both.paper((GIVEN, representative), (ended, representative), MONDAY + 2 * HOUR) is None
    assert both.record(ended, representative, before=MONDAY + 2 * HOUR) == CHANGED


def test_a_consent_to_another_agreement_is_none(both: Both) -> None:
    assert both.record(replace(GIVEN, agreement="andere")) == NO_CONSENT


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.REVOKED, Reason.REVOKED), (State.SUSPENDED, Reason.SUSPENDED), (State.ENDED, Reason.NOT_IN_TERM)],
)
def test_the_agreements_own_end_comes_first(schema: object, encode: object, state: State, reason: Reason) -> None:
    stopped = Both(schema, encode, agreement(ID, Population(consent=True)), state)
    withheld = Withhold(ID, reason)
    assert stopped.record() == stopped.record(GIVEN) == withheld
    assert stopped.paper((), (GIVEN,), JANUARY) == withheld
    assert stopped.paper((GIVEN,), (withdrawn(MONDAY + 2 * HOUR),), MONDAY + HOUR) == withheld


def test_with_a_file_both_are_needed(schema: object, encode: object) -> None:
    both = Both(schema, encode, agreement(ID, Population(dossiers=True, consent=True)))
    file = Dossier(ID, b"", "801", "D-1", MONDAY, None, MONDAY)
    assert both.record(GIVEN) == Reason.NO_DOSSIER
    assert both.record(files=(file,)) == NO_CONSENT
    assert both.record(GIVEN, files=(file,)) == Release(ID, Kind.INITIAL, "D-1")
