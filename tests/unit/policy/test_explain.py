"""An explanation's clauses say what the reference decided: read one by one in order they lead to the same decision."""

import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.model.agreement import (
    EVERYONE,
    Agreement,
    AllOf,
    AnyOf,
    Ceiling,
    Consent,
    Constraint,
    Dossier,
    Equals,
    FieldCeiling,
    Population,
    Prefix,
    Range,
    ReleasedField,
    State,
    Term,
    Transform,
)
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.model.purpose import Purpose, Purposes
from broker.policy import reference
from broker.policy.explain import Clause, Explanation, Outcome, explain
from broker.policy.limits import Limits
from broker.policy.reference import Known
from broker.policy.standing import Standing

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = timedelta(days=1)
NIS, BORN, NAME = "adres.gemeente.nis", "geboorte.datum", "naam.achternaam"


def limits(*, name: bool = True) -> Limits:
    """`parkeren` below `taak`; only `parkeren` may lack the name."""
    purposes = Purposes({"taak": Purpose("taak", "", ""), "parkeren": Purpose("parkeren", "", "", ("taak",))})
    everything = {path: FieldCeiling(path, frozenset({Transform.KEEP})) for path in (NIS, BORN, NAME)}
    own = {path: granted for path, granted in everything.items() if name or path != NAME}
    selectable = frozenset(everything)
    ceilings = (
        Ceiling("persoon.v1", "taak", everything, selectable),
        Ceiling("persoon.v1", "parkeren", own, selectable),
    )
    return Limits(purposes, {ceiling.key: ceiling for ceiling in ceilings})


def agreement(where: Constraint = EVERYONE, *, dossiers: bool = False, consent: bool = False) -> Agreement:
    return Agreement(
        id="parkeren",
        version=1,
        title="",
        source="rijksregister",
        product="persoon.v1",
        agency="gent",
        purpose="parkeren",
        bases=(),
        fields=(
            ReleasedField(NAME, Transform.KEEP, "aanmaning"),
            ReleasedField(BORN, Transform.YEAR, "leeftijd", "geboortejaar"),
        ),
        population=Population(where, dossiers, consent),
        term=Term(NOW - 10 * DAY, NOW + 10 * DAY),
    )


def file(begin: datetime, end: datetime | None = None) -> Dossier:
    return Dossier("parkeren", b"k", "schuldeiser", "P-1", begin, end, registered=begin)


def agreed(begin: datetime, end: datetime | None = None) -> Consent:
    return Consent("parkeren", b"k", begin, end, registered=begin)


class Case:
    """One generated question."""

    def __init__(self, seed: int) -> None:
        dice = random.Random(seed)
        wheres = (EVERYONE, Equals(NIS, ("44021",)), AnyOf((Prefix(NIS, "44"), AllOf((Range(BORN, "2000", None),)))))
        base = agreement(dice.choice(wheres), dossiers=dice.random() < 0.4, consent=dice.random() < 0.4)
        if dice.random() < 0.3:
            base = replace(base, fields=(ReleasedField(BORN, Transform.ADULT, "", "meerderjarig"),))
        if dice.random() < 0.2:
            base = replace(base, term=Term(NOW - 10 * DAY, NOW - DAY))
        state = dice.choice((*[State.ACTIVE] * 5, State.SUSPENDED, State.REVOKED, State.ENDED))
        self.standing = Standing(base, state, NOW - dice.choice((1, 5)) * DAY)
        self.limits = limits(name=dice.random() < 0.8)
        self.before = dice.choice((None, Known(self.values(dice), NOW - dice.choice((0, 2, 7)) * DAY)))
        self.after = self.values(dice) if dice.random() < 0.9 else None
        periods = ((NOW - 8 * DAY, None), (NOW - 8 * DAY, NOW), (NOW - DAY, NOW + DAY))
        self.dossiers = [file(*dice.choice(periods)) for _ in range(dice.randrange(3))]
        self.consents = [agreed(*dice.choice(periods)) for _ in range(dice.randrange(3))]
        self.appended = NOW - dice.choice((0, 2)) * DAY

    @staticmethod
    def values(dice: random.Random) -> Mapping[str, str | None]:
        born = ("2001-01-01", "1999-12-31", "2015-06-01", None)
        return {NIS: dice.choice(("44021", "44055", "24062", None)), BORN: dice.choice(born), NAME: "Peeters-Zeldzaam"}

    def explained(self) -> Explanation:
        return explain(
            self.standing,
            self.limits,
            self.before,
            self.after,
            kind=Kind.CHANGED,
            now=NOW,
            dossiers=self.dossiers,
            consents=self.consents,
            appended=self.appended,
        )

    def decided(self) -> Decision | Reason:
        return reference.decide(
            replace(self.standing, above_ceiling=not self.limits.allow(self.standing.agreement)),
            self.before,
            self.after,
            kind=Kind.CHANGED,
            now=NOW,
            dossiers=self.dossiers,
            consents=self.consents,
            appended=self.appended,
        )


def by_the_clauses(case: Case, explanation: Explanation) -> tuple[object, str]:
    """Decision (kind, departure or reason) and rule that follow from the clauses' outcomes alone."""
    held = {clause.clause: clause.outcome is not Outcome.FAILS for clause in explanation.clauses}
    member = held["population.where"] and held["population.dossiers"]
    stopped = {State.REVOKED: Reason.REVOKED, State.SUSPENDED: Reason.SUSPENDED}
    stranger = not member and not held["previous"]
    gone = case.after is None
    in_order: tuple[tuple[bool, object, str], ...] = (
        (stranger and held["population.where"], Reason.NO_DOSSIER, "population.dossiers"),
        (stranger, Reason.OUTSIDE_POPULATION, "population.where"),
        (not held["state"], stopped.get(case.standing.state, Reason.NOT_IN_TERM), "state"),
        (not held["term"], Reason.NOT_IN_TERM, "term"),
        (not held["ceiling"], Reason.ABOVE_CEILING, "ceiling"),
        (not member and gone, Departure.DELETED, "fields"),
        (not member, Departure.RECORD_CHANGED, "population.where"),
        (not held["population.consent"], Reason.NO_CONSENT, "population.consent"),
        (not held.get("answers", True), Reason.UNCHANGED_ANSWER, "answers"),
        (True, Kind.CHANGED if held["previous"] else Kind.INITIAL, "fields"),
    )
    return next((decided, rule) for applies, decided, rule in in_order if applies)


def essence(decision: Decision | Reason) -> object:
    match decision:
        case Release(departure=None):
            return decision.kind
        case Release():
            return decision.departure
        case Withhold():
            return decision.reason
    return decision


@pytest.mark.parametrize("block", range(20))
def test_the_clauses_lead_to_the_decision_of_the_reference(block: int) -> None:
    for seed in range(block * 100, block * 100 + 100):
        case = Case(seed)
        explanation = case.explained()
        assert explanation.decision == case.decided()
        assert (essence(explanation.decision), explanation.rule) == by_the_clauses(case, explanation), seed


def test_the_cases_reach_every_rule() -> None:
    rules = {Case(seed).explained().rule for seed in range(2000)}
    assert rules == {
        "population.where",
        "population.dossiers",
        "population.consent",
        "state",
        "term",
        "ceiling",
        "answers",
        "fields",
    }


def test_no_value_of_the_record_is_repeated() -> None:
    for seed in range(200):
        case = Case(seed)
        text = str(asdict(case.explained()))
        assert "Zeldzaam" not in text
        assert not any(value in text for value in ("24062", "1999-12-31", "2015-06-01"))


def _clause(explanation: Explanation, name: str) -> Clause:
    return next(clause for clause in explanation.clauses if clause.clause == name)


def test_the_population_is_shown_as_a_tree_with_each_result() -> None:
    where = AnyOf((AllOf((Prefix(NIS, "44"), Range(BORN, None, "2000-01-01"))), Equals(NIS, tuple("123456789"))))
    record = {NIS: "44021", BORN: "2001-01-01"}
    found = explain(Standing(agreement(where)), limits(), None, record, kind=Kind.ADDED, now=NOW)
    tree = _clause(found, "population.where")
    both, listed = tree.parts
    assert [(part.path, part.outcome, part.text) for part in both.parts] == [
        (NIS, Outcome.HOLDS, "starts with 44"),
        (BORN, Outcome.FAILS, "lies up to 2000-01-01"),
    ]
    assert (listed.outcome, listed.text) == (Outcome.FAILS, "is one of 1, 2, 3, 4, 5 and 4 more")
    assert (found.decision, found.rule) == (Reason.OUTSIDE_POPULATION, "population.where")


def test_the_ceiling_names_the_purpose_that_cuts() -> None:
    found = explain(Standing(agreement()), limits(name=False), None, {}, kind=Kind.ADDED, now=NOW)
    name, born = _clause(found, "ceiling").parts
    assert (name.outcome, name.text) == (
        Outcome.FAILS,
        "asked as keep; parkeren allows nobody this field; taak allows keep",
    )
    assert born.outcome is Outcome.HOLDS
    unknown = replace(agreement(), purpose="onbekend")
    assert explain(Standing(unknown), limits(), None, {}, kind=Kind.ADDED, now=NOW).rule == "ceiling"


def test_what_is_delivered_is_said_field_by_field() -> None:
    found = explain(Standing(agreement()), limits(), None, {}, kind=Kind.ADDED, now=NOW)
    fields = _clause(found, "fields")
    assert fields.text == "delivered as initial"
    assert [(part.path, part.outcome, part.text) for part in fields.parts] == [
        (NAME, Outcome.RELEASED, "as it is"),
        (BORN, Outcome.RELEASED, "as year, named geboortejaar"),
    ]


def test_what_the_subject_does_not_agree_to_is_left_out() -> None:
    base = agreement(consent=True)
    name, born = base.fields
    consents = [replace(agreed(NOW - DAY), fields=frozenset({born.key}))]
    found = explain(Standing(base), limits(), None, {}, kind=Kind.ADDED, now=NOW, consents=consents)
    assert [(part.path, part.outcome) for part in _clause(found, "fields").parts] == [
        (name.path, Outcome.WITHHELD),
        (born.path, Outcome.RELEASED),
    ]
    assert found.rule == "fields"
