"""The Dutch protocol of one agreement version: what both sides sign, and what is published. Pure and deterministic.

Legal frame: art. 8 of the e-government decree of 18 July 2008, art. 20 of the Act of 30 July 2018, the GDPR. Every
part of the agreement document is said in it, and its fingerprint closes the first article: who signs the text signs
what the broker executes. What is not laid down (yet) is said as such, so that articles keep their numbers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from broker.errors import Invalid
from broker.model.agreement import Agreement, Instrument, ReleasedField
from broker.model.conditions import Conditions, Party, Publication, Retention, Role
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.model.purpose import Purpose
from broker.model.registered import Organisation
from broker.policy import documents
from broker.policy.documents import agreement_document
from broker.policy.limits import limits_of
from broker.policy.protocol_phrases import CLASSES, basis, form, listed, population, said, term
from broker.policy.words import label
from broker.schema.avro import Schema, load_schema

_OPEN = "Dit protocol bepaalt hierover niets."
_ROLES = {
    Role.CONTROLLER: "verwerkingsverantwoordelijke",
    Role.JOINT_CONTROLLER: "gezamenlijke verwerkingsverantwoordelijke",
}
_SIDES = {"source": "de bron", "agency": "de afnemer"}
_EXECUTION = """\
Het Datanutsbedrijf voert dit protocol uit als dienstenintegrator: het leest de voorwaarden rechtstreeks uit het document \
waarvan artikel 1 de vingerafdruk vermeldt.
Wat dit protocol niet uitdrukkelijk noemt, wordt niet meegedeeld: geen ander gegeven, geen andere betrokkene, niet voor of \
na de looptijd. Een nieuw gegeven in het dataproduct wordt pas meegedeeld na een nieuwe versie van dit protocol.
Over elke mededeling, en over elke weigering ervan, wordt een kwitantie bewaard zonder de gegevens zelf. De bron, de \
afnemer, de toezichthouder en de betrokkene kunnen haar nakijken.
Wordt dit protocol geschorst, beëindigd of ingetrokken, dan stopt de mededeling onmiddellijk en aantoonbaar.
""".splitlines()


def text_hash(text: str) -> str:
    """SHA-256 of the text's UTF-8, as hex: what signatures and advices refer to."""
    return sha256(text.encode()).hexdigest()


def document_hash(agreement: Agreement) -> str:
    """SHA-256, as hex, of the agreement document as JSON with sorted keys and without white space."""
    written = json.dumps(agreement_document(agreement), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return sha256(written.encode()).hexdigest()


def stated_at(agreement: Agreement) -> datetime:
    """The one instant that a protocol's PDF states: fixed by the document, so that everyone's PDF has the same bytes."""
    return agreement.term.start


def agreed_text(entry: AgreementEntry, state: ControlState) -> str:
    """The text of a version: as it was requested, or as it reads today where that was not kept."""
    return render(documents.agreement(entry.document), state) if entry.text is None else entry.text


def render(agreement: Agreement, state: ControlState) -> str:
    """Markdown of the protocol, under the purposes, schema and organisations of `state`.

    Raises `Invalid` where the product or the purpose is not known there.
    """
    purposes = limits_of(state).purposes
    if agreement.purpose not in purposes.by_code:
        raise Invalid("purpose: the purpose is not in the list: name one of purposes.yaml")
    product = state.products.get((agreement.source, agreement.product))
    if product is None:
        raise Invalid("product: the source offers no such product: name a declared product and its source")
    draft = _Draft(
        agreement,
        state.organisations,
        purposes.lineage(agreement.purpose),
        load_schema(state.schemas[product.schema_id].text),
    )
    return draft.text()


@dataclass(frozen=True, slots=True)
class _Draft:
    """One agreement with what its words need."""

    agreement: Agreement
    organisations: dict[str, Organisation]
    lineage: tuple[Purpose, ...]
    schema: Schema

    @property
    def conditions(self) -> Conditions:
        return self.agreement.conditions

    def text(self) -> str:
        articles = (
            ("Partijen", self._parties()),
            ("Rechtsgrond", self._bases()),
            ("Doeleinde, noodzaak en verenigbaarheid", self._purpose()),
            ("Meegedeelde gegevens", self._data()),
            ("Betrokkenen", population(self.agreement.population)),
            ("Wijze en periodiciteit van de mededeling", self._delivery()),
            ("Looptijd", iter((term(self.agreement.term),))),
            ("Bewaring en vernietiging", self._retention()),
            ("Verdere mededeling", self._onward()),
            ("Ontvangers en verwerkers", self._recipients()),
            ("Beveiliging", self._security()),
            ("Kwaliteit en verbetering van de gegevens", _laid_down(self.conditions.quality)),
            ("Rechten van de betrokkenen", self._rights()),
            ("Inbreuken in verband met persoonsgegevens", self._breaches()),
            ("Gegevensbeschermingseffectbeoordeling", self._impact()),
            ("Sancties", _laid_down(self.conditions.sanctions)),
            ("Bekendmaking", self._publication()),
            ("Uitvoering", iter(_EXECUTION)),
            ("Adviezen en ondertekening", self._signatures()),
        )
        body = "\n\n".join(_article(number, title, said_) for number, (title, said_) in enumerate(articles, start=1))
        return f"{self._head()}\n\n{body}\n"

    def _head(self) -> str:
        instruments = {legal.instrument for legal in self.agreement.bases}
        kind = (
            "Voorwaarden voor het hergebruik van open data"
            if instruments == {Instrument.OPEN_DATA}
            else "Protocol voor de elektronische mededeling van persoonsgegevens"
        )
        return (
            f"# {kind}\n\n**{said(self.agreement.title)}**\n\n"
            f"Kenmerk `{self.agreement.id}`, versie {self.agreement.version}."
        )

    def _parties(self) -> Iterator[str]:
        yield self._party("bron", self.agreement.source, self.conditions.source)
        yield self._party("afnemer", self.agreement.agency, self.conditions.agency)
        yield (
            "Dit protocol is de leesbare vorm van het document met als vingerafdruk (SHA-256) "
            f"`{document_hash(self.agreement)}`."
        )

    def _party(self, side: str, organisation: str, party: Party | None) -> str:
        known = self.organisations.get(organisation)
        codes = [f"`{organisation}`"]
        if known is not None:
            codes += [f"{name} {code}" for name, code in (("OVO-code", known.ovo), ("KBO-nummer", known.kbo)) if code]
        name = said(known.name) if known is not None else f"`{organisation}`"
        lines = [f"**De {side}**: {name} ({', '.join(codes)})"]
        if party is not None:
            lines += [f"rol: {_ROLES[party.role]}"] if party.role else []
            lines += [f"vertegenwoordigd door: {said(party.represented_by)}"] if party.represented_by else []
            lines += [f"functionaris voor gegevensbescherming: {said(party.dpo)}"] if party.dpo else []
        head, *rest = lines
        return "\n".join([f"{head}{':' if rest else '.'}", *([""] if rest else []), *(f"- {line}" for line in rest)])

    def _bases(self) -> Iterator[str]:
        if not self.agreement.bases:
            yield _OPEN
        yield from map(basis, self.agreement.bases)

    def _purpose(self) -> Iterator[str]:
        own, *above = self.lineage
        codes = [f"code `{own.code}`"]
        codes += [f"IPDC/MPDC {said(own.ipdc)}"] if own.ipdc else []
        codes += [f"hoedanigheid {said(listed(own.hoedanigheid, 'of'))}"] if own.hoedanigheid else []
        codes += [f"DPV {said(own.dpv)}"] if own.dpv else []
        yield (
            f"De afnemer verwerkt de gegevens uitsluitend voor het doeleinde **{said(own.title)}** "
            f"({', '.join(codes)}): {said(own.description)}"
        )
        if above:
            yield f"Dit doeleinde valt onder: {listed([said(purpose.title) for purpose in above], 'en')}."
        yield from _laid_down(self.conditions.necessity, "Noodzaak en evenredigheid: ")
        yield from _laid_down(self.conditions.compatibility, "Oorspronkelijk doeleinde en verenigbaarheid: ")

    def _data(self) -> Iterator[str]:
        yield f"De bron deelt uit het dataproduct `{self.agreement.product}` uitsluitend de volgende gegevens mee:"
        yield "\n".join(self._field(field) for field in self.agreement.fields)
        yield (
            "Elke mededeling vermeldt daarnaast een sleutel die alleen binnen dit protocol betekenis heeft, de aard van "
            "de wijziging en het ogenblik ervan."
        )

    def _field(self, field: ReleasedField) -> str:
        lines = [f"- **{said(label(field.path))}** (`{field.path}`), {form(field)}."]
        leaf = self.schema.fields.get(field.path)
        if leaf is None:
            lines.append("  - Dit gegeven komt in het dataproduct niet voor.")
        else:
            special = "; kan een bijzondere categorie van persoonsgegevens onthullen" if leaf.reveals else ""
            lines.append(f"  - Categorie: {CLASSES[leaf.field_class]}{special}.")
            lines.append(f"  - Omschrijving in het gegevensschema ({said(leaf.iri)}): {said(leaf.doc)}")
        lines.append(f"  - Noodzaak: {said(field.why)}")
        return "\n".join(lines)

    def _delivery(self) -> Iterator[str]:
        yield from _laid_down(self.conditions.periodicity)
        yield (
            "De gegevens staan voor de afnemer klaar in een leveringsstroom die alleen hij kan lezen. Een levering blijft "
            f"daar ten hoogste {self.agreement.retention_days} dagen beschikbaar."
        )

    def _retention(self) -> Iterator[str]:
        kept = self.conditions.retention or Retention()
        yield from _laid_down(kept.period, "Bewaartermijn bij de afnemer: ")
        yield from _laid_down(kept.disposal, "Na die termijn: ")

    def _onward(self) -> Iterator[str]:
        onward = self.conditions.onward
        if onward is None:
            yield _OPEN
        elif onward.allowed:
            yield "De afnemer mag de gegevens verder meedelen, met behoud van dit doeleinde en deze voorwaarden."
            yield from _laid_down(onward.to, "Aan wie en op welke grond: ")
        else:
            yield "De afnemer deelt de gegevens aan niemand verder mee."
            yield from [f"Toelichting: {said(onward.to)}"] if onward.to else []

    def _recipients(self) -> Iterator[str]:
        items = [
            f"- {said(recipient.name)}{f': {said(recipient.why)}' if recipient.why else ''}"
            for recipient in self.conditions.recipients
        ]
        yield "\n".join(["Bij de afnemer krijgen toegang tot de gegevens:", "", *items]) if items else _OPEN
        processors = [
            f"- {said(one.name)}, voor {_SIDES[one.side]}"
            f"{f', krachtens verwerkersovereenkomst {said(one.mandate)}' if one.mandate else ''}"
            f"{f': {said(one.task)}' if one.task else ''}"
            for one in self.conditions.processors
        ]
        if processors:
            yield "\n".join(["Als verwerker (artikel 28 AVG) treden op:", "", *processors])
        else:
            yield "De partijen doen voor deze mededeling geen beroep op andere verwerkers dan de dienstenintegrator."

    def _security(self) -> Iterator[str]:
        measures = [f"- {said(measure)}" for measure in self.conditions.security]
        yield "\n".join(["De partijen nemen ten minste deze maatregelen:", "", *measures]) if measures else _OPEN

    def _rights(self) -> Iterator[str]:
        yield from _laid_down(self.conditions.rights, "Uitoefening (artikelen 12 tot en met 22 AVG): ")
        yield from _laid_down(self.conditions.rights_limits, "Wettelijke beperkingen (artikel 23 AVG): ")

    def _breaches(self) -> Iterator[str]:
        contacts = (("De bron", self.conditions.source), ("De afnemer", self.conditions.agency))
        for who, party in contacts:
            yield from _laid_down((party or Party()).breach_contact, f"{who} is hiervoor bereikbaar via: ")
        yield (
            "Een partij die een inbreuk vaststelt die de meegedeelde gegevens raakt, meldt dat zonder onredelijke "
            "vertraging aan de andere partij (artikel 33 AVG)."
        )

    def _impact(self) -> Iterator[str]:
        impact = self.conditions.impact
        if impact is None or (impact.reference is None and impact.reason_for_none is None):
            yield _OPEN
            return
        if impact.reference:
            yield f"De beoordeling (artikel 35 AVG) heeft als kenmerk {said(impact.reference)}."
        if impact.reason_for_none:
            yield f"Waarom geen beoordeling nodig is: {said(impact.reason_for_none)}"

    def _publication(self) -> Iterator[str]:
        published = self.conditions.publication or Publication()
        yield from _laid_down(published.source, "De bron maakt dit protocol bekend op ")
        yield from _laid_down(published.agency, "De afnemer maakt dit protocol bekend op ")

    def _signatures(self) -> Iterator[str]:
        yield (
            "De functionarissen voor gegevensbescherming van beide partijen brachten vooraf advies uit over deze tekst. "
            "Wie van een advies afwijkt, motiveert dat schriftelijk; advies en motivering worden bij dit protocol gevoegd."
        )
        yield "Een wijziging van dit protocol is een nieuwe versie, die beide partijen opnieuw ondertekenen."
        for who, slug, party in (
            ("de bron", self.agreement.source, self.conditions.source),
            ("de afnemer", self.agreement.agency, self.conditions.agency),
        ):
            known = self.organisations.get(slug)
            function = said(party.represented_by) if party is not None and party.represented_by else "…………………………"
            yield "\n".join(
                [
                    f"Voor {who}, {said(known.name) if known else f'`{slug}`'}:",
                    "",
                    f"- functie: {function}",
                    "- mandaat: …………………………",
                    "- datum en handtekening: …………………………",
                ]
            )


def _article(number: int, title: str, paragraphs: Iterator[str]) -> str:
    """An article; where it has several paragraphs, each list belongs to the paragraph that introduces it."""
    found = list(paragraphs)
    counted: list[str] = []
    place = 0
    for paragraph in found:
        listing = paragraph.startswith("- ")
        place += not listing
        counted.append(paragraph if listing or len(found) == 1 else f"§ {place}. {paragraph}")
    return "\n\n".join([f"## Artikel {number}. {title}", *counted])


def _laid_down(text: str | None, lead: str = "") -> Iterator[str]:
    """What someone laid down, after its lead; said as open where nobody did."""
    if text:
        yield f"{lead}{said(text)}"
    else:
        yield f"{lead}(nog niet bepaald)" if lead else _OPEN
