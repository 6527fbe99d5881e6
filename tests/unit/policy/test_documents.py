"""Policy documents: what is written is what is meant, and a refusal names the place and never the value."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.errors import Invalid
from broker.model.agreement import AllOf, AnyOf, Equals, Prefix, Range, Transform
from broker.policy import documents, limit_documents
from broker.policy.yamltext import LONGEST_TEXT, load

ROOT = Path(__file__).parents[3]

PARKING = """
id: parkeerboetes-gent
version: 1
title: "Parkeerretributies: naam en adres"
source: rijksregister
product: persoon.v1
agency: gent-parkeren
purpose: parkeerretributie
bases: [{instrument: protocol-vl, reference: FICTIEF-2026-001, gdpr: 6.1.e, text: "…"}]
fields:
  - {path: naam.achternaam, why: Voor de brief.}
  - {path: insz, transform: own-reference, name: dossierReferentie, why: Eigen dossier.}
population: {dossiers: true, where: {all: [{path: verblijfplaats.gemeente.nis, equals: "44021"}]}}
term: {start: 2026-01-01T00:00:00+01:00, end: null}
"""


@pytest.mark.parametrize("path", sorted((ROOT / "policies" / "agreements").glob("*.yaml")), ids=lambda path: path.stem)
def test_what_decides_is_read_alike_without_the_rest(path: Path) -> None:
    whole = documents.agreement(path.read_text())
    read = documents.deciding(documents.agreement_document(whole))
    assert replace(read, bases=whole.bases, conditions=whole.conditions) == whole
    assert read.conditions.onward == whole.conditions.onward


def test_an_agreement_is_read_as_written() -> None:
    value = documents.agreement(PARKING)
    assert (value.id, value.version, value.agency, value.retention_days) == (
        "parkeerboetes-gent",
        1,
        "gent-parkeren",
        14,
    )
    assert [(field.path, field.transform, field.name) for field in value.fields] == [
        ("naam.achternaam", Transform.KEEP, None),
        ("insz", Transform.OWN_REFERENCE, "dossierReferentie"),
    ]
    assert value.population.dossiers
    assert value.population.where == AllOf((Equals("verblijfplaats.gemeente.nis", ("44021",)),))
    assert (value.term.start, value.term.end) == (datetime(2025, 12, 31, 23, tzinfo=UTC), None)


def test_the_log_holds_json_that_reads_back_as_the_same_agreement() -> None:
    value = documents.agreement(PARKING)
    assert documents.agreement(json.loads(json.dumps(documents.agreement_document(value)))) == value


@st.composite
def constraints(draw: st.DrawFn) -> Any:
    paths = st.sampled_from(("geslacht", "adres.postcode", "a.b.c"))
    words = st.text("abc09é", min_size=1, max_size=4)
    optional = st.none() | words
    leaves = st.one_of(
        st.builds(Equals, paths, st.lists(words, min_size=1, max_size=3).map(tuple)),
        st.builds(Range, paths, optional, optional),
        st.builds(Prefix, paths, words),
    )
    groups = st.recursive(
        leaves,
        lambda parts: st.builds(AllOf, st.lists(parts, max_size=3).map(tuple)) | st.builds(AnyOf, st.lists(parts, max_size=3).map(tuple)),
        max_leaves=5,
    )  # fmt: skip
    return draw(groups)


@given(constraints())
def test_every_constraint_survives_the_log(where: Any) -> None:
    document = documents.agreement_document(documents.agreement(PARKING))
    document["population"] = {"where": documents.constraint_document(where)}
    assert documents.agreement(json.loads(json.dumps(document))).population.where == where


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ('"44021"', "44021", "population.where.all.0.equals"),
        ("equals", "matches", "population.where.all.0.matches"),
        ('equals: "44021"', 'equals: "44021", prefix: "4"', "population.where.all.0"),
        ("all: [", "any: [{all: []}], all: [", "population.where"),
        ("00:00:00+01:00", "00:00:00", "term.start"),
        ("2026-01-01T00:00:00+01:00", "1767225600", "term.start"),
        ("version: 1", "version: 1.0", "version"),
        ("version: 1", "version: true", "version"),
        ("version: 1", "version: 0", "version"),
        ("dossiers: true", "dossiers: yes", "population.dossiers"),
        ("version: 1", "version: 1\nretention_days: 15", "retention_days"),
        ("version: 1", "version: 1\nopmerking: x", "opmerking"),
        ("id: parkeerboetes-gent", "id: Parkeerboetes", "id"),
        ("product: persoon.v1", "product: persoon", "product"),
        ("protocol-vl", "protocol", "bases.0.instrument"),
        ("6.1.e", "6.1.z", "bases.0.gdpr"),
        ("path: naam.achternaam", "path: naam..achternaam", "fields.0.path"),
        ("path: naam.achternaam", "path: naam.achternaam, name: x", "fields.0"),
        (", name: dossierReferentie", "", "fields.1"),
        ("purpose: parkeerretributie\n", "", "purpose"),
        ("gdpr: 6.1.e", "gdpr: 6.1.e, dated: 2026-02-30", "bases.0.dated"),
        ("gdpr: 6.1.e", 'gdpr: 6.1.e, dated: "1767225600"', "bases.0.dated"),
        ("gdpr: 6.1.e", "gdpr: 6.1.e, url: 'http://bron.example'", "bases.0.url"),
        ("path: naam.achternaam", "path: naam.achternaam, age: 18", "fields.0"),
        ("own-reference", "leeftijd-vanaf", "fields.1"),
        ("own-reference", "notify-only", "fields.1"),
        ("dossiers: true", "consent: ja", "population.consent"),
        ("version: 1", "version: 1\nconditions: {onward: {allowed: nee}}", "conditions.onward.allowed"),
        ("version: 1", "version: 1\nconditions: {boete: veel}", "conditions.boete"),
    ],
)
def test_a_refusal_names_the_place(old: str, new: str, place: str) -> None:
    assert old in PARKING
    with pytest.raises(Invalid, match=rf"(^|; ){place}: "):
        documents.agreement(PARKING.replace(old, new, 1))


def test_a_refusal_never_quotes_the_value() -> None:
    for text in (
        PARKING.replace('"44021"', "[geheim]"),
        PARKING.replace("gent-parkeren", "GEHEIM geheim"),
        "geheim: [",
    ):
        with pytest.raises(Invalid) as refusal:
            documents.agreement(text)
        assert "geheim" not in str(refusal.value).lower()


@pytest.mark.parametrize(
    "text",
    [
        "a: 1\na: 2",
        "a: &x 1\nb: *x",
        "a: &x {b: 1}\n<<: {c: 2}\nd: *x",
        "!!python/object/apply:os.system [ls]",
        "a: !!binary aGVsbG8=",
        "a: 1\n---\nb: 2",
        "[" * 60 + "]" * 60,
        "- " * 60 + "a",
        "? [a]\n: b",
        "a: b: c",
        "\x00",
        "x" * (LONGEST_TEXT + 1),
    ],
)
def test_yaml_that_says_one_thing_twice_or_too_much_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        load(text)


def test_only_null_booleans_and_integers_are_typed() -> None:
    assert load("[no, on, 1e3, 0x10, 010, 1_000, 2026-01-01, 12:30, ~, null, true, -3, 0, .5, NO]") == [
        "no",
        "on",
        "1e3",
        "0x10",
        "010",
        "1_000",
        "2026-01-01",
        "12:30",
        None,
        None,
        True,
        -3,
        0,
        ".5",
        "NO",
    ]


@given(st.text(max_size=60) | st.text("{}[]:,-&*!?|>'\"#%@` \n\tab1", max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    for read in (documents.agreement, limit_documents.purposes, limit_documents.ceiling, limit_documents.ceilings):
        with pytest.raises(Invalid):
            read(text)


@pytest.mark.parametrize("hidden", ["\u202e", "\u200b", "\x00", "\x85", "\u2028", "\ud800", "\ue000"])
def test_what_a_reader_cannot_see_is_refused(hidden: str) -> None:
    document = documents.agreement_document(documents.agreement(PARKING))
    for place, changed in (
        ("title", document | {"title": f"naam{hidden}"}),
        ("bases.0.text", document | {"bases": [document["bases"][0] | {"text": f"tekst{hidden}"}]}),
    ):
        with pytest.raises(Invalid, match=f"{place}: "):
            documents.agreement(changed)


def test_json_that_is_deep_or_huge_is_refused_before_it_is_walked() -> None:
    deep: Any = {"path": "a", "equals": "b"}
    for _ in range(100_000):
        deep = {"all": [deep]}
    document = documents.agreement_document(documents.agreement(PARKING))
    with pytest.raises(Invalid, match="deeply"):
        documents.agreement(document | {"population": {"where": deep}})
    with pytest.raises(Invalid, match="too many"):
        documents.agreement(document | {"fields": [document["fields"][0]] * 20_000})
    while deep:  # taken apart level by level: the interpreter would recurse
        deep = deep["all"][0] if "all" in deep else None


def test_purposes_are_read_from_a_list_as_the_log_holds_it() -> None:
    text = """
purposes:
  - {code: taak, title: Taak, description: Alles., dpv: "https://w3id.org/dpv#PublicBenefit"}
  - {code: zorg, title: Zorg, description: Iets., parents: [taak], hoedanigheid: ["101"]}
"""
    value = limit_documents.purposes(text)
    assert [purpose.code for purpose in value.lineage("zorg")] == ["zorg", "taak"]
    assert value.by_code["zorg"].hoedanigheid == ("101",)
    held = json.loads(json.dumps(limit_documents.purpose_documents(value)))
    assert (
        limit_documents.purposes(held)
        == limit_documents.purposes(tuple(held))
        == limit_documents.purposes({"purposes": held})
        == value
    )


@pytest.mark.parametrize(
    "listed",
    [
        "[{code: a, title: A, description: A.}, {code: a, title: B, description: B.}]",
        "[{code: a, title: A, description: A., parents: [b]}]",
        "[{code: a, title: A, description: A., parents: [b]}, {code: b, title: B, description: B., parents: [a]}]",
        "[{code: a, title: A, description: A., dpv: 'https://example.org/x'}]",
        "[]",
    ],
)
def test_purposes_that_contradict_themselves_are_refused(listed: str) -> None:
    with pytest.raises(Invalid):
        limit_documents.purposes(f"purposes: {listed}")


def test_ceilings_of_a_product_and_one_ceiling_of_the_log() -> None:
    text = """
product: persoon.v1
ceilings:
  - purpose: zorg
    fields: [{path: geboorte.datum, transforms: [year, meerderjarig]}, {path: insz, transforms: [pseudonym]}]
    selectable: [adres.gemeente.nis]
  - {purpose: taak, fields: []}
"""
    first, second = limit_documents.ceilings(text)
    assert first.fields["geboorte.datum"].transforms == {Transform.YEAR, Transform.ADULT}
    assert (first.product, first.purpose, first.selectable) == ("persoon.v1", "zorg", {"adres.gemeente.nis"})
    assert second.fields == {}
    assert limit_documents.ceiling(json.loads(json.dumps(limit_documents.ceiling_document(first)))) == first
    with pytest.raises(Invalid, match="twice"):
        limit_documents.ceilings(text.replace("purpose: taak", "purpose: zorg"))
    with pytest.raises(Invalid, match="twice"):
        limit_documents.ceilings(text.replace("path: insz", "path: geboorte.datum"))


CONDITIONS = """
conditions:
  source: {role: verwerkingsverantwoordelijke, represented_by: de directeur, dpo: dpo@bron.example}
  necessity: Zonder naam en adres komt de aanmaning niet aan.
  retention: {period: Tot het dossier gesloten is., disposal: Wordt gewist.}
  onward: {allowed: false}
  recipients: [{name: Team invordering, why: Stelt de aanmaning op.}]
  processors: [{name: Drukker, side: agency, mandate: FICTIEF-V-1, task: Drukt de brieven.}]
  security: [Versleuteld bewaard.]
  impact: {reason_for_none: Geen hoog risico.}
  publication: {agency: "https://afnemer.example/protocollen"}
"""
TRANSFORMS = """
fields:
  - {path: insz, transform: notify-only, why: Een melding volstaat.}
  - {path: geboorte.datum, transform: band, name: leeftijdsgroep, bounds: [18, 25, 65], why: Per groep.}
  - {path: geboorte.datum, transform: leeftijd-vanaf, name: vanaf16, age: 16, why: Toegang vanaf zestien.}
  - {path: verblijfplaats.gemeente.nis, transform: woont-in, name: woontHier, municipalities: ["44021"], why: Tarief.}
"""


def test_an_agreement_with_every_part_survives_the_log() -> None:
    text = PARKING.replace("{dossiers: true,", "{dossiers: true, consent: true,").replace(
        'text: "…"', 'text: "…", dated: 2026-01-15, url: "https://bron.example/b1"'
    )
    value = documents.agreement(text + CONDITIONS)
    assert value.population.consent
    assert (value.bases[0].dated, value.bases[0].url) == (date(2026, 1, 15), "https://bron.example/b1")
    assert value.conditions.processors[0].side == "agency"
    assert value.conditions.source is not None
    assert value.conditions.source.breach_contact is None
    assert documents.agreement(json.loads(json.dumps(documents.agreement_document(value)))) == value


def test_a_transform_s_arguments_are_written_as_a_reader_says_them() -> None:
    before, _, rest = PARKING.partition("fields:")
    value = documents.agreement(before + TRANSFORMS + rest[rest.index("population:") :])
    assert [field.arguments for field in value.fields] == [(), ("18", "25", "65"), ("16",), ("44021",)]
    assert documents.agreement(json.loads(json.dumps(documents.agreement_document(value)))) == value


def test_an_agreement_that_uses_none_of_the_later_parts_keeps_its_object() -> None:
    held = documents.agreement_document(documents.agreement(PARKING))
    assert list(held) == [
        "id", "version", "title", "source", "product", "agency", "purpose", "bases", "fields", "population", "term",
        "retention_days",
    ]  # fmt: skip
    assert list(held["bases"][0]) == ["instrument", "reference", "gdpr", "text"]
    assert list(held["fields"][0]) == ["path", "transform", "why"]
    assert list(held["population"]) == ["dossiers", "where"]
