"""Records to load an installation with, ready to be sent, and an open-loop publisher of them."""

import asyncio
import json
import random
import time
from array import array
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from io import BytesIO
from typing import Any

import fastavro

from adapters.synthetic import people
from bench.population import PRODUCT, SOURCE, nis_of
from broker.model.keyed import lane_key, lane_of
from broker.model.record import Headers, SourceEnvelope, traceparent, wire_header
from broker.model.registered import Product
from broker.schema.avro import Schema

Row4 = tuple[int, bytes, bytes, Headers]
"""Lane, key, value and headers."""

SIZES = {
    "small": "what a record must state (about 150 B)",
    "usual": "as sources give it (about 400 B)",
    "large": "a household of many (about 4 KB)",
}
_HOUSEHOLD = 72
_NS_PER_S = 1_000_000_000


def rows_of(
    schema: Schema, product: Product, number: int, municipalities: int, lanes: int, k_lane: bytes, size: str = "usual"
) -> Sequence[Row4]:
    """One record of each of `number` people; person `i` lives in municipality `i` modulo `municipalities`."""
    parsed = fastavro.parse_schema(json.loads(schema.text))
    headers = SourceEnvelope(
        "0" * 32,
        f"/organisations/{SOURCE}",
        PRODUCT,
        "snapshot",
        "2026-01-01T00:00:00Z",
        traceparent(b"\1" * 16, b"\1" * 8),
    ).headers()
    rows = []
    for index, person in enumerate(people(random.Random(7), number, on=date(2026, 1, 1))):  # noqa: S311 - the same in every run
        place = {**person["verblijfplaats"], "gemeente": {"nis": nis_of(index % municipalities), "naam": "Gent"}}
        body = BytesIO()
        body.write(wire_header(product.schema_id))
        fastavro.schemaless_writer(body, parsed, _sized({**person, "verblijfplaats": place}, size))
        key = lane_key(k_lane, person["insz"].encode())
        rows.append((lane_of(key, lanes), key, body.getvalue(), headers))
    return rows


def _sized(person: dict[str, Any], size: str) -> Mapping[str, Any]:
    if size == "small":
        left = ("burgerlijkeStaat", "beheerder", "register", "overlijden", "wettelijkeSamenwoning", "referentiepersoon")
        none = ("nationaliteiten", "gezinsleden", "kinderen", "ouders", "statussen")
        own = {"geboorte": _BORN, "verblijfplaats": _bare(person)}
        return {**person, **dict.fromkeys(left), **{name: [] for name in none}, **own}
    if size == "large":
        child = {"insz": person["insz"], "achternaam": person["naam"]["achternaam"], "voornamen": ["Emiel"]}
        unknown = {"geslacht": None, "geboortedatum": "2001-01-01", "afstamming": None}
        return person | {"kinderen": [child | unknown] * _HOUSEHOLD}
    return person


_NOWHERE = {"nis": None, "iso": None, "naam": None}
_BORN = {"datum": "1990-01-01", "plaats": {"nis": None, "naam": None}, "land": _NOWHERE, "aktenummer": None}


def _bare(person: Mapping[str, Any]) -> Mapping[str, Any]:
    place = person["verblijfplaats"]
    return {**place, "land": _NOWHERE, "begin": None, "gemeente": {**place["gemeente"], "naam": None}}


async def publish_at(
    producer: Any,
    topic: str,
    rows: Sequence[Row4],
    rate: float,
    seconds: float,
    sent: Callable[[bytes, int, int, int], None],
) -> Sequence[int]:
    """Send records at a fixed rate whatever the answers do; returns by how many ns each was late in being handed over.

    `sent` gets each acknowledged one: its key, lane, offset, and the instant (monotonic ns) at which it was due.
    """
    late, waiting, began = array("q"), set[asyncio.Future[Any]](), time.monotonic_ns()
    for number in range(round(rate * seconds)):
        due = began + round(number * _NS_PER_S / rate)
        while (left := due - time.monotonic_ns()) > 0:  # noqa: ASYNC110 - the instant is the point
            await asyncio.sleep(left / _NS_PER_S)
        lane, key, value, headers = rows[number % len(rows)]
        answer = await producer.send(topic, value, key=key, partition=lane, headers=headers)
        late.append(time.monotonic_ns() - due)
        waiting.add(answer)

        def acknowledged(done: asyncio.Future[Any], key: bytes = key, lane: int = lane, due: int = due) -> None:
            waiting.discard(done)
            if not done.cancelled() and done.exception() is None:
                sent(key, lane, done.result().offset, due)

        answer.add_done_callback(acknowledged)
    await asyncio.gather(*waiting)
    return late
