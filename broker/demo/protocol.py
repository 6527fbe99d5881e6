"""An agreement as a page of plain Dutch: who, why, on what ground, what, about whom, how long. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from adapters.synthetic import MUNICIPALITIES
from broker.demo.labels import derived
from broker.model.agreement import (
    Agreement,
    AllOf,
    AnyOf,
    Constraint,
    Equals,
    Instrument,
    LegalBasis,
    Population,
    Prefix,
    Range,
    ReleasedField,
    State,
    Term,
    Transform,
)
from broker.model.lifecycle import Method, Signature
from broker.model.purpose import Purpose
from broker.policy.words import day, label

_INSTRUMENTS = {
    Instrument.PROTOCOL_VL: "Protocol volgens artikel 8 van het e-governmentdecreet",
    Instrument.PROTOCOL_FED: "Federaal protocol",
    Instrument.IVC: "Beraadslaging van het Informatieveiligheidscomité",
    Instrument.RIJKSREGISTER: "Machtiging tot het Rijksregister",
    Instrument.ACCESSION: "Toetreding tot een algemene machtiging",
    Instrument.OPEN_DATA: "Open data",
}
_STATES = {
    State.DRAFT: "ontwerp",
    State.REQUESTED: "aangevraagd",
    State.APPROVED: "goedgekeurd door de bron",
    State.SIGNED: "ondertekend",
    State.PUBLISHED: "bekendgemaakt",
    State.ACTIVE: "van kracht",
    State.SUSPENDED: "geschorst",
    State.REVOKED: "ingetrokken",
    State.ENDED: "beëindigd",
}
_PLACES = {place.nis: place.name for place in MUNICIPALITIES}


@dataclass(frozen=True, slots=True)
class Asked:
    """One released field: its label and path, the form in which it is delivered, and why it is needed."""

    label: str
    path: str
    form: str
    why: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """The text of one agreement version."""

    id: str
    version: int
    title: str
    state: str
    source: str
    agency: str
    purpose: str
    purpose_text: str
    bases: tuple[tuple[str, str], ...]
    fields: tuple[Asked, ...]
    population: str
    term: str
    retention_days: int
    signed: str = ""


def protocol(
    agreement: Agreement,
    state: State,
    purpose: Purpose,
    names: Mapping[str, str],
    signatures: Sequence[Signature] = (),
) -> Protocol:
    """The text of `agreement`; `names` are those of organisations by id."""
    return Protocol(
        id=agreement.id,
        version=agreement.version,
        title=agreement.title,
        state=_STATES[state],
        source=names[agreement.source],
        agency=names[agreement.agency],
        purpose=purpose.title,
        purpose_text=purpose.description,
        bases=tuple((basis_line(basis), basis.text) for basis in agreement.bases),
        fields=tuple(Asked(label(field.path), field.path, _form(field), field.why) for field in agreement.fields),
        population=_population(agreement.population, names[agreement.agency]),
        term=_term(agreement.term),
        retention_days=agreement.retention_days,
        signed=" ".join(_signed(signature, names) for signature in signatures),
    )


def _signed(signature: Signature, names: Mapping[str, str]) -> str:
    how = " met een nagebootste handtekening, die alleen bij fictieve personen telt" * (signature.method is Method.DEV)
    return f"{names[signature.organisation]} tekende op {day(signature.signed_at)}{how}."


def basis_line(basis: LegalBasis) -> str:
    """A legal basis on one line."""
    article, *paragraph = basis.gdpr.split(".")
    words = [f"artikel {article}", *(f"lid {part}" if part.isdecimal() else f"{part})" for part in paragraph)]
    return f"{_INSTRUMENTS[basis.instrument]}, kenmerk {basis.reference}; {', '.join(words)} AVG"


def _form(field: ReleasedField) -> str:
    return "zoals het is" if field.transform is Transform.KEEP else f"alleen als {derived(field)}"


def _population(population: Population, agency: str) -> str:
    where = _where(population.where)
    if not population.dossiers:
        return f"Alleen over personen {where}." if where else "Over alle personen in het dataproduct."
    line = f"Alleen over personen over wie {agency} zelf een open dossier heeft ingeschreven"
    return f"{line}{', en ' + where if where else ''}. Over niemand anders."


def _where(constraint: Constraint) -> str:
    """Relative clause about persons; empty where it is about everyone."""
    match constraint:
        case AllOf(parts=parts):
            return " en ".join(filter(None, map(_where, parts)))
        case AnyOf(parts=parts):
            return " of ".join(_where(part) for part in parts)
        case Equals(path="verblijfplaats.gemeente.nis", values=values):
            return f"die wonen in {_either([_place(nis) for nis in values])}"
        case _:
            return f"met als {label(constraint.path)} {_bounds(constraint)}"


def _place(nis: str) -> str:
    return f"{_PLACES[nis]} (NIS {nis})" if nis in _PLACES else f"de gemeente met NIS-code {nis}"


def _bounds(test: Equals | Range | Prefix) -> str:
    match test:
        case Equals(values=values):
            return _either(values)
        case Range(low=low, high=high):
            return " ".join([*(["vanaf", low] if low else []), *(["tot en met", high] if high else [])])
        case Prefix(prefix=prefix):
            return f"iets dat begint met {prefix}"


def _either(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} of {last}" if others else last


def _term(term: Term) -> str:
    if term.end is None:
        return f"Dit protocol geldt vanaf {day(term.start)}, tot een van beide partijen het beëindigt."
    return f"Dit protocol geldt vanaf {day(term.start)} tot {day(term.end)}."
