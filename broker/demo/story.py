"""One fictional person's story: what the source holds, what agencies see of it and why, and who got it. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from broker.delivery.trail import TracedDecision
from broker.demo.labels import derived, flat, moment, replaced
from broker.demo.logs import Receipt
from broker.demo.protocol import basis_line
from broker.model.agreement import Agreement, Ceiling, State, Transform
from broker.model.decision import Kind, Reason
from broker.model.purpose import Purpose
from broker.policy.words import label

REPLACED, ABOVE, UNASKED = "vervangen", "boven het plafond", "niet in het protocol"

_ARRIVED = {
    Kind.INITIAL: "Eerste levering: alle gegevens van het protocol",
    Kind.LEFT_POPULATION: "Melding van vertrek, zonder nieuwe gegevens",
    Kind.CORRECTED: "Verbeterde gegevens",
}
_WITHHELD = {
    Reason.NOT_IN_TERM: "Niets: de looptijd van het protocol is voorbij",
    Reason.SUSPENDED: "Niets: het protocol is geschorst",
    Reason.REVOKED: "Niets: het protocol is ingetrokken",
    Reason.NO_CONSENT: "Niets: de betrokkene gaf geen toestemming, of trok ze in",
    Reason.ABOVE_CEILING: "Niets: het protocol vraagt meer dan het plafond toelaat",
    Reason.UNCHANGED_ANSWER: "Niets: het antwoord dat de dienst krijgt, bleef hetzelfde",
}


_ASIDE = ("kind", "validFrom", "validTo", "recordedAt", "corrects", "beheerder", "verblijfplaats.land", "register")


@dataclass(frozen=True, slots=True)
class Line:
    """One field as it is shown."""

    label: str
    path: str
    value: str

    @property
    def aside(self) -> bool:
        """Whether it is a code or bookkeeping, which a reader may pass over."""
        return self.label.endswith("code)") or self.path.startswith(_ASIDE)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A field that the source holds and the agency does not get, with the reason on one line."""

    label: str
    path: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class Card:
    """The person as one agency sees them. `note` says why nothing is shown, where that is so."""

    agreement: str
    agency: str
    purpose: str
    basis: str
    because: str
    lines: tuple[Line, ...]
    note: str
    dropped: tuple[Dropped, ...]

    @property
    def kinds(self) -> str:
        """How many fields were dropped for each kind of reason."""
        counts = Counter(item.kind for item in self.dropped)
        return ", ".join(f"{counts[kind]} {kind}" for kind in (REPLACED, UNASKED, ABOVE) if counts[kind])


@dataclass(frozen=True, slots=True)
class Row:
    """One decision about the person."""

    agency: str
    purpose: str
    basis: str
    what: str
    delivery: str


@dataclass(frozen=True, slots=True)
class Event:
    """One receipt: everything that was decided on one record of the person, on the reader's clock."""

    when: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Delivered:
    """The last record of the person's own in an agreement's topic: its kind, and its value where it has one."""

    kind: str
    data: Mapping[str, Any] | None


def source_lines(value: Mapping[str, Any]) -> tuple[Line, ...]:
    """Everything that a record of the source holds; what occurs several times is joined."""
    joined: dict[str, list[str]] = {}
    for path, text in flat(value):
        joined.setdefault(path, []).append(text)
    return tuple(Line(label(path), path, ", ".join(texts)) for path, texts in joined.items())


def card(
    agreement: Agreement,
    state: State,
    delivered: Delivered | None,
    source: Iterable[Line],
    *,
    ceiling: Ceiling,
    purpose: Purpose,
    agency: str,
) -> Card:
    """The person under `agreement`; `ceiling` is the effective one, `source` what the source holds."""
    data = delivered.data if delivered and state is State.ACTIVE else None
    return Card(
        agreement=agreement.id,
        agency=agency,
        purpose=purpose.title,
        basis=basis_line(agreement.bases[0]),
        because=agreement.bases[0].text,
        lines=tuple(_seen(agreement, data)) if data else (),
        note=_note(state, delivered),
        dropped=tuple(sorted(_dropped(agreement, ceiling, source), key=_telling)),
    )


def events(
    receipts: Iterable[Receipt],
    agreements: Mapping[str, Agreement],
    purposes: Mapping[str, Purpose],
    names: Mapping[str, str],
) -> tuple[Event, ...]:
    """Every receipt, the last first; `names` are those of organisations by id."""

    def row(decision: TracedDecision) -> Row:
        agreement = agreements[decision.agreement]
        purpose, basis = purposes[agreement.purpose].title, agreement.bases[0].reference
        return Row(names[agreement.agency], purpose, basis, what(decision), decision.delivery or "")

    latest_first = sorted(receipts, key=lambda item: (item.decided_at_ms, item.place[2]), reverse=True)
    return tuple(Event(_clock(receipt.decided_at_ms), tuple(map(row, receipt.decisions))) for receipt in latest_first)


def what(decision: TracedDecision) -> str:
    """What a decision meant for the agency, in a few words."""
    if decision.delivery is None:
        return _WITHHELD[Reason(decision.reason or "")]
    return _ARRIVED.get(Kind(decision.kind), "Gewijzigde gegevens")


def _clock(at_ms: int) -> str:
    return moment(datetime.fromtimestamp(at_ms / 1000, tz=UTC).astimezone())


def _seen(agreement: Agreement, data: Mapping[str, Any]) -> Iterator[Line]:
    names = {field.name: field for field in agreement.fields if field.name}
    for line in source_lines(data):
        field = names.get(line.path)
        yield Line(derived(field), line.path, line.value) if field else line


def _note(state: State, delivered: Delivered | None) -> str:
    if state is State.REVOKED:
        return "Het protocol is ingetrokken: deze dienst krijgt niets meer, en wat nog klaarstond is gewist."
    if state is not State.ACTIVE:
        return "Het protocol is niet van kracht: deze dienst krijgt niets."
    if delivered is None:
        return "Deze dienst kreeg nog niets over deze persoon."
    return "Deze persoon is vertrokken: deze dienst krijgt geen nieuwe gegevens meer." if delivered.data is None else ""


def _telling(item: Dropped) -> tuple[int, bool]:
    """What says most comes first."""
    return (REPLACED, UNASKED, ABOVE).index(item.kind), Line(item.label, item.path, "").aside


def _dropped(agreement: Agreement, ceiling: Ceiling, source: Iterable[Line]) -> Iterator[Dropped]:
    asked = {field.path: field for field in agreement.fields}
    for line in source:
        field = asked.get(line.path)
        if field is None and line.path in ceiling.fields:
            yield Dropped(line.label, line.path, UNASKED, "niet in het protocol: de dienst heeft het niet nodig")
        elif field is None:
            yield Dropped(
                line.label, line.path, ABOVE, "boven het plafond: de bron geeft dit aan niemand voor dit doel"
            )
        elif field.transform is not Transform.KEEP:
            yield Dropped(line.label, line.path, REPLACED, replaced(field))
