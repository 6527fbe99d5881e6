"""What an agreement must lay down: a matrix of parts by instrument and by what the fields are, and its page in the docs."""

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.model.agreement import (
    Agreement,
    Equals,
    FieldClass,
    Instrument,
    LegalBasis,
    Population,
    ReleasedField,
    Term,
    Transform,
)
from broker.model.conditions import (
    NO_CONDITIONS,
    Conditions,
    Impact,
    Onward,
    Party,
    Publication,
    Recipient,
    Retention,
    Role,
)
from broker.policy.clauses import LAWS, PARTS, about_persons, gaps
from tests.unit.policy.conftest import FAKE, FakeField, FakeSchema

DOCS = Path(__file__).parents[3] / "docs" / "agreements.md"
PUBLIC = FakeSchema(
    "gids.v1",
    {
        "iri": FakeField(field_class=FieldClass.PUBLIC, subject="principal"),
        "dienst": FakeField(field_class=FieldClass.PUBLIC),
        "beheerder": FakeField(field_class=FieldClass.CONTACT),
    },
    "iri",
)
PARTY = Party(Role.CONTROLLER, "De directeur", "dpo@x.example", "lek@x.example")
WHOLE = Conditions(
    source=PARTY,
    agency=PARTY,
    necessity="n",
    compatibility="c",
    periodicity="p",
    retention=Retention("tot", "wissen"),
    onward=Onward(allowed=False),
    recipients=(Recipient("Loket", "Behandelt."),),
    security=("Versleuteld.",),
    quality="q",
    rights="r",
    rights_limits="l",
    sanctions="s",
    impact=Impact("FICTIEF"),
    publication=Publication("https://a.example", "https://b.example"),
)


def basis(instrument: Instrument = Instrument.PROTOCOL_VL, gdpr: str = "6.1.e") -> LegalBasis:
    return LegalBasis(instrument, "FICTIEF", gdpr, "…", date(2026, 1, 15))


GOOD = Agreement(
    id="a", version=1, title="T", source="bron", product="persoon.v1", agency="dienst", purpose="hulp",
    bases=(basis(),), fields=(ReleasedField("naam.achternaam", Transform.KEEP, "w"),), population=Population(),
    term=Term(datetime(2026, 1, 1, tzinfo=UTC), None), conditions=WHOLE,
)  # fmt: skip
OF_NOBODY = replace(GOOD, product="gids.v1", fields=(ReleasedField("dienst", Transform.KEEP, "w"),))


def without(paths: Collection[str]) -> Conditions:
    """The whole conditions, without the parts at these paths."""
    left = WHOLE
    for path in paths:
        _, name, *below = path.split(".")
        part = None if not below else getattr(left, name) and replace(getattr(left, name), **{below[0]: None})
        left = replace(left, **{name: () if isinstance(getattr(WHOLE, name), tuple) else part})
    return left


@given(st.sets(st.sampled_from(sorted(part.path for part in PARTS))))
def test_exactly_what_is_left_out_is_asked_for(paths: set[str]) -> None:
    found = gaps(replace(GOOD, conditions=without(paths)), FAKE)
    assert [finding.path for finding in found] == [part.path for part in PARTS if part.path in paths]


@pytest.mark.parametrize("instrument", [each for each in Instrument if each is not Instrument.OPEN_DATA])
def test_each_instrument_asks_its_own_parts_of_data_about_nobody(instrument: Instrument) -> None:
    found = gaps(replace(OF_NOBODY, bases=(basis(instrument),), conditions=NO_CONDITIONS), PUBLIC)
    assert [finding.path for finding in found] == [part.path for part in PARTS if instrument in part.asked_by]
    assert all(finding.text.startswith(LAWS[instrument]) for finding in found)


def test_open_data_needs_only_its_licence() -> None:
    free = replace(OF_NOBODY, bases=(replace(basis(Instrument.OPEN_DATA), dated=None),), conditions=NO_CONDITIONS)
    assert [finding.code for finding in gaps(free, PUBLIC)] == ["NO_LICENCE"]
    licensed = replace(free, bases=(replace(free.bases[0], url="https://x.example/licentie"),))
    assert gaps(licensed, PUBLIC) == ()


def test_personal_data_bring_the_regulation_along_whatever_the_instrument() -> None:
    found = gaps(replace(GOOD, bases=(), conditions=NO_CONDITIONS), FAKE)
    assert [finding.path for finding in found] == [part.path for part in PARTS if part.gdpr]
    assert all("GDPR" in finding.text for finding in found)


def test_every_instrument_that_asks_is_named_in_the_refusal() -> None:
    both = replace(
        GOOD, bases=(basis(Instrument.IVC), basis(Instrument.PROTOCOL_VL)), conditions=without(["conditions.security"])
    )
    [found] = gaps(both, FAKE)
    assert found.text.startswith(f"{LAWS[Instrument.PROTOCOL_VL]}, {LAWS[Instrument.IVC]}, art. 32 GDPR ask ")


def test_whether_deliveries_are_about_persons() -> None:
    assert about_persons(GOOD, FAKE)
    assert about_persons(replace(GOOD, fields=(ReleasedField("recordedAt", Transform.KEEP, "w"),)), FAKE)
    assert not about_persons(OF_NOBODY, PUBLIC)
    assert about_persons(replace(OF_NOBODY, population=Population(Equals("beheerder", ("x",)))), PUBLIC)


def test_a_basis_of_consent_needs_a_population_of_consent() -> None:
    asked = replace(GOOD, bases=(basis(gdpr="6.1.a"),))
    assert [finding.code for finding in gaps(asked, FAKE)] == ["CONSENT_NOT_ASKED"]
    assert gaps(replace(asked, population=Population(consent=True)), FAKE) == ()


def test_the_table_in_the_documentation_is_the_one_that_is_executed() -> None:
    instruments = [each for each in Instrument if each is not Instrument.OPEN_DATA]
    head = f"| part | code | {' | '.join(f'`{each}`' for each in instruments)} | any personal data |"
    rows = [
        f"| `{part.path}` | `{part.code}` | {' | '.join('yes' if each in part.asked_by else '' for each in instruments)} "
        f"| {f'{part.gdpr} GDPR' if part.gdpr else ''} |"
        for part in PARTS
    ]
    table = "\n".join([head, f"|{'---|' * (len(instruments) + 3)}", *rows])
    assert table in DOCS.read_text(), table
