"""Every clause of the static check: an agreement that keeps it passes, one that breaks it is told which and what to do."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.errors import AgreementRefused
from broker.model.agreement import (
    Agreement,
    AllOf,
    AnyOf,
    Ceiling,
    Equals,
    FieldCeiling,
    Instrument,
    LegalBasis,
    Population,
    Prefix,
    Range,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.purpose import Purpose, Purposes
from broker.policy.check import check
from broker.policy.findings import Finding, refuse_if

START = datetime(2026, 1, 1, tzinfo=UTC)
PURPOSES = Purposes(
    {
        "taak": Purpose("taak", "Titel", "Uitleg"),
        "zorg": Purpose("zorg", "Titel", "Uitleg", ("taak",)),
        "inning": Purpose("inning", "Titel", "Uitleg", ("taak",)),
        "beide": Purpose("beide", "Titel", "Uitleg", ("zorg", "inning")),
        "leeg": Purpose("leeg", "Titel", "Uitleg", ("taak",)),
    }
)
EVERYTHING = (
    "insz",
    "partner.insz",
    "naam.achternaam",
    "naam.voornamen",
    "geslacht",
    "geboorte.datum",
    "nationaliteiten.code",
    "registers.soort",
    "gezin.omvang",
    "uitkering.soort",
    "veroordeling.soort",
    "zorg.soort",
    "adres.gemeente.nis",
    "recordedAt",
)


def ceiling(purpose: str, fields: dict[str, Iterable[Transform]], selectable: Iterable[str] = EVERYTHING) -> Ceiling:
    granted = {path: FieldCeiling(path, frozenset(transforms)) for path, transforms in fields.items()}
    return Ceiling("persoon.v1", purpose, granted, frozenset(selectable))


ALL = dict.fromkeys(EVERYTHING, (Transform.KEEP,))
CEILINGS = {(None, "persoon.v1", purpose): ceiling(purpose, ALL) for purpose in ("taak", "zorg", "inning", "beide")}


def basis(instrument: Instrument = Instrument.PROTOCOL_VL, gdpr: str = "6.1.e") -> LegalBasis:
    return LegalBasis(instrument, "FICTIEF-1", gdpr, "tekst")


def keep(path: str) -> ReleasedField:
    return ReleasedField(path, Transform.KEEP, "nodig")


def derived(path: str, transform: Transform, name: str = "afgeleid", arguments: tuple[str, ...] = ()) -> ReleasedField:
    return ReleasedField(path, transform, "nodig", name, arguments)


def band(path: str, *bounds: str) -> ReleasedField:
    return derived(path, Transform.BAND, arguments=bounds)


NOTIFY = ReleasedField("insz", Transform.NOTIFY_ONLY, "nodig")


GOOD = Agreement(
    "afspraak",
    1,
    "",
    "rijksregister",
    "persoon.v1",
    "stad",
    "zorg",
    (basis(),),
    (keep("naam.achternaam"),),
    Population(Equals("adres.gemeente.nis", ("44021",))),
    Term(START, None),
)


@pytest.fixture
def codes(schema: Any, encode: Any) -> Callable[..., set[tuple[str, str]]]:
    def found(agreement: Agreement, **options: Any) -> set[tuple[str, str]]:
        known: dict[str, Any] = {"purposes": PURPOSES, "ceilings": CEILINGS, "schema": schema, "encode": encode}
        findings = check(agreement, **(known | options))
        assert all(len(finding.text) > 20 for finding in findings), "a finding says what to do"
        return {(finding.code, finding.path) for finding in findings}

    return found


def test_an_agreement_in_order_has_no_findings(codes: Any) -> None:
    assert codes(GOOD, organisations={"stad", "rijksregister"}) == set()


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ((keep("naam.bijnaam"),), ("UNKNOWN_PATH", "naam.bijnaam")),
        ((keep("naam"),), ("NOT_A_LEAF", "naam")),
        ((derived("geslacht", Transform.YEAR),), ("TRANSFORM_DOES_NOT_FIT", "geslacht")),
        ((derived("naam.voornamen", Transform.PSEUDONYM),), ("TRANSFORM_DOES_NOT_FIT", "naam.voornamen")),
        ((derived("naam.achternaam", Transform.OWN_REFERENCE),), ("TRANSFORM_DOES_NOT_FIT", "naam.achternaam")),
        ((derived("insz", Transform.OWN_REFERENCE),), ("NO_DOSSIERS", "insz")),
        ((keep("geslacht"), keep("geslacht")), ("DUPLICATE_FIELD", "geslacht")),
        (
            (derived("insz", Transform.PSEUDONYM), derived("geboorte.datum", Transform.YEAR)),
            ("DUPLICATE_FIELD", "geboorte.datum"),
        ),
        ((derived("geboorte.datum", Transform.YEAR, "geboorte"),), ("NAME_TAKEN", "geboorte.datum")),
        ((band("geslacht", "18"),), ("TRANSFORM_DOES_NOT_FIT", "geslacht")),
        ((derived("gezin.omvang", Transform.DECADE),), ("TRANSFORM_DOES_NOT_FIT", "gezin.omvang")),
        ((derived("nationaliteiten.code", Transform.LIVES_IN),), ("TRANSFORM_DOES_NOT_FIT", "nationaliteiten.code")),
        ((band("geboorte.datum"),), ("ARGUMENTS_DO_NOT_FIT", "geboorte.datum")),
        ((band("geboorte.datum", "65", "18"),), ("ARGUMENTS_DO_NOT_FIT", "geboorte.datum")),
        ((derived("geboorte.datum", Transform.AGE, arguments=("151",)),), ("ARGUMENTS_DO_NOT_FIT", "geboorte.datum")),
        ((derived("adres.gemeente.nis", Transform.LIVES_IN),), ("ARGUMENTS_DO_NOT_FIT", "adres.gemeente.nis")),
        (
            (derived("adres.gemeente.nis", Transform.LIVES_IN, arguments=("Gent",)),),
            ("ARGUMENTS_DO_NOT_FIT", "adres.gemeente.nis"),
        ),
        ((derived("geboorte.datum", Transform.YEAR, arguments=("18",)),), ("ARGUMENTS_DO_NOT_FIT", "geboorte.datum")),
        ((replace(NOTIFY, path="naam.achternaam"),), ("TRANSFORM_DOES_NOT_FIT", "naam.achternaam")),
        ((NOTIFY, keep("naam.achternaam")), ("MORE_THAN_NOTIFIED", "insz")),
        ((NOTIFY, NOTIFY), ("DUPLICATE_FIELD", "insz")),
        ((keep("insz"),), ("NEEDS_RIJKSREGISTER", "insz")),
        ((keep("uitkering.soort"),), ("NEEDS_IVC", "uitkering.soort")),
        ((keep("zorg.soort"),), ("NEEDS_ART_9", "zorg.soort")),
        ((keep("nationaliteiten.code"),), ("NEEDS_ART_9", "nationaliteiten.code")),
        ((derived("registers.soort", Transform.PSEUDONYM),), ("NEEDS_ART_9", "registers.soort")),
        ((keep("veroordeling.soort"),), ("NEEDS_ART_10", "veroordeling.soort")),
        ((keep("adres.straat"),), ("ABOVE_CEILING", "adres.straat")),
    ],
)
def test_released_fields(codes: Any, fields: tuple[ReleasedField, ...], finding: tuple[str, str]) -> None:
    assert finding in codes(replace(GOOD, fields=fields))


@pytest.mark.parametrize(
    ("fields", "bases"),
    [
        ((keep("insz"),), (basis(Instrument.RIJKSREGISTER),)),
        ((keep("insz"),), (basis(Instrument.ACCESSION),)),
        ((derived("insz", Transform.PSEUDONYM),), (basis(),)),
        ((NOTIFY,), (basis(),)),
        ((band("geboorte.datum", "18", "25", "65"),), (basis(),)),
        ((band("gezin.omvang", "1", "3"),), (basis(),)),
        ((derived("geboorte.datum", Transform.AGE, arguments=("65",)),), (basis(),)),
        ((derived("adres.gemeente.nis", Transform.LIVES_IN, arguments=("44021", "44083")),), (basis(),)),
        ((keep("uitkering.soort"),), (basis(Instrument.IVC),)),
        ((keep("zorg.soort"), keep("nationaliteiten.code")), (basis(), basis(gdpr="9.2.j"))),
        ((keep("veroordeling.soort"),), (basis(), basis(gdpr="10"))),
        ((keep("naam.voornamen"), keep("gezin.omvang")), (basis(),)),
        (
            (derived("geboorte.datum", Transform.YEAR, "jaar"), derived("geboorte.datum", Transform.ADULT, "m")),
            (basis(),),
        ),
    ],
)
def test_what_the_right_basis_allows(
    codes: Any, fields: tuple[ReleasedField, ...], bases: tuple[LegalBasis, ...]
) -> None:
    assert codes(replace(GOOD, fields=fields, bases=bases)) == set()


def test_an_own_reference_is_in_order_for_an_agency_with_dossiers(codes: Any) -> None:
    own = replace(GOOD, fields=(derived("insz", Transform.OWN_REFERENCE),), population=Population(dossiers=True))
    assert codes(own) == set()


def test_a_notification_goes_with_an_own_reference(codes: Any) -> None:
    own = (NOTIFY, derived("insz", Transform.OWN_REFERENCE))
    assert codes(replace(GOOD, fields=own, population=Population(dossiers=True))) == set()


@pytest.mark.parametrize("transform", [Transform.NOTIFY_ONLY, Transform.BAND])
def test_a_ceiling_that_names_transforms_allows_no_other(codes: Any, transform: Transform) -> None:
    field = NOTIFY if transform is Transform.NOTIFY_ONLY else band("insz", "18")
    limited = CEILINGS | {(None, "persoon.v1", "zorg"): ceiling("zorg", {**ALL, "insz": (Transform.PSEUDONYM,)})}
    named = CEILINGS | {(None, "persoon.v1", "zorg"): ceiling("zorg", {**ALL, "insz": (transform,)})}
    assert codes(replace(GOOD, fields=(field,)), ceilings=limited) == {("ABOVE_CEILING", "insz")}
    assert codes(replace(GOOD, fields=(field,)), ceilings=named) == set()


@pytest.mark.parametrize(
    ("where", "finding"),
    [
        (Equals("adres.provincie", ("1",)), ("UNKNOWN_PATH", "adres.provincie")),
        (Equals("adres.gemeente", ("1",)), ("NOT_A_LEAF", "adres.gemeente")),
        (AllOf((Equals("nationaliteiten.code", ("150",)),)), ("REPEATED_PATH", "nationaliteiten.code")),
        (AnyOf((Equals("insz", ("00410100034",)),)), ("PERSON_IN_POPULATION", "insz")),
        (Equals("geslacht", ("man", "onbekend")), ("VALUE_DOES_NOT_FIT", "geslacht")),
        (Range("geslacht", "a", None), ("CONSTRAINT_DOES_NOT_FIT", "geslacht")),
        (Prefix("gezin.omvang", "1"), ("CONSTRAINT_DOES_NOT_FIT", "gezin.omvang")),
        (Equals("adres.straat", ("Kerkstraat",)), ("NOT_SELECTABLE", "adres.straat")),
        (Equals("registers.soort", ("1",)), ("NEEDS_ART_9", "registers.soort")),
        (Equals("uitkering.soort", ("1",)), ("NEEDS_IVC", "uitkering.soort")),
    ],
)
def test_populations(codes: Any, where: Any, finding: tuple[str, str]) -> None:
    assert finding in codes(replace(GOOD, population=Population(where)))


def test_parties_term_and_purpose(codes: Any) -> None:
    assert ("UNKNOWN_PURPOSE", "purpose") in codes(replace(GOOD, purpose="onbekend"))
    assert ("UNKNOWN_PRODUCT", "product") in codes(replace(GOOD, product="auto.v1"))
    assert codes(GOOD, organisations={"rijksregister"}) == {("UNKNOWN_ORGANISATION", "agency")}
    assert codes(replace(GOOD, term=Term(START, START))) == {("EMPTY_TERM", "term")}
    assert codes(replace(GOOD, term=Term(START, START + timedelta(milliseconds=1)))) == set()
    assert codes(replace(GOOD, bases=())) == {("NO_BASIS", "bases")}


def test_open_data_holds_public_fields_and_no_persons(codes: Any) -> None:
    open_data = replace(
        GOOD, bases=(basis(Instrument.OPEN_DATA),), fields=(keep("recordedAt"),), population=Population()
    )
    assert codes(open_data) == set()
    assert codes(replace(open_data, fields=GOOD.fields)) == {("NOT_PUBLIC", "naam.achternaam")}
    assert ("PERSONS_IN_OPEN_DATA", "population.dossiers") in codes(
        replace(open_data, population=Population(dossiers=True))
    )


def test_a_ceiling_that_names_a_lesser_form_refuses_the_value_itself(codes: Any) -> None:
    year_only = CEILINGS | {(None, "persoon.v1", "zorg"): ceiling("zorg", {"geboorte.datum": (Transform.YEAR,)})}
    value, year = keep("geboorte.datum"), derived("geboorte.datum", Transform.YEAR)
    assert codes(replace(GOOD, fields=(value,)), ceilings=year_only) == {("ABOVE_CEILING", "geboorte.datum")}
    assert codes(replace(GOOD, fields=(year,)), ceilings=year_only) == set()


def test_findings_are_refused_together(schema: Any, encode: Any) -> None:
    refuse_if(())
    bad = replace(GOOD, fields=(keep("naam"), keep("insz")))
    findings = check(bad, purposes=PURPOSES, ceilings=CEILINGS, schema=schema, encode=encode)
    with pytest.raises(AgreementRefused) as refusal:
        refuse_if(findings)
    assert refusal.value.findings == findings
    assert all(isinstance(finding, Finding) for finding in refusal.value.findings)
