"""Templates: one text, an agreement of its own for every authority, and nothing but the table's facts filled in."""

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker.errors import Invalid
from broker.model.agreement import Equals, Instrument
from broker.policy import clauses, documents, limit_documents, yamltext
from broker.policy.authorities import Authorities, Authority, Kind, authorities
from broker.policy.check import check
from broker.policy.templates import accession_of, instance, instances, template
from broker.schema.avro import encode_literal, load_schema

ROOT = Path(__file__).parents[3]
POLICIES = ROOT / "policies"
TABLE = authorities((POLICIES / "authorities.csv").read_text(encoding="utf-8"))
TODAY = date(2026, 11, 26)
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted((POLICIES / "templates").glob("*.yaml"))}
DORP = Authority("gemeente-dorp", Kind.GEMEENTE, "Dorp aan 't Water", "44999", ovo="OVO999999")


def changed(place: str, value: Any) -> dict[str, Any]:
    """The first template with something else at `place` (a key ending in `!` renames the last one)."""
    document: dict[str, Any] = yamltext.load(TEXTS["inwoners"])
    *steps, last = place.split(".")
    target: Any = document
    for step in steps:
        target = target[int(step)] if isinstance(target, list) else target[step]
    target[int(last) if isinstance(target, list) else last] = value
    return document


@pytest.mark.parametrize("name", TEXTS)
def test_the_repositorys_templates_read_and_are_named_after_their_file(name: str) -> None:
    made = template(TEXTS[name])
    assert made.id == name
    assert made.parameters == {"naam", "nis", "organisatie"} - ({"nis"} if made.kinds == (Kind.OCMW,) else set())


def test_all_285_of_a_kind_get_an_agreement_of_their_own() -> None:
    for name, kind in (("inwoners", Kind.GEMEENTE), ("sociaal-huis", Kind.OCMW)):
        made = [documents.agreement(document) for document in instances(template(TEXTS[name]), TABLE, TODAY)]
        assert len({agreement.id for agreement in made}) == 285
        assert {agreement.agency for agreement in made} == {row.id for row in TABLE.on(TODAY, kind)}
        assert {agreement.source for agreement in made} == {"rijksregister"}


def test_a_municipality_gets_its_own_inhabitants_and_its_name_in_the_text() -> None:
    agreement = documents.agreement(instance(template(TEXTS["inwoners"]), DORP))
    assert (agreement.id, agreement.version, agreement.agency) == ("inwoners-gemeente-dorp", 1, "gemeente-dorp")
    assert agreement.population.where == Equals("verblijfplaats.gemeente.nis", ("44999",))
    assert agreement.title.endswith("inwoners van Dorp aan 't Water")
    assert agreement.conditions.agency is not None
    assert agreement.conditions.agency.dpo == "dpo@gemeente-dorp.example"


def test_an_ocmw_gets_the_persons_it_has_a_file_on_under_its_own_reference() -> None:
    centre = Authority("ocmw-dorp", Kind.OCMW, "Dorp", "44999")
    agreement = documents.agreement(instance(template(TEXTS["sociaal-huis"]), centre))
    assert agreement.population.dossiers
    assert "own-reference" in {field.transform.value for field in agreement.fields}
    assert Instrument.ACCESSION in {basis.instrument for basis in agreement.bases}


def test_instances_are_of_the_day_and_of_the_kinds_that_the_template_is_for() -> None:
    ends, follows = (
        Authority("gemeente-a", Kind.GEMEENTE, "A", "11001", end=date(2025, 1, 1), successor="gemeente-b"),
        Authority("gemeente-b", Kind.GEMEENTE, "B", "11002", begin=date(2025, 1, 1)),
    )
    table = Authorities([ends, follows, Authority("ocmw-a", Kind.OCMW, "A", "11001")])
    made = template(TEXTS["inwoners"])
    assert [document["agency"] for document in instances(made, table, date(2024, 6, 1))] == ["gemeente-a"]
    assert [document["agency"] for document in instances(made, table, TODAY)] == ["gemeente-b"]


def test_a_code_that_the_table_lacks_is_asked_for_and_never_left_blank() -> None:
    made = template(changed("agreement.title", "Nummer {kbo}"))
    with pytest.raises(Invalid, match="gemeente-dorp has no kbo in the table"):
        instance(made, DORP)


def test_what_an_authority_is_called_is_never_read_as_a_placeholder_again() -> None:
    tricky = Authority("gemeente-x", Kind.GEMEENTE, "{kbo}", "11001")
    assert instance(template(changed("agreement.title", "Voor {naam}")), tricky)["title"] == "Voor {kbo}"


@pytest.mark.parametrize(
    ("place", "given", "says"),
    [
        ("agreement.title", "Voor {burgemeester}", "agreement.title: braces stand for one of {nis}"),
        ("agreement.title", "Voor {naam.lower()}", "agreement.title: braces"),
        ("agreement.title", "Voor {naam", "agreement.title: braces"),
        ("agreement.title", "Voor naam}", "agreement.title: braces"),
        ("agreement.title", "Voor {{naam}}", "agreement.title: braces"),
        ("agreement.title", "Voor {}", "agreement.title: braces"),
        ("agreement.purpose", "{naam}", "agreement.purpose: the same for every authority"),
        ("agreement.source", "{organisatie}", "agreement.source: the same"),
        ("agreement.fields.0.path", "naam.{nis}", "agreement.fields.0.path: the same"),
        ("agreement.bases.0.reference", "REF-{nis}", "agreement.bases.0.reference: the same"),
        ("agreement.term.start", "{nis}", "agreement.term.start: the same"),
        ("agreement.conditions.agency", {"{naam}": "x"}, "agreement.conditions.agency: a key holds no placeholder"),
        ("agreement.population.where", {"path": "{nis}", "equals": "1"}, "agreement.population.where.path: the same"),
        ("agreement.id", "vast", "agreement.id: every authority has its own"),
        ("agreement.version", 1, "agreement.version: every authority has its own"),
        ("agreement.agency", "stad-gent", "agreement.agency: every authority has its own"),
        ("agreement.fields.0.path", "naam..x", "agreement: fields.0.path"),
        ("agreement.conditions.quality", 7, "agreement: conditions.quality"),
        ("agreement.bases.0.instrument", "ivc", "agreement.bases: name the general authorisation"),
        ("agreement", {}, "agreement: "),
        ("agreement", [], "agreement: "),
        ("kinds", [], "kinds: "),
        ("kinds", ["provincie"], "kinds.0: "),
        ("id", "Inwoners", "id: "),
        ("expression", "1 + 1", "expression: "),
    ],
)
def test_a_template_that_says_more_than_the_form_allows_is_refused_by_place(place: str, given: Any, says: str) -> None:
    with pytest.raises(Invalid) as refused:
        template(changed(place, given))
    assert str(refused.value).startswith(says)


def test_the_accession_is_the_general_authorisation_that_the_template_names() -> None:
    for text in TEXTS.values():
        made = template(text)
        agreement = documents.agreement(instance(made, TABLE.on(TODAY, made.kinds[0])[0]))
        assert accession_of(agreement).startswith("FICTIEF-RR-ALG-2026-")


def test_the_repositorys_templates_stay_under_their_ceilings_and_leave_nothing_open() -> None:
    schema = load_schema((ROOT / "schemas" / "persoon.v1.avsc").read_text())
    purposes = limit_documents.purposes((POLICIES / "purposes.yaml").read_text())
    ceilings = limit_documents.ceilings((POLICIES / "ceilings" / "persoon.v1.yaml").read_text())
    for text in TEXTS.values():
        made = template(text)
        agreement = documents.agreement(instance(made, TABLE.on(TODAY, made.kinds[0])[0]))
        assert not clauses.gaps(agreement, schema)
        assert not check(
            agreement,
            purposes=purposes,
            ceilings={ceiling.key: ceiling for ceiling in ceilings},
            schema=schema,
            encode=partial(encode_literal, schema),
        )
