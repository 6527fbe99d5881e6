"""What an agreement document amounts to under the present limits: whether it may be, its egress schema, its text."""

from dataclasses import dataclass, replace
from functools import partial

from broker.errors import AgreementRefused, Conflict
from broker.model.agreement import Agreement
from broker.model.control_state import ControlState
from broker.model.lifecycle import AgreementEntry
from broker.policy import documents
from broker.policy.check import check
from broker.policy.clauses import gaps
from broker.policy.compare import narrows
from broker.policy.findings import Finding, refuse_if
from broker.policy.limits import limits_of
from broker.policy.protocol_text import render, stated_at, text_hash
from broker.schema.avro import Schema, encode_literal, load_schema
from broker.schema.projection import compile_projection


@dataclass(frozen=True, slots=True)
class Examined:
    """An agreement that passed the static check; `text` is the Dutch protocol that its sides approve and sign."""

    agreement: Agreement
    schema: Schema
    egress: str
    text: str

    @property
    def text_sha256(self) -> str:
        """Names the text."""
        return text_hash(self.text)

    @property
    def pdf(self) -> bytes:
        """The text as the PDF that is handed out to sign; the same bytes for everyone."""
        from broker.policy.protocol_pdf import pdf  # noqa: PLC0415 - fonts and layout, for signed documents only

        return pdf(self.text, title=self.agreement.title, at=stated_at(self.agreement))

    def refuse_gaps(self) -> None:
        """Raise `AgreementRefused` with every clause that such a protocol needs and this one lacks."""
        refuse_if(gaps(self.agreement, self.schema))


def examine(state: ControlState, agreement: Agreement) -> Examined:
    """The agreement under `state`; raises `Invalid` or `AgreementRefused` where it may not be."""
    schema = schema_of(state, agreement)
    limits = limits_of(state)
    findings = check(
        agreement,
        purposes=limits.purposes,
        ceilings=limits.ceilings,
        schema=schema,
        encode=partial(encode_literal, schema),
        organisations=state.organisations,
    )
    refuse_if((*one_organisation(agreement), *findings))
    egress = compile_projection(schema, agreement.fields, pseudonym_key=None).egress
    return Examined(agreement, schema, egress, render(agreement, state))


def examine_present(state: ControlState, entry: AgreementEntry, stated: str | None = None) -> Examined:
    """A requested version under `state`, if its text still is the one requested, and the one `stated` (a hash).

    Raises `Conflict` where it is not, and what `examine` raises.
    """
    examined = examine(state, documents.agreement(entry.document))
    if examined.text_sha256 != entry.text_sha256:
        raise Conflict(f"the text of {entry.id} reads otherwise since it was requested: its agency requests it again")
    if stated not in {None, entry.text_sha256}:
        raise Conflict(f"this is not about the present text of {entry.id}: read it again")
    return examined


def one_organisation(agreement: Agreement) -> tuple[Finding, ...]:
    """The clause that an agreement breaks whose source and agency are one: nobody signs for both sides."""
    if agreement.source != agreement.agency:
        return ()
    text = "source and agency are one organisation: a protocol has two sides, and use within one needs none"
    return (Finding("ONE_ORGANISATION", "agency", text),)


def schema_of(state: ControlState, agreement: Agreement) -> Schema:
    """Schema of the agreement's product; raises `AgreementRefused` where its source offers none of the name."""
    product = state.products.get((agreement.source, agreement.product))
    if product is None:
        text = f"{agreement.source} offers no {agreement.product}: name a declared product and its source"
        raise AgreementRefused((("UNKNOWN_PRODUCT", "product", text),))
    return load_schema(state.schemas[product.schema_id].text)


def narrower(state: ControlState, old: Agreement, new: Agreement) -> bool:
    """Whether something that `old` released would not be released under `new`, their terms apart; if unsure, true."""
    return not narrows(new, replace(old, term=new.term), schema_of(state, new))
