"""Records to load an installation with, ready to be sent, and an open-loop publisher of them."""

import asyncio
import json
import random
import time
from array import array
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
_BATCH = 200
"""Records of a batch at most: the largest of them fit."""

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
    *,
    every_s: float = 0.0,
) -> Sequence[int]:
    """Send records at a fixed rate whatever the answers do; returns by how many ns each was late in being handed over.

    `sent` gets each acknowledged one: its key, lane, offset, and the instant (monotonic ns) at which it was due. It sleeps
    for at least `every_s`, and then hands over all that is due: thousands a second would, one by one, take a processor of
    their own.
    """
    late, number, total = array("q"), 0, round(rate * seconds)
    async with asyncio.TaskGroup() as under_way:
        queue = _Queue(producer, topic, rows, rate, time.monotonic_ns(), sent, under_way)
        while number < total:
            left = queue.due(number) - time.monotonic_ns()
            await asyncio.sleep(max(left / _NS_PER_S, every_s) if left > 0 else 0)
            handed = time.monotonic_ns()
            while number < total and queue.due(number) <= handed:
                queue.add(number)
                late.append(handed - queue.due(number))
                number += 1
            queue.hand_over()
    return late


@dataclass(slots=True)
class _Queue:
    """Records on their way to their lanes; each lane has one batch on its way and gathers what comes meanwhile."""

    producer: Any
    topic: str
    rows: Sequence[Row4]
    rate: float
    began: int
    sent: Callable[[bytes, int, int, int], None]
    under_way: asyncio.TaskGroup
    waiting: dict[int, list[int]] = field(default_factory=dict)
    busy: set[int] = field(default_factory=set)

    def due(self, number: int) -> int:
        return self.began + round(number * _NS_PER_S / self.rate)

    def add(self, number: int) -> None:
        self.waiting.setdefault(self._row(number)[0], []).append(number)

    def hand_over(self) -> None:
        for lane in self.waiting.keys() - self.busy:
            self.busy.add(lane)
            self.under_way.create_task(self._send(lane))

    async def _send(self, lane: int) -> None:
        while numbers := self.waiting.pop(lane, None):
            for part in (numbers[at : at + _BATCH] for at in range(0, len(numbers), _BATCH)):
                batch = self.producer.create_batch()
                for _, key, value, headers in map(self._row, part):
                    batch.append(key=key, value=value, timestamp=None, headers=headers)
                answer = await self.producer.send_batch(batch, self.topic, partition=lane)
                self.under_way.create_task(self._acknowledged(lane, part, answer))
        self.busy.discard(lane)

    async def _acknowledged(self, lane: int, numbers: Sequence[int], answer: Awaitable[Any]) -> None:
        first = (await answer).offset
        for index, number in enumerate(numbers):
            self.sent(self._row(number)[1], lane, first + index, self.due(number))

    def _row(self, number: int) -> Row4:
        return self.rows[number % len(self.rows)]
