"""Golden cases, each asked of the specification and of the compiled engine."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.model.agreement import (
    Agreement,
    Dossier,
    Equals,
    Instrument,
    LegalBasis,
    Population,
    ReleasedField,
    State,
    Term,
    Transform,
)
from broker.model.decision import Decision, Departure, Kind, Reason, Release, Withhold
from broker.policy import reference
from broker.policy.calendar import milliseconds
from broker.policy.compiler import compile_engine
from broker.policy.engine import Previous
from broker.policy.papers import NO_PAPERS, Papers, Told
from broker.policy.standing import Standing

GENT, LEUVEN, OOSTENDE = "44021", "24062", "35013"
JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
MONDAY = datetime(2026, 6, 1, 9, tzinfo=UTC)
TUESDAY = MONDAY + timedelta(days=1)


def agreement(
    identifier: str, population: Population, *transforms: Transform, end: datetime | None = None
) -> Agreement:
    fields = tuple(
        ReleasedField("geboorte.datum", transform, "nodig", None if transform is Transform.KEEP else transform.value)
        for transform in transforms or (Transform.KEEP,)
    )
    basis = LegalBasis(Instrument.PROTOCOL_VL, "FICTIEF-1", "6.1.e", "tekst")
    return Agreement(
        identifier,
        1,
        "",
        "rijksregister",
        "persoon.v1",
        "stad",
        "doel",
        (basis,),
        fields,
        population,
        Term(JANUARY, end),
    )


def inhabitants(identifier: str, nis: str) -> Agreement:
    return agreement(identifier, Population(Equals("adres.gemeente.nis", (nis,))))


def person(nis: str, born: str | None = "2001-01-01") -> dict[str, str | None]:
    return {"adres.gemeente.nis": nis, "geboorte.datum": born}


def dossier(identifier: str, reference: str, begin: datetime, end: datetime | None = None) -> Dossier:
    return Dossier(identifier, b"", "801", reference, begin, end, begin)


@dataclass
class Decider:
    """Asks both, insists that they agree, and hands back one answer per agreement."""

    schema: Any
    encode: Callable[[str, str | None], bytes]

    def __call__(
        self,
        *standings: Standing,
        before: dict[str, str | None] | None,
        after: dict[str, str | None] | None,
        then: datetime = MONDAY,
        now: datetime = TUESDAY,
        kind: Kind = Kind.CHANGED,
        dossiers: tuple[Dossier, ...] = (),
    ) -> dict[str, Decision | Reason]:
        engine = compile_engine(standings, self.schema, self.encode)

        def encoded(values: dict[str, str | None]) -> tuple[bytes, ...]:
            return tuple(self.encode(path, values[path]) for path in engine.paths)

        known = None if before is None else reference.Known(before, then)
        specified = {
            standing.agreement.id: reference.decide(standing, known, after, kind=kind, now=now, dossiers=dossiers)
            for standing in standings
        }
        previous = None if before is None else Previous(encoded(before), milliseconds(then))
        values = None if after is None else encoded(after)
        papers = Papers(dossiers) if dossiers else NO_PAPERS
        compiled = engine.decide(previous, values, kind, milliseconds(now), papers)
        assert {decision.agreement: decision for _, decision in compiled} == {
            key: answer for key, answer in specified.items() if not isinstance(answer, Reason)
        }
        return specified

    def reconsider(
        self,
        standing: Standing,
        values: dict[str, str | None],
        *,
        told: Papers = NO_PAPERS,
        papers: Papers = NO_PAPERS,
        then: datetime = MONDAY,
        now: datetime = TUESDAY,
        decided: datetime = MONDAY,
        aging: bool = False,
    ) -> Decision | None:
        """Of a subject whose last record was decided at `decided`, and of whose papers the agency was last told `then`."""
        engine = compile_engine([standing], self.schema, self.encode)
        specified = reference.reconsider(
            standing,
            reference.Known(values, decided),
            told=reference.Papers(*told),
            then=then,
            papers=reference.Papers(*papers),
            now=now,
            aging=aging,
        )
        known = Previous(tuple(self.encode(path, values[path]) for path in engine.paths), milliseconds(decided))
        batch = engine.batch(milliseconds(now))
        (plan,) = engine.plans
        assert batch.reconsider(plan, known, Told(told, milliseconds(then)), papers, aging=aging) == specified
        return specified


@pytest.fixture
def decide(schema: Any, encode: Any) -> Decider:
    return Decider(schema, encode)


def active(value: Agreement) -> Standing:
    return Standing(value, State.ACTIVE, JANUARY)


def test_a_move_between_municipalities_is_a_departure_for_one_and_the_full_state_for_the_other(decide: Decider) -> None:
    gent, leuven, oostende = inhabitants("gent", GENT), inhabitants("leuven", LEUVEN), inhabitants("oostende", OOSTENDE)
    got = decide(active(gent), active(leuven), active(oostende), before=person(GENT), after=person(LEUVEN))
    assert got == {
        "gent": Release("gent", Kind.LEFT_POPULATION, None, Departure.RECORD_CHANGED),
        "leuven": Release("leuven", Kind.INITIAL),
        "oostende": Reason.OUTSIDE_POPULATION,
    }


def test_the_move_back_is_again_a_departure_and_a_full_state(decide: Decider) -> None:
    gent, leuven = inhabitants("gent", GENT), inhabitants("leuven", LEUVEN)
    got = decide(active(gent), active(leuven), before=person(LEUVEN), after=person(GENT))
    assert got["gent"] == Release("gent", Kind.INITIAL)
    assert got["leuven"] == Release("leuven", Kind.LEFT_POPULATION, None, Departure.RECORD_CHANGED)


@pytest.mark.parametrize("kind", [Kind.CHANGED, Kind.CORRECTED, Kind.SNAPSHOT, Kind.ENDED])
def test_an_inhabitant_who_stays_is_delivered_under_the_records_own_kind(decide: Decider, kind: Kind) -> None:
    got = decide(active(inhabitants("gent", GENT)), before=person(GENT), after=person(GENT), kind=kind)
    assert got == {"gent": Release("gent", kind)}


def test_the_first_record_is_the_full_state_whatever_it_says_of_itself(decide: Decider) -> None:
    got = decide(active(inhabitants("gent", GENT)), before=None, after=person(GENT), kind=Kind.CORRECTED)
    assert got == {"gent": Release("gent", Kind.INITIAL)}


def test_a_deletion_tells_the_agency_once_and_only_the_agency_that_had_the_subject(decide: Decider) -> None:
    gent, leuven = active(inhabitants("gent", GENT)), active(inhabitants("leuven", LEUVEN))
    assert decide(gent, leuven, before=person(GENT), after=None) == {
        "gent": Release("gent", Kind.LEFT_POPULATION, None, Departure.DELETED),
        "leuven": Reason.OUTSIDE_POPULATION,
    }
    assert decide(gent, before=None, after=None) == {"gent": Reason.OUTSIDE_POPULATION}


def test_only_persons_on_file_are_delivered_and_under_the_agencys_own_reference(decide: Decider) -> None:
    parking = active(agreement("parkeren", Population(dossiers=True), Transform.KEEP, Transform.OWN_REFERENCE))
    nobody = decide(parking, before=person(GENT), after=person(GENT))
    assert nobody == {"parkeren": Reason.NO_DOSSIER}
    other = (dossier("elders", "E-1", JANUARY),)
    assert decide(parking, before=person(GENT), after=person(GENT), dossiers=other) == {"parkeren": Reason.NO_DOSSIER}
    files = (dossier("parkeren", "P-2", JANUARY + timedelta(days=2)), dossier("parkeren", "P-9", JANUARY))
    on_file = decide(parking, before=person(GENT), after=person(GENT), dossiers=files)
    assert on_file == {"parkeren": Release("parkeren", Kind.CHANGED, "P-9")}


def test_a_file_that_opens_brings_the_present_state_and_the_next_record_is_a_change(decide: Decider) -> None:
    parking = active(agreement("parkeren", Population(dossiers=True)))
    opened = (dossier("parkeren", "P-1", MONDAY + timedelta(hours=1)),)
    told = decide.reconsider(parking, person(GENT), papers=Papers(opened))
    assert told == Release("parkeren", Kind.INITIAL, "P-1")
    assert decide.reconsider(parking, person(GENT), told=Papers(opened), papers=Papers(opened), then=TUESDAY) is None
    got = decide(parking, before=person(GENT), after=person(GENT), dossiers=opened)
    assert got == {"parkeren": Release("parkeren", Kind.CHANGED, "P-1")}


def test_a_file_opened_before_the_agreement_was_activated_brings_the_full_state_with_a_record(decide: Decider) -> None:
    parking = Standing(agreement("parkeren", Population(dossiers=True)), State.ACTIVE, MONDAY + timedelta(hours=2))
    opened = (dossier("parkeren", "P-1", MONDAY + timedelta(hours=1)),)
    got = decide(parking, before=person(GENT), after=person(GENT), dossiers=opened)
    assert got == {"parkeren": Release("parkeren", Kind.INITIAL, "P-1")}


def test_a_file_is_not_open_before_it_was_registered_even_if_it_says_it_began_earlier(decide: Decider) -> None:
    parking = active(agreement("parkeren", Population(dossiers=True)))
    late = replace(dossier("parkeren", "P-1", JANUARY), registered=TUESDAY + timedelta(hours=1))
    got = decide(parking, before=person(GENT), after=person(GENT), dossiers=(late,))
    assert got == {"parkeren": Reason.NO_DOSSIER}


def test_a_file_that_ends_is_a_departure_with_the_reference_it_had_then_silence(decide: Decider) -> None:
    parking = active(agreement("parkeren", Population(dossiers=True)))
    opened = Papers((dossier("parkeren", "P-1", JANUARY),))
    ended = Papers((dossier("parkeren", "P-1", JANUARY, MONDAY + timedelta(hours=1)),))
    left = Release("parkeren", Kind.LEFT_POPULATION, "P-1", Departure.DOSSIER_ENDED)
    assert decide.reconsider(parking, person(GENT), told=opened, papers=ended) == left
    assert decide.reconsider(parking, person(GENT), told=ended, papers=ended) == left  # its period ended by itself
    again = decide(parking, before=person(GENT), after=person(GENT), dossiers=ended.dossiers)
    assert again == {"parkeren": Reason.NO_DOSSIER}


def test_a_second_file_that_opens_or_closes_beside_the_first_changes_nothing(decide: Decider) -> None:
    parking = active(agreement("parkeren", Population(dossiers=True)))
    first, second = dossier("parkeren", "P-1", JANUARY), dossier("parkeren", "P-2", MONDAY)
    assert decide.reconsider(parking, person(GENT), told=Papers((first,)), papers=Papers((first, second))) is None
    assert decide.reconsider(parking, person(GENT), told=Papers((first, second)), papers=Papers((second,))) is None


def test_a_file_on_a_subject_outside_the_where_tells_nothing(decide: Decider) -> None:
    here = active(agreement("hier", Population(Equals("adres.gemeente.nis", (GENT,)), dossiers=True)))
    opened = Papers((dossier("hier", "H-1", MONDAY + timedelta(hours=1)),))
    assert decide.reconsider(here, person(LEUVEN), papers=opened) is None


def test_an_expired_term_withholds_the_population_and_counts_the_rest(decide: Decider) -> None:
    expired = replace(inhabitants("gent", GENT), term=Term(JANUARY, MONDAY - timedelta(days=1)))
    got = decide(active(expired), before=person(GENT), after=person(GENT))
    assert got == {"gent": Withhold("gent", Reason.NOT_IN_TERM)}
    assert decide(active(expired), before=None, after=person(LEUVEN)) == {"gent": Reason.OUTSIDE_POPULATION}


def test_the_end_of_a_term_is_the_first_instant_outside_it(decide: Decider) -> None:
    until = replace(inhabitants("gent", GENT), term=Term(JANUARY, TUESDAY))
    millisecond = timedelta(milliseconds=1)
    last = decide(active(until), before=person(GENT), after=person(GENT), now=TUESDAY - millisecond)
    assert last == {"gent": Release("gent", Kind.CHANGED)}
    assert decide(active(until), before=person(GENT), after=person(GENT), now=TUESDAY) == {
        "gent": Withhold("gent", Reason.NOT_IN_TERM)
    }


@pytest.mark.parametrize(
    ("standing", "reason"),
    [
        (Standing(inhabitants("gent", GENT), State.SUSPENDED, JANUARY), Reason.SUSPENDED),
        (Standing(inhabitants("gent", GENT), State.REVOKED, JANUARY, above_ceiling=True), Reason.REVOKED),
        (Standing(inhabitants("gent", GENT), State.ENDED, JANUARY), Reason.NOT_IN_TERM),
        (Standing(inhabitants("gent", GENT), State.ACTIVE, JANUARY, above_ceiling=True), Reason.ABOVE_CEILING),
    ],
)
def test_what_may_not_be_delivered_is_withheld_also_for_who_leaves(
    decide: Decider, standing: Standing, reason: Reason
) -> None:
    for before, after in ((person(GENT), person(GENT)), (None, person(GENT)), (person(GENT), person(LEUVEN))):
        assert decide(standing, before=before, after=after) == {"gent": Withhold("gent", reason)}


def test_an_agreement_that_is_only_requested_decides_nothing(schema: Any, encode: Any) -> None:
    requested = Standing(inhabitants("gent", GENT), State.REQUESTED)
    engine = compile_engine([requested], schema, encode)
    assert engine.plans == ()
    assert engine.decide(None, (), Kind.ADDED, milliseconds(MONDAY)) == ()


def test_subjects_known_before_activation_arrive_as_full_state(decide: Decider) -> None:
    standing = Standing(inhabitants("gent", GENT), State.ACTIVE, MONDAY + timedelta(hours=1))
    got = decide(standing, before=person(GENT), after=person(GENT))
    assert got == {"gent": Release("gent", Kind.INITIAL)}


YOUTH = agreement("jeugd", Population(dossiers=True), Transform.ADULT, Transform.OWN_REFERENCE)
YOUTH_FILE = (dossier("jeugd", "J-1", JANUARY),)


def test_an_attestation_is_not_repeated_while_its_answer_stays(decide: Decider) -> None:
    minor = person(GENT, "2010-01-01")
    got = decide(active(YOUTH), before=minor, after=minor, dossiers=YOUTH_FILE)
    assert got == {"jeugd": Withhold("jeugd", Reason.UNCHANGED_ANSWER)}


def test_an_eighteenth_birthday_is_told_at_midnight_in_belgium_and_not_again_with_a_record(decide: Decider) -> None:
    born, youth, files = person(GENT, "2008-06-02"), active(YOUTH), Papers(YOUTH_FILE)
    evening = datetime(2026, 6, 1, 21, 59, tzinfo=UTC)
    midnight = evening + timedelta(minutes=1)
    assert decide.reconsider(youth, born, told=files, papers=files, now=evening, aging=True) is None
    told = decide.reconsider(youth, born, told=files, papers=files, then=evening, now=midnight, aging=True)
    assert told == Release("jeugd", Kind.CHANGED, "J-1")
    after_midnight = decide(youth, before=born, after=born, now=midnight, dossiers=YOUTH_FILE)
    assert after_midnight == {"jeugd": Withhold("jeugd", Reason.UNCHANGED_ANSWER)}


def test_an_amended_attestation_is_answered_once_more_though_no_answer_changed(decide: Decider) -> None:
    minor, amended = person(GENT, "2010-01-01"), MONDAY + timedelta(hours=1)
    youth = Standing(YOUTH, State.ACTIVE, JANUARY, amended_at=amended)
    first = decide(youth, before=minor, after=minor, then=MONDAY, dossiers=YOUTH_FILE)
    assert first == {"jeugd": Release("jeugd", Kind.CHANGED, "J-1")}
    again = decide(youth, before=minor, after=minor, then=amended, dossiers=YOUTH_FILE)
    assert again == {"jeugd": Withhold("jeugd", Reason.UNCHANGED_ANSWER)}


def test_whoever_was_never_told_of_a_subject_is_not_told_of_its_birthday(decide: Decider) -> None:
    late = Standing(YOUTH, State.ACTIVE, MONDAY + timedelta(hours=1))
    born, files = person(GENT, "2008-06-02"), Papers(YOUTH_FILE)
    assert decide.reconsider(late, born, told=files, papers=files, then=MONDAY, aging=True) is None


@pytest.mark.parametrize("state", [State.SUSPENDED, State.REVOKED, State.ENDED])
def test_what_may_not_be_delivered_is_withheld_without_a_record_too(decide: Decider, state: State) -> None:
    standing = Standing(agreement("parkeren", Population(dossiers=True)), state, JANUARY)
    opened = Papers((dossier("parkeren", "P-1", MONDAY + timedelta(hours=1)),))
    assert isinstance(decide.reconsider(standing, person(GENT), papers=opened), Withhold)
    assert isinstance(decide.reconsider(standing, person(GENT), told=opened, then=TUESDAY), Withhold)


def test_a_corrected_birth_date_is_delivered_only_if_it_changes_the_answer(decide: Decider) -> None:
    minor, younger, adult = (person(GENT, born) for born in ("2010-01-01", "2011-05-05", "2001-01-01"))
    same = decide(active(YOUTH), before=minor, after=younger, kind=Kind.CORRECTED, dossiers=YOUTH_FILE)
    assert same == {"jeugd": Withhold("jeugd", Reason.UNCHANGED_ANSWER)}
    changed = decide(active(YOUTH), before=minor, after=adult, kind=Kind.CORRECTED, dossiers=YOUTH_FILE)
    assert changed == {"jeugd": Release("jeugd", Kind.CORRECTED, "J-1")}


def test_an_answer_beside_other_fields_is_no_attestation(decide: Decider) -> None:
    mixed = agreement("mix", Population(), Transform.ADULT, Transform.KEEP)
    minor = person(GENT, "2010-01-01")
    assert decide(active(mixed), before=minor, after=minor) == {"mix": Release("mix", Kind.CHANGED)}
