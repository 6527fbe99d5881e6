"""Records of processing activities: every agreement in force of the organisation, everything art. 30 asks, nothing of others."""

import csv
import json
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import pytest

from broker.cli.documents import PolicyFolder
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.processing_register import (
    HEADS,
    Activity,
    Mandate,
    controllers_register,
    csv_text,
    json_rows,
    operators_register,
)

FOLDER = PolicyFolder.of()
NOW = datetime(2026, 11, 26, tzinfo=UTC)


def reviewed(name: str, **changes: Any) -> dict[str, Any]:
    text = (FOLDER.policies / "agreements" / f"{name}.yaml").read_text()
    return documents.agreement_document(documents.agreement(text)) | changes


def take(state: ControlState, kind: FactType, document: dict[str, Any]) -> None:
    name, offset = f"agreement/{document['id']}", state.epoch + 1
    data = {"document": document, "egress": None} if kind is FactType.AGREEMENT_REQUESTED else {"id": document["id"]}
    assert state.apply(offset, Fact(f"f{offset}", kind, name, state.version(name), NOW, document["agency"], data))


def active(state: ControlState, document: dict[str, Any]) -> None:
    take(state, FactType.AGREEMENT_REQUESTED, document)
    take(state, FactType.AGREEMENT_ACTIVE, document)


@pytest.fixture
def state() -> ControlState:
    held = FOLDER.state()
    active(held, reviewed("parkeerboetes-gent"))
    active(held, reviewed("statistiek-vlaanderen"))
    active(held, reviewed("inwoners-leuven"))
    take(held, FactType.AGREEMENT_SUSPENDED, reviewed("inwoners-leuven"))
    active(held, reviewed("inwoners-oostende"))
    take(held, FactType.AGREEMENT_ENDED, reviewed("inwoners-oostende"))
    take(held, FactType.AGREEMENT_REQUESTED, reviewed("inwoners-gent"))
    return held


def test_a_source_has_every_agreement_in_force_and_an_agency_its_own(state: ControlState) -> None:
    source = controllers_register("rijksregister", state)
    assert [(row.agreement, row.role, row.state) for row in source] == [
        ("inwoners-leuven", "bron", "geschorst"),
        ("parkeerboetes-gent", "bron", "actief"),
        ("statistiek-vlaanderen", "bron", "actief"),
    ]
    own = controllers_register("gent-parkeren", state)
    assert [(row.agreement, row.role) for row in own] == [("parkeerboetes-gent", "afnemer")]
    assert controllers_register("stad-oostende", state) == ()
    assert controllers_register("stad-gent", state) == ()


def test_a_row_says_all_that_article_30_1_asks(state: ControlState) -> None:
    state.organisations["gent-parkeren"] = Organisation("gent-parkeren", "Parkeerbedrijf Gent", None, "0207451227")
    (row,) = controllers_register("gent-parkeren", state)
    assert row.controller == "Parkeerbedrijf Gent (KBO-nummer 0207451227)"
    assert row.officer == "dpo@gent-parkeren.example"
    assert row.joint_controller == "Geen."
    assert row.purpose.startswith("Parkeerretributie innen: ")
    assert (
        row.data_subjects == "Personen in het dataproduct persoon.v1 met een dossier dat de afnemer heeft ingeschreven."
    )
    assert row.personal_data == (
        "Identificatienummer: rijksregisternummer",
        "Identificerend gegeven: achternaam, voornamen",
        "Contactgegeven: straat, huisnummer, bus, postcode, gemeente",
    )
    assert row.recipients
    assert row.transfers == "Geen doorgifte naar een derde land of een internationale organisatie."
    assert row.retention[-1] == "In de leveringsstroom: ten hoogste 14 dagen."
    assert row.security
    assert "Rijksregister" not in " ".join(row.recipients)


def test_for_a_source_the_agency_is_the_recipient(state: ControlState) -> None:
    row = next(row for row in controllers_register("rijksregister", state) if row.agreement == "statistiek-vlaanderen")
    assert row.recipients[0] == "Statistiek Vlaanderen"
    assert row.controller == "Rijksregister van de natuurlijke personen"


def test_what_the_agreement_leaves_open_is_said_as_such_and_joint_control_is_named(state: ControlState) -> None:
    document = reviewed("verkiezingen-2024")
    document["conditions"] = {"agency": {"role": "gezamenlijke-verwerkingsverantwoordelijke"}}
    document["fields"] = [{"path": "nationaliteiten.code", "transform": "keep", "why": "…"}]
    active(state, document)
    (row,) = controllers_register("verkiezingscel-vlaanderen", state)
    assert row.joint_controller == "Rijksregister van de natuurlijke personen"
    assert (row.officer, row.security, row.retention[0]) == (
        "Niet bepaald in het protocol.",
        ("Niet bepaald in het protocol.",),
        "Niet bepaald in het protocol.",
    )
    assert "kunnen een bijzondere categorie onthullen" in row.personal_data[-1]
    assert row.data_subjects.endswith("geselecteerd op gemeente (NIS-code).")


def test_open_data_is_about_nobody(state: ControlState) -> None:
    basis = {"instrument": "open-data", "reference": "O-1", "gdpr": "6.1.e", "text": "Open."}
    active(state, reviewed("verkiezingen-2024", bases=[basis]))
    assert controllers_register("verkiezingscel-vlaanderen", state) == ()


def test_the_operator_has_a_row_for_each_controller_it_works_for(state: ControlState) -> None:
    rows = operators_register("operator", state)
    assert [row.controller for row in rows] == [
        "Parkeerbedrijf Gent",
        "Rijksregister van de natuurlijke personen",
        "Stad Leuven",
        "Statistiek Vlaanderen",
    ]
    assert rows[1].agreements == (
        "inwoners-leuven (bron)",
        "parkeerboetes-gent (bron)",
        "statistiek-vlaanderen (bron)",
    )
    assert rows[0].officer == "dpo@gent-parkeren.example"


def test_the_table_has_dutch_heads_and_one_line_per_row(state: ControlState) -> None:
    rows = controllers_register("rijksregister", state)
    text = csv_text(rows, Activity)
    assert text.startswith("\ufeffKenmerk;Versie;")
    table = list(csv.reader(StringIO(text.removeprefix("\ufeff")), delimiter=";"))
    assert table[0] == list(HEADS[Activity])
    assert [line[0] for line in table[1:]] == [row.agreement for row in rows]
    assert {len(line) for line in table} == {len(HEADS[Activity])}
    assert csv_text((), Mandate).count("\r\n") == 1


@pytest.mark.parametrize("text", ['=HYPERLINK("https://x.example")', "+1", "-1", "@a"])
def test_a_spreadsheet_finds_no_formula(state: ControlState, text: str) -> None:
    document = reviewed("verkiezingen-2024")
    document["conditions"] = {"security": [text]}
    active(state, document)
    written = csv_text(controllers_register("verkiezingscel-vlaanderen", state), Activity)
    line = list(csv.reader(StringIO(written), delimiter=";"))[1]
    assert line[-1] == f"'{text}"


def test_json_says_the_same_under_the_same_heads(state: ControlState) -> None:
    rows = operators_register("operator", state)
    told = json.loads(json.dumps(json_rows(rows)))
    assert list(told[0]) == list(HEADS[Mandate])
    assert told[1]["Protocollen"] == list(rows[1].agreements)


def test_the_same_agreements_give_the_same_bytes(state: ControlState) -> None:
    first = csv_text(controllers_register("rijksregister", state), Activity)
    again = FOLDER.state()
    for name in ("statistiek-vlaanderen", "inwoners-leuven", "parkeerboetes-gent"):
        active(again, reviewed(name))
    take(again, FactType.AGREEMENT_SUSPENDED, reviewed("inwoners-leuven"))
    assert csv_text(controllers_register("rijksregister", again), Activity) == first
