"""A delivery as JSON-LD says to a stock parser what it says as JSON, in OSLO's terms, and tells of nobody who it is."""

import json
import re
from typing import Any

import pytest
from rdflib import RDF, XSD, Graph, Literal, Namespace, URIRef
from rdflib.collection import Collection
from rdflib.compare import isomorphic

from broker.delivery import linked
from broker.delivery.formats import FORMS, JSON, Page, rendered
from broker.delivery.turtle import turtle
from broker.model.agreement import ReleasedField, Transform
from broker.schema.linked_terms import EDTF, NodeType, node_type
from broker.schema.samples import example
from tests.unit.delivery.linked_data import (
    ADDRESS,
    BASE,
    IRIS,
    ROOT,
    document,
    egress,
    graph,
    item,
    item_of,
    kept,
    schema,
    values,
)

PERSON = Namespace("https://data.vlaanderen.be/ns/persoon#")
ADRES = Namespace("https://data.vlaanderen.be/ns/adres#")
ADMS = Namespace("http://www.w3.org/ns/adms#")
M8G = Namespace("http://data.europa.eu/m8g/")
PROV = Namespace("http://www.w3.org/ns/prov#")
DCT = Namespace("http://purl.org/dc/terms/")
OWN = Namespace(f"{BASE}field/persoon.v1/")
VERSION = URIRef(f"{BASE}agreement/inwoners/delivery/{1:032x}")
PRODUCTS = ["persoon.v1", "organisatie.v1", "hinder.v1", "adres.v1"]


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_item_can_be_read_back_from_its_json_ld(product: str) -> None:
    type_ = kept(product)
    for data in values(product, 40):
        shown = item(data)
        back = item_of(json.loads(json.dumps(document(shown, type_))))
        if product == "adres.v1":
            assert back["data"]["status"] == "https://data.vlaanderen.be/id/concept/adresstatus/inGebruik"
            back["data"]["status"] = "inGebruik"
        assert back == shown


@pytest.mark.parametrize("product", PRODUCTS)
def test_turtle_says_the_same_triples_as_json_ld(product: str) -> None:
    type_ = kept(product)
    for data in values(product, 5):
        written = document(item(data), type_)
        whole = graph(written)
        assert len(whole) > 15
        assert isomorphic(whole, graph(turtle(written), "turtle"))


@pytest.mark.parametrize("product", sorted(path.stem for path in (ROOT / "schemas" / "examples").iterdir()))
def test_turtle_says_what_json_ld_says_of_every_type(product: str) -> None:
    written = document(item(example(schema(product))), kept(product))
    assert isomorphic(graph(written), graph(turtle(written), "turtle"))


def person(**changes: Any) -> Graph:
    (data,) = values("persoon.v1", 1)
    return graph(document(item(data | changes), kept("persoon.v1")))


def test_a_person_is_a_version_of_a_subject_of_this_agreement_only() -> None:
    found = person()
    assert (VERSION, RDF.type, PERSON.GeregistreerdPersoon) in found
    assert list(found.objects(VERSION, DCT.isVersionOf)) == [URIRef(f"{BASE}agreement/inwoners/subject/{1:032x}")]
    assert list(found.objects(VERSION, PROV.generatedAtTime)) == [
        Literal("2026-11-26T06:00:00Z", datatype=XSD.dateTime)
    ]


def test_no_iri_holds_a_national_number() -> None:
    (data,) = values("persoon.v1", 1)
    found = person()
    assert Literal(data["insz"]) in set(found.objects(VERSION, PERSON.registratie))
    iris = {str(term) for triple in found for term in triple if isinstance(term, URIRef)}
    assert len(iris) > 20
    assert not [iri for iri in iris if re.search(r"[0-9]{11}", iri.replace(f"{1:032x}", ""))]


@pytest.mark.parametrize(
    ("written", "value", "datatype"),
    [
        ("2008-05-17", "2008-05-17", XSD.date), ("2008-05-00", "2008-05", XSD.gYearMonth),
        ("2008-00-00", "2008", XSD.gYear), ("0000-00-00", "XXXX-XX-XX", URIRef(EDTF)),
        ("0000-05-17", "XXXX-05-17", URIRef(EDTF)), ("2008-00-17", "2008-XX-17", URIRef(EDTF)),
        ("2008-02-30", "2008-02-30", None), ("2008-13-00", "2008-13-00", None), ("lente 2008", "lente 2008", None),
        ("", "", None),
    ],
)  # fmt: skip
def test_a_date_says_how_much_of_it_is_known(written: str, value: str, datatype: URIRef | None) -> None:
    (data,) = values("persoon.v1", 1)
    found = person(geboorte=data["geboorte"] | {"datum": written})
    (birth,) = found.objects(VERSION, PERSON.heeftGeboorte)
    (said,) = found.objects(birth, PERSON.datum)
    assert (str(said), said.datatype) == (value, datatype)


def test_an_instant_and_a_day_are_told_apart() -> None:
    found = person(validFrom="2026-11-01", validTo="2026-11-24T08:00:00+01:00")
    (begin,), (end,) = found.objects(VERSION, M8G.startTime), found.objects(VERSION, M8G.endTime)
    assert (begin.datatype, end.datatype) == (XSD.date, XSD.dateTime)


def test_what_the_source_says_of_its_own_version_is_said_of_the_source() -> None:
    (data,) = values("hinder.v1", 1)
    found = graph(document(item(data), kept("hinder.v1")))
    (source,) = found.objects(VERSION, PROV.hadPrimarySource)
    assert list(found.objects(source, DCT.isVersionOf)) == [URIRef(data["identificator"])]
    assert [str(at)[:10] for at in found.objects(source, PROV.generatedAtTime)] == [data["recordedAt"][:10]]
    assert len(list(found.objects(VERSION, PROV.generatedAtTime))) == 1


def test_codes_and_iris_are_iris_and_other_text_is_text() -> None:
    found = graph(document(item(ADDRESS), kept("adres.v1")))
    assert (
        VERSION,
        ADRES["Adres.status"],
        URIRef("https://data.vlaanderen.be/id/concept/adresstatus/inGebruik"),
    ) in found
    assert set(found.objects(VERSION, ADRES.isToegekendAan)) == set(map(URIRef, ADDRESS["toegekendAan"]))
    (street,) = found.objects(VERSION, ADRES.heeftStraatnaam)
    assert (street, ADMS.identifier, URIRef(ADDRESS["straat"]["iri"])) in found
    (place,) = found.objects(VERSION, ADRES.positie)
    (said,) = found.objects(place, URIRef("https://data.vlaanderen.be/ns/generiek#specificatie"))
    assert said == Literal("geen IRI")


@pytest.mark.parametrize("product", PRODUCTS)
def test_every_field_whose_name_or_doc_speaks_of_an_iri_is_taken_as_one(product: str) -> None:
    def leaves(type_: NodeType, path: str = "") -> list[tuple[str, str | None]]:
        found = []
        for each in type_.properties:
            below = f"{path}{each.name}"
            found += leaves(each.node, f"{below}.") if each.node else [(below, each.datatype)]
        return found

    known = schema(product).fields
    datatypes = dict(leaves(kept(product)))
    assert datatypes.keys() == known.keys()
    mixed = {"identificator"} if product == "organisatie.v1" else set()  # a number wherever there is one
    spoken = {path for path, leaf in known.items() if "IRI" in leaf.doc or path.endswith("iri")} - mixed
    assert {path for path, type_ in datatypes.items() if type_ == "@id" and known[path].type != "enum"} == spoken


def test_derived_values_have_properties_of_the_installation() -> None:
    fields = (
        ReleasedField("geboorte.datum", Transform.YEAR, "nodig", "geboortejaar"),
        ReleasedField("geboorte.datum", Transform.ADULT, "nodig", "meerderjarig"),
        ReleasedField("insz", Transform.PSEUDONYM, "nodig", "pseudoniem"),
    )
    type_ = node_type(egress("persoon.v1", *fields), BASE)
    data = {"geboortejaar": 1987, "meerderjarig": True, "pseudoniem": "ab" * 16}
    written = document(item(data), type_)
    found = graph(written)
    assert (VERSION, OWN.geboortejaar, Literal("1987", datatype=XSD.gYear)) in found
    assert (VERSION, OWN.meerderjarig, Literal(True)) in found  # noqa: FBT003 - an RDF literal
    assert (VERSION, OWN.pseudoniem, Literal("ab" * 16)) in found
    assert isomorphic(found, graph(turtle(written), "turtle"))
    assert not type_.open


def test_a_departure_is_a_deleted_version_without_data() -> None:
    found = graph(document(item(None, reason="RECORD_CHANGED"), None))
    assert list(found.objects(VERSION, RDF.type)) == [URIRef("https://www.w3.org/ns/activitystreams#Delete")]
    assert (VERSION, URIRef(f"{BASE}term/reason"), Literal("RECORD_CHANGED")) in found
    assert list(found.objects(VERSION, DCT.isVersionOf))
    said = {str(name) for name in found.predicates()} - {str(RDF.type), str(DCT.isVersionOf), str(PROV.generatedAtTime)}
    assert all(name.startswith(f"{BASE}term/") for name in said)


def test_a_life_cycle_event_is_about_nobody() -> None:
    shown = {
        "id": None,
        "type": "t",
        "kind": "life-cycle",
        "time": None,
        "key": "barrier/0",
        "cursor": "c",
        "epoch": 41,
    }
    node = linked.member(shown, IRIS, None)
    assert "@id" not in node
    assert (node["delivery-kind"], node["policy-epoch"]) == ("life-cycle", 41)
    assert item_of(node) == shown | {"data": None}


def test_a_field_may_be_called_as_anything_in_the_envelope() -> None:
    names = ["kind", "type", "id", "reason", "cursor", "member", "generated_at", "isVersionOf", "data"]
    text = json.dumps({"type": "record", "name": "R", "fields": [{"name": name, "type": "string"} for name in names]})
    type_ = node_type(text, BASE)
    data = {name: f"waarde van {name}" for name in names}
    found = graph(document(item(data), type_))
    for name in names:
        assert (VERSION, URIRef(f"{BASE}field/R/{name}"), Literal(f"waarde van {name}")) in found


@pytest.mark.parametrize("text", ['a"b\\c\n\r\t\x00\x7f\u2028', "Ðoe €\U0001d504", "@type", "_:b0", "\\u0041", "'''"])
def test_text_is_only_ever_text(text: str) -> None:
    (data,) = values("organisatie.v1", 1)
    hurt = data | {"naam": text, "iri": text, "suborganisaties": [text]}
    written = document(item(hurt), kept("organisatie.v1"))
    found = graph(written)
    assert (VERSION, URIRef("http://www.w3.org/ns/regorg#legalName"), Literal(text)) in found
    assert (VERSION, DCT.identifier, Literal(text)) in found
    assert (VERSION, URIRef("http://www.w3.org/ns/org#hasSubOrganization"), Literal(text)) in found
    assert isomorphic(found, graph(turtle(written), "turtle"))


@pytest.mark.parametrize("number", [1.0, -0.5, 1e300, 5e-324, 123456.789])
def test_numbers_keep_their_type(number: float) -> None:
    fields = [{"name": "d", "type": "double"}, {"name": "n", "type": "long"}, {"name": "b", "type": "bytes"}]
    type_ = node_type(json.dumps({"type": "record", "name": "R", "fields": fields}), BASE)
    written = document(item({"d": number, "n": 2**62, "b": "AP8="}), type_)
    for found in (graph(written), graph(turtle(written), "turtle")):
        (said,) = found.objects(VERSION, URIRef(f"{BASE}field/R/d"))
        assert (said.datatype, float(said)) == (XSD.double, number)
        (whole,) = found.objects(VERSION, URIRef(f"{BASE}field/R/n"))
        assert (whole.datatype, int(whole)) == (XSD.integer, 2**62)
        (raw,) = found.objects(VERSION, URIRef(f"{BASE}field/R/b"))
        assert raw.datatype == XSD.base64Binary


def test_only_public_fields_kept_as_they_are_make_an_open_stream() -> None:
    assert kept("adres.v1").open
    assert kept("hinder.v1").open
    assert not kept("organisatie.v1").open
    assert not kept("persoon.v1").open


def test_a_page_of_the_pull_holds_the_same_items_in_order(mixed: Page) -> None:
    raw, _ = rendered(mixed, FORMS[linked.MEDIA_TYPE])
    written = json.loads(raw)
    whole = json.loads(rendered(mixed, FORMS[JSON])[0])
    stated = [{"data": None} | item for item in whole["items"]]
    assert [item_of(node) for node in written["items"]] == stated
    assert (written["agreement"], written["next"]) == (whole["agreement"], whole["next"])
    found = graph(written)
    (first,) = found.objects(None, URIRef("https://www.w3.org/ns/activitystreams#items"))
    listed = list(Collection(found, first))
    assert [str(node).rpartition("/")[2] for node in listed if isinstance(node, URIRef)] == [
        item["id"] for item in whole["items"] if item["id"]
    ]
    names = list(found.objects(listed[0], URIRef("https://data.example/ns#naam")))
    assert names == [Literal(whole["items"][0]["data"]["naam"])]
