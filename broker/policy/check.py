"""Static check of an agreement: what must hold before anyone may sign or activate it, clause by clause.

Legal frame: art. 8 of the Flemish e-government decree of 18 July 2008 (protocol), art. 8 of the Act of 8 August 1983
(national number), art. 15 of the Act of 15 January 1990 (social data: Information Security Committee), art. 5, 9 and
10 GDPR. A finding names a place in the document and what to do; it never quotes a value of a record.
"""

from collections.abc import Collection, Iterator

from broker.errors import Invalid
from broker.model.agreement import (
    Agreement,
    Equals,
    FieldClass,
    Instrument,
    Prefix,
    Range,
    ReleasedField,
    Transform,
)
from broker.model.purpose import Purposes
from broker.policy.compiler import leaves_of
from broker.policy.findings import Finding
from broker.policy.limits import Ceilings, above_ceiling
from broker.policy.views import EncodeLiteral, FieldView, SchemaView
from broker.schema import fit

_BESIDE_NOTIFICATION = frozenset({Transform.NOTIFY_ONLY, Transform.OWN_REFERENCE})


def check(
    agreement: Agreement,
    *,
    purposes: Purposes,
    ceilings: Ceilings,
    schema: SchemaView,
    encode: EncodeLiteral,
    organisations: Collection[str] | None = None,
) -> tuple[Finding, ...]:
    """Everything that is wrong with the agreement, in document order; empty if it may be activated.

    `organisations` are the known slugs, None to leave them unchecked.
    """
    return tuple(
        dict.fromkeys(
            (
                *_parties(agreement, schema, organisations),
                *_fields(agreement, schema),
                *_population(agreement, schema, encode),
                *_legal_bases(agreement, schema),
                *above_ceiling(agreement, purposes, ceilings),
            )
        )
    )


def _parties(agreement: Agreement, schema: SchemaView, organisations: Collection[str] | None) -> Iterator[Finding]:
    if agreement.product != schema.product:
        yield Finding("UNKNOWN_PRODUCT", "product", "the product has no schema of this name: name a declared product")
    for role in ("source", "agency"):
        if organisations is not None and getattr(agreement, role) not in organisations:
            yield Finding("UNKNOWN_ORGANISATION", role, "the organisation is not registered: register it first")
    if agreement.term.end is not None and agreement.term.end <= agreement.term.start:
        yield Finding("EMPTY_TERM", "term", "the term ends before it starts: art. 8 asks a duration; correct `end`")


def _fields(agreement: Agreement, schema: SchemaView) -> Iterator[Finding]:
    places: set[tuple[str, str | None]] = set()
    names: set[str] = set()
    top = {path.split(".")[0] for path in schema.fields}
    for field in agreement.fields:
        if field.name in top:
            yield Finding(
                "NAME_TAKEN", field.path, f"{schema.product} itself has a `{field.name}`: choose another name"
            )
        place = (field.path, field.name)
        if place in places or (field.name is not None and field.name in names):
            yield Finding("DUPLICATE_FIELD", field.path, "released twice, or under a name already used: keep one")
        places.add(place)
        names |= {field.name} if field.name else set()
        leaf = schema.fields.get(field.path)
        if leaf is None:
            yield _no_leaf(field.path, schema)
            continue
        yield from _transform(agreement, field, leaf, schema)


def _no_leaf(path: str, schema: SchemaView) -> Finding:
    if any(known.startswith(f"{path}.") for known in schema.fields):
        return Finding("NOT_A_LEAF", path, "names a group: art. 5 GDPR asks necessity per field; list its fields")
    return Finding("UNKNOWN_PATH", path, f"{schema.product} has no such field: see `datanuts product show`")


def _transform(agreement: Agreement, field: ReleasedField, leaf: FieldView, schema: SchemaView) -> Iterator[Finding]:
    misfit = fit.type_misfit(field.transform, leaf)
    if misfit is not None:
        yield Finding("TRANSFORM_DOES_NOT_FIT", field.path, f"{misfit}: choose another transform, or drop the field")
    misfit = fit.argument_misfit(field)
    if misfit is not None:
        yield Finding("ARGUMENTS_DO_NOT_FIT", field.path, misfit)
    if field.transform is Transform.NOTIFY_ONLY:
        if field.path != schema.principal:
            text = f"notify-only tells that something changed for a subject, not what: put it on {schema.principal}"
            yield Finding("TRANSFORM_DOES_NOT_FIT", field.path, text)
        if any(other.transform not in _BESIDE_NOTIFICATION for other in agreement.fields):
            text = "notify-only delivers no value, so that only an own-reference goes with it: drop it or the others"
            yield Finding("MORE_THAN_NOTIFIED", field.path, text)
    if field.transform is Transform.OWN_REFERENCE:
        if field.path != schema.principal:
            text = f"own-reference stands for the subject's identifier: put it on {schema.principal}"
            yield Finding("TRANSFORM_DOES_NOT_FIT", field.path, text)
        if not agreement.population.dossiers:
            text = "own-reference is the agency's file number: set `population.dossiers: true` or release another field"
            yield Finding("NO_DOSSIERS", field.path, text)


def _population(agreement: Agreement, schema: SchemaView, encode: EncodeLiteral) -> Iterator[Finding]:
    for where in leaves_of(agreement.population.where):
        leaf = schema.fields.get(where.path)
        if leaf is None:
            yield _no_leaf(where.path, schema)
        elif leaf.repeated:
            yield Finding(
                "REPEATED_PATH", where.path, "a record may hold several values: select on a single-valued field"
            )
        elif leaf.field_class is FieldClass.NATIONAL_NUMBER:
            text = "an agreement names no persons: use dossiers (`population.dossiers: true`) instead"
            yield Finding("PERSON_IN_POPULATION", where.path, text)
        elif isinstance(where, Range | Prefix) and leaf.type != "string":
            yield Finding(
                "CONSTRAINT_DOES_NOT_FIT",
                where.path,
                f"range and prefix need text, this field is {leaf.type}: use `equals` or `in`",
            )
        elif isinstance(where, Equals) and not all(_encodable(encode, where.path, text) for text in where.values):
            yield Finding(
                "VALUE_DOES_NOT_FIT",
                where.path,
                f"the field ({leaf.type}) can never hold one of these values: correct it",
            )


def _encodable(encode: EncodeLiteral, path: str, text: str) -> bool:
    try:
        encode(path, text)
    except Invalid:
        return False
    return True


def _legal_bases(agreement: Agreement, schema: SchemaView) -> Iterator[Finding]:
    instruments = {basis.instrument for basis in agreement.bases}
    grounds = {basis.gdpr.split(".")[0] for basis in agreement.bases}
    if not agreement.bases:
        yield Finding("NO_BASIS", "bases", "art. 8 asks the legal basis: name at least one instrument")
    if Instrument.OPEN_DATA in instruments and agreement.population.dossiers:
        yield Finding(
            "PERSONS_IN_OPEN_DATA", "population.dossiers", "open data is about no person: use another instrument"
        )
    for use in (*agreement.fields, *leaves_of(agreement.population.where)):
        leaf = schema.fields.get(use.path)
        if leaf is not None:
            keeps = isinstance(use, ReleasedField) and use.transform is Transform.KEEP
            yield from _basis_of_field(use.path, leaf, instruments, grounds, keeps=keeps)


def _basis_of_field(
    path: str, leaf: FieldView, instruments: set[Instrument], grounds: set[str], *, keeps: bool
) -> Iterator[Finding]:
    """Clauses that the field's class brings along, whatever its transform; only the number itself needs its licence."""
    numbered = leaf.field_class is FieldClass.NATIONAL_NUMBER
    if numbered and keeps and not instruments & {Instrument.RIJKSREGISTER, Instrument.ACCESSION}:
        text = "art. 8 of the Act of 8 August 1983: add a `rijksregister` or `accession` basis, or use own-reference"
        yield Finding("NEEDS_RIJKSREGISTER", path, text)
    if leaf.field_class is FieldClass.SOCIAL and Instrument.IVC not in instruments:
        text = "art. 15 of the Act of 15 January 1990: add an `ivc` basis (deliberation of the committee)"
        yield Finding("NEEDS_IVC", path, text)
    if (leaf.field_class is FieldClass.SPECIAL or leaf.reveals == "special") and "9" not in grounds:
        text = "is, or reveals, a special category: art. 9 GDPR; add a basis with `gdpr: 9.2.x`, or drop the field"
        yield Finding("NEEDS_ART_9", path, text)
    if leaf.field_class is FieldClass.CRIMINAL and "10" not in grounds:
        text = "art. 10 GDPR: add a basis with `gdpr: 10` and the legal provision as its reference, or drop the field"
        yield Finding("NEEDS_ART_10", path, text)
    if Instrument.OPEN_DATA in instruments and leaf.field_class is not FieldClass.PUBLIC:
        yield Finding("NOT_PUBLIC", path, "open data holds public fields only: drop it or use another instrument")
