"""What an agency sees of a person, why it does not see the rest, and what receipts mean in words."""

from dataclasses import replace
from pathlib import Path

import pytest

from broker.delivery.trail import TracedDecision
from broker.demo.cast import cast
from broker.demo.logs import Receipt
from broker.demo.story import ABOVE, REPLACED, UNASKED, Card, Delivered, card, events, source_lines, what
from broker.model.agreement import State
from broker.model.decision import Kind, Reason
from broker.policy import documents, limit_documents
from broker.policy.limits import effective_ceiling

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
PURPOSES = limit_documents.purposes((POLICIES / "purposes.yaml").read_text())
CEILINGS = {
    ceiling.key: ceiling
    for ceiling in limit_documents.ceilings((POLICIES / "ceilings" / "persoon.v1.yaml").read_text())
}
LEAD = cast().lead
SOURCE = source_lines(LEAD)
YOUTH = Delivered("initial", {"dossierReferentie": "JD-1", "meerderjarig": True})


def seen(name: str, delivered: Delivered | None, state: State = State.ACTIVE) -> Card:
    agreement = documents.agreement((POLICIES / "agreements" / f"{name}.yaml").read_text())
    ceiling = effective_ceiling(PURPOSES, CEILINGS, agreement.source, agreement.product, agreement.purpose)
    purpose = PURPOSES.by_code[agreement.purpose]
    return card(agreement, state, delivered, SOURCE, ceiling=ceiling, purpose=purpose, agency="Een dienst")


def reasons(shown: Card) -> dict[str, str]:
    return {item.path: item.kind for item in shown.dropped}


def test_the_source_shows_all_it_holds_and_sets_codes_aside() -> None:
    shown = {line.path: line for line in SOURCE}
    assert shown["naam.voornamen"].value == ", ".join(LEAD["naam"]["voornamen"])
    assert not shown["insz"].aside
    assert shown["verblijfplaats.gemeente.nis"].aside
    assert shown["kind"].aside
    assert "overlijden.datum" not in shown


def test_an_answer_stands_for_a_date_and_a_file_number_for_a_person() -> None:
    shown = seen("jeugddienst-leuven", YOUTH)
    assert [(line.label, line.value) for line in shown.lines] == [("dossiernummer", "JD-1"), ("meerderjarig", "ja")]
    assert [item.path for item in shown.dropped[:2]] == ["insz", "geboorte.datum"]
    assert all(item.kind == REPLACED for item in shown.dropped[:2])
    assert "achttien jaar" in shown.dropped[1].reason


def test_every_field_of_the_source_is_seen_or_has_its_reason() -> None:
    value = {"naam": LEAD["naam"], "verblijfplaats": {"gemeente": {"naam": "Leuven"}}}
    shown = seen("inwoners-leuven", Delivered("initial", value))
    released = {
        field.path
        for field in documents.agreement((POLICIES / "agreements" / "inwoners-leuven.yaml").read_text()).fields
    }
    assert {line.path for line in SOURCE} == set(reasons(shown)) | (released & {line.path for line in SOURCE})
    assert reasons(shown)["verblijfplaats.gemeente.nis"] == UNASKED
    assert reasons(shown)["nationaliteiten.omschrijving"] == ABOVE
    assert reasons(shown)["insz"] == ABOVE
    assert shown.kinds.startswith("1 niet in het protocol, ")


@pytest.mark.parametrize(
    ("delivered", "state", "words"),
    [
        (YOUTH, State.REVOKED, "ingetrokken"),
        (YOUTH, State.SUSPENDED, "niet van kracht"),
        (None, State.ACTIVE, "nog niets"),
        (Delivered("left-population", None), State.ACTIVE, "vertrokken"),
    ],
)
def test_where_nothing_is_shown_it_says_why(delivered: Delivered | None, state: State, words: str) -> None:
    shown = seen("jeugddienst-leuven", delivered, state)
    assert shown.lines == ()
    assert words in shown.note


def test_receipts_are_told_latest_first_with_who_why_and_what() -> None:
    agreement = documents.agreement((POLICIES / "agreements" / "inwoners-leuven.yaml").read_text())
    release = TracedDecision(agreement.id, 1, "release", "initial", None, "ab" * 16)
    withhold = TracedDecision(agreement.id, 2, "withhold", "changed", "REVOKED", None)
    receipts = [Receipt(("t", 0, 1), b"", 1000, (release,)), Receipt(("t", 0, 2), b"", 2000, (withhold,))]
    told = events(receipts, {agreement.id: agreement}, PURPOSES.by_code, {"stad-leuven": "Stad Leuven"})
    assert [event.rows[0].delivery for event in told] == ["", "ab" * 16]
    row = told[1].rows[0]
    assert (row.agency, row.purpose) == ("Stad Leuven", "Inwoners aanschrijven")
    assert row.basis == "FICTIEF-RR-2026-102"


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_of_delivery_has_words(kind: Kind) -> None:
    assert what(TracedDecision("a", 1, "release", kind.value, None, "d"))


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason.receipted])
def test_every_receipted_reason_has_words(reason: Reason) -> None:
    decision = TracedDecision("a", 1, "withhold", "changed", reason.value, None)
    assert what(decision).startswith("Niets: ")
    assert what(decision) != what(replace(decision, reason=None, delivery="d"))
