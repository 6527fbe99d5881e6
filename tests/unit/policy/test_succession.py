"""Whether an agreement's protocol text must change for a product's successor: each reason, where the text says it, and by when."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from broker.cli.documents import PolicyFolder
from broker.model.agreement import Agreement, Equals, ReleasedField, State, Term, Transform
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.product_life import Deprecation
from broker.model.registered import Product, RegisteredSchema
from broker.policy import documents
from broker.policy.migration import migrated
from broker.policy.protocol_text import render
from broker.policy.succession import Asked, By, Reason, asked, deadline, moved, names
from broker.schema.avro import Schema
from broker.schema.compatibility import Rule
from tests.unit.schema.test_compatibility import OLD, Edit, change, drop, enum, field, leaf, version

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
SUNSET = datetime(2027, 6, 30, tzinfo=UTC)
UNNAMED = "# Protocol\n\n## Artikel 4. Meegedeelde gegevens\n\nDe gegevens van bijlage 1.\n"
"""A text that names no product: signed elsewhere, over an annex."""


def agreement() -> Agreement:
    return documents.agreement((PolicyFolder.of().policies / "agreements" / "inwoners-gent.yaml").read_text())


def control(new: Schema) -> ControlState:
    state = PolicyFolder.of().state()
    state.schemas[99] = RegisteredSchema(99, new.product, new.text)
    state.products["rijksregister", new.product] = Product(new.product, "rijksregister", 99)
    return state


def found(edit: Edit, text: str | None = UNNAMED, signed: Agreement | None = None) -> Asked:
    new, value = version(edit), signed or agreement()
    state = control(new)
    entry = AgreementEntry(value.id, 1, State.ACTIVE, documents.agreement_document(value), 1, AT, 1, AT)
    return asked(replace(entry, text=text or render(value, state)), state, OLD, new)


def nothing(_document: dict[str, Any]) -> None:
    """The same schema under the next name."""


def within(path: str, gone: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        type_ = field(document, path)["type"]
        record = type_[1] if isinstance(type_, list) else type_
        record["fields"] = [each for each in record["fields"] if each["name"] != gone]

    return edit


def always_there(path: str) -> Edit:
    def edit(document: dict[str, Any]) -> None:
        known = field(document, path)
        known["type"] = "string"
        del known["default"]

    return edit


def at_most(count: int) -> Edit:
    return change("naam.voornamen", maxItems=count)


REASONS: list[tuple[str, Edit, str, Reason]] = [
    ("absent", within("naam", "voornamen"), "naam.voornamen", Reason.FIELD_ABSENT),
    ("its group is absent", drop("verblijfplaats"), "verblijfplaats.postcode", Reason.FIELD_ABSENT),
    (
        "selected by, and absent",
        within("verblijfplaats.gemeente", "nis"),
        "verblijfplaats.gemeente.nis",
        Reason.FIELD_ABSENT,
    ),
    ("renamed", change("naam.achternaam", name="familienaam"), "naam.achternaam", Reason.FIELD_RENAMED),
    ("another class", change("naam.achternaam", **{"class": "special"}), "naam.achternaam", Reason.CLASS_CHANGED),
    ("reveals", change("naam.achternaam", reveals="special"), "naam.achternaam", Reason.CLASS_CHANGED),
    ("another type", change("naam.achternaam", type="long"), "naam.achternaam", Reason.TYPE_CHANGED),
    ("another meaning", change("naam.achternaam", iri="https://e.org/x"), "naam.achternaam", Reason.MEANING_CHANGED),
    ("said otherwise", change("naam.achternaam", doc="Surname."), "naam.achternaam", Reason.MEANING_CHANGED),
    ("fewer values", at_most(2), "naam.voornamen", Reason.CONSTRAINT_STRICTER),
    (
        "a kind of identifier",
        change("verblijfplaats.gemeente.nis", identifier="nis"),
        "verblijfplaats.gemeente.nis",
        Reason.CONSTRAINT_STRICTER,
    ),
    (
        "always there",
        always_there("verblijfplaats.straatnaam"),
        "verblijfplaats.straatnaam",
        Reason.CONSTRAINT_STRICTER,
    ),
]


@pytest.mark.parametrize(("edit", "path", "reason"), [each[1:] for each in REASONS], ids=[each[0] for each in REASONS])
def test_each_reason_for_another_text_is_told_with_its_path(edit: Edit, path: str, reason: Reason) -> None:
    told = found(edit)
    assert told.text_must_change
    assert (reason, path) in {(each.reason, each.path) for each in told.grounds}
    assert {each.reason for each in told.grounds} == {reason}


def test_a_narrower_code_list_is_a_stricter_constraint() -> None:
    value = agreement()
    signed = replace(value, fields=(*value.fields, ReleasedField("geslacht", Transform.KEEP, "Aanspreking.")))
    told = found(enum("geslacht", lambda symbols: symbols[:-1]), signed=signed)
    assert [(each.reason, each.path) for each in told.grounds] == [(Reason.CONSTRAINT_STRICTER, "geslacht")]


def test_a_renamed_field_is_told_with_its_new_name_and_followed() -> None:
    new = version(change("naam.achternaam", name="familienaam"))
    (ground,) = found(change("naam.achternaam", name="familienaam")).grounds
    assert (ground.path, ground.to) == ("naam.achternaam", "naam.familienaam")
    after = moved(agreement(), "persoon.v2", names(OLD, new))
    assert after.product == "persoon.v2"
    assert [released.path for released in after.fields][:2] == ["naam.familienaam", "naam.voornamen"]
    assert moved(agreement(), "persoon.v2", {"verblijfplaats.gemeente.nis": "nis"}).population.where == Equals(
        "nis", ("44021",)
    )


def test_a_migration_follows_what_was_renamed_and_names_what_needs_a_decision() -> None:
    def edit(document: dict[str, Any]) -> None:
        change("naam.achternaam", name="familienaam")(document)
        within("naam", "voornamen")(document)
        change("verblijfplaats.postcode", **{"class": "special"})(document)

    made = migrated(agreement(), OLD, version(edit))
    assert (made.agreement.id, made.agreement.version, made.agreement.product) == ("inwoners-gent-v2", 1, "persoon.v2")
    assert [released.path for released in made.agreement.fields][:2] == [
        "naam.familienaam",
        "verblijfplaats.straatnaam",
    ]
    assert {(each.path, each.reason) for each in made.undecided} == {
        ("naam.voornamen", Reason.FIELD_ABSENT),
        ("verblijfplaats.postcode", Reason.CLASS_CHANGED),
    }


HARMLESS: list[tuple[str, Edit, Rule | None]] = [
    ("nothing", nothing, None),
    ("a new field", lambda document: document["fields"].append(leaf()), None),
    ("a field that is not released", drop("vervangenDoor"), None),
    ("may be absent", change("naam.achternaam", type=["null", "string"], default=None), Rule.MADE_OPTIONAL),
]


@pytest.mark.parametrize(("edit", "rule"), [each[1:] for each in HARMLESS], ids=[each[0] for each in HARMLESS])
def test_what_the_text_does_not_say_is_for_programs(edit: Edit, rule: Rule | None) -> None:
    told = found(edit)
    assert not told.text_must_change
    assert [each.rule for each in told.for_programs] == ([] if rule is None else [rule])


def test_a_constraint_that_allows_more_is_no_reason() -> None:
    new, value = version(at_most(9)), agreement()
    state = control(new)
    entry = AgreementEntry(value.id, 1, State.ACTIVE, documents.agreement_document(value), 1, AT, 1, AT, text=UNNAMED)
    told = asked(entry, state, version(at_most(3)), new)
    assert (told.text_must_change, [each.rule for each in told.for_programs]) == (False, [Rule.CONSTRAINT_CHANGED])


def test_a_text_that_names_the_product_must_change_and_the_articles_that_do_are_told() -> None:
    told = found(nothing, text=None)
    assert [(each.reason, each.path) for each in told.grounds] == [(Reason.PRODUCT_NAMED, "")]
    assert [(each.article, each.title) for each in told.clauses] == [(1, "Partijen"), (4, "Meegedeelde gegevens")]
    assert ["persoon.v1" in "".join(each.before) for each in told.clauses] == [
        False,
        True,
    ]  # article 1: the fingerprint
    assert "persoon.v2" in "".join(told.clauses[1].after)
    assert not found(nothing, text=UNNAMED.replace("bijlage", "persoon.v10")).text_must_change


def test_a_draft_without_a_text_yet_stands_in_nobodys_way() -> None:
    new, draft = version(within("naam", "voornamen")), replace(agreement(), purpose="nog-te-bepalen")
    entry = AgreementEntry(draft.id, 1, State.DRAFT, documents.agreement_document(draft), None, AT, 1)
    told = asked(entry, control(new), OLD, new)
    assert ([each.reason for each in told.grounds], told.clauses) == ([Reason.FIELD_ABSENT], ())


def test_the_articles_say_what_is_another_field_there() -> None:
    told = found(within("naam", "voornamen"), text=None)
    (data,) = [each for each in told.clauses if each.title == "Meegedeelde gegevens"]
    assert any("komt in het dataproduct niet voor" in line for line in data.after)


@pytest.mark.parametrize(
    ("end", "must", "successor", "by", "days"),
    [
        (None, True, "persoon.v2", By.NOTICE, 90),
        (None, False, "persoon.v2", By.SUNSET, 0),
        (SUNSET + timedelta(days=1), True, "persoon.v2", By.NOTICE, 90),
        (SUNSET - timedelta(days=9), True, "persoon.v2", By.TERM, 9),
        (None, False, None, By.SUNSET, None),
    ],
)
def test_the_day_follows_from_notice_sunset_or_its_own_term(end, must, successor, by, days) -> None:
    value = replace(agreement(), term=Term(AT, end))
    told = Deprecation(AT, SUNSET, "Nieuw", successor, 90, 1)
    made = deadline(value, told, text_must_change=must)
    assert (made.rule, made.at) == (by, None if days is None else SUNSET - timedelta(days=days))
