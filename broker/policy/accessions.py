"""Where every authority stands in acceding to a template: what is to be done for it, and whom it waits for. Pure.

An accession is keyed by the agreement's id, its version and its content, so that asking again does only the rest.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from broker.errors import AgreementRefused, Invalid
from broker.model.agreement import Agreement, State
from broker.model.control_state import ControlState
from broker.model.lifecycle import EDITABLE, AgreementEntry, Step, awaited
from broker.policy import documents
from broker.policy.authorities import Authority
from broker.policy.difference import Difference, difference
from broker.policy.templates import Template, instance

Examine = Callable[[Agreement], str]
"""SHA-256 of an agreement's Dutch text; raises `Invalid` or `AgreementRefused` where it could not become active."""


_CLOSED = {
    State.SIGNED: "both sides signed another text: bring it into force first, or revoke it",
    State.PUBLISHED: "another text is published: amend it once it is in force, or revoke it",
    State.REVOKED: "another text was revoked: end it before a new version is drafted",
}
"""States in which nothing can be changed now."""

_WORDS = {
    Step.REQUESTED: "request by",
    Step.APPROVED: "approval by",
    Step.ADVISED: "advice of",
    Step.SIGNED: "signature of",
    Step.PUBLISHED: "publication by",
}


class Need(StrEnum):
    """What onboarding does for one authority."""

    DRAFT = "draft"
    """There is no agreement yet."""
    AMEND = "amend"
    """There is one that says something else; only an amendment changes it."""
    NOTHING = "nothing"
    """It says this already; what it waits for is somebody's signature, advice or publication."""
    REFUSED = "refused"
    """It cannot be: see the problems."""


@dataclass(frozen=True, slots=True)
class Accession:
    """One authority's agreement under a template.

    `document` is what it would say (None: the table lacks a code), `text_sha256` names its Dutch text (None: not looked
    at); `held` is the latest version there is, and `differences` what the document says otherwise.
    """

    authority: Authority
    agreement: str
    need: Need
    registered: bool
    document: Mapping[str, Any] | None = None
    held: AgreementEntry | None = None
    text_sha256: str | None = None
    differences: tuple[Difference, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def state(self) -> State | None:
        """State of the latest version, None where there is none."""
        return None if self.held is None else self.held.state


def accessions(
    template: Template, authorities: Iterable[Authority], state: ControlState, examine: Examine | None = None
) -> tuple[Accession, ...]:
    """Where each authority stands, in the order given; raises `Invalid` for one the template is not for.

    Without `examine`, only what the table lacks is a problem.
    """
    chosen = tuple(authorities)
    for authority in chosen:
        if authority.kind not in template.kinds:
            raise Invalid(f"{authority.id} is no {' or '.join(template.kinds)}: template {template.id} is not for it")
    return tuple(accession(template, authority, state, examine) for authority in chosen)


def accession(
    template: Template, authority: Authority, state: ControlState, examine: Examine | None = None
) -> Accession:
    """Where one authority of the template's kinds stands."""
    identifier = template.agreement_id(authority)
    held = state.amendments.get(identifier, state.agreements.get(identifier))
    here = Accession(authority, identifier, Need.REFUSED, authority.id in state.organisations, held=held)
    try:
        value = documents.agreement(instance(template, authority, _version(held)))
        document = documents.agreement_document(value)
        if held is not None and document | {"version": held.version} == held.document:
            return replace(here, need=Need.NOTHING, document=held.document, text_sha256=held.text_sha256)
        here = replace(here, document=document, differences=_differences(held, value))
        if held is not None and held.state in _CLOSED:
            return replace(here, problems=(_CLOSED[held.state],))
        text = None if examine is None else examine(value)
    except AgreementRefused as refused:
        return replace(here, problems=tuple(f"{path}: {text} [{code}]" for code, path, text in refused.findings))
    except Invalid as error:
        return replace(here, problems=(str(error),))
    return replace(here, need=Need.DRAFT if held is None else Need.AMEND, text_sha256=text)


def _differences(held: AgreementEntry | None, value: Agreement) -> tuple[Difference, ...]:
    """What the value says otherwise than the version held, beside its number."""
    if held is None:
        return ()
    before = documents.agreement(held.document)
    return difference(replace(before, version=value.version), value)


def _version(held: AgreementEntry | None) -> int:
    """Number of the version that says something else than the one held: what nobody signed yet is corrected."""
    if held is None:
        return 1
    return held.version if held.state in EDITABLE else held.version + 1


def waits_for(held: AgreementEntry | None) -> str:
    """What the latest version waits for, by whom; empty where it is in force or gone for good."""
    if held is None:
        return "draft by the operator"
    if held.state is State.PUBLISHED:
        return f"the start of its term, {str(held.document['term']['start'])[:10]}"
    if held.state is State.SUSPENDED:
        return f"resumption by {held.source}"
    return "; ".join(f"{_WORDS[step]} {organisation}" for step, organisation in awaited(held))
