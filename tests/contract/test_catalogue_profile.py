"""Our catalogue beside what Flanders publishes: DCAT-AP's own shapes, and a real catalogue with its data service.

Neither is a part of the repository: where they are absent, this says so and checks nothing.
"""

from pathlib import Path

import pyshacl
import pytest
from rdflib import DCAT, DCTERMS, FOAF, OWL, RDF, Graph, URIRef
from rdflib.namespace import Namespace

from tests.unit.policy.offered_products import SHAPES, written

DATA = Path(__file__).parents[3] / "shared" / "data" / "dcat_ap_vl"
pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"{DATA} is absent: the catalogue was NOT compared with real ones"
)

_ADMS = URIRef("http://www.w3.org/ns/adms#identifier")
_MDCAT = Namespace("http://data.vlaanderen.be/ns/metadata-dcat#")
OPTIONAL = {
    DCAT.Catalog: {FOAF.homepage, DCTERMS.license, DCAT.record},
    DCAT.DataService: {
        *(_ADMS, OWL.versionInfo, DCAT.landingPage, DCTERMS.language, DCTERMS.subject, DCTERMS.creator),
        *(_MDCAT.levensfase, _MDCAT.ontwikkelingstoestand),
        *(_MDCAT[f"landingspaginaVoor{each}"] for each in ("Authenticatie", "Statusinformatie", "Gebruiksinformatie")),
    },
}
"""What the real one says and the profile does not demand; we say it nowhere."""


@pytest.fixture(scope="module")
def real() -> Graph:
    return Graph().parse(DATA / "dcatapvl2_examples_dcat-example-real-dataservice.ttl")


def properties(graph: Graph, class_: URIRef) -> set[URIRef]:
    return {property_ for node in graph.subjects(RDF.type, class_) for property_ in graph.predicates(node)}


@pytest.mark.parametrize("class_", [DCAT.Catalog, DCAT.DataService], ids=["catalogue", "service"])
def test_we_say_what_a_real_one_says_but_for_what_is_optional(real: Graph, class_: URIRef) -> None:
    lacking = properties(real, class_) - properties(written(), class_)
    assert lacking == OPTIONAL[class_]


def test_our_shapes_ask_for_nothing_that_a_real_one_lacks(real: Graph) -> None:
    conforms, _, report = pyshacl.validate(real, shacl_graph=Graph().parse(SHAPES))
    assert conforms, report


def test_the_catalogue_conforms_to_the_shapes_of_dcat_ap() -> None:
    shapes = Graph().parse(DATA / "dcat-ap_2.0.1_shacl_shapes.ttl")
    conforms, _, report = pyshacl.validate(written(), shacl_graph=shapes)
    assert conforms, report
