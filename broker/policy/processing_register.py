"""The records of processing activities of art. 30 GDPR, from the agreements in force: nobody has to keep them by hand.

A controller's (30.1) has a row per agreement to which it is a party, as source or as agency; the operator's (30.2), who
processes on behalf of others, a row per controller. Open data is left out: it is about nobody. Pure and deterministic.
"""

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from io import StringIO

from broker.model.agreement import Agreement, AllOf, FieldClass
from broker.model.conditions import Party, Role
from broker.model.control_state import ControlState
from broker.model.lifecycle import IN_FORCE, AgreementEntry
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.compiler import leaves_of
from broker.policy.limits import limits_of
from broker.policy.protocol_phrases import CLASSES, INSTRUMENTS
from broker.policy.words import label
from broker.schema.avro import Schema, load_schema

NO_TRANSFER = "Geen doorgifte naar een derde land of een internationale organisatie."
_UNSAID = "Niet bepaald in het protocol."
_STATES = {"active": "actief", "suspended": "geschorst"}
_SIDES = {"source": "bron", "agency": "afnemer"}
_OPERATION = "Uitvoeren van protocollen: betrokkenen selecteren, gegevens uitsnijden of omvormen, leveren en kwiteren."
_OPERATORS_MEASURES = (
    "Een afnemer krijgt alleen de gegevens die zijn protocol noemt, over de betrokkenen die het noemt.",
    "Elke leveringsstroom is alleen leesbaar voor haar afnemer.",
    "Elke beslissing laat een kwitantie na zonder de gegevens zelf.",
    "Gegevens blijven in een leveringsstroom niet langer dan het protocol zegt.",
    "Sleutels en adressen noemen een betrokkene alleen onder een kenmerk dat zonder geheime sleutel niet te herleiden is.",
)
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class Activity:
    """One agreement in a controller's records; the letters of `HEADS` are those of art. 30.1."""

    agreement: str
    version: int
    state: str
    role: str
    controller: str
    officer: str
    joint_controller: str
    purpose: str
    legal_bases: tuple[str, ...]
    data_subjects: str
    personal_data: tuple[str, ...]
    recipients: tuple[str, ...]
    processors: tuple[str, ...]
    transfers: str
    retention: tuple[str, ...]
    security: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mandate:
    """One controller in the operator's records; the letters of its heads are those of art. 30.2."""

    processor: str
    controller: str
    officer: str
    processing: str
    agreements: tuple[str, ...]
    transfers: str
    security: tuple[str, ...]


HEADS = {
    Activity: (
        "Kenmerk",
        "Versie",
        "Toestand",
        "Rol",
        "Verwerkingsverantwoordelijke (a)",
        "Functionaris voor gegevensbescherming (a)",
        "Gezamenlijke verwerkingsverantwoordelijke (a)",
        "Doeleinde (b)",
        "Rechtsgrond",
        "Categorieën van betrokkenen (c)",
        "Categorieën van persoonsgegevens (c)",
        "Categorieën van ontvangers (d)",
        "Verwerkers",
        "Doorgifte (e)",
        "Bewaartermijn (f)",
        "Beveiligingsmaatregelen (g)",
    ),
    Mandate: (
        "Verwerker (a)",
        "Verwerkingsverantwoordelijke (a)",
        "Functionaris voor gegevensbescherming (a)",
        "Categorieën van verwerkingen (b)",
        "Protocollen",
        "Doorgifte (c)",
        "Beveiligingsmaatregelen (d)",
    ),
}
"""Dutch column heads, in the order of the parts."""


def controllers_register(organisation: str, state: ControlState) -> tuple[Activity, ...]:
    """The organisation's activities under agreements in force, by agreement; nothing of anybody else's."""
    return tuple(
        _activity(side, agreement, entry, state)
        for entry, agreement in _in_force(state)
        for side in _SIDES
        if getattr(agreement, side) == organisation
    )


def operators_register(operator: str, state: ControlState) -> tuple[Mandate, ...]:
    """The controllers on whose behalf the operator carries out agreements in force, by slug."""
    found: dict[str, list[tuple[str, Agreement]]] = {}
    for _, agreement in _in_force(state):
        for side in _SIDES:
            found.setdefault(getattr(agreement, side), []).append((side, agreement))
    return tuple(
        Mandate(
            processor=_name(operator, state),
            controller=_name(controller, state),
            officer="; ".join(dict.fromkeys(filter(None, (_party(side, held).dpo for side, held in agreements))))
            or _UNSAID,
            processing=_OPERATION,
            agreements=tuple(f"{held.id} ({_SIDES[side]})" for side, held in agreements),
            transfers=NO_TRANSFER,
            security=_OPERATORS_MEASURES,
        )
        for controller, agreements in sorted(found.items())
    )


def csv_text(rows: Sequence[Activity | Mandate], kind: type[Activity | Mandate]) -> str:
    """The rows as a table that a Belgian spreadsheet program opens as it is: byte order mark, semicolons, Dutch heads.

    A text that a spreadsheet would take for a formula is quoted with an apostrophe.
    """
    written = StringIO()
    written.write("\ufeff")
    table = csv.writer(written, delimiter=";", lineterminator="\r\n")
    table.writerow(HEADS[kind])
    table.writerows([_cell(value) for value in _values(row)] for row in rows)
    return written.getvalue()


def json_rows(rows: Iterable[Activity | Mandate]) -> list[dict[str, object]]:
    """The rows as JSON objects under their Dutch heads; several texts are a list."""
    return [
        {
            head: list(value) if isinstance(value, tuple) else value
            for head, value in zip(HEADS[type(row)], _values(row), strict=True)
        }
        for row in rows
    ]


def _values(row: Activity | Mandate) -> list[object]:
    return [getattr(row, part.name) for part in fields(row)]


def _cell(value: object) -> str:
    text = "\n".join(value) if isinstance(value, tuple) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text


def _in_force(state: ControlState) -> Iterator[tuple[AgreementEntry, Agreement]]:
    for _, entry in sorted(state.agreements.items()):
        if entry.state in IN_FORCE and not entry.about_nobody:
            yield entry, documents.agreement(entry.document)


def _activity(side: str, agreement: Agreement, entry: AgreementEntry, state: ControlState) -> Activity:
    said = agreement.conditions
    party = _party(side, agreement)
    other = "agency" if side == "source" else "source"
    joint = Role.JOINT_CONTROLLER in {party.role, _party(other, agreement).role}
    purpose = limits_of(state).purposes.by_code.get(agreement.purpose)
    kept = said.retention
    return Activity(
        agreement=agreement.id,
        version=agreement.version,
        state=_STATES[entry.state.value],
        role=_SIDES[side],
        controller=_name(getattr(agreement, side), state),
        officer=party.dpo or _UNSAID,
        joint_controller=_name(getattr(agreement, other), state) if joint else "Geen.",
        purpose=f"{purpose.title}: {purpose.description}" if purpose else agreement.purpose,
        legal_bases=tuple(
            f"{INSTRUMENTS[basis.instrument]}, kenmerk {basis.reference}; artikel {basis.gdpr} AVG"
            for basis in agreement.bases
        ),
        data_subjects=_subjects(agreement),
        personal_data=_data(agreement, state),
        recipients=(
            *([_name(agreement.agency, state)] if side == "source" else ()),
            *(f"{each.name}: {each.why}" if each.why else each.name for each in said.recipients),
            *([f"Verdere mededeling: {said.onward.to or _UNSAID}"] if said.onward and said.onward.allowed else ()),
        ),
        processors=(
            "Dienstenintegrator",
            *(f"{each.name}: {each.task}" if each.task else each.name for each in said.processors if each.side == side),
        ),
        transfers=NO_TRANSFER,
        retention=(
            *(filter(None, (kept.period, kept.disposal)) if kept and (kept.period or kept.disposal) else (_UNSAID,)),
            f"In de leveringsstroom: ten hoogste {agreement.retention_days} dagen.",
        ),
        security=said.security or (_UNSAID,),
    )


def _party(side: str, agreement: Agreement) -> Party:
    party: Party | None = getattr(agreement.conditions, side)
    return party or Party()


def _name(slug: str, state: ControlState) -> str:
    known = state.organisations.get(slug) or Organisation(slug, slug)
    codes = [f"{kind} {code}" for kind, code in (("OVO-code", known.ovo), ("KBO-nummer", known.kbo)) if code]
    return f"{known.name} ({', '.join(codes)})" if codes else known.name


def _subjects(agreement: Agreement) -> str:
    population = agreement.population
    parts = [
        *(["met een dossier dat de afnemer heeft ingeschreven"] if population.dossiers else ()),
        *(["die hun toestemming gaven"] if population.consent else ()),
    ]
    if population.where != AllOf(()):
        paths = dict.fromkeys(leaf.path for leaf in leaves_of(population.where))
        parts.append(f"geselecteerd op {', '.join(label(path) for path in paths)}")
    return f"Personen in het dataproduct {agreement.product}" + (f" {', '.join(parts)}" if parts else "") + "."


def _data(agreement: Agreement, state: ControlState) -> tuple[str, ...]:
    """One line per category: the field class, with the fields of it."""
    product = state.products.get((agreement.source, agreement.product))
    schema: Schema | None = load_schema(state.schemas[product.schema_id].text) if product else None
    found: dict[FieldClass | None, list[str]] = {}
    revealing = False
    for path in dict.fromkeys(field.path for field in agreement.fields):
        leaf = schema.fields.get(path) if schema else None
        found.setdefault(leaf.field_class if leaf else None, []).append(label(path))
        revealing = revealing or bool(leaf and leaf.reveals)
    order = [*FieldClass, None]
    lines = [
        f"{CLASSES[kind].capitalize() if kind else 'Zonder categorie'}: {', '.join(found[kind])}"
        for kind in order
        if kind in found
    ]
    special = (
        ["Sommige van deze gegevens kunnen een bijzondere categorie onthullen (artikel 9 AVG)."] if revealing else []
    )
    return (*lines, *special)
