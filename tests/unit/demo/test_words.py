"""Fields, protocols and populations in the words of a Dutch-speaking reader."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.demo.labels import flat, moment
from broker.demo.protocol import Protocol, basis_line, protocol
from broker.model.agreement import (
    AllOf,
    AnyOf,
    Equals,
    Instrument,
    LegalBasis,
    Population,
    Prefix,
    Range,
    State,
)
from broker.model.lifecycle import Method, Signature
from broker.policy import documents, limit_documents
from broker.policy.organisations import members
from broker.policy.words import day, label
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
PURPOSES = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text()).by_code
NAMES = {
    member.organisation.id: member.organisation.name
    for member in members((ROOT / "policies" / "organisations.yaml").read_text())
}
AGREEMENTS = {
    path.stem: documents.agreement(path.read_text())
    for path in sorted((ROOT / "policies" / "agreements").glob("*.yaml"))
}


def text_of(name: str, **changed: Any) -> Protocol:
    agreement = replace(AGREEMENTS[name], **changed)
    return protocol(agreement, State.ACTIVE, PURPOSES[agreement.purpose], NAMES)


def test_every_field_of_a_person_has_a_name_of_its_own() -> None:
    paths = load_schema((ROOT / "schemas" / "persoon.v1.avsc").read_text()).fields
    names = [label(path) for path in paths]
    assert not [path for path, name in zip(paths, names, strict=True) if name == path and path != "geslacht"]
    assert len(set(names)) == len(names)


def test_a_field_nobody_named_is_shown_by_its_path() -> None:
    assert label("perioden.begin") == "perioden.begin"


def test_values_are_flattened_and_written_for_a_reader() -> None:
    value = {
        "a": {"b": "x", "c": None},
        "d": [{"e": "1"}, {"e": "2"}],
        "f": True,
        "g": "2008-01-13",
        "h": "2008-00-00",
        "i": [],
    }
    assert list(flat(value)) == [
        ("a.b", "x"),
        ("d.e", "1"),
        ("d.e", "2"),
        ("f", "ja"),
        ("g", "13 januari 2008"),
        ("h", "2008-00-00"),
    ]


def test_days_and_moments() -> None:
    assert day(date(2026, 3, 1)) == "1 maart 2026"
    assert moment(datetime(2026, 12, 31, 9, 5, 7, tzinfo=UTC)) == "31 december 2026, 09:05:07"


@pytest.mark.parametrize("name", AGREEMENTS)
def test_every_agreement_reads_as_a_protocol(name: str) -> None:
    text = text_of(name)
    assert {field.path for field in text.fields} == {field.path for field in AGREEMENTS[name].fields}
    assert all(because for _, because in text.bases)
    assert "FICTIEF" in text.bases[0][0]


def test_a_protocol_says_about_whom_and_how_long() -> None:
    assert text_of("inwoners-gent").population == "Alleen over personen die wonen in Gent (NIS 44021)."
    assert text_of("statistiek-vlaanderen").population == "Over alle personen in het dataproduct."
    assert "zelf een open dossier" in text_of("parkeerboetes-gent").population
    assert text_of("verkiezingen-2024").term == "Dit protocol geldt vanaf 1 januari 2024 tot 1 november 2024."
    assert "beëindigt" in text_of("inwoners-gent").term


def test_a_protocol_says_who_signed_it_and_how() -> None:
    at = datetime(2026, 11, 26, 12, tzinfo=UTC)
    signed = [
        Signature("rijksregister", "leidend ambtenaar", "besluit 1", Method.QES_DOCUMENT, "ab" * 32, "cd" * 32, at),
        Signature("stad-gent", "burgemeester", "besluit 2", Method.DEV, "ab" * 32, None, at),
    ]
    agreement = AGREEMENTS["inwoners-gent"]
    text = protocol(agreement, State.ACTIVE, PURPOSES[agreement.purpose], NAMES, signed)
    source, agency = text.signed.split(". ")
    assert source == "Rijksregister van de natuurlijke personen tekende op 26 november 2026"
    assert agency.startswith("Stad Gent tekende op 26 november 2026 met een nagebootste handtekening")
    assert text_of("inwoners-gent").signed == ""


def test_populations_of_every_form() -> None:
    town = Equals("verblijfplaats.gemeente.nis", ("24062", "99999"))
    old = Range("geboorte.datum", "1950-01-01", None)
    area = Prefix("verblijfplaats.postcode", "90")
    text = text_of(
        "parkeerboetes-gent", population=Population(AllOf((AnyOf((town, area)), old)), dossiers=True)
    ).population
    assert "die wonen in Leuven (NIS 24062) of de gemeente met NIS-code 99999" in text
    assert "met als postcode iets dat begint met 90" in text
    assert "met als geboortedatum vanaf 1950-01-01" in text


def test_a_legal_basis_on_one_line() -> None:
    basis = LegalBasis(Instrument.RIJKSREGISTER, "FICTIEF-1", "6.1.e", "")
    assert basis_line(basis) == "Machtiging tot het Rijksregister, kenmerk FICTIEF-1; artikel 6, lid 1, e) AVG"
    assert basis_line(LegalBasis(Instrument.IVC, "FICTIEF-2", "10", "")).endswith("; artikel 10 AVG")
