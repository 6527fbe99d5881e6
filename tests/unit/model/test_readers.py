"""Who is named as a reader of a delivery: whoever a mandate let in while it was there, and nobody else."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.lifecycle import AgreementEntry, Step, Transition
from broker.model.mandates import Actor
from broker.model.readers import kept_until

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


class Log:
    """Mandates of one agency, as facts hour after hour."""

    def __init__(self) -> None:
        self.state = ControlState()
        self.facts: list[tuple[int, Fact]] = []

    def fact(self, kind: FactType, hour: float, processor: str = "softwarehuis", **data: Any) -> bool:
        aggregate = f"mandate/stad-gent/{processor}"
        said = {"organisation": "stad-gent", "processor": processor, **data}
        fact = Fact("f", kind, aggregate, self.state.version(aggregate), AT + hour * HOUR, "stad-gent", said)
        accepted = self.state.apply(self.state.epoch + 1, fact)
        self.facts.append((self.state.epoch, fact))
        return accepted

    def give(self, hour: float, reference: str = "VO-1", **data: Any) -> bool:
        return self.fact(FactType.MANDATE_GIVEN, hour, reference=reference, **data)

    def end(self, hour: float) -> bool:
        return self.fact(FactType.MANDATE_ENDED, hour)

    def actors(self, hour: float, *, epoch: int | None = None, kept_h: float = 360) -> tuple[Actor, ...]:
        known = self.state.epoch if epoch is None else epoch
        decided_at = AT + hour * HOUR
        return self.state.mandates.actors_of("stad-gent", "inwoners", known, decided_at, decided_at + kept_h * HOUR)


def test_a_mandate_that_covers_the_decision_is_named_with_its_contract_and_its_times() -> None:
    log = Log()
    assert log.give(0, end=(AT + 9 * HOUR).isoformat())
    assert log.actors(5) == (Actor("softwarehuis", "VO-1", AT, AT + 9 * HOUR, later=False),)
    other = log.state.mandates.actors_of("stad-leuven", "inwoners", 0, AT + HOUR, AT + 2 * HOUR)
    assert other == ()


def test_one_that_was_over_before_the_decision_is_not_named() -> None:
    log = Log()
    assert log.give(0, end=(AT + 2 * HOUR).isoformat())
    assert log.actors(2) == ()
    assert log.give(3)
    assert log.end(4)
    assert log.actors(5) == ()
    (ended_after,) = log.actors(3.5, epoch=1)
    assert ended_after.until == AT + 4 * HOUR


def test_one_that_began_later_is_marked_while_the_delivery_was_kept_and_not_named_after() -> None:
    log = Log()
    assert log.give(10)
    (actor,) = log.actors(2, epoch=-1)
    assert (actor.later, actor.since) == (True, AT + 10 * HOUR)
    assert log.actors(2, epoch=-1, kept_h=8) == ()


def test_a_mandate_dated_back_opened_nothing_before_its_fact() -> None:
    log = Log()
    assert log.give(10, begin=(AT - 9 * DAY).isoformat())
    (actor,) = log.actors(2, epoch=-1)
    assert (actor.later, actor.since) == (True, AT + 10 * HOUR)


def test_a_narrower_mandate_ends_there_for_what_it_leaves_out_and_goes_on_for_the_rest() -> None:
    log = Log()
    assert log.give(0)
    assert log.give(5, agreements=["inwoners"])
    assert log.actors(1, epoch=0) == (Actor("softwarehuis", "VO-1", AT, None, later=False),)
    assert log.give(6, agreements=["andere"])
    assert log.actors(1, epoch=0) == (Actor("softwarehuis", "VO-1", AT, AT + 6 * HOUR, later=False),)
    assert log.actors(7) == ()


def test_another_contract_is_another_line() -> None:
    log = Log()
    assert log.give(0, "VO-1")
    assert log.give(5, "VO-2")
    assert [(each.reference, each.later) for each in log.actors(1, epoch=0)] == [("VO-1", False), ("VO-2", True)]


def test_an_end_counts_from_its_place_in_the_log_whatever_the_clocks_say() -> None:
    """The router did not know it yet: what it delivered could still be read on Kafka until the right was gone."""
    log = Log()
    assert log.give(0)
    assert log.end(1)
    assert [each.until for each in log.actors(1.001, epoch=0)] == [AT + HOUR]
    assert log.actors(1.001, epoch=1) == ()


_HOURS = st.integers(0, 30)
_NAMED = st.none() | st.lists(st.sampled_from(["inwoners", "andere"]), max_size=2)
_GIVEN = st.tuples(
    st.just(FactType.MANDATE_GIVEN), st.none() | _HOURS, st.none() | _HOURS, _NAMED, st.sampled_from(["VO-1", "VO-2"])
)
_ENDED = st.tuples(st.just(FactType.MANDATE_ENDED), st.none(), st.none(), st.none(), st.just(""))
_LINES = st.lists(st.tuples(_HOURS, st.sampled_from(["huis-1", "huis-2"]), _GIVEN | _ENDED), max_size=8)


@given(lines=_LINES, decided=_HOURS, kept=st.integers(1, 20))
def test_those_are_named_whom_the_log_let_in_at_some_instant_while_it_was_kept(lines, decided, kept) -> None:
    log = Log()
    for hour, processor, (kind, begin, end, named, reference) in sorted(lines, key=lambda line: line[0]):
        said = {"reference": reference, "agreements": named}
        said |= {name: (AT + at * HOUR).isoformat() for name, at in (("begin", begin), ("end", end)) if at is not None}
        log.fact(kind, hour, processor, **said)
    decided_at = AT + decided * HOUR
    epoch = max((offset for offset, fact in log.facts if fact.at <= decided_at), default=-1)
    until = decided_at + kept * HOUR
    found = log.state.mandates.actors_of("stad-gent", "inwoners", epoch, decided_at, until)
    for processor in ("huis-1", "huis-2"):
        own = [actor for actor in found if actor.processor == processor]
        let_in = {at: _let_in(log, processor, at) for at in (decided_at + hour * HOUR for hour in range(kept))}
        assert bool(own) == any(let_in.values())
        assert any(not actor.later for actor in own) == let_in[decided_at]
        for at, was_in in let_in.items():
            holding = [each for each in own if each.since <= at and (each.until is None or at < each.until)]
            assert len(holding) == was_in


def _let_in(log: Log, processor: str, at: datetime) -> bool:
    """Asked of the log as it stood at that instant, as the exits ask."""
    then = ControlState()
    for offset, fact in log.facts:
        if fact.at <= at:
            then.apply(offset, fact)
    return then.mandates.allows("stad-gent", processor, "inwoners", at)


def _version(number: int, days: int, *steps: tuple[Step, float, int], active: bool = True) -> AgreementEntry:
    history = tuple(Transition(step, "test", AT + hour * HOUR, epoch=epoch) for step, hour, epoch in steps)
    document = {"agency": "stad-gent", "retention_days": days}
    activated_at = AT if active else None
    return AgreementEntry("inwoners", number, State.ACTIVE, document, 1, AT, 0, activated_at, history=history)


def test_a_delivery_is_kept_for_the_longest_term_since_and_a_day() -> None:
    versions = [_version(1, 3), _version(2, 9), _version(3, 14, active=False)]
    assert kept_until(versions, 1, 0, AT) == AT + 10 * DAY
    assert kept_until([_version(1, 14), _version(2, 9)], 2, 0, AT) == AT + 10 * DAY


def test_the_end_and_the_revocation_of_its_agreement_end_it_and_those_before_do_not() -> None:
    before, after = (Step.ENDED, -1.0, 5), (Step.REVOKED, 7.0, 9)
    assert kept_until([_version(1, 14, before), _version(2, 14, after)], 1, 6, AT) == AT + 7 * HOUR
    withdrawn = _version(2, 14, after, active=False)
    assert kept_until([_version(1, 14, before), withdrawn], 1, 6, AT) == AT + 15 * DAY
