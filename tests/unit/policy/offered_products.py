"""Two products that a catalogue offers, and the graph of that catalogue."""

from datetime import UTC, datetime
from pathlib import Path

from rdflib import Graph

from broker.model.facts import Organisation, Product
from broker.policy.dcat import Offered, catalogue
from broker.policy.odrl_terms import BASE
from broker.schema.avro import load_schema

ROOT = Path(__file__).parents[3]
SHAPES = Path(__file__).with_name("dcat_ap_vl.ttl")
API = "https://broker.example"
DECLARED, CHANGED = datetime(2026, 11, 24, 12, tzinfo=UTC), datetime(2026, 11, 25, 12, tzinfo=UTC)
ORGANISATIONS = {
    "rijksregister": Organisation("rijksregister", "Rijksregister", kbo="0123456749"),
    "adressenregister": Organisation("adressenregister", "Adressenregister", ovo="OVO002949"),
}


def offered(source: str, product: str, *purposes: str, changed: datetime = DECLARED) -> Offered:
    schema = load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())
    return Offered(Product(product, source, 1, DECLARED, changed), schema, purposes)


def written() -> Graph:
    everything = [
        offered("adressenregister", "adres.v1"),
        offered("rijksregister", "persoon.v1", "handhaving", "statistiek", changed=CHANGED),
    ]
    return catalogue(everything, ORGANISATIONS, base=BASE, api=API)
