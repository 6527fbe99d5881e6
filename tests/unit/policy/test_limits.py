"""Ceilings: whose they are, what the purposes above cut, what an agreement asks beyond them, and what a change cuts."""

import random
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model.agreement import (
    Agreement,
    AllOf,
    AnyOf,
    Ceiling,
    Equals,
    FieldCeiling,
    Population,
    Prefix,
    Range,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.conditions import NO_CONDITIONS, Onward
from broker.model.control_state import ControlState
from broker.model.purpose import Purpose, Purposes
from broker.policy import limit_documents
from broker.policy.limits import Effect, Limits, above_ceiling, effective_ceiling, effects, limits_of

SOURCE, PRODUCT = "rijksregister", "persoon.v1"
EVERYTHING = ("naam.achternaam", "geslacht", "geboorte.datum", "insz", "adres.gemeente.nis")
KEEP, YEAR, ADULT, PSEUDONYM = Transform.KEEP, Transform.YEAR, Transform.ADULT, Transform.PSEUDONYM


def purposes(parents: Mapping[str, tuple[str, ...]]) -> Purposes:
    return Purposes({code: Purpose(code, "Titel", "Uitleg", above) for code, above in parents.items()})


PURPOSES = purposes(
    {"taak": (), "zorg": ("taak",), "inning": ("taak",), "beide": ("zorg", "inning"), "leeg": ("taak",)}
)


def ceiling(
    purpose: str, fields: Mapping[str, Iterable[Transform]], selectable: Iterable[str] = EVERYTHING, **more: Any
) -> Ceiling:
    granted = {path: FieldCeiling(path, frozenset(transforms)) for path, transforms in fields.items()}
    return Ceiling(PRODUCT, purpose, granted, frozenset(selectable), **more)


def keyed(*ceilings: Ceiling) -> dict[tuple[str | None, str, str], Ceiling]:
    return {each.key: each for each in ceilings}


ALL = dict.fromkeys(EVERYTHING, (KEEP,))
CEILINGS = keyed(*(ceiling(purpose, ALL) for purpose in ("taak", "zorg", "inning", "beide")))
GOOD = Agreement(
    "afspraak",
    1,
    "",
    SOURCE,
    PRODUCT,
    "stad",
    "zorg",
    (),
    (ReleasedField("naam.achternaam", KEEP, "nodig"),),
    Population(Equals("adres.gemeente.nis", ("44021",))),
    Term(datetime(2026, 1, 1, tzinfo=UTC), None),
)


def found(agreement: Agreement, ceilings: Mapping[Any, Ceiling]) -> set[tuple[str, str]]:
    return {(each.code, each.path) for each in above_ceiling(agreement, PURPOSES, ceilings)}


def test_the_effective_ceiling_is_the_purposes_own_cut_by_all_above_it() -> None:
    ceilings = keyed(
        ceiling("taak", ALL, ("geslacht", "adres.gemeente.nis")),
        ceiling("zorg", {"geboorte.datum": (KEEP,), "geslacht": (KEEP,)}),
        ceiling("inning", {"geboorte.datum": (YEAR, ADULT)}),
        ceiling("beide", {"geboorte.datum": (KEEP,), "geslacht": (KEEP,)}),
    )
    both = effective_ceiling(PURPOSES, ceilings, SOURCE, PRODUCT, "beide")
    assert {path: field.transforms for path, field in both.fields.items()} == {
        "geboorte.datum": frozenset({YEAR, ADULT})
    }
    assert both.selectable == {"geslacht", "adres.gemeente.nis"}


def test_a_purpose_without_a_ceiling_or_below_one_without_gets_nothing() -> None:
    nothing = effective_ceiling(PURPOSES, CEILINGS, SOURCE, PRODUCT, "leeg")
    assert (nothing.fields, nothing.selectable, nothing.onward_sharing) == ({}, frozenset(), False)
    assert effective_ceiling(PURPOSES, keyed(ceiling("zorg", ALL)), SOURCE, PRODUCT, "zorg").fields == {}
    assert effective_ceiling(PURPOSES, CEILINGS, SOURCE, "auto.v1", "zorg").fields == {}
    with pytest.raises(Invalid, match="list of purposes"):
        effective_ceiling(PURPOSES, CEILINGS, SOURCE, PRODUCT, "onbekend")
    assert found(replace(GOOD, purpose="onbekend"), CEILINGS) == {("UNKNOWN_PURPOSE", "purpose")}


CODES = tuple("abcdef")
PATHS = EVERYTHING[:3]
LEAST = (YEAR, ADULT, PSEUDONYM)
GRANTS = st.dictionaries(st.sampled_from(PATHS), st.frozensets(st.sampled_from((KEEP, *LEAST)), min_size=1))


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Purposes, dict[Any, Ceiling]]:
    """A random DAG (a parent is always an earlier code) with a ceiling on most purposes, own or for all sources."""
    parents = {
        code: tuple(draw(st.lists(st.sampled_from(CODES[:at]), unique=True, max_size=3))) if at else ()
        for at, code in enumerate(CODES)
    }
    held = []
    for code in CODES:
        for source in draw(st.sampled_from([(None,)] * 4 + [(SOURCE,), (SOURCE, None), ("ander", None), ()])):
            selectable, onward = draw(st.frozensets(st.sampled_from(PATHS))), draw(st.booleans())
            held.append(ceiling(code, draw(GRANTS), selectable, onward_sharing=onward, source=source))
    return purposes(parents), keyed(*held)


@given(worlds())
def test_nothing_is_allowed_that_a_purpose_on_any_way_up_denies(world: tuple[Purposes, dict[Any, Ceiling]]) -> None:
    """By brute force: an atom (path and transform, path to select on, onward sharing) passes every purpose on every way up."""
    listed, ceilings = world

    def passes(code: str, holds: Any) -> bool:
        own = ceilings.get((SOURCE, PRODUCT, code), ceilings.get((None, PRODUCT, code)))
        return own is not None and holds(own) and all(passes(above, holds) for above in listed.by_code[code].parents)

    def granted(path: str, transform: Transform) -> Any:
        return lambda own: path in own.fields and bool({transform, KEEP} & own.fields[path].transforms)

    for code in CODES:
        effective = effective_ceiling(listed, ceilings, SOURCE, PRODUCT, code)
        for path in PATHS:
            allowed = effective.fields[path].transforms if path in effective.fields else frozenset()
            for transform in (KEEP, *LEAST):
                assert (transform in allowed) == passes(code, granted(path, transform))
            assert (path in effective.selectable) == passes(code, lambda own, at=path: at in own.selectable)
        assert effective.onward_sharing == passes(code, lambda own: own.onward_sharing)


def test_a_source_that_set_its_own_ceiling_no_longer_has_the_one_for_all() -> None:
    own = CEILINGS | keyed(ceiling("zorg", {"geslacht": (KEEP,)}, source=SOURCE))
    assert set(effective_ceiling(PURPOSES, own, SOURCE, PRODUCT, "zorg").fields) == {"geslacht"}
    assert set(effective_ceiling(PURPOSES, own, "ander", PRODUCT, "zorg").fields) == set(EVERYTHING)
    wider = keyed(ceiling("taak", ALL), ceiling("zorg", {}), ceiling("zorg", ALL, source=SOURCE))
    assert found(GOOD, wider) == set()
    assert found(replace(GOOD, source="ander"), wider) == {("ABOVE_CEILING", "naam.achternaam")}


def test_a_ceiling_that_names_a_lesser_form_refuses_the_value_itself() -> None:
    year_only = CEILINGS | keyed(ceiling("zorg", {"geboorte.datum": (YEAR,)}))
    value = replace(GOOD, fields=(ReleasedField("geboorte.datum", KEEP, "nodig"),))
    year = replace(GOOD, fields=(ReleasedField("geboorte.datum", YEAR, "nodig", "jaar"),))
    assert found(value, year_only) == {("ABOVE_CEILING", "geboorte.datum")}
    assert found(year, year_only) == set()


@pytest.mark.parametrize(
    "where",
    [
        Equals("geslacht", ("man",)),
        Range("geslacht", "a", None),
        Prefix("geslacht", "m"),
        AllOf((AnyOf((Equals("geslacht", ("man", "vrouw")),)),)),
    ],
)
def test_a_path_is_selected_on_only_where_the_owner_lets_it(where: Any) -> None:
    hidden = CEILINGS | keyed(ceiling("zorg", ALL, ("adres.gemeente.nis",)))
    assert found(replace(GOOD, population=Population(where)), hidden) == {("NOT_SELECTABLE", "geslacht")}
    assert found(replace(GOOD, population=Population(where)), CEILINGS) == set()


def test_data_is_passed_on_only_where_the_owner_and_all_purposes_above_let_it() -> None:
    onward = replace(GOOD, conditions=replace(NO_CONDITIONS, onward=Onward(allowed=True, to="het OCMW")))
    refused = {("ONWARD_ABOVE_CEILING", "conditions.onward.allowed")}
    assert found(onward, CEILINGS) == refused
    own = CEILINGS | keyed(ceiling("zorg", ALL, onward_sharing=True))
    assert found(onward, own) == refused
    assert found(onward, own | keyed(ceiling("taak", ALL, onward_sharing=True))) == set()
    not_onward = replace(GOOD, conditions=replace(NO_CONDITIONS, onward=Onward(allowed=False)))
    assert found(not_onward, CEILINGS) == set()


def test_a_change_names_what_it_cuts_with_path_and_clause_and_what_it_restores() -> None:
    narrow = CEILINGS | keyed(ceiling("taak", {"geslacht": (KEEP,)}))
    other = replace(GOOD, id="ander", fields=(ReleasedField("geslacht", KEEP, "nodig"),))
    unknown = replace(GOOD, id="onbekend", purpose="onbekend")
    wide, tight = Limits(PURPOSES, CEILINGS), Limits(PURPOSES, narrow)
    (cut,) = effects(wide, tight, (GOOD, other, unknown))
    assert (cut.agreement, [(each.code, each.path) for each in cut.findings]) == (
        GOOD,
        [("ABOVE_CEILING", "naam.achternaam")],
    )
    assert effects(tight, wide, (GOOD, other, unknown)) == (Effect(GOOD, ()),)
    tighter = Limits(PURPOSES, narrow | keyed(ceiling("taak", {"geslacht": (KEEP,)}, ())))
    assert [[each.path for each in effect.findings] for effect in effects(tight, tighter, (GOOD,))] == [
        ["adres.gemeente.nis"]
    ]


@given(worlds(), worlds(), st.integers(0, 2**32))
def test_the_effects_are_exactly_the_agreements_that_change_sides_or_break_more(
    one: tuple[Purposes, dict[Any, Ceiling]], two: tuple[Purposes, dict[Any, Ceiling]], seed: int
) -> None:
    before, after, rng = Limits(*one), Limits(*two), random.Random(seed)
    asked = [
        replace(
            GOOD,
            id=f"a{number}",
            purpose=rng.choice(CODES),
            fields=(ReleasedField(rng.choice(PATHS), rng.choice((KEEP, YEAR)), "nodig", "x"),),
            population=Population(),
        )
        for number in range(20)
    ]
    effect = {each.agreement.id: each.findings for each in effects(before, after, asked)}
    for agreement in asked:
        held, allowed = before.allow(agreement), after.allow(agreement)
        if held != allowed:
            assert bool(effect[agreement.id]) == held
        elif held:
            assert agreement.id not in effect


def test_a_ceiling_tightened_in_the_log_is_seen_by_the_limits_read_from_it() -> None:
    state = ControlState(
        purposes=tuple(limit_documents.purpose_documents(PURPOSES)),
        ceilings={key: limit_documents.ceiling_document(value) for key, value in CEILINGS.items()},
    )
    assert limits_of(state).allow(GOOD)
    narrow = limit_documents.ceiling_document(ceiling("taak", {"geslacht": (KEEP,)}))
    state.ceilings[None, PRODUCT, "taak"] = narrow
    assert not limits_of(state).allow(GOOD)
    assert not limits_of(ControlState()).allow(GOOD)
