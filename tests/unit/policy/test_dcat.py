"""The catalogue as DCAT-AP-VL: what the profile demands is there, says what is true, and is written the same each time."""

from dataclasses import replace
from datetime import UTC, datetime

import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, ODRL2, PROV, RDF, SKOS, Graph, Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import Namespace

from broker.model.product_life import Deprecation, Life, ProductState
from broker.model.quality import Quality
from broker.model.registered import Product
from broker.policy.dcat import ADMS, DCAT3, FORMS, Offered, catalogue
from broker.policy.dcat_quality import DQV
from broker.policy.odrl_terms import BASE
from broker.schema.avro import load_schema
from tests.unit.policy.offered_products import (
    API,
    CHANGED,
    DECLARED,
    ORGANISATIONS,
    QUALITY,
    SHAPES,
    offered,
    written,
)
from tests.unit.schema.published_types import graph as parsed
from tests.unit.schema.test_compatibility import at_end, version

PERSONS, ADDRESSES = (
    URIRef(f"{BASE}product/{name}") for name in ("rijksregister/persoon.v1", "adressenregister/adres.v1")
)
RIGHTS = Namespace("http://publications.europa.eu/resource/authority/access-right/")


@pytest.fixture(scope="module")
def graph() -> Graph:
    return written()


def conforms(data: Graph) -> tuple[bool, str]:
    found, _, report = pyshacl.validate(data, shacl_graph=Graph().parse(SHAPES))
    return bool(found), str(report)


def test_every_mandatory_property_of_the_profile_is_there(graph: Graph) -> None:
    held, report = conforms(graph)
    assert held, report
    classes = (DCAT.Catalog, DCAT.Dataset, DCAT.DataService, DCAT.Distribution)
    assert [len(set(graph.subjects(RDF.type, each))) for each in classes] == [1, 2, 2, 2 * len(FORMS)]


@pytest.mark.parametrize(
    ("class_", "property_"),
    [
        *((class_, each) for class_ in (DCAT.Catalog, DCAT.Dataset, DCAT.DataService) for each in (
            DCTERMS.title, DCTERMS.description, DCTERMS.identifier, DCTERMS.publisher, DCAT.contactPoint)),
        *((class_, DCTERMS.accessRights) for class_ in (DCAT.Dataset, DCAT.DataService)),
        (DCAT.DataService, DCAT.servesDataset),
        (DCAT.Distribution, DCAT.accessURL),
        (DCAT.Distribution, DCTERMS.identifier),
        *((DQV.QualityMeasurement, each) for each in (
            DQV.isMeasurementOf, DQV.computedOn, DQV.value, PROV.generatedAtTime)),
        *((DQV.Metric, each) for each in (SKOS.definition, DQV.expectedDataType, DQV.inDimension)),
    ],
)  # fmt: skip
def test_without_a_mandatory_property_the_shapes_refuse_it(class_: URIRef, property_: URIRef) -> None:
    damaged = written()
    node = next(iter(damaged.subjects(RDF.type, class_)))
    damaged.remove((node, property_, None))
    assert not conforms(damaged)[0]


def test_a_publisher_is_its_ovo_code_or_ours_with_its_kbo_number(graph: Graph) -> None:
    known = URIRef("https://data.vlaanderen.be/id/organisatie/OVO002949")
    assert graph.value(ADDRESSES, DCTERMS.publisher) == known
    other = URIRef(f"{BASE}organisation/rijksregister")
    assert graph.value(PERSONS, DCTERMS.publisher) == other
    number = graph.value(other, URIRef("http://www.w3.org/ns/adms#identifier"))
    assert graph.value(number, URIRef("http://www.w3.org/2004/02/skos/core#notation")) == Literal("0123456749")


def test_a_version_says_where_its_life_stands_and_what_comes_before_and_after_it() -> None:
    text = version(at_end).text
    after = Offered(Product("persoon.v2", "rijksregister", 2), load_schema(text), (), Life(ProductState.PLANNED))
    told = Deprecation(DECLARED, datetime(2027, 6, 30, tzinfo=UTC), "Nieuwe velden.", "persoon.v2", 90, 1)
    before = replace(offered("rijksregister", "persoon.v1"), life=Life(ProductState.DEPRECATED, told))
    made = catalogue([before, after, offered("adressenregister", "adres.v1")], ORGANISATIONS, base=BASE, api=API)
    assert conforms(made)[0]
    second = URIRef(f"{BASE}product/rijksregister/persoon.v2")
    states = {node: str(made.value(node, ADMS.status)).rpartition("/")[2] for node in (PERSONS, second, ADDRESSES)}
    assert states == {PERSONS: "Deprecated", second: "UnderDevelopment", ADDRESSES: "Completed"}
    assert [str(made.value(node, DCAT3.version)) for node in (PERSONS, second)] == ["1", "2"]
    assert made.value(PERSONS, DCTERMS.isReplacedBy) == second
    assert made.value(second, DCTERMS.replaces) == made.value(second, DCAT3.previousVersion) == PERSONS
    said = {str(each) for each in made.objects(PERSONS, DCTERMS.description)}
    assert "Vanaf 30 juni 2027 begint hierop geen nieuw protocol meer. Nieuwe velden." in said


def test_only_a_product_without_any_data_of_a_person_is_merely_restricted(graph: Graph) -> None:
    assert graph.value(PERSONS, DCTERMS.accessRights) == RIGHTS.NON_PUBLIC
    assert graph.value(ADDRESSES, DCTERMS.accessRights) == RIGHTS.RESTRICTED


def test_dates_are_those_of_the_control_log(graph: Graph) -> None:
    dates = [
        [str(graph.value(node, each)) for each in (DCTERMS.issued, DCTERMS.modified)]
        for node in (PERSONS, ADDRESSES, URIRef(f"{BASE}catalogue"))
    ]
    first, last = DECLARED.isoformat(), CHANGED.isoformat()
    assert dates == [[first, last], [first, first], [first, last]]


def test_a_product_that_no_fact_dates_has_no_dates() -> None:
    undated = Offered(Product("adres.v1", "kbo", 1), offered("kbo", "adres.v1").schema, ())
    graph = catalogue([undated], {}, base=BASE, api=API)
    assert not {*graph.subjects(DCTERMS.issued), *graph.subjects(DCTERMS.modified)}
    assert conforms(graph)[0]


def test_a_service_leads_to_its_description_and_its_product(graph: Graph) -> None:
    service = URIRef(f"{PERSONS}/service")
    assert graph.value(service, DCAT.servesDataset) == PERSONS
    assert URIRef(f"{API}/v1/catalogue/asyncapi") in set(graph.objects(service, DCAT.endpointDescription))
    assert {graph.value(each, DCAT.accessService) for each in graph.objects(PERSONS, DCAT.distribution)} == {service}


def test_a_product_conforms_to_its_type_its_context_and_its_shape(graph: Graph) -> None:
    place = f"{API}/v1/catalogue/rijksregister/persoon.v1"
    class_ = "https://data.vlaanderen.be/ns/persoon#GeregistreerdPersoon"
    wanted = {URIRef(each) for each in (class_, f"{place}/context", f"{place}/shape")}
    assert wanted <= set(graph.objects(PERSONS, DCTERMS.conformsTo))


def test_purposes_that_are_allowed_something_are_offers_of_it(graph: Graph) -> None:
    constraints = {
        graph.value(graph.value(graph.value(offer, ODRL2.permission), ODRL2.constraint), ODRL2.rightOperand)
        for offer in graph.objects(PERSONS, ODRL2.hasPolicy)
    }
    assert constraints == {URIRef(f"{BASE}purpose/{each}") for each in ("handhaving", "statistiek")}
    assert not list(graph.objects(ADDRESSES, ODRL2.hasPolicy))


def test_quality_figures_are_measurements_and_what_is_not_told_is_none(graph: Graph) -> None:
    told = {
        str(graph.value(each, DQV.isMeasurementOf)).removeprefix(f"{BASE}metric/"): graph.value(each, DQV.value).value
        for each in graph.objects(PERSONS, DQV.hasQualityMeasurement)
    }
    assert told == {
        "subjects": 12_000,
        "last-record": QUALITY.last_record,
        "last-pass": QUALITY.last_pass,
        "median-delay": 45,
        "p95-delay": 7200,
        "quarantine-rate-day": 0,
        "quarantine-rate": 1,
        "completeness/naam.voornamen": 98,
        "completeness/overlijden.datum": 12,
    }
    assert not list(graph.objects(ADDRESSES, DQV.hasQualityMeasurement))
    untold = offered("kbo", "adres.v1", quality=Quality(CHANGED, whole=False))
    silent = catalogue([untold], {}, base=BASE, api=API)
    assert not list(silent.subjects(RDF.type, DQV.QualityMeasurement))


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_the_same_catalogue_is_written_the_same_in_either_form(graph: Graph, form: str) -> None:
    texts = {each.serialize(format=form, auto_compact=True) for each in (graph, written())}
    assert len(texts) == 1
    assert isomorphic(parsed(texts.pop(), form), graph)
