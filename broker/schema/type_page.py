"""The page of documentation about a type, made from its schema: every field with its property, class, cardinality and meaning."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from broker.schema.avro import Schema
from broker.schema.identifier_forms import pattern_of
from broker.schema.linked_terms import OWN_NAMESPACE, TEMPORAL, concepts_of, single
from broker.schema.types import Array, Enumeration, Nullable, Primitive, Record, RecordField, unwrapped

PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "adms": "http://www.w3.org/ns/adms#",
        "adres": "https://data.vlaanderen.be/ns/adres#",
        "besluit": "http://data.vlaanderen.be/ns/besluit#",
        "cpsv": "http://purl.org/vocab/cpsv#",
        "datanuts": f"{OWN_NAMESPACE}type/",
        "dc11": "http://purl.org/dc/elements/1.1/",
        "dcat": "http://www.w3.org/ns/dcat#",
        "dct": "http://purl.org/dc/terms/",
        "dossier": "https://data.vlaanderen.be/ns/dossier#",
        "eli": "http://data.europa.eu/eli/ontology#",
        "foaf": "http://xmlns.com/foaf/0.1/",
        "gebouw": "https://data.vlaanderen.be/ns/gebouw#",
        "gebouw-impl": "https://implementatie.data.vlaanderen.be/ns/gebouw#",
        "generiek": "https://data.vlaanderen.be/ns/generiek#",
        "geosparql": "http://www.opengis.net/ont/geosparql#",
        "ipdc": "https://productencatalogus.data.vlaanderen.be/ns/ipdc-lpdc#",
        "locn": "http://www.w3.org/ns/locn#",
        "m8g": "http://data.europa.eu/m8g/",
        "mandaat": "http://data.vlaanderen.be/ns/mandaat#",
        "mobiliteit": "https://data.vlaanderen.be/ns/mobiliteit#",
        "org": "http://www.w3.org/ns/org#",
        "organisatie": "https://data.vlaanderen.be/ns/organisatie#",
        "owl": "http://www.w3.org/2002/07/owl#",
        "pav": "http://purl.org/pav/",
        "perceel": "https://data.vlaanderen.be/ns/perceel#",
        "person": "http://www.w3.org/ns/person#",
        "persoon": "https://data.vlaanderen.be/ns/persoon#",
        "prov": "http://www.w3.org/ns/prov#",
        "ps": "http://vocab.belgif.be/ns/publicservice#",
        "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
        "regorg": "http://www.w3.org/ns/regorg#",
        "schema": "http://schema.org/",
        "sh": "http://www.w3.org/ns/shacl#",
        "skos": "http://www.w3.org/2004/02/skos/core#",
    }
)
"""Short names of the namespaces that types use; `datanuts` is ours."""


def page(schema: Schema) -> str:
    """Markdown of one type's page."""
    root, product = schema.root, schema.product
    rows = list(_rows(root, ""))
    lists = dict(_code_lists(root))
    iris = [str(root.attributes["iri"]), *(own.attributes["iri"] for _, own in rows)]
    iris += [str(inner.attributes["iri"]) for _, own in rows if isinstance(inner := single(own.type), Record)]
    used = sorted({name for iri in iris for name, space in PREFIXES.items() if iri.startswith(space)})
    return "\n".join(
        [
            f"# {product}",
            "",
            str(root.attributes["doc"]),
            "",
            (
                f"A record is a `{compact(str(root.attributes['iri']))}`. Its subject is `{schema.principal}`. "
                f"[Schema](../../schemas/{product}.avsc) (Avro), [context](../../schemas/context/{product}.jsonld) (JSON-LD), "
                f"[shape](../../schemas/shapes/{product}.ttl) (SHACL), [example](../../schemas/examples/{product}.json)."
            ),
            "",
            "| field | property | class | how many | what it means |",
            "|---|---|---|---|---|",
            *(_row(path, own) for path, own in rows),
            "",
            *(["## Code lists", "", *(line for each in lists.items() for line in _list(*each))] if lists else []),
            "## Prefixes",
            "",
            *(f"- `{name}:` {PREFIXES[name]}" for name in used),
            "",
        ]
    )


def compact(iri: str) -> str:
    """The IRI with a short name for its namespace, or whole where it has none."""
    for name, space in PREFIXES.items():
        if iri.startswith(space):
            return f"{name}:{iri.removeprefix(space)}"
    return iri


def _rows(record: Record, path: str) -> Iterator[tuple[str, RecordField]]:
    for own in record.fields:
        below = f"{path}.{own.name}" if path else own.name
        yield below, own
        inner = single(own.type)
        if isinstance(inner, Record):
            yield from _rows(inner, below)


def _row(path: str, own: RecordField) -> str:
    stated = own.attributes
    inner = single(own.type)
    # What is released is a leaf; the class of a record says nothing that its leaves do not.
    known = (
        () if isinstance(inner, Record) else (stated["class"], stated.get("subject"), _reveals(stated.get("reveals")))
    )
    meaning = [str(stated["doc"]), *_form(own)]
    cells = (
        f"`{path}`",
        f"`{compact(stated['iri'])}`",
        ", ".join(each for each in known if each),
        "0..n" if isinstance(unwrapped(own.type), Array) else "0..1" if isinstance(own.type, Nullable) else "1",
        " ".join(meaning),
    )
    return f"| {' | '.join(each.replace('|', '&#124;').replace('<', '&lt;') for each in cells)} |"


def _reveals(stated: str | None) -> str:
    return f"reveals {stated}" if stated else ""


def _form(own: RecordField) -> Iterator[str]:
    inner = single(own.type)
    if isinstance(inner, Record):
        yield f"A `{compact(str(inner.attributes['iri']))}`."
    elif isinstance(inner, Enumeration):
        symbols = ", ".join(f"`{symbol}`" for symbol in inner.symbols)
        yield "Code list below." if concepts_of(inner) else f"One of {symbols}; the values have no IRIs."
    elif pattern := pattern_of(own.name, own.attributes):
        yield f"Form: `{pattern}`."
    elif inner == Primitive("string") and own.attributes["iri"] in TEMPORAL:
        yield "Date or instant."
    elif inner != Primitive("string"):
        yield f"Type: {inner.name}."
    if language := own.attributes.get("language"):
        yield f"Language: {language}."


def _code_lists(record: Record) -> Iterator[tuple[str, Mapping[str, str]]]:
    for _, own in _rows(record, ""):
        inner = single(own.type)
        if isinstance(inner, Enumeration) and (concepts := concepts_of(inner)):
            yield inner.fullname.rpartition(".")[2], concepts


def _list(name: str, concepts: Mapping[str, str]) -> Iterator[str]:
    yield f"**{name}**"
    yield ""
    yield from (f"- `{symbol}` {iri}" for symbol, iri in concepts.items())
    yield ""
