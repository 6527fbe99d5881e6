"""Open forms of an agreement: ODRL and DPV that lose nothing, mean what W3C's terms mean, and read back strictly."""

import json
import string
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rdflib import Graph, Literal, Namespace, URIRef
from rdflib.collection import Collection
from rdflib.namespace import DCTERMS, RDF, XSD

from broker.errors import Invalid
from broker.model.agreement import Agreement, Instrument, Transform
from broker.model.purpose import Purpose
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.odrl import from_odrl, to_odrl
from broker.policy.odrl_terms import BASE, OWN_TERMS, context

ODRL = Namespace("http://www.w3.org/ns/odrl/2/")
DPV = Namespace("https://w3id.org/dpv#")
GDPR = Namespace("https://w3id.org/dpv/legal/eu/gdpr#")
OWN = Namespace(f"{BASE}term/")

# Every term of ODRL 2.2 and DPV 2.1 (with its GDPR extension) that we use, looked up in what W3C publishes.
PUBLISHED = {
    str(ODRL): "Agreement AssetCollection Constraint Duty LogicalConstraint Party Permission Prohibition action and "
    "assignee assigner conflict consentingParty constraint dateTime delete distribute duty elapsedTime eq gteq inform "
    "isAnyOf leftOperand lt lteq obligation obtainConsent operator or permission profile prohibit prohibition purpose "
    "recipient refinement rightOperand source target use",
    str(
        DPV
    ): "ControllerProcessorAgreement DPIA DataController DataProcessor DataProtectionOfficer DataQualityManagement "
    "DataSubject Frequency JointDataControllers Justification LegalEntity NonPersonalData PersonalData PrivacyNotice "
    "Pseudonymisation Purpose Recipient Representative RightExerciseNotice StorageDuration "
    "TechnicalOrganisationalMeasure hasContact hasData hasDataProcessor hasDataProtectionOfficer hasFrequency "
    "hasImpactAssessment hasJustification hasLegalBasis hasNotice hasOrganisationalMeasure hasPersonalData hasPurpose "
    "hasRecipient hasRepresentative hasStorageCondition hasTechnicalOrganisationalMeasure",
    str(
        GDPR
    ): "A6-1-a A6-1-b A6-1-c A6-1-d A6-1-e A6-1-f A9-2-a A9-2-b A9-2-c A9-2-d A9-2-e A9-2-f A9-2-g A9-2-h A9-2-i "
    "A9-2-j",
}

words = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Sc")), min_size=1, max_size=12)
slugs = st.text(string.ascii_lowercase, min_size=2, max_size=8)
paths = st.sampled_from(("insz", "naam.achternaam", "geboorte.datum", "verblijfplaats.gemeente.nis"))
names = st.text(string.ascii_letters, min_size=1, max_size=8)
urls = st.text(string.ascii_lowercase, min_size=1, max_size=8).map(lambda name: f"https://{name}.example/protocol")
instants = st.datetimes().filter(lambda at: 1 < at.year < 9999).map(lambda at: f"{at.isoformat()}Z")


def maybe(**parts: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=parts)


@st.composite
def released(draw: st.DrawFn) -> dict[str, Any]:
    transform = draw(st.sampled_from(Transform))
    node = {"path": draw(paths), "transform": transform.value, "why": draw(words)}
    if transform not in {Transform.KEEP, Transform.NOTIFY_ONLY}:
        node["name"] = draw(names)
    arguments: dict[Transform, dict[str, Any]] = {
        Transform.BAND: {"bounds": draw(st.lists(st.integers(0, 99), min_size=1, max_size=3))},
        Transform.AGE: {"age": draw(st.integers(0, 99))},
        Transform.LIVES_IN: {"municipalities": draw(st.lists(st.sampled_from(("44021", "24062")), min_size=1))},
    }
    return node | arguments.get(transform, {})


leaves = st.one_of(
    st.fixed_dictionaries({"path": paths, "equals": words}),
    st.fixed_dictionaries({"path": paths, "in": st.lists(words, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"path": paths, "prefix": words}),
    st.fixed_dictionaries({"path": paths, "range": maybe(**{"from": words, "to": words})}),
)
wheres = st.recursive(
    leaves,
    lambda parts: st.lists(parts, max_size=3).flatmap(lambda held: st.sampled_from(({"all": held}, {"any": held}))),
)
parties = maybe(
    role=st.sampled_from(("verwerkingsverantwoordelijke", "gezamenlijke-verwerkingsverantwoordelijke")),
    represented_by=words,
    dpo=words,
    breach_contact=words,
)
conditions = maybe(
    source=parties,
    agency=parties,
    necessity=words,
    compatibility=words,
    periodicity=words,
    retention=maybe(period=words, disposal=words),
    onward=st.fixed_dictionaries({"allowed": st.booleans()}, optional={"to": words}),
    recipients=st.lists(st.fixed_dictionaries({"name": words}, optional={"why": words}), max_size=2),
    processors=st.lists(
        st.fixed_dictionaries(
            {"name": words, "side": st.sampled_from(("source", "agency"))}, optional={"mandate": words, "task": words}
        ),
        max_size=2,
    ),
    security=st.lists(words, max_size=3),
    quality=words,
    rights=words,
    rights_limits=words,
    sanctions=words,
    impact=maybe(reference=words, reason_for_none=words),
    publication=maybe(source=urls, agency=urls),
)
gdpr = st.sampled_from([*(f"6.1.{letter}" for letter in "abcdef"), *(f"9.2.{letter}" for letter in "abcdefghij"), "10"])
bases = st.fixed_dictionaries(
    {
        "instrument": st.sampled_from([member.value for member in Instrument]),
        "reference": words,
        "gdpr": gdpr,
        "text": words,
    },
    optional={"dated": st.dates().map(str), "url": urls},
)
agreements = st.fixed_dictionaries(
    {
        "id": slugs,
        "version": st.integers(1, 9),
        "title": words,
        "source": slugs,
        "product": st.just("persoon.v1"),
        "agency": slugs,
        "purpose": slugs,
        "bases": st.lists(bases, max_size=3),
        "fields": st.lists(released(), min_size=1, max_size=4),
        "population": maybe(where=wheres, dossiers=st.booleans(), consent=st.booleans()),
        "term": st.fixed_dictionaries({"start": instants, "end": st.none() | instants}),
        "retention_days": st.integers(1, 14),
    },
    optional={"conditions": conditions},
).map(documents.agreement)


def full() -> Agreement:
    """An agreement that uses every part of the form."""
    party = {"role": "verwerkingsverantwoordelijke", "represented_by": "Directeur", "dpo": "dpo@bron.example"}
    return documents.agreement(
        {
            "id": "inwoners-gent",
            "version": 2,
            "title": "Inwonersbestand",
            "source": "rijksregister",
            "product": "persoon.v1",
            "agency": "stad-gent",
            "purpose": "inwonersbestand",
            "bases": [
                {
                    "instrument": "protocol-vl",
                    "reference": "P-1",
                    "gdpr": "6.1.e",
                    "text": "Taak.",
                    "dated": "2026-01-05",
                },
                {
                    "instrument": "ivc",
                    "reference": "B-2",
                    "gdpr": "9.2.g",
                    "text": "Belang.",
                    "url": "https://ivc.example/2",
                },
                {"instrument": "rijksregister", "reference": "R-3", "gdpr": "10", "text": "Straf."},
            ],
            "fields": [
                {"path": "naam.achternaam", "why": "Voor de brief."},
                {"path": "insz", "transform": "pseudonym", "name": "pseudoniem", "why": "Voor het tellen."},
                {
                    "path": "geboorte.datum",
                    "transform": "leeftijd-vanaf",
                    "age": 65,
                    "name": "senior",
                    "why": "Korting.",
                },
            ],
            "population": {
                "dossiers": True,
                "consent": True,
                "where": {
                    "any": [
                        {"path": "verblijfplaats.gemeente.nis", "in": ["44021", "24062"]},
                        {"path": "verblijfplaats.postcode", "range": {"from": "9000", "to": "9052"}},
                        {"path": "verblijfplaats.postcode", "prefix": "90"},
                    ]
                },
            },
            "term": {"start": "2026-01-01T00:00:00Z", "end": "2027-01-01T00:00:00Z"},
            "conditions": {
                "source": party | {"breach_contact": "lek@bron.example"},
                "agency": party | {"role": "gezamenlijke-verwerkingsverantwoordelijke"},
                "necessity": "Minder volstaat niet.",
                "compatibility": "Verenigbaar.",
                "periodicity": "Doorlopend.",
                "retention": {"period": "Vijf jaar.", "disposal": "Vernietigd."},
                "onward": {"allowed": False},
                "recipients": [{"name": "Dienst Burgerzaken", "why": "Loket."}],
                "processors": [{"name": "Drukkerij", "side": "agency", "mandate": "M-9", "task": "Drukt brieven."}],
                "security": ["Versleuteld.", "Beperkte toegang."],
                "quality": "De bron verbetert fouten.",
                "rights": "Vraag het de functionaris.",
                "rights_limits": "Geen.",
                "sanctions": "Opschorting.",
                "impact": {"reference": "GEB-4"},
                "publication": {"source": "https://bron.example/p", "agency": "https://gent.example/p"},
            },
        }
    )


ORGANISATIONS = {
    "rijksregister": Organisation("rijksregister", "Rijksregister", None, "0308356862"),
    "stad-gent": Organisation("stad-gent", "Stad Gent", "OVO002067", "0207451227"),
}
PURPOSES = {
    "inwonersbestand": Purpose("inwonersbestand", "Inwoners aanschrijven", "…", dpv=str(DPV.CommunicationManagement))
}


def odrl() -> Any:
    """As another system gets it: through JSON text."""
    return json.loads(json.dumps(to_odrl(full(), organisations=ORGANISATIONS, purposes=PURPOSES)))


@given(agreements)
def test_any_agreement_comes_back_identical(agreement: Agreement) -> None:
    assert from_odrl(json.dumps(to_odrl(agreement))) == agreement


@given(agreements)
def test_names_and_codes_of_parties_and_purpose_change_nothing(agreement: Agreement) -> None:
    organisations = {agreement.agency: Organisation(agreement.agency, "Stad", "OVO002067", "0207451227")}
    purposes = {agreement.purpose: Purpose(agreement.purpose, "Doel", "…", dpv=str(DPV.PublicBenefit))}
    written = to_odrl(agreement, organisations=organisations, purposes=purposes)
    assert from_odrl(json.loads(json.dumps(written))) == agreement


def test_an_installation_may_name_its_own_base() -> None:
    written = to_odrl(full(), base="https://protocollen.example/id/")
    assert written["uid"] == "https://protocollen.example/id/agreement/inwoners-gent/2"
    assert from_odrl(written, base="https://protocollen.example/id/") == full()
    with pytest.raises(Invalid, match=r"^document\.@context\.datanuts: "):
        from_odrl(written)


def parsed(document: Any) -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's parser warns about rdflib
        return Graph().parse(data=json.dumps(document), format="json-ld")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return parsed(odrl())


AGREEMENT = URIRef(f"{BASE}agreement/inwoners-gent/2")


def test_any_odrl_reader_finds_the_parties_and_the_rules(graph: Graph) -> None:
    assert (AGREEMENT, RDF.type, ODRL.Agreement) in graph
    assert graph.value(AGREEMENT, ODRL.assignee) == URIRef("https://data.vlaanderen.be/id/organisatie/OVO002067")
    assert (graph.value(AGREEMENT, ODRL.assigner), RDF.type, DPV.DataController) in graph
    use = graph.value(AGREEMENT, ODRL.permission)
    assert (use, ODRL.action, ODRL.use) in graph
    assert (graph.value(AGREEMENT, ODRL.prohibition), ODRL.action, ODRL.distribute) in graph
    duties = {graph.value(duty, ODRL.action) for duty in graph.objects(AGREEMENT, ODRL.obligation)}
    assert duties == {ODRL.delete, ODRL.inform}
    assert (graph.value(use, ODRL.duty), ODRL.consentingParty, DPV.DataSubject) in graph


def test_purpose_and_term_are_constraints_on_the_use(graph: Graph) -> None:
    use = graph.value(AGREEMENT, ODRL.permission)
    compared = {
        (graph.value(node, ODRL.leftOperand), graph.value(node, ODRL.operator)): graph.value(node, ODRL.rightOperand)
        for node in graph.objects(use, ODRL.constraint)
    }
    assert compared == {
        (ODRL.purpose, ODRL.eq): URIRef(f"{BASE}purpose/inwonersbestand"),
        (ODRL.dateTime, ODRL.gteq): Literal("2026-01-01T00:00:00Z", datatype=XSD.dateTime),
        (ODRL.dateTime, ODRL.lt): Literal("2027-01-01T00:00:00Z", datatype=XSD.dateTime),
        (ODRL.elapsedTime, ODRL.lteq): Literal("P14D", datatype=XSD.duration),
    }


def test_fields_and_population_refine_the_product(graph: Graph) -> None:
    target = graph.value(graph.value(AGREEMENT, ODRL.permission), ODRL.target)
    assert graph.value(target, ODRL.source) == URIRef(f"{BASE}product/rijksregister/persoon.v1")
    refined = {graph.value(node, ODRL.leftOperand): node for node in graph.objects(target, ODRL.refinement)}
    fields = Collection(graph, graph.value(refined[OWN.field], ODRL.rightOperand))
    names = ("naam.achternaam", "insz", "geboorte.datum")
    assert list(fields) == [URIRef(f"{BASE}field/persoon.v1/{path}") for path in names]
    assert graph.value(refined[OWN.dossier], ODRL.rightOperand).toPython() is True
    alternatives = list(Collection(graph, graph.value(refined[None], ODRL["or"])))
    assert graph.value(alternatives[0], ODRL.leftOperand) == URIRef(
        f"{BASE}field/persoon.v1/verblijfplaats.gemeente.nis"
    )
    assert list(Collection(graph, graph.value(alternatives[0], ODRL.rightOperand))) == [
        Literal("44021"),
        Literal("24062"),
    ]
    pseudonym = next(graph.subjects(DCTERMS.identifier, Literal("insz")))
    assert graph.value(pseudonym, OWN.transform) == DPV.Pseudonymisation


def test_legal_bases_and_purpose_are_in_the_words_of_the_data_privacy_vocabulary(graph: Graph) -> None:
    kinds = {graph.value(basis, RDF.type) for basis in graph.objects(AGREEMENT, DPV.hasLegalBasis)}
    assert kinds == {GDPR["A6-1-e"], GDPR["A9-2-g"], OWN["gdpr-A10"]}
    purpose = URIRef(f"{BASE}purpose/inwonersbestand")
    assert (AGREEMENT, DPV.hasPurpose, purpose) in graph
    broader = URIRef("http://www.w3.org/2004/02/skos/core#broader")
    assert graph.value(purpose, broader) == DPV.CommunicationManagement


def used(graph: Graph, namespace: str) -> set[str]:
    terms = {str(term) for triple in graph for term in triple if isinstance(term, URIRef)}
    return {term.removeprefix(namespace) for term in terms if term.startswith(namespace)}


@given(agreements)
def test_every_term_is_published_by_w3c_or_defined_by_us(agreement: Agreement) -> None:
    graph = parsed(to_odrl(agreement))
    for namespace, published in PUBLISHED.items():
        assert used(graph, namespace) <= set(published.split())
    assert used(graph, str(OWN)) <= set(OWN_TERMS)


def test_the_context_defines_no_term_that_nobody_uses() -> None:
    said = documents.agreement_document(full())
    fields = [
        {"path": "gezin.omvang", "transform": "band", "bounds": [1, 3], "name": "omvang", "why": "Grootte."},
        {"path": "gemeente.nis", "transform": "woont-in", "municipalities": ["44021"], "name": "gent", "why": "Gent."},
    ]
    other = {"onward": {"allowed": True, "to": "Iedereen."}, "impact": {"reason_for_none": "Laag risico."}}
    open_data = documents.agreement(said | {"fields": fields, "conditions": other})
    text = json.dumps(odrl() | {"@context": None}) + json.dumps(to_odrl(open_data) | {"@context": None})
    prefixes = {"odrl", "dpv", "eu-gdpr", "dct", "dcat", "foaf", "adms", "skos", "schema", "xsd", "datanuts"}
    assert {term for term in context(BASE) if f'"{term}"' not in text} == prefixes


def test_every_term_of_our_own_is_documented() -> None:
    documented = (Path(__file__).parents[3] / "docs" / "open-forms.md").read_text()
    assert [term for term, meaning in OWN_TERMS.items() if f"| `{term}` | {meaning} |" not in documented] == []


def test_the_terms_are_those_of_w3cs_own_files(shared_data: Path) -> None:
    files = {str(ODRL): "ODRL22.ttl", str(DPV): "dpv.ttl", str(GDPR): "eu-gdpr.ttl"}
    absent = [name for name in files.values() if not (shared_data / "vocabularies" / name).is_file()]
    if absent:
        pytest.skip(f"{', '.join(absent)} not among the vocabularies: our terms were NOT compared with W3C's files")
    for namespace, name in files.items():
        known = Graph().parse(shared_data / "vocabularies" / name)
        defined = {str(subject) for subject in known.subjects()}
        assert {f"{namespace}{term}" for term in PUBLISHED[namespace].split()} <= defined


def everywhere(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield place
    below = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in below:
        yield from everywhere(value, (*place, key))


def at(node: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        node = node[key]
    return node


PLACES = [place for place in everywhere(odrl()) if place]


def read_or_refused(document: Any) -> Agreement | str:
    try:
        return from_odrl(document)
    except Invalid as refused:
        return str(refused)


def names_only(place: tuple[Any, ...]) -> bool:
    """Whether what stands here is the name or code of a party or purpose, which is no part of the agreement."""
    party = place[0] in {"assigner", "assignee"} and place[1:2] in {("name",), ("uid",), ("adms:identifier",)}
    return party or place in {("dpv:hasPurpose", "title"), ("dpv:hasPurpose", "broader")}


@given(st.sampled_from(PLACES), st.sampled_from([None, "canary", 7, True, [], {}, {"canary": "canary"}, ["canary"]]))
def test_no_place_may_say_anything_else_about_the_same_agreement(place: tuple[Any, ...], other: Any) -> None:
    changed = odrl()
    before = at(changed, place)
    at(changed, place[:-1])[place[-1]] = other
    found = read_or_refused(changed)
    if isinstance(found, str):
        assert "canary" not in found
    else:
        assert found != full() or names_only(place) or before == other


@given(st.sampled_from(PLACES))
def test_nothing_may_be_missing_from_the_same_agreement(place: tuple[Any, ...]) -> None:
    changed = odrl()
    del at(changed, place[:-1])[place[-1]]
    assert read_or_refused(changed) != full() or names_only(place)


@given(st.sampled_from([place for place in PLACES if isinstance(at(odrl(), place), dict)]))
def test_an_unknown_term_is_refused_with_its_place(place: tuple[Any, ...]) -> None:
    changed = odrl()
    at(changed, place)["canary"] = "canary"
    with pytest.raises(Invalid) as refused:
        from_odrl(changed)
    assert ".".join(map(str, ("document", *place))) in str(refused.value)
    assert "canary" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 100_000, "not a JSON document"),
        ('{"a": ' * 60 + "1" + "}" * 60, "nested too deeply"),
        (json.dumps({"permission": [0] * 100_001}), "too many values"),
        ('{"type": "Agreement", "type": "Agreement"}', "one thing twice"),
        ('{"dcat:version": 1.0}', "no whole number"),
        ('{"dcat:version": NaN}', "no whole number"),
        (" " * (1024 * 1024 + 1), "at most"),
        ("null", "expected an object"),
        ("[]", "expected an object"),
        ("{}", "lacks permission"),
        ('{"permission": []}', "permission: nothing here"),
    ],
)
def test_hostile_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        from_odrl(text)


def test_a_remote_context_is_never_fetched() -> None:
    with pytest.raises(Invalid, match=r"^document\.@context"):
        from_odrl(odrl() | {"@context": "https://context.example/odrl.jsonld"})
