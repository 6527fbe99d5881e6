"""Small-cell warnings: which combinations of a person's fields are pointed out to both sides, and to whom they are not."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from broker.model.agreement import (
    EVERYONE,
    Agreement,
    AllOf,
    Equals,
    Population,
    Prefix,
    ReleasedField,
    Term,
    Transform,
)
from broker.policy import documents, limit_documents
from broker.policy.limits import effective_ceiling
from broker.policy.quasi_identifiers import warnings
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
PERSON = load_schema((ROOT / "schemas" / "persoon.v1.avsc").read_text())
PURPOSES = limit_documents.purposes((ROOT / "policies" / "purposes.yaml").read_text())
CEILINGS = {
    each.key: each
    for each in limit_documents.ceilings((ROOT / "policies" / "ceilings" / "persoon.v1.yaml").read_text())
}
CEILING = effective_ceiling(PURPOSES, CEILINGS, "rijksregister", "persoon.v1", "statistiek")
BIRTH, TOWN, POSTCODE = "geboorte.datum", "verblijfplaats.gemeente.nis", "verblijfplaats.postcode"
GENT = Equals(TOWN, ("44021",))


def field(path: str, transform: Transform = Transform.KEEP, *arguments: str) -> ReleasedField:
    return ReleasedField(path, transform, "nodig", None if transform is Transform.KEEP else "naam", arguments)


def agreement(*fields: ReleasedField, where: Any = EVERYONE, dossiers: bool = False) -> Agreement:
    return Agreement(
        "a",
        1,
        "",
        "rijksregister",
        "persoon.v1",
        "statistiek",
        "statistiek",
        (),
        fields,
        Population(where, dossiers),
        Term(datetime(2026, 1, 1, tzinfo=UTC), None),
    )


PSEUDONYM = field("insz", Transform.PSEUDONYM)
YEAR = field(BIRTH, Transform.YEAR)


@pytest.mark.parametrize(
    "asked",
    [
        agreement(PSEUDONYM, YEAR, field(TOWN)),
        agreement(YEAR, field(TOWN)),
        agreement(field(BIRTH), field(TOWN), field("geslacht")),
        agreement(field(BIRTH, Transform.DECADE), field(TOWN)),
        agreement(field(BIRTH, Transform.BAND, "1950-01-01"), field(TOWN)),
        agreement(YEAR, where=GENT),
        agreement(field(TOWN), where=AllOf((Prefix(BIRTH, "195"),))),
        agreement(YEAR, field(TOWN, Transform.LIVES_IN, "44021")),
        agreement(field(BIRTH, Transform.ADULT), field(BIRTH, Transform.AGE, "21"), where=GENT),
        agreement(field(BIRTH, Transform.ADULT), field(BIRTH, Transform.YEAR), where=GENT),
    ],
)
def test_birth_and_place_together_are_warned_of(asked: Agreement) -> None:
    (warning,) = warnings(asked, PERSON, CEILING)
    assert (warning.code, warning.path) == ("SMALL_CELL", TOWN)
    assert BIRTH in warning.text
    assert ("the pseudonym" in warning.text) == (PSEUDONYM in asked.fields)


@pytest.mark.parametrize(
    "asked",
    [
        agreement(PSEUDONYM, YEAR),
        agreement(PSEUDONYM, field(TOWN), field(POSTCODE)),
        agreement(PSEUDONYM, field(BIRTH, Transform.ADULT), field(TOWN)),
        agreement(PSEUDONYM, field(BIRTH, Transform.AGE, "65"), where=GENT),
        agreement(field(BIRTH, Transform.NOTIFY_ONLY), field(TOWN)),
        agreement(YEAR, field(TOWN), dossiers=True),
        agreement(field("insz"), YEAR, field(TOWN)),
    ],
)
def test_coarser_forms_and_subjects_that_are_known_anyway_are_not(asked: Agreement) -> None:
    assert warnings(asked, PERSON, CEILING) == ()


def test_each_combination_is_told_once_and_only_those_the_owner_lists() -> None:
    asked = agreement(PSEUDONYM, YEAR, field(TOWN), field(POSTCODE), where=GENT)
    assert [each.path for each in warnings(asked, PERSON, CEILING)] == [TOWN, POSTCODE]
    assert warnings(asked, PERSON, replace(CEILING, quasi_identifiers=())) == ()
    other = replace(CEILING, quasi_identifiers=(("insz", "verblijfplaats.postcode"),))
    assert [each.path for each in warnings(asked, PERSON, other)] == [POSTCODE]


def test_of_the_reviewed_agreements_only_statistics_is_warned() -> None:
    warned = set()
    for path in (ROOT / "policies" / "agreements").glob("*.yaml"):
        asked = documents.agreement(path.read_text())
        if asked.product == "persoon.v1":
            ceiling = effective_ceiling(PURPOSES, CEILINGS, asked.source, asked.product, asked.purpose)
            warned |= {asked.id} if warnings(asked, PERSON, ceiling) else set()
    assert warned == {"statistiek-vlaanderen"}
