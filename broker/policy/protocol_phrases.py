"""Parts of an agreement in the Dutch of a protocol: instruments, forms of delivery, populations, days. Markdown out.

Text that someone wrote is quoted as plain text: no heading, list or mark-up of its own can come out of it, so nobody can
write an article into a protocol by way of a justification.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from broker.model.agreement import (
    AllOf,
    AnyOf,
    Constraint,
    Equals,
    FieldClass,
    Instrument,
    LegalBasis,
    Population,
    Prefix,
    Range,
    ReleasedField,
    Term,
    Transform,
)
from broker.policy.words import day, label

_MARKUP = re.compile(r"[\\`*_\[\]<>&|~]")
_BLOCK_START = re.compile(r"^(\d*)([#+=.)-])")
INSTRUMENTS = {
    Instrument.PROTOCOL_VL: "Protocol volgens artikel 8, § 1, van het decreet van 18 juli 2008 betreffende het elektronische bestuurlijke gegevensverkeer",
    Instrument.PROTOCOL_FED: "Protocol volgens artikel 20 van de wet van 30 juli 2018 betreffende de bescherming van natuurlijke personen met betrekking tot de verwerking van persoonsgegevens",
    Instrument.IVC: "Beraadslaging van het Informatieveiligheidscomité",
    Instrument.RIJKSREGISTER: "Machtiging volgens de wet van 8 augustus 1983 tot regeling van een Rijksregister van de natuurlijke personen",
    Instrument.ACCESSION: "Toetreding tot een algemene machtiging",
    Instrument.OPEN_DATA: "Vrij hergebruik als open data",
}
CLASSES = {
    FieldClass.NATIONAL_NUMBER: "identificatienummer",
    FieldClass.IDENTIFYING: "identificerend gegeven",
    FieldClass.CONTACT: "contactgegeven",
    FieldClass.FAMILY: "gezinsgegeven",
    FieldClass.FINANCIAL: "financieel gegeven",
    FieldClass.SOCIAL: "sociaal gegeven van persoonlijke aard",
    FieldClass.SPECIAL: "bijzondere categorie van persoonsgegevens (artikel 9 AVG)",
    FieldClass.CRIMINAL: "strafrechtelijk gegeven (artikel 10 AVG)",
    FieldClass.PUBLIC: "openbaar gegeven",
}


def said(text: str) -> str:
    """Someone's text as Markdown that shows it literally; each of its lines stays a line of the same paragraph."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return "\\\n  ".join(_BLOCK_START.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line)) for line in lines if line)


def listed(words: Sequence[str], last: str) -> str:
    """Words as a Dutch enumeration with `last` (en, of) before the last one."""
    *others, final = words
    return f"{', '.join(others)} {last} {final}" if others else final


def moment(instant: datetime) -> str:
    """A day, with its time where it is not midnight, in UTC."""
    at = instant.astimezone(UTC)
    time = at.isoformat().partition("T")[2].removesuffix("+00:00")
    return f"{day(at)}, 0 uur (UTC)" if time == "00:00:00" else f"{day(at)}, {time} uur (UTC)"


def basis(value: LegalBasis) -> str:
    """An instrument with reference, date, GDPR basis, what it says, and where it can be read."""
    article, *parts = value.gdpr.split(".")
    gdpr = ", ".join([f"artikel {article}", *(f"lid {part}" if part.isdecimal() else f"{part})" for part in parts)])
    dated = f" van {day(value.dated)}" if value.dated else ""
    read = f" Bekendgemaakt op {said(value.url)}." if value.url else ""
    return (
        f"{INSTRUMENTS[value.instrument]}, kenmerk **{said(value.reference)}**{dated}; "
        f"rechtsgrond: {gdpr}, van de AVG. {said(value.text)}{read}"
    )


_FORMS = {
    Transform.KEEP: "ongewijzigd meegedeeld",
    Transform.NOTIFY_ONLY: "niet meegedeeld; de afnemer verneemt enkel dat het gegeven wijzigde en welke soort wijziging het was",
    Transform.OWN_REFERENCE: "vervangen door het dossiernummer dat de afnemer zelf heeft opgegeven",
    Transform.PSEUDONYM: "vervangen door een pseudoniem dat alleen bij deze afnemer en dit doeleinde bestaat",
    Transform.YEAR: "herleid tot het jaar",
    Transform.DECADE: "herleid tot het decennium",
    Transform.ADULT: "herleid tot het antwoord, ja of neen, op de vraag of de betrokkene achttien jaar of ouder is",
    Transform.AGE: "herleid tot het antwoord, ja of neen, op de vraag of de betrokkene {or_} jaar of ouder is",
    Transform.LIVES_IN: "herleid tot het antwoord, ja of neen, op de vraag of de betrokkene woont in een gemeente met NIS-code {or_}",
    Transform.BAND: "herleid tot een klasse met als ondergrenzen {and_} (bij een datum: volgens de leeftijd in jaren)",
}


def form(field: ReleasedField) -> str:
    """In which form a field is delivered."""
    words = _FORMS[field.transform]
    if field.arguments:
        words = words.format(or_=listed(field.arguments, "of"), and_=listed(field.arguments, "en"))
    return words if field.name is None else f"{words}, onder de naam `{field.name}`"


def population(value: Population) -> Iterator[str]:
    """Paragraphs on whom the data are about."""
    if value.dossiers:
        yield (
            "Alleen gegevens over personen over wie de afnemer zelf een dossier heeft ingeschreven worden meegedeeld, "
            "en alleen zolang dat dossier openstaat. De afnemer schrijft uitsluitend dossiers in die hij voor het "
            "doeleinde van dit protocol behandelt, en beëindigt de inschrijving zodra het dossier gesloten is."
        )
    if value.consent:
        yield (
            "Alleen gegevens over personen die daarvoor hun toestemming gaven worden meegedeeld. De toestemming kan op "
            "elk ogenblik worden ingetrokken; vanaf de intrekking wordt niets meer meegedeeld."
        )
    if value.where == AllOf(()):
        about = (
            "De mededeling wordt niet verder beperkt volgens kenmerken van de betrokkenen."
            if value.dossiers or value.consent
            else "De mededeling betreft alle betrokkenen in het dataproduct."
        )
        yield about
    else:
        yield "De mededeling is beperkt tot betrokkenen die voldoen aan:\n\n" + "\n".join(_tests(value.where, 0))


def term(value: Term) -> str:
    """From when till when."""
    if value.end is None:
        return f"Dit protocol geldt vanaf {moment(value.start)} voor onbepaalde duur, tot een partij het beëindigt."
    return f"Dit protocol geldt vanaf {moment(value.start)} tot {moment(value.end)}; dat laatste ogenblik is niet meer inbegrepen."


def _tests(where: Constraint, depth: int) -> Iterator[str]:
    """Nested list items that say a constraint."""
    match where:
        case AllOf(parts=parts):
            lead = "elk van de volgende voorwaarden:" if parts else "geen enkele voorwaarde: iedereen voldoet"
        case AnyOf(parts=parts):
            lead = "minstens één van de volgende voorwaarden:" if parts else "geen enkele mogelijkheid: niemand voldoet"
        case _:
            lead, parts = f"{said(label(where.path))} (`{where.path}`) {_test(where)}", ()
    yield f"{'  ' * depth}- {lead}"
    for part in parts:
        yield from _tests(part, depth + 1)


def _test(leaf: Equals | Range | Prefix) -> str:
    match leaf:
        case Equals(values=values):
            return f"is {listed([_quoted(value) for value in values], 'of')}"
        case Prefix(prefix=prefix):
            return f"begint met {_quoted(prefix)}"
        case Range(low=None, high=None):
            return "is ingevuld"
        case Range(low=low, high=None):
            return f"is {_quoted(low or '')} of hoger"
        case Range(low=None, high=high):
            return f"is ten laatste {_quoted(high or '')}"
        case Range(low=low, high=high):
            return f"ligt van {_quoted(low or '')} tot en met {_quoted(high or '')}"


def _quoted(value: str) -> str:
    return f"“{said(value)}”"
