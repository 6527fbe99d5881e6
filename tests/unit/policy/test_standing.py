"""An agreement's standing, from its versions as the control log's fold keeps them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from broker.model.agreement import State
from broker.model.lifecycle import AgreementEntry, Step, Transition
from broker.policy import documents
from broker.policy.standing import amended_at, standing_of

FIRST = datetime(2026, 3, 1, tzinfo=UTC)
ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "policies" / "agreements" / "inwoners-gent.yaml").read_text()


def version(number: int, document: dict[str, Any], *, last: bool) -> AgreementEntry:
    """A version in force from the first day of its month; the next one's activation is in its history too."""
    began = FIRST + timedelta(days=number)
    steps = [Transition(Step.ACTIVATED if number == 1 else Step.AMENDED, "rijksregister", began)]
    if not last:
        steps.append(Transition(Step.AMENDED, "rijksregister", began + timedelta(days=1)))
    return AgreementEntry(
        "inwoners-gent",
        number,
        State.ACTIVE if last else State.ENDED,
        document | {"version": number},
        7,
        began,
        number,
        FIRST,
        history=tuple(steps),
        amends=None if number == 1 else number - 1,
    )


@pytest.fixture
def document() -> dict[str, Any]:
    return documents.agreement_document(documents.agreement(TEXT))


def test_a_first_version_amends_nothing(document) -> None:
    only = version(1, document, last=True)
    assert amended_at(only) is None
    standing = standing_of(only, {1: only}, lambda _: True)
    assert standing.formers == ()
    assert standing.version_at(FIRST) is standing.agreement


def test_who_was_told_is_asked_of_the_version_of_then(document) -> None:
    """The fold gives an amendment that took effect the step AMENDED, in both versions."""
    wide = document | {"population": {"where": {"path": "verblijfplaats.gemeente.nis", "in": ["44021", "24062"]}}}
    entries = {
        number: version(number, text, last=number == 3)
        for number, text in enumerate((document, wide, document), start=1)
    }
    standing = standing_of(entries[3], entries, lambda _: False)
    assert standing.above_ceiling
    assert standing.amended_at == FIRST + timedelta(days=3)
    days = [standing.version_at(FIRST + timedelta(days=day, hours=1)).version for day in range(5)]
    assert days == [1, 1, 2, 3, 3]


def test_versions_that_deliver_the_same_to_the_same_are_one(document) -> None:
    fields = [field | {"why": "Anders verwoord"} for field in document["fields"]]
    entries = {1: version(1, document, last=False), 2: version(2, document | {"fields": fields}, last=True)}
    assert standing_of(entries[2], entries, lambda _: True).formers == ()
    fewer = replace(entries[2], document=document | {"fields": fields[1:], "version": 2})
    assert len(standing_of(fewer, {1: entries[1], 2: fewer}, lambda _: True).formers) == 1
