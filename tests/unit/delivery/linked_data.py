"""Delivered items of the reviewed schemas, and what their JSON-LD means to somebody else's parser."""

import json
import warnings
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

from rdflib import Graph

from adapters.synthetic_people import people
from adapters.synthetic_things import enterprises, roadworks
from broker.delivery import linked
from broker.delivery.linked import Iris
from broker.model.agreement import ReleasedField, Transform
from broker.schema.avro import Schema, load_schema
from broker.schema.linked_terms import EDTF, XSD, NodeType, node_type
from broker.schema.projection import compile_projection

ROOT = Path(__file__).parents[3]
ON = date(2026, 11, 24)
BASE = "https://data.example/"
IRIS = Iris(BASE, "inwoners")
Json = dict[str, Any]

ADDRESS: Json = {
    "kind": "changed", "validFrom": "2020-01-01", "validTo": None, "recordedAt": "2026-11-24T08:00:00Z", "corrects": None,
    "identificator": "https://data.vlaanderen.be/id/adres/5", "objectId": "5", "versie": "2020-01-01T00:00:00+01:00",
    "status": "inGebruik", "officieelToegekend": True, "huisnummer": "1", "busnummer": None,
    "straat": {"iri": "https://data.vlaanderen.be/id/straatnaam/7", "naam": "Lindelaan", "homoniemToevoeging": None},
    "gemeente": {"iri": None, "nis": "44021", "naam": "Gent"}, "postinfo": {"iri": None, "postcode": "9000"},
    "positie": {"geometrie": "POINT(1 2)", "methode": None, "specificatie": "geen IRI"},
    "toegekendAan": ["https://data.vlaanderen.be/id/perceel/1", "https://data.vlaanderen.be/id/perceel/2"],
}  # fmt: skip


def schema(product: str) -> Schema:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


def egress(product: str, *fields: ReleasedField) -> str:
    """The egress schema of these fields; of all as they are where none is named."""
    known = schema(product)
    kept = [ReleasedField(path, Transform.KEEP, "nodig") for path in known.fields]
    return compile_projection(known, fields or kept, pseudonym_key=None).egress


def kept(product: str) -> NodeType:
    return node_type(egress(product), BASE)


def values(product: str, count: int) -> list[Json]:
    made = {"persoon.v1": people, "organisatie.v1": enterprises, "hinder.v1": roadworks}
    return [ADDRESS] if product == "adres.v1" else list(made[product](Random(5), count, on=ON))


def item(data: Json | None, number: int = 1, **more: Any) -> Json:
    return {
        "id": f"{number:032x}", "type": "be.vlaanderen.datanuts.persoon.v1",
        "kind": "changed" if data else "left-population", "time": "2026-11-26T06:00:00Z", "key": f"{number:032x}",
        "cursor": "c1", "agreementVersion": 3, "traceparent": "00-1-1-01", "data": data,
    } | more  # fmt: skip


def document(shown: Json, type_: NodeType | None) -> Json:
    terms = linked.context(BASE) | (type_.context() if type_ else {})
    return {"@context": terms} | linked.member(shown, IRIS, type_)


def graph(text: str | Json, form: str = "json-ld") -> Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # rdflib's parser warns about rdflib
        return Graph().parse(data=text if isinstance(text, str) else json.dumps(text), format=form)


def item_of(node: Json) -> Json:
    """The JSON item that a node was made from; codes keep their IRI."""
    names = {term: name for name, term in linked._ENVELOPE.items()} | {"stream-key": "key", "generated-at": "time"}
    found = {names[term]: value for term, value in node.items() if term in names}
    fields = {name: value for name, value in node.items() if "-" not in name and not name.startswith("@")}
    own = {"id": node.get("@id", "").rpartition("/")[2] or None, "time": node.get("generated-at")}
    if own["id"]:
        own["key"] = node["is-version-of"].rpartition("/")[2]
    return found | own | {"data": _plain(fields | node.get("primary-source", {})) or None}


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict) and "@value" in value:
        return _partial(value["@value"], value.get("@type", ""))
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items() if name != "@type"}
    return value


def _partial(text: str, type_: str) -> str:
    padded = {EDTF: text.replace("X", "0"), f"{XSD}gYear": f"{text}-00-00", f"{XSD}gYearMonth": f"{text}-00"}
    return padded.get(type_, text)
