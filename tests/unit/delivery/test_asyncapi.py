"""AsyncAPI 3.0.0 by its own rules: every reference leads somewhere, every object has its fields and no other."""

import json
import re
from collections.abc import Iterator
from typing import Any

import fastavro
import pytest

from broker.delivery.asyncapi import of_topics, of_types
from broker.schema.avro import load_schema
from tests.unit.api.conftest import EGRESS, ROOT, state

API = "https://broker.example"
KEY = re.compile(r"[a-zA-Z0-9._-]+")
SAID = {"title", "summary", "description", "tags", "externalDocs", "bindings"}
FIELDS = {
    "document": ({"asyncapi", "info"}, {"id", "servers", "defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, SAID | {"termsOfService", "contact", "license"}),
    "server": ({"host", "protocol"}, SAID | {"protocolVersion", "pathname", "variables", "security"}),
    "channel": (set(), SAID | {"address", "messages", "servers", "parameters"}),
    "operation": ({"action", "channel"}, SAID | {"messages", "reply", "traits", "security"}),
    "message": (set(), SAID | {"name", "headers", "payload", "contentType", "correlationId", "examples", "traits"}),
}
"""Required and other fields per object of the specification."""
KAFKA = {
    "server": {"schemaRegistryUrl", "schemaRegistryVendor"},
    "channel": {"topic", "partitions", "replicas", "topicConfiguration"},
    "operation": {"groupId", "clientId"},
    "message": {"key", "schemaIdLocation", "schemaIdPayloadEncoding", "schemaLookupStrategy"},
}
"""Fields of the Kafka bindings 0.5.0, beside their version."""
TOPIC = "delivery.gent-parkeren.parkeren"


@pytest.fixture
def document() -> dict[str, Any]:
    held = state()
    entries = [held.agreements[name] for name in ("parkeren", "jeugd")]
    return json.loads(json.dumps(of_topics(entries, held, api=API)))  # type: ignore[no-any-return]


def types() -> dict[str, Any]:
    schemas = {
        name: load_schema((ROOT / "schemas" / f"{name}.avsc").read_text()) for name in ("persoon.v1", "adres.v1")
    }
    return of_types(schemas, api=API)


def objects(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    yield "document", "", document
    yield "info", "", document["info"]
    for kind, held in (
        ("server", document["servers"]),
        ("channel", document["channels"]),
        ("operation", document["operations"]),
        ("message", document["components"]["messages"]),
    ):
        yield from ((kind, name, each) for name, each in held.items())


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            assert set(node) == {"$ref"}
            yield node["$ref"]
        for each in node.values():
            yield from references(each)
    elif isinstance(node, list):
        for each in node:
            yield from references(each)


def found(document: dict[str, Any], reference: str) -> Any:
    here: Any = document
    for part in reference.removeprefix("#/").split("/"):
        here = here[part]
    return found(document, here["$ref"]) if isinstance(here, dict) and "$ref" in here else here


def broken(document: dict[str, Any]) -> list[str]:
    wrong = []
    for kind, name, held in objects(document):
        required, others = FIELDS[kind]
        wrong += [f"{kind} {name}: {each}" for each in (required - set(held)) | (set(held) - required - others)]
        wrong += [f"{kind} {name}: its name"] if name and not KEY.fullmatch(name) else []
        binding = held.get("bindings", {}).get("kafka", {"bindingVersion": "0.5.0"})
        wrong += [f"{kind} {name}: {each}" for each in set(binding) - KAFKA.get(kind, set()) - {"bindingVersion"}]
        wrong += [] if binding["bindingVersion"] == "0.5.0" else [f"{kind} {name}: its binding"]
    for reference in references(document):
        try:
            found(document, reference)
        except KeyError:
            wrong.append(reference)
    return wrong


def test_the_document_keeps_the_rules_of_the_specification(document: dict[str, Any]) -> None:
    assert document["asyncapi"] == "3.0.0"
    assert broken(document) == []
    assert broken(types()) == []


@pytest.mark.parametrize(
    "damage", [("servers", "scram", "url"), ("channels", TOPIC, "publish"), ("operations", "een", "x")]
)
def test_the_rules_can_be_broken(document: dict[str, Any], damage: tuple[str, str, str]) -> None:
    kind, name, member = damage
    document[kind].setdefault(name, {})[member] = {"$ref": "#/nowhere"}
    assert len(broken(document)) >= 2


def test_an_operation_names_messages_of_its_own_channel_only(document: dict[str, Any]) -> None:
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert operation["action"] == "receive"
        assert {each["$ref"].rpartition("/messages/")[0] for each in operation["messages"]} == {channel}
        assert len(operation["messages"]) == len(found(document, channel)["messages"])


def test_a_message_has_the_schema_that_its_agency_receives(document: dict[str, Any]) -> None:
    payload = document["components"]["messages"][f"{TOPIC}.v1"]["payload"]
    assert payload["schemaFormat"].startswith("application/vnd.apache.avro+json")
    assert payload["schema"] == json.loads(EGRESS)
    fastavro.parse_schema(payload["schema"])


def test_a_channel_is_its_topic_and_its_group_the_topics_name(document: dict[str, Any]) -> None:
    channel = document["channels"][TOPIC]
    assert (channel["address"], channel["bindings"]["kafka"]["partitions"]) == (TOPIC, 1)
    group = document["operations"][f"receive.{TOPIC}"]["bindings"]["kafka"]["groupId"]
    assert group["enum"] == [TOPIC]


def test_one_reads_with_a_password_or_with_a_certificate(document: dict[str, Any]) -> None:
    schemes = {
        found(document, each["$ref"])["type"] for server in document["servers"].values() for each in server["security"]
    }
    assert schemes == {"scramSha512", "X509"}
