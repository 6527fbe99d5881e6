"""An agreement on roadworks, of which every field is public, and what its topic holds."""

import json
from io import BytesIO
from typing import Any

import fastavro

from broker.delivery.streams import Message
from broker.model.facts import FactType
from broker.model.record import wire_header
from tests.unit.api.conftest import ROOT, Control, document
from tests.unit.delivery.linked_data import egress, values

AGENCY = "gent-parkeren"


async def agree(control: Control, agreement: str, **population: Any) -> None:
    """Bring it into force."""
    text = (ROOT / "schemas" / "hinder.v1.avsc").read_text()
    agreed = document(agreement, AGENCY, dossiers=False) | {"source": "gipod", "product": "hinder.v1"}
    agreed["population"] = agreed["population"] | population
    facts = [
        (FactType.PRODUCT, "product/gipod/hinder.v1", {"id": "hinder.v1", "source": "gipod", "schema": text}),
        (FactType.AGREEMENT_REQUESTED, f"agreement/{agreement}", {"document": agreed, "egress": egress("hinder.v1")}),
        (FactType.AGREEMENT_ACTIVE, f"agreement/{agreement}", {"id": agreement}),
    ]
    for kind, aggregate, data in facts:
        await control.append(kind, aggregate, data, by="test")


def deliveries(control: Control, agreement: str, count: int) -> list[Message]:
    """Deliveries, each with a marker after it."""
    parsed = fastavro.parse_schema(json.loads(egress("hinder.v1")))
    frame = wire_header(control.state.agreements[agreement].egress_schema_id or 0)
    found = []
    for number, value in enumerate(values("hinder.v1", count)):
        body = BytesIO()
        fastavro.schemaless_writer(body, parsed, value)
        found.append(Message(2 * number, b"%032x" % (number % 50), frame + body.getvalue(), headers(number)))
    return found


def headers(number: int, kind: bytes = b"changed") -> tuple[tuple[str, bytes], ...]:
    """Of one delivery."""
    return (
        ("ce_id", b"%032x" % number),
        ("ce_type", b"be.vlaanderen.datanuts.hinder.v1"),
        ("ce_kind", kind),
        ("ce_time", b"2026-11-24T12:00:00Z"),
        ("ce_agreementversion", b"1"),
    )
