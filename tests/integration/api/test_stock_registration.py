"""Confluent's own client registers a source's next version, asks what a change breaks, and writes what our door takes."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from broker.model import topics
from broker.model.keyed import lane_of
from tests.faults.crowd import SOURCE, Crowd
from tests.stage import ROOT, Stage, installation

pytestmark = pytest.mark.timeout(240)

NEXT = "persoon.v2"
TOPIC = topics.source(SOURCE, NEXT)
LEAF = {
    "name": "roepnaam",
    "type": ["null", "string"],
    "default": None,
    "iri": "https://example.org/ns#roepnaam",
    "class": "identifying",
    "doc": "What the person is called.",
}


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An installation of two lanes."""
    async with installation(tmp_path_factory.mktemp("registration"), lanes=2) as made:
        yield made


def text(**changes: Any) -> str:
    """The reviewed persoon.v1 as its next version."""
    document = json.loads((ROOT / "schemas" / "persoon.v1.avsc").read_text())
    return json.dumps(document | {"product": NEXT, "fields": [*document["fields"], LEAF]} | changes)


@contextmanager
def registry(stage: Stage, organisation: str) -> Iterator[SchemaRegistryClient]:
    """The stock client with an organisation's token."""
    token = stage.stack.home.credential_of(organisation).token
    with SchemaRegistryClient(
        {"url": stage.stack.connection.api, "basic.auth.user.info": f"{organisation}:{token}"}
    ) as made:
        yield made


async def test_a_source_registers_serialises_and_is_read(stage: Stage) -> None:
    person = {**Crowd().people(1)[0], "roepnaam": "Jo"}
    at = SerializationContext(TOPIC, MessageField.VALUE)

    def written() -> bytes:
        with registry(stage, SOURCE) as client:
            old = f"{topics.source(SOURCE, 'persoon.v1')}-value"
            assert client.get_compatibility() == "BACKWARD"
            assert client.test_compatibility(old, Schema(text(), "AVRO"))
            value = AvroSerializer(client, text())(person, at)
            assert client.lookup_schema(f"{TOPIC}-value", Schema(text(), "AVRO")).schema_id == int.from_bytes(
                value[1:5]
            )
            return value

    value = await asyncio.to_thread(written)
    key = stage.publication(SOURCE, NEXT).state(stage.change(NEXT, person)).key
    async with stage.stack.site.clients.producer() as producer, stage.router():
        await producer.send_and_wait(TOPIC, value, key=key, partition=lane_of(key, stage.lanes))
        await stage.drained(TOPIC)
    assert await stage.read(topics.quarantine(SOURCE, NEXT)) == []

    def read() -> object:
        with registry(stage, SOURCE) as client:
            return AvroDeserializer(client)(value, at)

    assert await asyncio.to_thread(read) == person


async def test_the_client_hears_why_a_change_is_refused(stage: Stage) -> None:
    first = f"{topics.source(SOURCE, 'persoon.v1')}-value"

    def ask() -> tuple[SchemaRegistryError, bool, SchemaRegistryError]:
        weaker = Schema(text().replace('"class": "family"', '"class": "public"'), "AVRO")
        changed = Schema(text(product="persoon.v1"), "AVRO")
        with registry(stage, SOURCE) as client:
            compatible = client.test_compatibility(first, weaker)
            with pytest.raises(SchemaRegistryError) as refused:
                client.register_schema(first, changed)
        with registry(stage, "kbo") as other, pytest.raises(SchemaRegistryError) as denied:
            other.register_schema(f"{TOPIC}-value", Schema(text(), "AVRO"))
        return refused.value, compatible, denied.value

    refused, compatible, denied = await asyncio.to_thread(ask)
    assert (refused.http_status_code, denied.http_status_code, denied.error_code, compatible) == (
        409,
        403,
        40301,
        False,
    )
    assert "persoon.v2" in refused.error_message
    assert f"datanuts product declare FILE.avsc --as {SOURCE}" in refused.error_message
