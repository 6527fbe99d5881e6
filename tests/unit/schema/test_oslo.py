"""Both generations of OSLO, and what registers really write, are read as one term; what is neither is said to be."""

from typing import Any

import pytest

from broker.errors import Invalid, PoisonRecord
from broker.policy.yamltext import load
from broker.schema.oslo import Known, OnUnknown, Unknown, Vocabulary, Why, admitted, vocabulary
from tests.unit.schema.published_types import ROOT, TYPES

TEXT = (ROOT / "schemas" / "aliases.yaml").read_text()
TERMS = vocabulary(load(TEXT), TYPES.values())
PERSOON, ADRES, GEBOUW = (f"https://data.vlaanderen.be/ns/{name}#" for name in ("persoon", "adres", "gebouw"))
BIO, IMPL = "http://purl.org/vocab/bio/0.1/", "https://implementatie.data.vlaanderen.be/ns/gebouw#"
REGISTER = "https://basisregisters.vlaanderen.be/implementatiemodel/gebouwenregister#"
LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
PERSON, GEZIN = f"{PERSOON}GeregistreerdPersoon", f"{PERSOON}Gezin"
ADDRESS, UNIT = "http://www.w3.org/ns/locn#Address", f"{GEBOUW}Gebouweenheid"


@pytest.mark.parametrize(
    ("iri", "of", "term"),
    [
        (f"{PERSOON}geslacht", PERSON, f"{PERSOON}geslacht"),
        ("http://data.europa.eu/m8g/gender", PERSON, f"{PERSOON}geslacht"),
        (f"{BIO}birth", PERSON, f"{PERSOON}heeftGeboorte"),
        (f"{BIO}death", PERSON, f"{PERSOON}heeftOverlijden"),
        (f"{BIO}date", f"{PERSOON}Geboorte", f"{PERSOON}datum"),
        ("http://www.w3.org/ns/adms#identifier", PERSON, f"{PERSOON}registratie"),
        ("http://www.w3.org/ns/adms#identifier", UNIT, "http://www.w3.org/ns/adms#identifier"),
        ("http://www.w3.org/ns/org#hasMember", GEZIN, f"{PERSOON}gezinslid"),
        (LABEL, f"{ADRES}Straatnaam", f"{ADRES}straatnaam"),
        (LABEL, "https://data.vlaanderen.be/ns/generiek#Gemeente", f"{ADRES}gemeentenaam"),
        ("http://purl.org/dc/terms/isPartOf", UNIT, f"{GEBOUW}Gebouweenheid.bestaatUit"),
        (f"{ADRES}positie", UNIT, f"{GEBOUW}Gebouweenheid.geometrie"),
        (f"{ADRES}positie", f"{ADRES}Adres", f"{ADRES}positie"),
        (f"{IMPL}toegekendAdres", UNIT, f"{GEBOUW}Gebouweenheid.adres"),
        (f"{IMPL}toegekendAdres", "https://data.vlaanderen.be/ns/perceel#Perceel", f"{IMPL}toegekendAdres"),
        (f"{REGISTER}afwijkingvastgesteld", UNIT, f"{IMPL}afwijkingVastgesteld"),
        (f"{REGISTER}Perceel%3Astatus", "https://data.vlaanderen.be/ns/perceel#Perceel", "urn:datanuts:type/perceel/status"),
        (f"{ADRES}postcode", ADDRESS, "http://www.w3.org/ns/locn#postCode"),
        (f"{ADRES}postcode", f"{ADRES}Postinfo", f"{ADRES}postcode"),
        (f"{ADRES}Straatnaam", ADDRESS, "http://www.w3.org/ns/locn#thoroughfare"),
        ("https://schema.org/email", None, "http://schema.org/email"),
        ("https://data.vlaanderen.be/ns/mandaat#start", None, "http://data.vlaanderen.be/ns/mandaat#start"),
        ("http://data.vlaanderen.be/ns/besluit#classificatie", None, "http://www.w3.org/ns/org#classification"),
        ("https://data.vlaanderen.be/ns/besluit#classificatie", None, "http://www.w3.org/ns/org#classification"),
    ],
)  # fmt: skip
def test_a_property_of_either_generation_is_one_term(iri: str, of: str | None, term: str) -> None:
    assert TERMS.property(iri, [of] if of else []) == Known(term)


def test_an_alias_of_a_class_holds_in_that_class_only() -> None:
    assert TERMS.property("http://www.w3.org/ns/org#hasMember", [PERSON]) == Unknown(
        "http://www.w3.org/ns/org#hasMember", Why.UNKNOWN
    )


def test_classes_have_aliases_too() -> None:
    unit = "https://data.vlaanderen.be/ns/perceel#"
    assert TERMS.class_(f"{unit}RuimtelijkeEenheid") == TERMS.class_(f"{unit}Perceel") == Known(f"{unit}Perceel")
    assert TERMS.class_(f"{PERSOON}Inwoner") == Unknown(f"{PERSOON}Inwoner", Why.UNKNOWN)


@pytest.mark.parametrize("place", ["https://data.vlaanderen.be/id/concept", "https://data.vlaanderen.be/doc/concept"])
def test_a_concept_gives_the_symbol_of_our_list(place: str) -> None:
    concept = f"{place}/gebouweenheidstatus/gerealiseerd"
    assert TERMS.is_coded(concept)
    assert TERMS.concept(concept) == Known(
        "https://data.vlaanderen.be/id/concept/gebouweenheidstatus/gerealiseerd", "gerealiseerd"
    )


def test_a_concept_that_its_list_does_not_have_is_unknown() -> None:
    made_up = "https://data.vlaanderen.be/id/concept/adresstatus/verdwenen"
    assert TERMS.is_coded(made_up)
    assert TERMS.concept(made_up) == Unknown(made_up, Why.UNKNOWN_CONCEPT)
    assert not TERMS.is_coded("https://data.vlaanderen.be/id/adres/5")


def test_every_symbol_of_a_list_has_a_concept_of_its_own() -> None:
    symbols = {
        (schema.product, leaf.path, symbol)
        for schema in TYPES.values()
        for leaf in schema.fields.values()
        for symbol in leaf.symbols
    }
    assert len(set(TERMS.concepts)) >= 40
    assert set(TERMS.concepts.values()) <= {symbol for _, _, symbol in symbols}


@pytest.mark.parametrize(("policy", "passes"), [(OnUnknown.WARN, True), (OnUnknown.REFUSE, False)])
def test_the_policy_decides_what_becomes_of_the_unknown(policy: OnUnknown, passes: bool) -> None:  # noqa: FBT001 - a table
    for found in (
        TERMS.property("https://data.example/ns#x"),
        TERMS.concept("https://data.vlaanderen.be/id/concept/adresstatus/x"),
    ):
        assert isinstance(found, Unknown)
        if passes:
            assert admitted(found, policy) is found
        else:
            with pytest.raises(PoisonRecord, match=r"^(TERM|CONCEPT)_UNKNOWN$"):
                admitted(found, policy)


@pytest.mark.parametrize("policy", OnUnknown)
@pytest.mark.parametrize("read", [Vocabulary.property, Vocabulary.class_, Vocabulary.concept])
@pytest.mark.parametrize("host", ["http://todo.com/", "https://todo.com/"])
def test_a_placeholder_is_refused_under_every_policy(policy: OnUnknown, read: Any, host: str) -> None:
    with pytest.raises(PoisonRecord, match=r"^TERM_PLACEHOLDER$"):
        admitted(read(TERMS, f"{host}aangevraagdBij"), policy)


@pytest.mark.parametrize("policy", OnUnknown)
def test_a_published_iri_of_which_nobody_can_know_what_it_means_is_refused(policy: OnUnknown) -> None:
    with pytest.raises(PoisonRecord, match=r"^TERM_AMBIGUOUS$"):
        admitted(TERMS.property(LABEL, [f"{ADRES}Adres"]), policy)


def test_the_table_says_nothing_of_terms_that_are_ours_already() -> None:
    for (iri, place), term in TERMS.property_aliases.items():
        assert iri != term
        assert place is not None or iri not in TERMS.properties, iri


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("terms", {"iri": "https://data.example/ns#x", "term": "https://data.example/ns#nooit"}),
        (
            "terms",
            {"iri": "https://data.example/ns#x", "term": f"{PERSOON}geslacht", "of": ["https://data.example/ns#nooit"]},
        ),
        ("terms", {"iri": "http://data.europa.eu/m8g/gender", "term": f"{PERSOON}datum"}),
        ("terms", {"term": f"{PERSOON}datum"}),
        ("classes", {"iri": "https://data.example/ns#x", "term": f"{PERSOON}datum"}),
        ("prefixes", {"from": "https://data.example/"}),
        ("refused", "tekst"),
    ],
)
def test_a_table_with_a_line_that_says_nothing_is_refused(part: str, line: Any) -> None:
    document = load(TEXT)
    with pytest.raises(Invalid):
        vocabulary({**document, part: [*document[part], line]}, TYPES.values())


def test_a_table_without_its_parts_is_refused() -> None:
    with pytest.raises(Invalid, match="placeholders, prefixes, refused, terms"):
        vocabulary({"terms": []}, TYPES.values())
