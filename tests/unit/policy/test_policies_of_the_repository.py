"""The reviewed documents under `policies/` load, hang together with `schemas/`, and check as they are meant to."""

from functools import partial
from pathlib import Path

import pytest

from broker.model.agreement import Agreement, Instrument, Transform
from broker.policy import documents, limit_documents
from broker.policy.check import check
from broker.policy.clauses import gaps
from broker.policy.limits import above_ceiling, effective_ceiling
from broker.schema.avro import Schema, encode_literal, load_schema

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
PURPOSES = limit_documents.purposes((POLICIES / "purposes.yaml").read_text())
CEILINGS = {
    ceiling.key: ceiling
    for path in sorted((POLICIES / "ceilings").glob("*.yaml"))
    for ceiling in limit_documents.ceilings(path.read_text())
}
AGREEMENTS = {
    path.stem: documents.agreement(path.read_text()) for path in sorted((POLICIES / "agreements").glob("*.yaml"))
}
PRODUCTS = ("adres.v1", "hinder.v1", "organisatie.v1", "persoon.v1")
REFUSED = {"nationaliteit-onderzoek": {("ABOVE_CEILING", "nationaliteiten.code")}}
ADDRESS = {
    "verblijfplaats.straatnaam",
    "verblijfplaats.huisnummer",
    "verblijfplaats.busnummer",
    "verblijfplaats.postcode",
    "verblijfplaats.gemeente.naam",
}
NAME = {"naam.achternaam", "naam.voornamen"}


def schema_of(product: str) -> Schema:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


def released(agreement: Agreement) -> set[tuple[str, Transform]]:
    return {(field.path, field.transform) for field in agreement.fields}


def test_there_are_purposes_in_plain_words_that_others_know_too() -> None:
    assert len(PURPOSES.by_code) >= 8
    assert all(purpose.dpv and len(purpose.description) > 40 for purpose in PURPOSES.by_code.values())
    assert [code for code, purpose in PURPOSES.by_code.items() if not purpose.parents] == ["openbare-taak"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_ceiling_names_leaves_of_its_product_and_known_purposes(product: str) -> None:
    schema = schema_of(product)
    ceilings = [ceiling for ceiling in CEILINGS.values() if ceiling.product == product]
    assert ceilings
    for ceiling in ceilings:
        assert ceiling.purpose in PURPOSES.by_code
        assert set(ceiling.fields) | ceiling.selectable <= set(schema.fields)
        assert not [path for path in ceiling.selectable if schema.fields[path].repeated]


@pytest.mark.parametrize("product", PRODUCTS)
def test_no_purpose_is_promised_what_a_purpose_above_it_denies(product: str) -> None:
    for (_, of, purpose), ceiling in CEILINGS.items():
        if of == product:
            effective = effective_ceiling(PURPOSES, CEILINGS, "bron", product, purpose)
            assert set(effective.fields) == set(ceiling.fields)
            assert effective.selectable == ceiling.selectable


def test_nobody_may_have_a_national_number_as_it_is_nor_anything_that_reveals_a_special_category() -> None:
    schema = schema_of("persoon.v1")
    for ceiling in CEILINGS.values():
        if ceiling.product == "persoon.v1":
            numbers = [field for path, field in ceiling.fields.items() if schema.fields[path].subject]
            assert not [field for field in numbers if Transform.KEEP in field.transforms]
            assert not [path for path in ceiling.fields if schema.fields[path].reveals]


@pytest.mark.parametrize("name", AGREEMENTS)
def test_agreements_check_as_intended(name: str) -> None:
    agreement = AGREEMENTS[name]
    schema = schema_of(agreement.product)
    findings = check(
        agreement, purposes=PURPOSES, ceilings=CEILINGS, schema=schema, encode=partial(encode_literal, schema)
    )
    assert {(finding.code, finding.path) for finding in findings} == REFUSED.get(name, set())


@pytest.mark.parametrize("name", AGREEMENTS)
def test_agreements_lay_down_all_that_their_instruments_and_data_ask(name: str) -> None:
    agreement = AGREEMENTS[name]
    assert gaps(agreement, schema_of(agreement.product)) == ()
    assert agreement.conditions.onward is not None
    assert len(agreement.conditions.necessity or "") > 100


@pytest.mark.parametrize("name", AGREEMENTS)
def test_agreements_are_named_after_their_file_and_marked_as_invented(name: str) -> None:
    agreement = AGREEMENTS[name]
    assert agreement.id == name
    assert all("FICTIEF" in basis.reference for basis in agreement.bases)
    assert documents.agreement(documents.agreement_document(agreement)) == agreement


def test_only_the_request_for_nationality_is_above_its_ceiling() -> None:
    above = {name for name, agreement in AGREEMENTS.items() if above_ceiling(agreement, PURPOSES, CEILINGS)}
    assert above == {"nationaliteit-onderzoek"}


def test_what_the_agreements_of_the_demonstration_release() -> None:
    keep = Transform.KEEP
    own = ("insz", Transform.OWN_REFERENCE)
    for town in ("gent", "leuven", "oostende"):
        assert released(AGREEMENTS[f"inwoners-{town}"]) == {(path, keep) for path in NAME | ADDRESS}
    assert released(AGREEMENTS["parkeerboetes-gent"]) == {(path, keep) for path in NAME | ADDRESS} | {own}
    assert released(AGREEMENTS["jeugddienst-leuven"]) == {own, ("geboorte.datum", Transform.ADULT)}
    assert released(AGREEMENTS["statistiek-vlaanderen"]) == {
        ("insz", Transform.PSEUDONYM),
        ("geboorte.datum", Transform.YEAR),
        ("verblijfplaats.gemeente.nis", keep),
    }
    assert {name for name, agreement in AGREEMENTS.items() if agreement.population.dossiers} == {
        "parkeerboetes-gent",
        "jeugddienst-leuven",
    }


def test_the_agencies_are_different_controllers_and_elections_2024_are_over() -> None:
    assert len({agreement.agency for agreement in AGREEMENTS.values()}) == len(AGREEMENTS)
    term = AGREEMENTS["verkiezingen-2024"].term
    assert term.end is not None
    assert term.end.year == 2024
    instruments = {basis.instrument for basis in AGREEMENTS["inwoners-gent"].bases}
    assert instruments == {Instrument.RIJKSREGISTER}
