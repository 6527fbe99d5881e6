"""What an agreement must lay down before it may become active, by its instruments and by what its fields are.

Legal frame: art. 8 §1 of the Flemish e-government decree of 18 July 2008, art. 20 of the Act of 30 July 2018, art. 15 of
the Act of 15 January 1990, the Act of 8 August 1983, and the GDPR. `check` says what an agreement may not do; this says
what it leaves open. The table `PARTS` is the whole of it, and `docs/agreements.md` prints it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from broker.model.agreement import Agreement, FieldClass, Instrument
from broker.policy.compiler import leaves_of
from broker.policy.findings import Finding
from broker.policy.views import SchemaView

LAWS = {
    Instrument.PROTOCOL_VL: "art. 8 §1 of the e-government decree",
    Instrument.PROTOCOL_FED: "art. 20 of the Act of 30 July 2018",
    Instrument.IVC: "art. 15 of the Act of 15 January 1990",
    Instrument.RIJKSREGISTER: "art. 5 and 8 of the Act of 8 August 1983",
    Instrument.ACCESSION: "the general authorisation that is acceded to",
    Instrument.OPEN_DATA: "the Governance Decree of 7 December 2018 (reuse)",
}
_PROTOCOLS = frozenset({Instrument.PROTOCOL_VL, Instrument.PROTOCOL_FED})
_AUTHORISED = frozenset(Instrument) - {Instrument.OPEN_DATA}


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the document: the instruments that ask it, the GDPR article that asks it of any personal data.

    `what` completes "the law asks …"; `how` is what to write.
    """

    code: str
    path: str
    asked_by: frozenset[Instrument]
    gdpr: str
    what: str
    how: str


def _of_party(side: str, words: str) -> tuple[Part, ...]:
    at = f"conditions.{side}"
    return (
        Part("NO_ROLE", f"{at}.role", _AUTHORISED, "art. 4.7 and 26", f"what {words} is for these data",
             "add `role: verwerkingsverantwoordelijke`, or the joint one"),
        Part("NO_REPRESENTATIVE", f"{at}.represented_by", _PROTOCOLS | {Instrument.ACCESSION}, "",
             f"who may bind {words}", "add the function that represents it, without a person's name"),
        Part("NO_DPO", f"{at}.dpo", _AUTHORISED, "art. 37 to 39", f"the data protection officer of {words}",
             "add a functional address"),
        Part("NO_BREACH_CONTACT", f"{at}.breach_contact", _AUTHORISED, "art. 33", f"where {words} hears of a breach",
             "add a functional address that is read every day"),
    )  # fmt: skip


PARTS = (
    *_of_party("source", "the source"),
    *_of_party("agency", "the agency"),
    Part("NO_NECESSITY", "conditions.necessity", _AUTHORISED, "art. 5.1.c", "why this purpose needs these data and not less",
         "say it in one paragraph"),
    Part("NO_COMPATIBILITY", "conditions.compatibility", _PROTOCOLS, "art. 5.1.b and 6.4",
         "why the source has the data, and why this use is compatible with that", "say it in one paragraph"),
    Part("NO_PERIODICITY", "conditions.periodicity", _AUTHORISED - {Instrument.ACCESSION}, "art. 5.1.c",
         "how often data are sent", "say when a change is sent and why not more rarely"),
    Part("NO_RETENTION", "conditions.retention.period", _AUTHORISED, "art. 5.1.e", "how long the agency keeps the data",
         "name a period or the event that ends it"),
    Part("NO_DISPOSAL", "conditions.retention.disposal", _AUTHORISED, "art. 5.1.e", "what happens to the data after that",
         "say how they are erased or archived"),
    Part("NO_ONWARD", "conditions.onward", _AUTHORISED, "art. 5.1.b", "whether the data may be passed on",
         "add `onward: {allowed: false}`, or `allowed: true` with `to`"),
    Part("NO_RECIPIENTS", "conditions.recipients", _AUTHORISED, "art. 13, 14 and 30.1.d", "which services see the data",
         "list each with `name` and `why`"),
    Part("NO_SECURITY", "conditions.security", _AUTHORISED, "art. 32", "the security measures",
         "list the measures of both sides"),
    Part("NO_QUALITY", "conditions.quality", _PROTOCOLS, "art. 5.1.d, 16 and 19", "who corrects what for whom",
         "say how good the data are, and where an error is reported"),
    Part("NO_RIGHTS", "conditions.rights", _PROTOCOLS, "art. 12 to 22", "how data subjects exercise their rights",
         "say where and with whom"),
    Part("NO_RIGHTS_LIMITS", "conditions.rights_limits", _PROTOCOLS, "art. 23", "which rights a law limits",
         "name the law, or say that none does"),
    Part("NO_SANCTIONS", "conditions.sanctions", _PROTOCOLS, "art. 5.2 and 82", "what follows when a side breaks the terms",
         "say it in one paragraph"),
    Part("NO_IMPACT", "conditions.impact", _PROTOCOLS, "art. 35", "the data protection impact assessment",
         "add its `reference`, or `reason_for_none`"),
    Part("NO_PUBLICATION", "conditions.publication.source", _PROTOCOLS, "art. 12 to 14", "where the source publishes the text",
         "add the https address"),
    Part("NO_PUBLICATION", "conditions.publication.agency", _PROTOCOLS, "art. 12 to 14", "where the agency publishes the text",
         "add the https address"),
)  # fmt: skip
"""In the order of the document."""


def gaps(agreement: Agreement, schema: SchemaView) -> tuple[Finding, ...]:
    """Parts that this agreement needs and does not have, in document order; with no gap it may become active."""
    return (*_bases(agreement), *_consent(agreement), *_parts(agreement, schema), *_items(agreement))


def about_persons(agreement: Agreement, schema: SchemaView) -> bool:
    """Whether the deliveries hold personal data: a used field is not public, or every record is about a person.

    A path that the schema does not know is `check`'s to refuse.
    """
    uses = (*agreement.fields, *leaves_of(agreement.population.where))
    classes = {schema.fields[use.path].field_class for use in uses if use.path in schema.fields}
    return schema.fields[schema.principal].field_class is FieldClass.NATIONAL_NUMBER or classes != {FieldClass.PUBLIC}


def _bases(agreement: Agreement) -> Iterator[Finding]:
    for place, basis in enumerate(agreement.bases):
        law = LAWS[basis.instrument]
        if basis.instrument is Instrument.OPEN_DATA:
            if basis.url is None:
                text = f"{law} asks under which licence: add the https address of its text"
                yield Finding("NO_LICENCE", f"bases.{place}.url", text)
        elif basis.dated is None:
            text = f"{law}: an instrument is known by its reference and date; add `dated: yyyy-mm-dd`"
            yield Finding("NOT_DATED", f"bases.{place}.dated", text)


def _consent(agreement: Agreement) -> Iterator[Finding]:
    if not agreement.population.consent and any(basis.gdpr in {"6.1.a", "9.2.a"} for basis in agreement.bases):
        text = "art. 7 GDPR: a basis rests on consent, so only who consented may flow; add `consent: true`"
        yield Finding("CONSENT_NOT_ASKED", "population.consent", text)


def _parts(agreement: Agreement, schema: SchemaView) -> Iterator[Finding]:
    instruments = {basis.instrument for basis in agreement.bases}
    persons = about_persons(agreement, schema)
    for part in PARTS:
        laws = [LAWS[instrument] for instrument in Instrument if instrument in instruments & part.asked_by]
        if persons and part.gdpr:
            laws.append(f"{part.gdpr} GDPR")
        if laws and not _laid_down(agreement, part.path):
            asked = f"{', '.join(laws)} {'asks' if len(laws) == 1 else 'ask'} {part.what}"
            yield Finding(part.code, part.path, f"{asked}: {part.how}")


def _laid_down(agreement: Agreement, path: str) -> bool:
    held: Any = agreement
    for name in path.split("."):
        held = getattr(held, name)
        if held is None or held == ():
            return False
    return path != "conditions.impact" or bool(held.reference or held.reason_for_none)


def _items(agreement: Agreement) -> Iterator[Finding]:
    """What a part needs once it is there, whatever asked for it."""
    conditions = agreement.conditions
    if conditions.onward is not None and conditions.onward.allowed and conditions.onward.to is None:
        text = "art. 5.1.b and 6.4 GDPR: data passed on need a recipient and a ground; add `to`, or `allowed: false`"
        yield Finding("NO_ONWARD_TO", "conditions.onward.to", text)
    for place, recipient in enumerate(conditions.recipients):
        if recipient.why is None:
            text = "art. 5.1.c and 32.4 GDPR: a service sees the data for its task only; add `why`"
            yield Finding("NO_REASON_FOR_RECIPIENT", f"conditions.recipients.{place}.why", text)
    for place, processor in enumerate(conditions.processors):
        at = f"conditions.processors.{place}"
        if processor.mandate is None:
            text = "art. 28.3 GDPR: a processor acts under a contract; add its reference as `mandate`"
            yield Finding("NO_MANDATE", f"{at}.mandate", text)
        if processor.task is None:
            yield Finding("NO_TASK", f"{at}.task", "art. 28.3 GDPR: a processor's task is described; add it as `task`")
