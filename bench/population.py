"""The measured installation: one product, agreements that each select one municipality, records spread over them."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from io import BytesIO
from typing import Any

import fastavro

from adapters.synthetic import people
from broker.cli.installation import Installation
from broker.control.agreements import Agreements
from broker.control.dev_signing import bring_into_force
from broker.control.limits import set_limits
from broker.kafka.clients import KafkaClients
from broker.model.agreement import Ceiling, FieldCeiling, Transform
from broker.model.keyed import lane_key, lane_of
from broker.model.purpose import Purpose, Purposes
from broker.model.record import Headers, SourceEnvelope, traceparent, wire_header
from broker.model.registered import Organisation, Product
from broker.schema.avro import Schema, load_schema

SOURCE, PRODUCT, PURPOSE = "rijksregister", "persoon.v1", "meting"
_OPERATOR = "operator"
_PATHS = (
    "insz",
    "naam.achternaam",
    "verblijfplaats.straatnaam",
    "verblijfplaats.huisnummer",
    "verblijfplaats.postcode",
)
_NIS = "verblijfplaats.gemeente.nis"
_MOST_VALUES = 20_000
_FIRST_NIS = 10_000


def nis_of(number: int) -> str:
    """Invented NIS code of the municipality that agreement `number` selects."""
    return str(_FIRST_NIS + number)


def document(number: int) -> Mapping[str, Any]:
    """Agreement `number`: pseudonym and four kept fields of the inhabitants of one municipality."""
    why = "Wordt gemeten."
    kept = [{"path": path, "why": why} for path in _PATHS[1:]]
    return {
        "id": f"meting-{number}",
        "version": 1,
        "title": "Meting",
        "source": SOURCE,
        "product": PRODUCT,
        "agency": f"afnemer-{number}",
        "purpose": PURPOSE,
        "bases": [
            {"instrument": "rijksregister", "reference": "FICTIEF", "dated": "2026-01-01", "gdpr": "6.1.e", "text": why}
        ],
        "fields": [{"path": "insz", "transform": "pseudonym", "name": "pseudoniem", "why": why}, *kept],
        "population": {"where": {"path": _NIS, "equals": nis_of(number)}},
        "term": {"start": "2026-01-01T00:00:00Z", "end": None},
        "conditions": _conditions(why),
    }


def _conditions(why: str) -> Mapping[str, Any]:
    """Every part that such a protocol needs before it can be approved."""
    side = {
        "role": "verwerkingsverantwoordelijke",
        "represented_by": "leidend ambtenaar",
        "dpo": "dpo@meting.example",
        "breach_contact": "datalek@meting.example",
    }
    texts = ("necessity", "compatibility", "periodicity", "quality", "rights", "rights_limits", "sanctions")
    return {
        "source": side,
        "agency": side,
        **dict.fromkeys(texts, why),
        "retention": {"period": why, "disposal": why},
        "onward": {"allowed": False},
        "recipients": [{"name": "Meetdienst", "why": why}],
        "security": [why],
        "impact": {"reason_for_none": why},
        "publication": {"source": "https://bron.example/protocol", "agency": "https://afnemer.example/protocol"},
    }


async def set_up(installation: Installation, agreements: Agreements, number: int) -> tuple[Product, Schema]:
    """Limits, product and `number` active agreements."""
    control = installation.site.control
    fields = {path: FieldCeiling(path, frozenset({Transform.KEEP})) for path in _PATHS}
    ceiling = Ceiling(PRODUCT, PURPOSE, fields, frozenset({_NIS}))
    await installation.products.register_receipts(installation.folder.receipt_schema(), by=_OPERATOR)
    await set_limits(control, Purposes({PURPOSE: Purpose(PURPOSE, "Meting", "Meting")}), [ceiling], by=_OPERATOR)
    await installation.organisations.register(Organisation(SOURCE, "Bron"), by=_OPERATOR)
    schema = installation.folder.product_schemas()[PRODUCT]
    product = await installation.products.declare(SOURCE, schema.text, by=_OPERATOR)
    for index in range(number):
        held = document(index)
        await installation.organisations.register(Organisation(held["agency"], "Afnemer"), by=_OPERATOR)
        await bring_into_force(agreements, held, datetime.now(UTC))
    return product, load_schema(control.state.schemas[product.schema_id].text)


def records(
    schema: Schema,
    product: Product,
    count: int,
    agreements: int,
    lanes: int,
    k_lane: bytes,
    *,
    distinct: int = _MOST_VALUES,
) -> Iterator[tuple[int, bytes, bytes, Headers]]:
    """`count` records as (lane, key, value, headers), made of `distinct` people spread over the municipalities."""
    rng = random.Random(7)  # noqa: S311 - the same records in every run
    parsed = fastavro.parse_schema(json.loads(schema.text))
    made: list[tuple[int, bytes, bytes]] = []
    for index, person in enumerate(people(rng, max(distinct, agreements), on=date(2026, 1, 1))):
        place = {**person["verblijfplaats"], "gemeente": {"nis": nis_of(index % agreements), "naam": "Gent"}}
        body = BytesIO()
        body.write(wire_header(product.schema_id))
        fastavro.schemaless_writer(body, parsed, {**person, "verblijfplaats": place})
        key = lane_key(k_lane, person["insz"].encode())
        made.append((lane_of(key, lanes), key, body.getvalue()))
    headers = SourceEnvelope(
        "0" * 32,
        "/organisations/rijksregister",
        PRODUCT,
        "snapshot",
        "2026-01-01T00:00:00Z",
        traceparent(b"\1" * 16, b"\1" * 8),
    ).headers()
    for index in range(count):
        lane, key, value = made[index % len(made)]
        yield lane, key, value, headers


async def publish(
    clients: KafkaClients, topic: str, rows: Iterator[tuple[int, bytes, bytes, Headers]]
) -> Sequence[int]:
    """Write rows to their lanes; returns the number per lane."""
    counts: dict[int, int] = {}
    async with clients.producer() as producer:
        batches: dict[int, Any] = {}
        waiting = []
        for lane, key, value, headers in rows:
            counts[lane] = counts.get(lane, 0) + 1
            batch = batches.setdefault(lane, producer.create_batch())
            if batch.append(key=key, value=value, timestamp=None, headers=headers) is None:
                waiting.append(await producer.send_batch(batch, topic, partition=lane))
                batch = batches[lane] = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None, headers=headers)
        for lane, batch in batches.items():
            waiting.append(await producer.send_batch(batch, topic, partition=lane))
        for future in waiting:
            await future
    return [counts[lane] for lane in sorted(counts)]
