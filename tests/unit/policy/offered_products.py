"""Two products that a catalogue offers, one with quality figures, and the graph of that catalogue."""

from datetime import UTC, datetime
from pathlib import Path

from rdflib import Graph

from broker.model.quality import Quality
from broker.model.registered import Organisation, Product
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


QUALITY = Quality(
    at=CHANGED,
    whole=True,
    subjects=12_000,
    last_record=DECLARED,
    last_pass=CHANGED,
    median_s=45,
    p95_s=7200,
    completeness={"naam.voornamen": 98, "overlijden.datum": 12},
    set_aside_day=0,
    set_aside=1,
)


def offered(
    source: str, product: str, *purposes: str, changed: datetime = DECLARED, quality: Quality | None = None
) -> Offered:
    schema = load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())
    return Offered(Product(product, source, 1, DECLARED, changed), schema, purposes, quality=quality)


def written() -> Graph:
    everything = [
        offered("adressenregister", "adres.v1"),
        offered("rijksregister", "persoon.v1", "handhaving", "statistiek", changed=CHANGED, quality=QUALITY),
    ]
    return catalogue(everything, ORGANISATIONS, base=BASE, api=API)
