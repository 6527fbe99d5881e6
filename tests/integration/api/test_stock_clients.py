"""Confluent's own client reads a delivery with nothing but our registry's address and an agency's credential."""

import asyncio

import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.serialization import MessageField, SerializationContext

from broker.cli.processes import served
from tests.unit.api.conftest import World, token
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture

TOPIC = "delivery.gent-parkeren.parkeren"


def registry(url: str, organisation: str, who: str) -> SchemaRegistryClient:
    return SchemaRegistryClient({"url": url, "basic.auth.user.info": f"{organisation}:{token(who)}"})


async def test_avro_deserializer_reads_a_delivery(world: World) -> None:
    world.deliver("Peeters")
    value = world.deliveries.messages[0].value

    def read(url: str) -> object:
        with registry(url, "gent-parkeren", "agency") as client:
            return AvroDeserializer(client)(value, SerializationContext(TOPIC, MessageField.VALUE))

    async with served(world.http._transport.app) as url:
        assert await asyncio.to_thread(read, url) == {"achternaam": "Peeters"}


async def test_the_client_understands_versions_and_refusals(world: World) -> None:
    def ask(url: str) -> tuple[object, ...]:
        with registry(url, "gent-parkeren", "agency") as own:
            latest, subjects = own.get_latest_version(f"{TOPIC}-value"), own.get_subjects()
        with registry(url, "jeugddienst-leuven", "foreign") as other, pytest.raises(SchemaRegistryError) as foreign:
            other.get_schema(latest.schema_id)
        with registry(url, "jeugddienst-leuven", "agency") as mixed, pytest.raises(SchemaRegistryError) as unknown:
            mixed.get_subjects()
        return latest.version, subjects[0], foreign.value.error_code, unknown.value.http_status_code

    async with served(world.http._transport.app) as url:
        assert await asyncio.to_thread(ask, url) == (1, f"{TOPIC}-value", 40403, 401)
