"""The catalogue as DCAT-AP-VL: what the profile demands is there, says what is true, and is written the same each time."""

import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, ODRL2, RDF, Graph, Literal, URIRef
from rdflib.compare import isomorphic
from rdflib.namespace import Namespace

from broker.model.facts import Product
from broker.policy.dcat import FORMS, Offered, catalogue
from broker.policy.odrl_terms import BASE
from tests.unit.policy.offered_products import API, CHANGED, DECLARED, SHAPES, offered, written
from tests.unit.schema.published_types import graph as parsed

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


@pytest.mark.parametrize("form", ["turtle", "json-ld"])
def test_the_same_catalogue_is_written_the_same_in_either_form(graph: Graph, form: str) -> None:
    texts = {each.serialize(format=form, auto_compact=True) for each in (graph, written())}
    assert len(texts) == 1
    assert isomorphic(parsed(texts.pop(), form), graph)
