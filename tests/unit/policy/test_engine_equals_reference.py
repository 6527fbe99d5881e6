"""The compiled engine gives the reference's answer: receipted decisions and counts, over generated agreements and records."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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
from broker.model.decision import RECORD_KINDS, Decision, Kind, Reason, Release, Withhold
from broker.model.purpose import Purpose, Purposes
from broker.policy import reference
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Batch, Counts, Engine, Previous
from broker.policy.limits import Limits
from broker.policy.papers import NO_PAPERS, Papers, Told
from broker.policy.standing import Former, Standing

# Around a birthday's midnight in Belgium, so that days, terms and dossiers all change within one set of instants.
START = datetime(2026, 3, 28, 20, tzinfo=UTC)
VALUES: dict[str, tuple[str | None, ...]] = {
    "adres.gemeente.nis": ("44021", "24062", "35013", "44", None),
    "adres.postcode": ("9000", "9050", "3000", "8400", "ë9", None),
    "geslacht": ("man", "vrouw", "x", None),
    "geboorte.datum": ("2008-03-29", "2008-03-30", "2008-03-00", "2008-00-00", "2001-01-01", None),
    "naam.achternaam": ("Peeters", "Peetermans", "Ðoe", "\U0001d504", None),
}
LITERALS = {path: tuple(value for value in values if value) for path, values in VALUES.items()}
FIELDS = (frozenset({"keep"}), frozenset({"meerderjarig", "own-reference"}), frozenset({"own-reference"}))
TEXTS = ("adres.gemeente.nis", "adres.postcode", "geboorte.datum", "naam.achternaam")


@dataclass(frozen=True, slots=True)
class Case:
    """One record, or a subject without one (`then` and `told`), under some agreements."""

    standings: tuple[Standing, ...]
    before: reference.Known | None
    after: dict[str, str | None] | None
    now: datetime
    appended: datetime
    papers: reference.Papers
    then: datetime
    told: reference.Papers


class Dice:
    """Generator of agreements and records over one source of randomness (a seed, or what hypothesis shrinks)."""

    def __init__(self, source: random.Random) -> None:
        self.random = source
        self.limits = self.ceilings()

    def instant(self) -> datetime:
        return START + timedelta(minutes=30 * self.random.randrange(12), milliseconds=self.random.choice((0, 0, 0, 1)))

    def later(self, instant: datetime) -> datetime | None:
        return self.random.choice((None, None, instant + timedelta(minutes=30 * self.random.randrange(8))))

    def constraint(self, depth: int = 2) -> Constraint:
        form = self.random.choice(("equals", "equals", "equals", "in", "range", "prefix", "all", "any"))
        if form in {"all", "any"} and depth:
            parts = tuple(self.constraint(depth - 1) for _ in range(self.random.randrange(4)))
            return AllOf(parts) if form == "all" else AnyOf(parts)
        if form in {"equals", "in"}:
            path = self.random.choice(tuple(VALUES))
            literals = (*LITERALS[path], "niets")
            return Equals(path, tuple(self.random.choice(literals) for _ in range(1 if form == "equals" else 3)))
        path = self.random.choice(TEXTS)
        if form == "prefix":
            return Prefix(path, self.random.choice(LITERALS[path])[: self.random.randrange(1, 5)])
        low, high = (self.random.choice((None, *LITERALS[path])) for _ in range(2))
        return Range(path, low, high)

    def standing(self, number: int) -> Standing:
        pick = self.random.choice
        where = pick(
            (EVERYONE, Equals("adres.gemeente.nis", (pick(LITERALS["adres.gemeente.nis"]),)), self.constraint())
        )
        start = self.instant() - timedelta(hours=pick((0, 24, 24)))
        transforms = pick(((Transform.KEEP,), (Transform.ADULT,), (Transform.ADULT, Transform.OWN_REFERENCE)))
        agreement = Agreement(
            id=f"afspraak-{number:02}",
            version=1,
            title="",
            source="rijksregister",
            product="persoon.v1",
            agency="stad",
            purpose="doel",
            bases=(),
            fields=tuple(ReleasedField("geboorte.datum", transform, "", transform.value) for transform in transforms),
            population=Population(where, dossiers=pick((True, False)), consent=pick((True, False))),
            term=Term(start, self.later(start + timedelta(hours=24))),
        )
        activated = pick((None, self.instant(), START - timedelta(days=2), START - timedelta(days=2)))
        state = pick((State.ACTIVE,) * 5 + tuple(State))
        amended = pick((None, None, self.instant()))
        formers = () if amended is None else self.formers(agreement, amended)
        return Standing(agreement, state, activated, not self.limits.allow(agreement), amended, formers)

    def formers(self, agreement: Agreement, amended: datetime) -> tuple[Former, ...]:
        """Versions before it, with another population or other fields."""
        pick, until, found = self.random.choice, amended, []
        for _ in range(pick((0, 1, 1, 2))):
            where = pick((agreement.population.where, EVERYONE, self.constraint()))
            population = Population(where, dossiers=pick((True, False)), consent=pick((True, False, False)))
            fields = pick((agreement.fields, (ReleasedField("geslacht", Transform.KEEP, "", "geslacht"),)))
            found.append(Former(replace(agreement, population=population, fields=fields), until))
            until -= timedelta(minutes=30 * self.random.randrange(3))
        return tuple(reversed(found))

    def ceilings(self) -> Limits:
        """Ceilings of a purpose and the one above it, under which most agreements stay."""
        paths = ("geboorte.datum", *VALUES)
        purposes = Purposes({"boven": Purpose("boven", "", ""), "doel": Purpose("doel", "", "", ("boven",))})
        few = [path for path in VALUES if self.random.random() < 0.9]
        attests = frozenset({Transform.ADULT, Transform.OWN_REFERENCE})
        granted = self.random.choice((frozenset({Transform.KEEP}),) * 3 + (attests,))
        fields = {path: FieldCeiling(path, granted) for path in paths}
        return Limits(
            purposes,
            {
                (None, "persoon.v1", "boven"): Ceiling("persoon.v1", "boven", fields, frozenset(VALUES)),
                (None, "persoon.v1", "doel"): Ceiling("persoon.v1", "doel", fields, frozenset(few)),
            },
        )

    def values(self) -> dict[str, str | None]:
        return {path: self.random.choice(values) for path, values in VALUES.items()}

    def case(self, standings: tuple[Standing, ...]) -> Case:
        now = self.instant()
        after = self.random.choice((None, self.values(), self.values(), self.values()))
        values = self.random.choice((after, after, self.values()))
        at = now - timedelta(minutes=30 * self.random.randrange(6))
        before = None if values is None or self.random.random() < 0.2 else reference.Known(values, at)
        dossiers, consents = self.papers(Dossier, standings), self.papers(Consent, standings)
        papers = reference.Papers(dossiers, consents) if self.random.random() < 0.7 else reference.Papers()
        if self.random.random() < 0.1:
            papers = replace(papers, replaced=("rijksregister/persoon.v1",))
        appended = now - timedelta(minutes=30 * self.random.choice((0, 0, 1, 2)))
        then = now - timedelta(minutes=30 * self.random.randrange(6))
        other = reference.Papers(self.papers(Dossier, standings), self.papers(Consent, standings))
        narrower = tuple(replace(consent, fields=self.random.choice(FIELDS)) for consent in papers.consents)
        told = self.random.choice((papers, other, reference.Papers(papers.dossiers, narrower)))
        return Case(standings, before, after, now, appended, papers, then, told)

    def papers(self, kind: Any, standings: tuple[Standing, ...]) -> tuple[Any, ...]:
        """Some files, or some consents."""
        made = []
        for _ in range(self.random.choice((0, 1, 3, 6))):
            begin = self.instant() - timedelta(hours=self.random.choice((0, 24, 24)))
            made.append(
                kind(
                    f"afspraak-{self.random.randrange(min(len(standings), 6) + 1):02}",
                    b"",
                    *(("101", self.random.choice(("D-1", "D-2", "D-3"))) if kind is Dossier else ()),
                    begin,
                    self.random.choice((self.later(begin), self.instant(), None)),
                    begin if self.random.random() < 0.7 else self.instant(),
                    *((self.random.choice((None, None, *FIELDS)),) if kind is Consent else ()),
                )
            )
        return tuple(made)


def expected(case: Case, kind: Any) -> tuple[list[tuple[int, Decision]], Counter[tuple[int, Reason]]]:
    in_force = sorted((one for one in case.standings if one.in_force), key=lambda one: one.agreement.id)
    decided: list[tuple[int, Decision]] = []
    counted: Counter[tuple[int, Reason]] = Counter()
    for index, standing in enumerate(in_force):
        answer = reference.decide(
            standing,
            case.before,
            case.after,
            kind=kind,
            now=case.now,
            dossiers=case.papers.dossiers,
            consents=case.papers.consents,
            replaced=case.papers.replaced,
            appended=case.appended,
        )
        if isinstance(answer, Reason):
            counted[index, answer] += 1
        else:
            decided.append((index, answer))
    return decided, counted


def compiled(papers: reference.Papers) -> Papers:
    return Papers(papers.dossiers, papers.consents, papers.replaced) if any(astuple(papers)) else NO_PAPERS


def encoded(
    engine: Engine, values: dict[str, str | None], encode: Callable[[str, str | None], bytes]
) -> tuple[bytes, ...]:
    return tuple(encode(path, values[path]) for path in engine.paths)


def assert_reconsidered(engine: Engine, batch: Batch, case: Case, known: reference.Known, previous: Previous) -> None:
    """Without a record: papers that came and went since, and the day."""
    standings = {standing.agreement.id: standing for standing in case.standings}
    told = Told(compiled(case.told), milliseconds(case.then))
    for plan in engine.plans:
        standing = standings[plan.agreement.id]
        for aging in (False, True):
            asked = reference.reconsider(
                standing, known, told=case.told, then=case.then, papers=case.papers, now=case.now, aging=aging
            )
            assert batch.reconsider(plan, previous, told, compiled(case.papers), aging=aging) == asked


def assert_introduced(engine: Engine, case: Case, known: reference.Known, previous: Previous) -> None:
    """Without a record: agreements that came into force since."""
    standings = {standing.agreement.id: standing for standing in case.standings}
    found = dict(
        engine.batch(milliseconds(case.now)).introduce(previous, compiled(case.papers), milliseconds(case.appended))
    )
    for plan in engine.plans:
        asked = reference.introduce(
            standings[plan.agreement.id], known, papers=case.papers, now=case.now, appended=case.appended
        )
        assert found.get(plan.index) == asked
        if asked is not None and not plan.agreement.population.dossiers and not plan.agreement.population.consent:
            assert plan.start > previous.at or previous.at < engine.newest


def assert_equal(engine: Engine, cases: list[Case], encode: Callable[[str, str | None], bytes], dice: Dice) -> None:
    """One batch per instant, as a lane does; its counts are those of all its records."""
    for now in sorted({case.now for case in cases}, key=lambda _: dice.random.random()):
        batch = engine.batch(milliseconds(now))
        totals: Counter[tuple[int, Reason]] = Counter()
        records = receipted = 0
        for case in (case for case in cases if case.now == now):
            kind = dice.random.choice(RECORD_KINDS)
            decided, counted = expected(case, kind)
            before = case.before
            previous = (
                None
                if before is None
                else Previous(encoded(engine, dict(before.values), encode), milliseconds(before.at))
            )
            after = None if case.after is None else encoded(engine, case.after, encode)
            got = batch.decide(previous, after, kind, compiled(case.papers), milliseconds(case.appended))
            assert list(got) == decided
            if previous is not None and before is not None:
                assert_reconsidered(engine, batch, case, before, previous)
                assert_introduced(engine, case, before, previous)
            totals += counted
            records += 1
            receipted += len(decided)
        lacking = {index: number for (index, reason), number in totals.items() if reason is Reason.NO_DOSSIER}
        outside = sum(number for (_, reason), number in totals.items() if reason is Reason.OUTSIDE_POPULATION)
        assert batch.counts() == Counts(records, receipted, lacking, outside)


def decide_as_specified(seed: int, sizes: Sequence[int], schema: Any, encode: Any) -> None:
    """Ten records, and their subjects without one, under a set of agreements."""
    dice = Dice(random.Random(seed))
    standings = tuple(dice.standing(number) for number in range(dice.random.choice(sizes)))
    engine = compile_engine(standings, schema, encode)
    assert_equal(engine, [dice.case(standings) for _ in range(10)], encode, dice)


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**63))
def test_generated_sets_of_agreements_decide_as_specified(seed: int, schema: Any, encode: Any) -> None:
    """2,000 cases."""
    decide_as_specified(seed, (1, 2, 3, 5, 10, 50), schema, encode)


@pytest.mark.long
@pytest.mark.timeout(1200)
@settings(max_examples=2_000, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**63))
def test_many_generated_sets_of_agreements_decide_as_specified(seed: int, schema: Any, encode: Any) -> None:
    """20,000 cases under up to 200 agreements."""
    decide_as_specified(seed, (1, 2, 5, 10, 50, 200), schema, encode)


def answered(case: Case) -> Iterator[str]:
    """What the specification says in a case, with and without a record."""
    decided, counted = expected(case, Kind.CHANGED)
    yield from (reason for _, reason in counted)
    for _, decision in decided:
        yield _named(decision)
        if isinstance(decision, Release) and decision.without:
            yield "without"
    for standing in case.standings if case.before else ():
        told = {"told": case.told, "then": case.then, "papers": case.papers, "now": case.now}
        answer = reference.reconsider(standing, case.before, **told) if standing.in_force else None
        if answer is not None:
            yield f"told {_named(answer)}"
        told = (
            reference.introduce(standing, case.before, papers=case.papers, now=case.now) if standing.in_force else None
        )
        if told is not None:
            yield f"introduced {_named(told)}"


def _named(decision: Decision) -> str:
    return decision.reason if isinstance(decision, Withhold) else decision.departure or decision.kind


def test_what_is_generated_reaches_every_answer() -> None:
    """Equal engines prove nothing about an answer that no case brings about."""
    seen: set[str] = set()
    for seed in range(400):
        dice = Dice(random.Random(seed))
        standings = tuple(dice.standing(number) for number in range(10))
        for _ in range(10):
            seen.update(answered(dice.case(standings)))
    alone = {
        "initial",
        "changed",
        "DOSSIER_ENDED",
        "CONSENT_ENDED",
        "NO_CONSENT",
        "SUSPENDED",
        "REVOKED",
        "NOT_IN_TERM",
    }
    kinds = {
        "initial",
        "changed",
        "RECORD_CHANGED",
        "DELETED",
        "told REPLACED",
        "without",
        "told ABOVE_CEILING",
    }
    introduced = {f"introduced {answer}" for answer in ("initial", "changed", "AMENDED")}
    assert seen >= set(Reason) | kinds | introduced | {f"told {answer}" for answer in alone}


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(source=st.randoms(use_true_random=False), size=st.integers(1, 4))
def test_small_sets_that_shrink_decide_as_specified(source: random.Random, size: int, schema: Any, encode: Any) -> None:
    dice = Dice(source)
    standings = tuple(dice.standing(number) for number in range(size))
    engine = compile_engine(standings, schema, encode)
    assert_equal(engine, [dice.case(standings) for _ in range(2)], encode, dice)
