"""Delivery topics as AsyncAPI 3.0.0 (https://www.asyncapi.com/docs/reference/specification/v3.0.0), for who may read them.

A channel is one agreement's topic, with a message for every version whose records it may hold, in the Avro schema that the
agency sees, and two without a value: a departure, and what is about the agreement. Kafka bindings are of version 0.5.0.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from broker.model import topics
from broker.model.barrier import BARRIER_TYPE
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.notice import NOTICE_TYPE
from broker.model.record import CONTENT_TYPE, EVENT_NAMESPACE
from broker.schema.avro import Schema

Json = dict[str, Any]

VERSION = "3.0.0"
MEDIA_TYPE = "application/vnd.aai.asyncapi+json;version=3.0.0"
AVRO = "application/vnd.apache.avro+json;version=1.9.0"
_BINDING = "0.5.0"
_TEXT: Mapping[str, str] = {"type": "string"}
_OPTIONAL = frozenset({"ce_pseudonymepoch"})
_SERVERS: Mapping[str, tuple[str, str]] = {
    "scram": ("scramSha512", "User name and password of your credential, SASL SCRAM-SHA-512."),
    "certificate": ("x509", "Client certificate of your credential, on a port of its own."),
}
_SCHEMES: Json = {
    "scramSha512": {"type": "scramSha512", "description": "Issued with `datanuts credential issue`."},
    "x509": {"type": "X509", "description": "Issued with `datanuts credential issue --csr FILE`."},
}


def of_topics(entries: Iterable[AgreementEntry], state: ControlState, *, api: str) -> Json:
    """The document of the topics of these agreements; `api` is the URL of the HTTP interface."""
    channels, operations, messages = {}, {}, {"lifeCycle": _life_cycle()}
    for entry in entries:
        topic = topics.delivery(entry.agency, entry.id)
        product = entry.document["product"]
        own = {
            f"{topic}.v{number}": _delivery(entry.id, product, number, text) for number, text in _schemas(entry, state)
        }
        own[f"{topic}.left"] = _departure(entry.id, product)
        messages |= own
        channels[topic] = _channel(topic, entry, [*own, "lifeCycle"])
        operations[f"receive.{topic}"] = _receive(topic, [*own, "lifeCycle"])
    return _document(api, {"messages": messages}) | {"channels": channels, "operations": operations}


def of_types(types: Mapping[str, Schema], *, api: str) -> Json:
    """What anybody may know: the record types by name, no source, no agreement and no topic."""
    messages = {
        name: {
            "name": name,
            "title": name,
            "summary": schema.root.attributes.get("doc", ""),
            "contentType": "application/avro",
            **({"externalDocs": {"url": iri}} if (iri := schema.root.attributes.get("iri")) else {}),
        }
        for name, schema in sorted(types.items())
    }
    return _document(api, {"messages": messages}) | {"channels": {}, "operations": {}}


def _document(api: str, components: Json) -> Json:
    return {
        "asyncapi": VERSION,
        "info": {
            "title": "Datanutsbedrijf: deliveries",
            "version": "1",
            "description": "One topic of one partition per agreement. At least once and in order; drop a `ce_id` you have seen.",
            "externalDocs": {"url": f"{api}/openapi.json", "description": "The other exits, over HTTP."},
        },
        "defaultContentType": "application/avro",
        "servers": {
            name: {
                "host": "{bootstrap}",
                "protocol": "kafka-secure",
                "description": f"{text} On a local stack without TLS the protocol is `kafka`.",
                "variables": {"bootstrap": {"description": "host:port, as the file of your credential says."}},
                "security": [{"$ref": f"#/components/securitySchemes/{scheme}"}],
                "bindings": {
                    "kafka": {"schemaRegistryUrl": api, "schemaRegistryVendor": "confluent", "bindingVersion": _BINDING}
                },
            }
            for name, (scheme, text) in _SERVERS.items()
        },
        "components": {"securitySchemes": _SCHEMES, **components},
    }


def _schemas(entry: AgreementEntry, state: ControlState) -> Sequence[tuple[int, str]]:
    """Egress schemas by version, of the versions that were in force: a draft has none, and is nobody's stream yet."""
    versions = state.versions_of(entry.id)
    known = (each for each in versions.values() if each.activated_at is not None and each.egress_schema_id is not None)
    return [
        (each.version, state.schemas[each.egress_schema_id].text) for each in known if each.egress_schema_id is not None
    ]


def _channel(topic: str, entry: AgreementEntry, messages: Sequence[str]) -> Json:
    return {
        "address": topic,
        "title": entry.document["title"],
        "summary": f"{entry.document['product']} of {entry.source}, for the purpose {entry.document['purpose']}.",
        "servers": [{"$ref": f"#/servers/{name}"} for name in _SERVERS],
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": {"topic": topic, "partitions": 1, "bindingVersion": _BINDING}},
    }


def _receive(topic: str, messages: Sequence[str]) -> Json:
    channel = f"#/channels/{topic}"
    return {
        "action": "receive",
        "channel": {"$ref": channel},
        "summary": "Read committed records only: isolation.level=read_committed.",
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in messages],
        "bindings": {"kafka": {"groupId": {"type": "string", "enum": [topic]}, "bindingVersion": _BINDING}},
    }


def _delivery(agreement: str, product: str, version: int, egress: str) -> Json:
    headers = _headers(agreement, product) | {"ce_agreementversion": {"type": "string", "const": str(version)}}
    return _message(f"{product} under version {version}", headers) | {
        "contentType": "application/avro",
        "payload": {"schemaFormat": AVRO, "schema": json.loads(egress)},
        "bindings": {
            "kafka": _key("Your pseudonym of the subject, in this stream only.")
            | {
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
            }
        },
    }


def _departure(agreement: str, product: str) -> Json:
    headers = _headers(agreement, product) | {
        "ce_kind": {"type": "string", "const": "left-population"},
        "ce_reason": _TEXT,
    }
    return _message("The subject left; the value is null", headers) | {
        "payload": {"type": "null"},
        "bindings": {"kafka": _key("Your pseudonym of the subject, in this stream only.")},
    }


def _life_cycle() -> Json:
    types = {"type": "string", "enum": [BARRIER_TYPE, NOTICE_TYPE]}
    headers = {"ce_specversion": _TEXT, "ce_type": types, "ce_reason": _TEXT, "ce_epoch": _TEXT}
    return _message("About the agreement, not about a subject; the value is null", headers) | {
        "payload": {"type": "null"},
        "bindings": {"kafka": _key("`barrier/` or `notice/`, and the number of a lane.")},
    }


def _headers(agreement: str, product: str) -> Json:
    return {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {"type": "string", "description": "Id of the delivery."},
        "ce_source": {"type": "string", "const": f"/agreements/{agreement}"},
        "ce_type": {"type": "string", "const": f"{EVENT_NAMESPACE}.{product}"},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_kind": _TEXT,
        "ce_agreementversion": _TEXT,
        "ce_pseudonymepoch": {
            "type": "string",
            "description": "Number of the key behind pseudonyms, where there are any.",
        },
        "content-type": {"type": "string", "const": CONTENT_TYPE.decode()},
        "traceparent": _TEXT,
    }


def _message(title: str, headers: Json) -> Json:
    return {
        "title": title,
        "headers": {"type": "object", "properties": headers, "required": sorted({*headers} - _OPTIONAL)},
    }


def _key(description: str) -> Json:
    return {"key": {"type": "string", "description": description}, "bindingVersion": _BINDING}
