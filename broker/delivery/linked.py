"""Deliveries as linked data: JSON-LD by the OSLO IRIs of their egress schema (`broker.schema.linked_terms`).

The context is written out, so that nobody has to fetch one and we never do. A member is a version: its IRI is made from
the delivery id, that of what it is a version of from the key of the subject in this stream, so that neither says who it
is. Names with a hyphen are the envelope's, which no Avro field can have; the others are the agreement's fields.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from broker.schema.linked_terms import DCT, PROV, XSD, Json, NodeType

MEDIA_TYPE = "application/ld+json"
VERSION_OF, GENERATED_AT = f"{DCT}isVersionOf", f"{PROV}generatedAtTime"
_ACTIVITIES = "https://www.w3.org/ns/activitystreams#"
DELETE = f"{_ACTIVITIES}Delete"
"""Class of a version that tells that the subject left (`ldes:versionDeleteObject`, LDES 1.0 §4.3)."""

PAGE = f"{_ACTIVITIES}OrderedCollectionPage"
"""Class of a page of items."""

_OF_THE_SOURCE = frozenset({VERSION_OF, GENERATED_AT})
"""Properties that a member has by its envelope: what a record says with them is about the version at the source."""


@dataclass(frozen=True, slots=True)
class Iris:
    """IRIs of one agreement's stream. `base` is what the installation's own IRIs begin with."""

    base: str
    agreement: str

    def version(self, delivery: str) -> str:
        """Of one delivery."""
        return f"{self.base}agreement/{self.agreement}/delivery/{delivery}"

    def entity(self, key: str) -> str:
        """Of what all deliveries with this key are versions of."""
        return f"{self.base}agreement/{self.agreement}/subject/{key}"


def context(base: str) -> Json:
    """Terms of the envelope."""
    own = {
        "delivery-kind": "kind",
        "delivery-reason": "reason",
        "delivery-sequence": "sequence",
        "event-type": "eventType",
        "agreement-version": "agreementVersion",
        "pseudonym-epoch": "pseudonymEpoch",
        "policy-epoch": "policyEpoch",
        "trace-parent": "traceparent",
        "stream-cursor": "cursor",
        "stream-key": "key",
    }
    return {
        "is-version-of": {"@id": VERSION_OF, "@type": "@id"},
        "generated-at": {"@id": GENERATED_AT, "@type": f"{XSD}dateTime"},
        "primary-source": {"@id": f"{PROV}hadPrimarySource"},
        **{name: {"@id": f"{base}term/{word}"} for name, word in own.items()},
    }


def page_context(base: str, type_: NodeType | None) -> Json:
    """Terms of a page of items, whose fields are those of `type_`."""
    items = {"@id": f"{_ACTIVITIES}items", "@container": "@list"} | ({"@context": type_.context()} if type_ else {})
    own = {name: {"@id": f"{base}term/{name}"} for name in ("agreement", "next")}
    return context(base) | own | {"items": items}


_ENVELOPE = {
    "kind": "delivery-kind",
    "reason": "delivery-reason",
    "sequence": "delivery-sequence",
    "type": "event-type",
    "agreementVersion": "agreement-version",
    "pseudonymEpoch": "pseudonym-epoch",
    "epoch": "policy-epoch",
    "traceparent": "trace-parent",
    "cursor": "stream-cursor",
}


def member(item: Mapping[str, Any], iris: Iris, type_: NodeType | None) -> Json:
    """One item (`streams.item`) as a node; `type_` is None where it has no data.

    A departure is a version of class `as:Delete`; what is about the agreement is a node without an IRI.
    """
    data = item.get("data")
    if item.get("id"):
        class_ = DELETE if type_ is None else type_.iri
        node: Json = {"@id": iris.version(item["id"])} | ({"@type": class_} if class_ else {})
        node |= {"is-version-of": iris.entity(item["key"]), "generated-at": item["time"]}
    else:
        node = {"stream-key": item["key"]}
    node |= {term: item[name] for name, term in _ENVELOPE.items() if name in item}
    if type_ is not None and data is not None:
        values = {each: each.convert(data[each.name]) for each in type_.properties}
        node |= {each.name: value for each, value in values.items() if each.iri not in _OF_THE_SOURCE}
        if stated := {each.name: value for each, value in values.items() if each.iri in _OF_THE_SOURCE}:
            node["primary-source"] = stated
    return node
