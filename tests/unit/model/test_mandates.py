"""What a mandate opens, and when; and what becomes of one that is given again or ended."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
PAIR = {"organisation": "stad-gent", "processor": "softwarehuis"}


class Log:
    def __init__(self) -> None:
        self.state = ControlState()

    def fact(self, kind: FactType, at: datetime = AT, **data: Any) -> bool:
        aggregate = "mandate/stad-gent/softwarehuis"
        fact = Fact("f", kind, aggregate, self.state.version(aggregate), at, "stad-gent", PAIR | data)
        return self.state.apply(self.state.epoch + 1, fact)

    def allows(self, agreement: str, at: datetime, *, organisation: str = "stad-gent") -> bool:
        return self.state.mandates.allows(organisation, "softwarehuis", agreement, at)


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_mandate_opens_what_it_names_during_its_term(log) -> None:
    begin, end = AT + timedelta(hours=1), AT + timedelta(hours=2)
    term = {"begin": begin.isoformat(), "end": end.isoformat()}
    assert log.fact(FactType.MANDATE_GIVEN, reference="VO-1", agreements=["inwoners"], **term)
    hours = [log.allows("inwoners", AT + timedelta(minutes=30 * half)) for half in range(5)]
    assert hours == [False, False, True, True, False]
    assert not log.allows("andere", begin)
    assert not log.allows("inwoners", begin, organisation="stad-leuven")


def test_one_without_agreements_is_for_all_of_them_and_one_given_again_takes_its_place(log) -> None:
    assert log.fact(FactType.MANDATE_GIVEN, reference="VO-1")
    assert log.allows("wat-ook", AT)
    assert log.fact(FactType.MANDATE_GIVEN, reference="VO-2", agreements=["inwoners"])
    assert [log.allows(name, AT) for name in ("inwoners", "wat-ook")] == [True, False]


def test_an_ended_one_opens_nothing_more_and_may_be_given_again(log) -> None:
    assert not log.fact(FactType.MANDATE_ENDED)
    assert log.fact(FactType.MANDATE_GIVEN, reference="VO-1")
    assert log.fact(FactType.MANDATE_ENDED, at=AT + timedelta(hours=1))
    assert [log.allows("inwoners", AT + timedelta(hours=hours)) for hours in (0, 1, 9)] == [True, False, False]
    assert not log.fact(FactType.MANDATE_ENDED, at=AT + timedelta(hours=2))
    assert log.fact(FactType.MANDATE_GIVEN, at=AT + timedelta(hours=3), reference="VO-2")
    assert log.allows("inwoners", AT + timedelta(hours=9))


def test_one_that_has_not_begun_never_does_once_it_is_ended(log) -> None:
    begin = (AT + timedelta(days=1)).isoformat()
    assert log.fact(FactType.MANDATE_GIVEN, reference="VO-1", begin=begin)
    assert log.fact(FactType.MANDATE_ENDED, at=AT + timedelta(hours=1))
    assert not any(log.allows("inwoners", AT + timedelta(days=days)) for days in range(5))


@pytest.mark.parametrize(
    "data", [{"reference": "VO-1", "processor": "stad-gent"}, {}, {"reference": "VO-1", "begin": "2026-11-26T09:00"}]
)
def test_what_is_no_mandate_is_passed_over(log, data) -> None:
    epoch = log.state.policy_epoch
    assert not log.fact(FactType.MANDATE_GIVEN, **data)
    assert log.state.mandates.given == {}
    assert log.state.policy_epoch == epoch
