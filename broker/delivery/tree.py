"""The documents of an agreement's Linked Data Event Stream: its root, and pages of a fixed range of offsets.

LDES 1.0 (SEMIC) on the TREE hypermedia specification. A page is cut by offsets, so that its number always means the same
members: records of aborted transactions, markers and life-cycle events take offsets too, and are no members. Relations
say nothing about time: lanes commit side by side, so a bound on what follows could be wrong by seconds and have a client
leave out members.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from broker.delivery import linked
from broker.schema.linked_terms import XSD, Json, NodeType, Property

OFFSETS = 250
"""Offsets of the topic per page; another number would give every page other members."""

POLLING_S = 60
"""How often a follower need look at the open page; whoever wants it sooner uses another exit."""

_LDES, _TREE, _SHACL = "https://w3id.org/ldes#", "https://w3id.org/tree#", "http://www.w3.org/ns/shacl#"
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"


def first_offset(page: int) -> int:
    """Where a page begins; the next one begins where it ends."""
    return page * OFFSETS


def page_of(offset: int) -> int:
    """The page that an offset lies in."""
    return offset // OFFSETS


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses of a stream's documents; `root` is that of the first one."""

    root: str

    @property
    def stream(self) -> str:
        """IRI of the stream itself."""
        return f"{self.root}#stream"

    def page(self, number: int) -> str:
        """Address of a page."""
        return f"{self.root}/pages/{number}"


def root(links: Links, *, base: str, first_page: int, retention_days: int, type_: NodeType | None) -> Json:
    """The root node: what the stream is, how long it is kept, and a relation to the oldest page that is retained."""
    kept = f"P{retention_days}D"
    stream = {
        "@id": links.stream,
        "@type": f"{_LDES}EventStream",
        "view": links.root,
        "timestamp-path": linked.GENERATED_AT,
        "sequence-path": f"{base}term/sequence",
        "version-of-path": linked.VERSION_OF,
        "version-delete-path": _TYPE,
        "version-delete-object": linked.DELETE,
        "polling-interval": POLLING_S,
        "shape": _shape(type_, f"{links.root}#shape"),
    }
    node = {
        "@id": links.root,
        "@type": f"{_TREE}Node",
        # Clients of before LDES 1.0 know the second class and `tree:value`.
        "retention-policy": {
            "@type": [f"{_LDES}RetentionPolicy", f"{_LDES}DurationAgoPolicy"],
            "full-log-duration": kept,
            "relation-value": kept,
        },
        "relation": _relation(links, first_page),
    }
    return {"@context": _CONTEXT | _SHAPES, "@graph": [node, stream]}


def page(
    links: Links, number: int, members: Sequence[tuple[NodeType | None, Json]], *, base: str, closed: bool
) -> Json:
    """A page with these members (`linked.member`); a closed one never changes and has a relation to the next."""
    terms: dict[NodeType | None, str] = {}
    stream: Json = {"@id": links.stream, "@type": f"{_LDES}EventStream", "view": links.root}
    definitions: Json = {}
    # A departure has no fields: it stands among the others, so that members are in the order of the stream.
    current = next((type_ for type_, _ in members if type_ is not None), None)
    for type_, node in members:
        current = type_ or current
        name = terms.setdefault(current, f"member-{len(terms)}")
        if name not in definitions:
            definitions[name] = {"@id": f"{_TREE}member"} | ({"@context": current.context()} if current else {})
            stream[name] = []
        stream[name].append(node)
    closing = {"immutable": True, "relation": _relation(links, number + 1)} if closed else {}
    node = {"@id": links.page(number), "@type": f"{_TREE}Node", **closing}
    return {"@context": _CONTEXT | linked.context(base) | definitions, "@graph": [node, stream]}


def _relation(links: Links, number: int) -> Json:
    return {"@type": f"{_TREE}Relation", "node": links.page(number)}


def _shape(type_: NodeType | None, iri: str) -> Json:
    """What holds for every member, also for a departure and under an earlier version: so nothing else is required."""
    envelope = [
        {"shape-path": linked.VERSION_OF, "min-count": 1, "max-count": 1, "node-kind": f"{_SHACL}IRI"},
        {
            "shape-path": linked.GENERATED_AT,
            "min-count": 1,
            "max-count": 1,
            "datatype": f"{XSD}dateTime",
        },
    ]
    own = {linked.VERSION_OF, linked.GENERATED_AT}
    fields = [each for each in _constraints(type_) if each["shape-path"] not in own] if type_ else []
    return {"@id": iri, "@type": f"{_SHACL}NodeShape", "property": [*envelope, *fields]}


def _constraints(type_: NodeType) -> list[Json]:
    by_iri: dict[str, list[Property]] = {}
    for each in type_.properties:
        by_iri.setdefault(each.iri, []).append(each)
    return [_constraint(iri, alike) for iri, alike in by_iri.items()]


def _constraint(iri: str, alike: Sequence[Property]) -> Json:
    found: Json = {"shape-path": iri, "shape-name": " / ".join(each.name for each in alike)}
    if not any(each.repeated for each in alike):
        found["max-count"] = len(alike)
    if len(alike) > 1:
        return found
    (only,) = alike
    if only.node is not None:
        found["shape-node"] = {"@type": f"{_SHACL}NodeShape", "property": _constraints(only.node)}
    elif only.datatype is not None and only.datatype != "@id":
        found["datatype"] = only.datatype
    return found


def _terms(space: str, literals: Mapping[str, tuple[str, str | None]], nodes: Mapping[str, str]) -> Json:
    values = {
        name: {"@id": f"{space}{word}"} | ({"@type": type_} if type_ else {})
        for name, (word, type_) in literals.items()
    }
    return values | {name: {"@id": f"{space}{word}", "@type": "@id"} for name, word in nodes.items()}


_CONTEXT: Json = {
    **_terms(
        _LDES,
        {
            "polling-interval": ("pollingInterval", None),
            "immutable": ("immutable", None),
            "full-log-duration": ("fullLogDuration", f"{XSD}duration"),
        },
        {
            "timestamp-path": "timestampPath",
            "sequence-path": "sequencePath",
            "version-of-path": "versionOfPath",
            "version-delete-path": "versionDeletePath",
            "version-delete-object": "versionDeleteObject",
            "retention-policy": "retentionPolicy",
        },
    ),
    **_terms(
        _TREE,
        {"relation-value": ("value", f"{XSD}duration")},
        {"view": "view", "shape": "shape", "relation": "relation", "node": "node"},
    ),
}
_SHAPES: Json = _terms(
    _SHACL,
    {"min-count": ("minCount", None), "max-count": ("maxCount", None), "shape-name": ("name", None)},
    {
        "property": "property",
        "shape-path": "path",
        "datatype": "datatype",
        "node-kind": "nodeKind",
        "shape-node": "node",
    },
)
