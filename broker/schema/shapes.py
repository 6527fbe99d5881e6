"""The shape of a type's records: SHACL (W3C Recommendation of 20 July 2017) in Turtle, made from its schema.

It describes the complete record as its source publishes it, in the terms of `linked_terms`; a delivery holds the part
that an agreement grants. Shapes are closed: a property that the type does not have is refused, never passed over.
OSLO's own shapes are not used, because as published they cannot be (docs/types/README.md says why).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from broker.schema.avro import Schema
from broker.schema.identifier_forms import pattern_of
from broker.schema.linked_terms import (
    EDTF,
    OWN_NAMESPACE,
    TEMPORAL,
    XSD,
    NodeType,
    Property,
    concepts_of,
    node_type,
    single,
)
from broker.schema.types import Array, Enumeration, Nullable, Primitive, Record, RecordField

_PREFIXES = f"""@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> .
@prefix sh: <http://www.w3.org/ns/shacl#> .
@prefix xsd: <{XSD}> .
"""
_TYPE = "http://www.w3.org/1999/02/22-rdf-syntax-ns#type"
_DATATYPES = {"boolean": "xsd:boolean", "int": "xsd:integer", "long": "xsd:integer"}
_DATE = f"{OWN_NAMESPACE}shape/date"
_DATE_SHAPE = f"""
<{_DATE}> a sh:NodeShape ;
    sh:or (
        [ sh:datatype xsd:date ]
        [ sh:datatype xsd:dateTime ]
        [ sh:datatype xsd:gYearMonth ]
        [ sh:datatype xsd:gYear ]
        [ sh:datatype <{EDTF}> ; sh:pattern "^([0-9]{{4}}|XXXX)-([0-9]{{2}}|XX)-([0-9]{{2}}|XX)$" ]
    ) .
"""
"""A date as far as it is known, or an instant."""


def shape(product: str, path: str = "") -> str:
    """IRI of the shape of a product's records, or of the records that they hold at `path`."""
    return f"{OWN_NAMESPACE}shape/{product}" + (f"/{path}" if path else "")


def shapes(schema: Schema) -> str:
    """Turtle with a node shape for the record, which targets its class, and one for every record in it."""
    writer = _Writer(schema.product)
    writer.record(schema.root, node_type(schema.text, OWN_NAMESPACE), "")
    return _PREFIXES + _DATE_SHAPE + "".join(writer.paragraphs)


@dataclass(slots=True)
class _Writer:
    product: str
    paragraphs: list[str] = field(default_factory=list)

    def record(self, record: Record, type_: NodeType, path: str) -> None:
        targeted = "sh:class" if path else "sh:targetClass"
        statements = ["a sh:NodeShape", *([f"{targeted} <{type_.iri}>"] if type_.iri else [])]
        statements += ["sh:closed true", "sh:ignoredProperties ( rdf:type )"]
        paired = list(zip(record.fields, type_.properties, strict=True))
        for iri in dict.fromkeys(each.iri for _, each in paired):
            statements.append(self.property(iri, [(own, each) for own, each in paired if each.iri == iri], path))
        self.paragraphs.append(f"\n<{shape(self.product, path)}> " + " ;\n    ".join(statements) + " .\n")
        for own, each in paired:
            inner = single(own.type)
            if each.node and isinstance(inner, Record):
                self.record(inner, each.node, _below(path, own.name))

    def property(self, iri: str, fields: list[tuple[RecordField, Property]], path: str) -> str:
        """One property shape. Fields with one property cannot be told apart in RDF: what any of them allows is allowed."""
        statements = [f"sh:path <{iri}>", *(f'sh:name "{own.name}"' for own, _ in fields)]
        if len(fields) == 1:
            statements.append(f"sh:description {json.dumps(fields[0][0].attributes['doc'], ensure_ascii=False)}@en")
        if any(not isinstance(own.type, Nullable | Array) for own, _ in fields):
            statements.append("sh:minCount 1")
        if not any(each.repeated for _, each in fields):
            # A node has the class of its record beside what a field says with `rdf:type`.
            statements.append(f"sh:maxCount {len(fields) + (iri == _TYPE)}")
            if len(fields) > 1 and all(each.language for _, each in fields):
                statements.append("sh:uniqueLang true")
        allowed = list(dict.fromkeys(" ; ".join(self.value(own, each, path)) for own, each in fields))
        if len(allowed) == 1:
            statements.append(allowed[0])
        else:
            statements.append(f"sh:or ( {' '.join(f'[ {each} ]' for each in allowed)} )")
        return f"sh:property [ {' ; '.join(statements)} ]"

    def value(self, own: RecordField, each: Property, path: str) -> Iterator[str]:
        """What holds for every value of one field."""
        inner = single(own.type)
        if isinstance(inner, Record):
            yield f"sh:node <{shape(self.product, _below(path, own.name))}>"
        elif isinstance(inner, Enumeration):
            concepts = concepts_of(inner)
            members = (f"<{concepts[symbol]}>" if concepts else f'"{symbol}"' for symbol in inner.symbols)
            yield f"sh:in ( {' '.join(members)} )"
        elif each.datatype == "@id":
            yield "sh:nodeKind sh:IRI"
        elif each.language:
            yield f'sh:datatype rdf:langString ; sh:languageIn ( "{each.language}" )'
        elif inner == Primitive("string") and each.iri in TEMPORAL:
            yield f"sh:node <{_DATE}>"
        elif inner == Primitive("string"):
            yield "sh:datatype xsd:string"
            if pattern := pattern_of(own.name, own.attributes):
                yield f"sh:pattern {json.dumps(pattern)}"
        else:
            yield f"sh:datatype {_DATATYPES.get(inner.name) or f'<{each.datatype}>'}"


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name
