"""The egress schema of an agreement: the source's record, pruned to what is kept, then the derived fields.

Every named type moves to the namespace `<its own>.levering`, because a pruned type is another type. Kept fields keep
their properties (`doc`, `iri`, `class`, …); the record keeps its own and its `product`. A record needs a field: what is
only a notification (`notify-only`) tells the record's `kind`, as it would be kept, and the subject is in the key alone.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from broker.model.agreement import ReleasedField, Transform
from broker.schema.avro import Field, Schema
from broker.schema.dates import band_labels
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, Type

NAMESPACE = "levering"
NOTIFICATION = "kind"
"""The one leaf that a `notify-only` agreement delivers; every product has it first, and its class is public."""

_DERIVED: Mapping[Transform, str] = {
    Transform.PSEUDONYM: "string",
    Transform.YEAR: "int",
    Transform.DECADE: "int",
    Transform.BAND: "string",
    Transform.ADULT: "boolean",
    Transform.AGE: "boolean",
    Transform.LIVES_IN: "boolean",
    Transform.OWN_REFERENCE: "string",
}
_DOCS: Mapping[Transform, str] = {
    Transform.PSEUDONYM: "Pseudonym, for this agency and purpose only, of {path}.",
    Transform.YEAR: "Year of {path}; null if unknown.",
    Transform.DECADE: "First year of the decade of {path}; null if unknown.",
    Transform.BAND: "Band that {path} lies in, a date by the age it gives: {bands}; null if that cannot be known.",
    Transform.ADULT: "Whether the subject is eighteen or older, by {path}; null if that cannot be known.",
    Transform.AGE: "Whether the subject is {arguments} or older, by {path}; null if that cannot be known.",
    Transform.LIVES_IN: "Whether {path} is one of {arguments}; null if absent.",
    Transform.OWN_REFERENCE: "The agency's own reference of its file on the subject.",
}


def egress_text(schema: Schema, kept: Collection[str], derived: Sequence[ReleasedField]) -> str:
    """Canonical JSON of the egress schema; `kept` are leaf paths, `derived` in the agreement's order."""
    fields = _Pruner(kept).members(schema.root, "")
    fields += [_derived(released, schema.fields[released.path]) for released in derived]
    space, _, name = schema.root.fullname.rpartition(".")
    document = {
        "type": "record",
        "name": name,
        "namespace": f"{space}.{NAMESPACE}" if space else NAMESPACE,
        **schema.root.attributes,
        "fields": fields,
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def is_optional(released: ReleasedField, leaf: Field) -> bool:
    """Whether the derived value can be null."""
    return released.transform is not Transform.PSEUDONYM or leaf.optional


def _derived(released: ReleasedField, leaf: Field) -> dict[str, Any]:
    type_, arguments = _DERIVED[released.transform], released.arguments
    bands = band_labels([int(bound) for bound in arguments]) if released.transform is Transform.BAND else ()
    doc = _DOCS[released.transform].format(path=released.path, arguments=", ".join(arguments), bands=", ".join(bands))
    return {
        "name": released.name,
        "type": ["null", type_] if is_optional(released, leaf) else type_,
        "doc": doc,
        "derived": released.transform.value,
        "from": released.path,
        **({"arguments": list(arguments)} if arguments else {}),
    }


@dataclass(slots=True)
class _Pruner:
    """Writes types that hold kept leaves; a type written out before is referred to by its name if it is the same."""

    kept: Collection[str]
    written: dict[str, str] = field(default_factory=dict)

    def members(self, record: Record, path: str) -> list[dict[str, Any]]:
        found = []
        for member in record.fields:
            below = f"{path}.{member.name}" if path else member.name
            if any(leaf == below or leaf.startswith(f"{below}.") for leaf in self.kept):
                found.append({"name": member.name, "type": self.type(member.type, below), **member.attributes})
        return found

    def type(self, type_: Type, path: str) -> Any:
        match type_:
            case Nullable(inner=inner):
                return ["null", self.type(inner, path)]
            case Array(items=items):
                return {"type": "array", "items": self.type(items, path)}
            case Primitive(name=name, logical=logical):
                return {"type": name, "logicalType": logical} if logical else name
            case Record():
                # Written out with every reference inside it resolved, to see whether two prunings are the same.
                shape = _Pruner(self.kept).members(type_, path)
                return self._named("record", type_, shape, lambda: {"fields": self.members(type_, path)})
            case Enumeration(symbols=symbols):
                return self._named("enum", type_, None, lambda: {"symbols": list(symbols)})
            case Fixed(size=size):
                return self._named("fixed", type_, None, lambda: {"size": size})

    def _named(self, kind: str, type_: Record | Enumeration | Fixed, shape: Any, content: Callable[[], Any]) -> Any:
        space, _, name = type_.fullname.rpartition(".")
        space = f"{space}.{NAMESPACE}" if space else NAMESPACE
        fingerprint = json.dumps(shape, sort_keys=True)
        number = 1
        while (fullname := f"{space}.{name}" + (f"_{number}" if number > 1 else "")) in self.written:
            if self.written[fullname] == fingerprint:
                return fullname
            number += 1
        self.written[fullname] = fingerprint
        own = fullname.rpartition(".")[2]
        return {"type": kind, "name": own, "namespace": space, **type_.attributes, **content()}
