"""`compare` against brute force: over every record of a small universe it finds what is wider, and shows a record of it."""

import itertools
import json
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from broker.errors import Invalid
from broker.model.agreement import (
    EVERYONE,
    Agreement,
    AllOf,
    AnyOf,
    Constraint,
    Equals,
    Population,
    Prefix,
    Range,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.decision import RECORD_KINDS
from broker.policy import reference
from broker.policy.compare import Comparison, Counterexample, Side, Verdict, compare, narrows
from broker.policy.grains import Grain, grains, tells
from broker.schema import dates
from broker.schema.avro import Schema, load_schema

START = datetime(2026, 1, 1, tzinfo=UTC)
INSTANTS = tuple(START + timedelta(days=day) for day in range(5))

Record = Mapping[str, str | None]
Point = tuple[Record, datetime, bool, bool]


def _field(name: str, type_: object, **attributes: object) -> dict[str, object]:
    return {
        "name": name,
        "type": type_,
        "iri": f"https://example.org/{name}",
        "doc": name,
        "class": "identifying",
    } | attributes


def small_schema() -> Schema:
    """Two texts (one nullable, one in a group that may be absent), an enumeration beside it, a number and a flag."""
    group = {
        "type": "record",
        "name": "Adres",
        "fields": [
            _field("nis", "string"),
            _field("soort", {"type": "enum", "name": "Soort", "symbols": ["hoofd", "referentie"]}),
        ],
    }
    head = [
        _field("kind", {"type": "enum", "name": "Kind", "symbols": [kind.value for kind in RECORD_KINDS]}),
        _field("validFrom", ["null", "string"], default=None),
        _field("validTo", ["null", "string"], default=None),
        _field("recordedAt", "string"),
        _field("corrects", ["null", "string"], default=None),
    ]
    for field in head:
        field["class"] = "public"
    document = {
        "type": "record",
        "name": "Ding",
        "namespace": "be.test",
        "product": "ding.v1",
        "iri": "https://example.org/Ding",
        "doc": "Ding",
        "fields": [
            *head,
            _field("iri", "string", subject="principal"),
            _field("naam", ["null", "string"]),
            _field("geboorte", "string"),
            _field("adres", ["null", group]),
            _field("aantal", "int"),
            _field("actief", "boolean"),
            _field("tags", {"type": "array", "items": "string"}),
        ],
    }
    return load_schema(json.dumps(document))


SCHEMA = small_schema()

# Every text of at most two of these: with mentioned texts of at most one of "a", "b", there is one in every gap.
TEXTS = tuple("".join(letters) for size in range(3) for letters in itertools.product("0abc", repeat=size))
NAMES = (*TEXTS, None)
PLACES: tuple[tuple[str | None, str | None], ...] = (
    (None, None),
    *itertools.product(("0", "a", "a0", "b", "c"), ("hoofd", "referentie")),
)
COUNTS = ("0", "1", "2")


def universe() -> Iterator[Record]:
    for name, (nis, kind), number in itertools.product(NAMES, PLACES, COUNTS):
        yield {"naam": name, "adres.nis": nis, "adres.soort": kind, "aantal": number}


UNIVERSE = tuple(universe())


class Dice:
    """Generator of agreements, and of edits of one."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def test(self) -> Constraint:
        pick = self.random.choice
        form = pick(("equals", "equals", "range", "prefix"))
        path = pick(("naam", "naam", "adres.nis"))
        if form == "range":
            return Range(path, pick((None, "a", "b", "")), pick((None, "a", "b")))
        if form == "prefix":
            return Prefix(path, pick(("a", "b")))
        path = pick(("naam", "adres.nis", "adres.soort", "aantal"))
        accepted = {"adres.soort": ("hoofd", "referentie", "ander"), "aantal": ("0", "1", "01")}.get(path, ("a", "b"))
        return Equals(path, tuple(pick(accepted) for _ in range(pick((1, 2)))))

    def where(self, depth: int = 2) -> Constraint:
        form = self.random.choice(("test", "test", "all", "any"))
        if form == "test" or not depth:
            return self.test()
        parts = tuple(self.where(depth - 1) for _ in range(self.random.randrange(4)))
        return AllOf(parts) if form == "all" else AnyOf(parts)

    def edited(self, where: Constraint) -> Constraint:
        """The constraint with one thing changed."""
        change = self.random.choice(("and", "or", "replace", "drop"))
        if change == "and":
            return AllOf((where, self.test()))
        if change == "or":
            return AnyOf((where, self.test()))
        if change == "replace" or not isinstance(where, AllOf | AnyOf) or not where.parts:
            return self.where()
        place = self.random.randrange(len(where.parts))
        parts = (*where.parts[:place], *where.parts[place + 1 :])
        return AllOf(parts) if isinstance(where, AllOf) else AnyOf(parts)

    def fields(self) -> tuple[ReleasedField, ...]:
        offers = (
            ReleasedField("naam", Transform.KEEP, ""),
            ReleasedField("naam", Transform.PSEUDONYM, "", "p"),
            ReleasedField("geboorte", Transform.YEAR, "", "jaar"),
            ReleasedField("geboorte", Transform.DECADE, "", "decennium"),
            ReleasedField("aantal", Transform.BAND, "", "band", ("1", "2")),
            ReleasedField("aantal", Transform.BAND, "", "ruw", ("2",)),
            ReleasedField("adres.nis", Transform.LIVES_IN, "", "hier", ("a",)),
        )
        return tuple(self.random.sample(offers, self.random.choice((1, 2, 2, 3))))

    def term(self) -> Term:
        start = self.random.choice(INSTANTS)
        return Term(start, self.random.choice((None, None, start + timedelta(days=self.random.randrange(3)))))

    def agreement(self) -> Agreement:
        return Agreement(
            id="a",
            version=1,
            title="",
            source="bron",
            product="ding.v1",
            agency="dienst",
            purpose="doel",
            bases=(),
            fields=self.fields(),
            population=Population(
                self.random.choice((EVERYONE, self.where(), self.where())),
                dossiers=self.random.random() < 0.3,
                consent=self.random.random() < 0.2,
            ),
            term=Term(INSTANTS[1], self.random.choice((None, INSTANTS[3]))),
        )

    def pair(self) -> tuple[Agreement, Agreement]:
        old = self.agreement()
        new, population = old, old.population
        for _ in range(self.random.choice((0, 1, 1, 1, 2, 2))):
            match self.random.choice(("fields", "where", "where", "where", "dossiers", "consent", "term")):
                case "fields":
                    new = replace(new, fields=self.fields())
                case "where":
                    population = replace(population, where=self.edited(population.where))
                case "dossiers":
                    population = replace(population, dossiers=not population.dossiers)
                case "consent":
                    population = replace(population, consent=not population.consent)
                case "term":
                    new = replace(new, term=self.term())
        return old, replace(new, population=population)


def _told(agreement: Agreement, point: Point) -> Mapping[str, frozenset[Grain]] | None:
    """What the agreement releases there, None for nothing."""
    record, instant, dossier, consent = point
    population = agreement.population
    released = (
        reference.holds(population.where, record)
        and (dossier or not population.dossiers)
        and (consent or not population.consent)
    )
    return grains(agreement) if released and agreement.term.holds(instant) else None


def _at_most(one: Mapping[str, frozenset[Grain]] | None, other: Mapping[str, frozenset[Grain]] | None) -> bool:
    if one is None:
        return True
    return other is not None and all(
        tells(other.get(path, frozenset()), grain, text=path in {"naam", "geboorte", "adres.nis"})
        for path, held in one.items()
        for grain in held
    )


def brute_force(old: Agreement, new: Agreement) -> Verdict:
    # Records on which the two populations answer alike cannot be told apart by what follows.
    classes = {
        (reference.holds(old.population.where, record), reference.holds(new.population.where, record)): record
        for record in UNIVERSE
    }
    wider = narrower = False
    for record in classes.values():
        for instant, dossier, consent in itertools.product(INSTANTS, (False, True), (False, True)):
            point = record, instant, dossier, consent
            before, after = _told(old, point), _told(new, point)
            wider = wider or not _at_most(after, before)
            narrower = narrower or not _at_most(before, after)
    return {
        (False, False): Verdict.EQUAL,
        (True, False): Verdict.WIDER,
        (False, True): Verdict.NARROWER,
        (True, True): Verdict.INCOMPARABLE,
    }[wider, narrower]


def _is_a_witness(example: Counterexample, old: Agreement, new: Agreement) -> bool:
    mine, other = (new, old) if example.only is Side.NEW else (old, new)
    point = example.record, example.instant, example.dossier, example.consent
    told = _told(mine, point)
    return told is not None and not _at_most(told, _told(other, point))


def _can_exist(record: Record) -> bool:
    below = [value for path, value in record.items() if path.startswith("adres.")]
    present = all(record[path] is not None for path in record if path != "naam" and not path.startswith("adres."))
    return present and len({value is None for value in below}) < 2


@pytest.mark.parametrize("seed", range(500))
def test_the_verdict_is_that_of_brute_force_and_every_example_is_one(seed: int) -> None:
    old, new = Dice(seed).pair()
    found = compare(old, new, SCHEMA)
    assert found.verdict is brute_force(old, new)
    sides = {example.only for example in found.counterexamples}
    assert (Side.NEW in sides) == (found.verdict in {Verdict.WIDER, Verdict.INCOMPARABLE})
    assert (Side.OLD in sides) == (found.verdict in {Verdict.NARROWER, Verdict.INCOMPARABLE})
    assert all(_is_a_witness(example, old, new) and _can_exist(example.record) for example in found.counterexamples)
    assert narrows(old, new, SCHEMA) == (found.verdict in {Verdict.EQUAL, Verdict.NARROWER})


def test_the_pairs_reach_every_verdict() -> None:
    verdicts = [compare(*Dice(seed).pair(), SCHEMA).verdict for seed in range(500)]
    assert min(verdicts.count(verdict) for verdict in Verdict) > 20


def _agreement(where: Constraint = EVERYONE, *fields: ReleasedField) -> Agreement:
    return replace(
        Dice(1).agreement(),
        fields=fields or (ReleasedField("naam", Transform.KEEP, ""),),
        population=Population(where),
        term=Term(START, None),
    )


def _compared(old: Constraint, new: Constraint) -> Comparison:
    keep = tuple(ReleasedField(path, Transform.KEEP, "") for path in ("naam", "geboorte", "adres.nis", "aantal"))
    return compare(_agreement(old, *keep), _agreement(new, *keep), SCHEMA)


def test_a_prefix_is_the_texts_between_it_and_its_successor() -> None:
    prefix = Prefix("naam", "a")
    assert _compared(prefix, Range("naam", "a", "b")).verdict is Verdict.WIDER  # by "b" itself
    assert _compared(prefix, AllOf((Range("naam", "a", "b"), Prefix("naam", "a")))).verdict is Verdict.EQUAL
    last = "\U0010ffff"
    assert _compared(Range("naam", last, None), Prefix("naam", last)).verdict is Verdict.EQUAL


def test_texts_between_neighbours_in_code_point_order_do_not_exist() -> None:
    covered = AnyOf((Range("naam", None, "a"), Range("naam", "a\0", None)))
    everything = Range("naam", None, None)
    assert _compared(everything, covered).verdict is Verdict.EQUAL
    assert _compared(everything, AnyOf((Range("naam", None, "a"), Range("naam", "aa", None)))).verdict is (
        Verdict.NARROWER
    )


def test_code_points_after_the_surrogates_follow_those_before() -> None:
    assert _compared(Range("naam", "\ud7ff", "\ue000"), Prefix("naam", "\ud7ff")).verdict is Verdict.NARROWER


def test_a_group_is_absent_as_a_whole() -> None:
    nis, soort = Range("adres.nis", None, None), Equals("adres.soort", ("hoofd", "referentie"))
    assert compare(_agreement(AllOf((nis, soort))), _agreement(AnyOf((nis, soort))), SCHEMA).verdict is Verdict.EQUAL


def test_an_absent_value_is_the_example_where_only_that_differs() -> None:
    found = _compared(Range("naam", None, None), AnyOf((Range("naam", None, None), EVERYONE)))
    (example,) = found.counterexamples
    assert (found.verdict, example.clause, example.record) == (Verdict.WIDER, "population.where", {"naam": None})


def test_all_values_of_an_enumeration_are_everyone_and_a_number_has_others() -> None:
    both = AnyOf(tuple(Equals("actief", (text,)) for text in ("true", "false")))
    assert compare(_agreement(AllOf((both, EVERYONE))), _agreement(both), SCHEMA).verdict is Verdict.EQUAL
    more = compare(
        _agreement(Equals("aantal", ("0", "1"))), _agreement(AnyOf((Equals("aantal", ("0",)), both))), SCHEMA
    )
    wider = next(example for example in more.counterexamples if example.clause == "population.where")
    assert wider.record["aantal"] not in {"0", "1"}


def test_an_example_reads_like_a_record() -> None:
    found = _compared(Range("geboorte", "2000-01-01", None), Range("geboorte", "1990-01-01", None))
    (example,) = found.counterexamples
    assert example.record == {"geboorte": "1990-01-01"}
    found = _compared(Equals("adres.nis", ("44021",)), Prefix("adres.nis", "4402"))
    assert found.counterexamples[0].record == {"adres.nis": "4402"}


def test_selecting_on_a_new_path_tells_something_of_it() -> None:
    old, new = _agreement(), _agreement(Equals("aantal", ("1",)))
    found = compare(old, new, SCHEMA)
    assert found.verdict is Verdict.INCOMPARABLE
    assert [(example.only, example.clause) for example in found.counterexamples] == [
        (Side.NEW, "fields"),
        (Side.OLD, "population.where"),
    ]
    assert [(path, str(grain)) for path, grain in found.counterexamples[0].released] == [("aantal", "selects")]
    known = ReleasedField("aantal", Transform.KEEP, "")
    assert compare(_agreement(EVERYONE, known), _agreement(Equals("aantal", ("1",)), known), SCHEMA).verdict is (
        Verdict.NARROWER
    )


def test_clauses_beside_the_release_are_listed() -> None:
    found = compare(_agreement(), replace(_agreement(), retention_days=3, agency="ander"), SCHEMA)
    assert (found.verdict, found.beside) == (Verdict.EQUAL, ("agency", "retention_days"))


def test_what_cannot_be_compared_is_refused() -> None:
    for other in (
        replace(_agreement(), product="ander.v1"),
        _agreement(Equals("tags", ("x",))),
        _agreement(Equals("bestaat.niet", ("x",))),
        _agreement(Prefix("aantal", "1")),
    ):
        with pytest.raises(Invalid):
            compare(_agreement(), other, SCHEMA)
        assert not narrows(_agreement(), other, SCHEMA)


def test_what_makes_the_cases_too_many_is_refused_in_time() -> None:
    dice, paths = random.Random(7), ("naam", "geboorte", "adres.nis", "aantal")
    halves = [tuple(str(number) for number in range(40) if dice.random() < 0.5) for _ in range(600)]
    choices = zip(*[iter(halves)] * 4, strict=True)
    riddle = AllOf(tuple(AnyOf(tuple(map(Equals, paths, choice))) for choice in choices))
    with pytest.raises(Invalid, match="too many ways"):
        compare(_agreement(riddle), _agreement(riddle), SCHEMA)


def test_long_lists_of_values_are_compared() -> None:
    codes = tuple(f"{number:05}" for number in range(2000))
    each = AnyOf(tuple(Equals("adres.nis", (code,)) for code in codes))
    assert _compared(Equals("adres.nis", codes), each).verdict is Verdict.EQUAL
    assert _compared(Equals("adres.nis", codes), Equals("adres.nis", codes[:-1])).verdict is Verdict.NARROWER


DATES = (
    "2000-02-29",
    "2001-00-00",
    "2008-03-00",
    "2008-03-29",
    "1987-06-05",
    "1985-01-01",
    "1984-12-31",
    "tekst",
    None,
)
DAYS = ("2026-03-28", "2026-03-29", "2010-01-01", "2020-03-15")


def _answer(grain: Grain, value: str | None, on: str) -> object:
    """What is delivered of a date as text."""
    if value is None:
        return None
    match grain.how:
        case Transform.YEAR:
            return dates.year(value)
        case Transform.DECADE:
            return dates.decade(value)
        case Transform.AGE:
            return dates.aged(value, int(min(grain.arguments)), on)
        case Transform.BAND:
            return dates.age_band(value, tuple(sorted(map(int, grain.arguments))), on)
    return value in grain.arguments


def _determines(known: Collection[Grain], wanted: Grain, values: Iterable[str | None]) -> bool:
    """Whether values that look alike through `known` always look alike through `wanted`."""
    for on in DAYS:
        seen: dict[object, object] = {}
        for value in values:
            look = tuple(_answer(grain, value, on) for grain in known)
            if seen.setdefault(look, answer := _answer(wanted, value, on)) != answer:
                return False
    return True


def _grain(how: Transform, *arguments: str) -> Grain:
    return Grain(how.value, frozenset(arguments))


BIRTHS = (
    _grain(Transform.YEAR),
    _grain(Transform.DECADE),
    _grain(Transform.AGE, "18"),
    _grain(Transform.AGE, "25"),
    _grain(Transform.BAND, "18"),
    _grain(Transform.BAND, "18", "25"),
    _grain(Transform.BAND, "25", "40"),
    _grain(Transform.BAND, "18", "25", "40"),
)
HOMES = tuple(_grain(Transform.LIVES_IN, *codes) for codes in ("A", "B", "AB", "BC", "C", "ABC"))


@pytest.mark.parametrize("wanted", BIRTHS, ids=str)
def test_what_is_told_of_a_date_of_birth_is_what_can_be_worked_out(wanted: Grain) -> None:
    born = [
        f"{year}-{month:02}-{day:02}" for year in range(1980, 2012) for month in (0, 1, 3, 12) for day in (0, 15, 29)
    ]
    for known in itertools.chain(itertools.combinations(BIRTHS, 1), itertools.combinations(BIRTHS, 2)):
        told, determined = tells(known, wanted, text=True), _determines(known, wanted, [*born, *DATES])
        assert told == determined if len(known) == 1 else told <= determined


@pytest.mark.parametrize("wanted", HOMES, ids=str)
def test_what_is_told_of_a_municipality_is_what_can_be_worked_out(wanted: Grain) -> None:
    for known in itertools.chain(itertools.combinations(HOMES, 1), itertools.combinations(HOMES, 2)):
        assert tells(known, wanted, text=True) == _determines(known, wanted, ("A", "B", "C", "D"))


def test_finer_bands_of_a_number_tell_the_coarser() -> None:
    fine, coarse = _grain(Transform.BAND, "1", "2", "4"), _grain(Transform.BAND, "2")
    assert tells({fine}, coarse, text=False)
    assert not tells({coarse}, fine, text=False)
    assert tells({_grain(Transform.BAND, "1"), _grain(Transform.BAND, "2", "4")}, fine, text=False)


def test_the_value_tells_everything_and_a_pseudonym_only_itself() -> None:
    mine, other = _grain(Transform.PSEUDONYM, "gent/doel"), _grain(Transform.PSEUDONYM, "leuven/doel")
    assert tells({_grain(Transform.KEEP)}, mine, text=True)
    assert tells({mine}, mine, text=True)
    assert not tells({mine}, other, text=True)
    assert not tells({mine}, _grain(Transform.OWN_REFERENCE, "gent"), text=True)
    assert not tells({mine, _grain(Transform.YEAR)}, _grain(Transform.KEEP), text=True)


def test_a_notification_tells_least() -> None:
    notified = _agreement(EVERYONE, ReleasedField("geboorte", Transform.NOTIFY_ONLY, ""))
    assert compare(notified, _agreement(), SCHEMA).verdict is Verdict.WIDER
