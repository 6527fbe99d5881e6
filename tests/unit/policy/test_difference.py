"""What differs between two agreements: one line per clause, in document order, and nothing where nothing differs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.agreement import Agreement, Equals, Instrument, LegalBasis, Population, ReleasedField, Transform
from broker.model.conditions import NO_CONDITIONS, Impact, Processor, Recipient
from broker.policy import documents
from broker.policy.difference import Difference, Label, difference

POLICIES = Path(__file__).parents[3] / "policies" / "agreements"
PARKING = documents.agreement((POLICIES / "parkeerboetes-gent.yaml").read_text())


def of(**changes: Any) -> list[tuple[str, str]]:
    return [(found.path, found.label.value) for found in difference(PARKING, replace(PARKING, **changes))]


def test_equal_agreements_do_not_differ() -> None:
    assert difference(PARKING, documents.agreement(documents.agreement_document(PARKING))) == ()


def test_an_inserted_field_is_one_line() -> None:
    year = ReleasedField("geboorte.datum", Transform.YEAR, "Voor de termijn.", "jaar")
    fields = (PARKING.fields[0], year, *PARKING.fields[1:])
    assert of(fields=fields) == [("fields[geboorte.datum as jaar]", "added")]
    back = difference(replace(PARKING, fields=fields), PARKING)
    assert [(found.path, found.label) for found in back] == [("fields[geboorte.datum as jaar]", Label.REMOVED)]


def test_a_changed_justification_names_its_field_and_tells_both_texts() -> None:
    changed = replace(PARKING.fields[1], why="Anders.")
    found = difference(PARKING, replace(PARKING, fields=(PARKING.fields[0], changed, *PARKING.fields[2:])))
    assert found == (Difference("fields[naam.achternaam].why", Label.CHANGED, PARKING.fields[1].why, "Anders."),)


def test_another_order_of_fields_is_told_as_such() -> None:
    assert of(fields=PARKING.fields[::-1]) == [("fields", "reordered")]


def test_instruments_are_known_by_kind_and_reference() -> None:
    dated = replace(PARKING.bases[0], dated=None)
    assert of(bases=(dated,)) == [("bases[protocol-vl FICTIEF-2026-001].dated", "removed")]
    other = LegalBasis(Instrument.IVC, "FICTIEF-IVC", "6.1.e", "…")
    assert of(bases=(*PARKING.bases, other)) == [("bases[ivc FICTIEF-IVC]", "added")]


def test_a_population_is_one_clause_and_its_switches_are_others() -> None:
    narrowed = Population(Equals("verblijfplaats.gemeente.nis", ("44021",)), dossiers=False, consent=True)
    assert of(population=narrowed) == [
        ("population.dossiers", "changed"),
        ("population.where", "changed"),
        ("population.consent", "added"),
    ]


def test_conditions_are_told_to_the_part_and_the_item() -> None:
    conditions = replace(
        PARKING.conditions,
        impact=Impact("FICTIEF-GEB-9"),
        recipients=(*PARKING.conditions.recipients, Recipient("Loket", "Antwoordt.")),
        processors=(Processor("Printpunt Gent (FICTIEF)", "agency", "FICTIEF-VWO-9", "Drukt."),),
        security=PARKING.conditions.security[1:],
    )
    assert of(conditions=conditions) == [
        ("conditions.recipients[Loket]", "added"),
        ("conditions.processors[agency Printpunt Gent (FICTIEF)].mandate", "changed"),
        ("conditions.processors[agency Printpunt Gent (FICTIEF)].task", "changed"),
        (f"conditions.security[{PARKING.conditions.security[0]}]", "removed"),
        ("conditions.impact.reference", "changed"),
    ]
    assert of(conditions=NO_CONDITIONS) == [("conditions", "removed")]


FIELDS = st.lists(
    st.builds(
        ReleasedField,
        st.sampled_from(("a", "b", "c.d")),
        st.sampled_from((Transform.KEEP, Transform.YEAR)),
        st.sampled_from(("x", "y")),
    ).map(lambda field: replace(field, name="n" if field.transform is Transform.YEAR else None)),
    max_size=4,
).map(tuple)
SECURITY = st.lists(st.sampled_from(("m", "m #2", "n")), max_size=4).map(tuple)


@st.composite
def agreements(draw: st.DrawFn) -> Agreement:
    conditions = replace(NO_CONDITIONS, security=draw(SECURITY), quality=draw(st.sampled_from((None, "q"))))
    return replace(PARKING, fields=draw(FIELDS), conditions=conditions, version=draw(st.integers(1, 2)))


@given(agreements(), agreements())
def test_there_is_a_difference_exactly_where_two_agreements_are_not_equal(before: Agreement, after: Agreement) -> None:
    found = difference(before, after)
    assert (found == ()) == (before == after)
    backwards = difference(after, before)
    assert {item.path for item in found} == {item.path for item in backwards}
    assert len(found) == len({item.path for item in found})


@pytest.mark.parametrize("name", sorted(path.stem for path in POLICIES.glob("*.yaml")))
def test_no_two_agreements_of_the_repository_are_the_same(name: str) -> None:
    other = documents.agreement((POLICIES / f"{name}.yaml").read_text())
    assert bool(difference(PARKING, other)) == (name != PARKING.id)
