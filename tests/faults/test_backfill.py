"""Routers killed while they tell a new agreement of whom it found: everybody is told once, in order, with one receipt each."""

import asyncio
import json
import signal
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from io import BytesIO
from typing import Any

import fastavro
import pytest

from adapters.synthetic import GENT
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES, header, schema_id_of
from broker.routing.faultpoints import FaultPoint
from tests.faults.crowd import PRODUCT, Crowd, living_in
from tests.stage import Stage

pytestmark = pytest.mark.timeout(150)

_PEOPLE, _CHANGED = 12_000, 400


async def receipted(stage: Stage, agreement: str) -> list[str]:
    """Ids of the deliveries that receipts speak of."""
    schemas, found = stage.stack.site.control.state.schemas, list[str]()
    parsed: dict[int, Any] = {}
    for record in await stage.read(topics.RECEIPTS):
        identifier = schema_id_of(record.value) or 0
        if identifier not in parsed:
            parsed[identifier] = fastavro.parse_schema(json.loads(schemas[identifier].text))
        receipt: Any = fastavro.schemaless_reader(BytesIO(record.value[WIRE_HEADER_BYTES:]), parsed[identifier], None)
        found += [
            leaf["delivery"].hex()
            for leaf in receipt["decisions"]
            if leaf["agreement"] == agreement and leaf["delivery"]
        ]
    return found


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(FaultPoint.PRODUCED, marks=pytest.mark.long),
        pytest.param(FaultPoint.OFFSETS_SENT, marks=pytest.mark.long),
        FaultPoint.CHECKED,
        FaultPoint.COMMITTED,
    ],
)
async def test_routers_killed_during_a_backfill_tell_of_everybody_once(
    stage: Stage, crowd: Crowd, point: FaultPoint
) -> None:
    source = f"register-{point.value}"
    topic = await stage.declare(source, PRODUCT)
    people = living_in(GENT, crowd.people(_PEOPLE))
    await stage.publish(source, PRODUCT, people)
    async with stage.router():
        await stage.drained(topic)
    agreement = await stage.agreement("inwoners-gent", source=source)
    delivered = stage.delivery_topic(agreement)
    async with AsyncExitStack() as held:
        victims = [await held.enter_async_context(stage.router(f"{point.value}:{passes}")) for passes in (2, 3)]
        died = asyncio.gather(*(victim.ended(within=60) for victim in victims))
        await stage.publish(source, PRODUCT, [{**person, "kind": "changed"} for person in people[:_CHANGED]])
        assert await died == [-signal.SIGKILL] * 2
        begun = len(await stage.read(delivered))
        async with stage.router():
            await stage.drained(topic)
            await stage.told(topic)
    kinds: dict[bytes, list[str]] = defaultdict(list)
    ids = []
    for message in await stage.read(delivered):
        kinds[message.key].append((header(message.headers, "ce_kind") or b"").decode())
        ids.append((header(message.headers, "ce_id") or b"").decode())
    assert begun < len(ids), "nothing was left to the last router"
    assert len(kinds) == _PEOPLE
    told = Counter(map(tuple, kinds.values()))
    assert told[("initial",)] + told[("initial", "changed")] == _PEOPLE, told
    assert len(ids) == len(set(ids))
    assert sorted(await receipted(stage, agreement)) == sorted(ids)
