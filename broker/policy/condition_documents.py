"""The `conditions:` section of an agreement document, to model values and back.

Every part may be missing in form: whether an agreement needs it is `broker.policy.clauses`.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from broker.model.conditions import (
    Conditions,
    Impact,
    Onward,
    Party,
    Processor,
    Publication,
    Recipient,
    Retention,
    Role,
)
from broker.policy.forms import Form, Text, Url, Value

_Part = TypeVar("_Part")


class _PartyForm(Form):
    role: Role | None = None
    represented_by: Value | None = None
    dpo: Value | None = None
    breach_contact: Value | None = None


class _RecipientForm(Form):
    name: Value
    why: Text | None = None


class _ProcessorForm(Form):
    name: Value
    side: Literal["source", "agency"]
    mandate: Value | None = None
    task: Text | None = None


class _RetentionForm(Form):
    period: Text | None = None
    disposal: Text | None = None


class _OnwardForm(Form):
    allowed: Annotated[bool, Field(strict=True)]
    to: Text | None = None


class _ImpactForm(Form):
    reference: Value | None = None
    reason_for_none: Text | None = None


class _PublicationForm(Form):
    source: Url | None = None
    agency: Url | None = None


class ConditionsForm(Form):
    """What the protocol says beside product, purpose, fields, population and term."""

    source: _PartyForm | None = None
    agency: _PartyForm | None = None
    necessity: Text | None = None
    compatibility: Text | None = None
    periodicity: Text | None = None
    retention: _RetentionForm | None = None
    onward: _OnwardForm | None = None
    recipients: Annotated[tuple[_RecipientForm, ...], Field(max_length=100)] = ()
    processors: Annotated[tuple[_ProcessorForm, ...], Field(max_length=100)] = ()
    security: Annotated[tuple[Text, ...], Field(max_length=100)] = ()
    quality: Text | None = None
    rights: Text | None = None
    rights_limits: Text | None = None
    sanctions: Text | None = None
    impact: _ImpactForm | None = None
    publication: _PublicationForm | None = None


def conditions(form: ConditionsForm) -> Conditions:
    """Conditions of a form."""
    return Conditions(
        source=None if form.source is None else _of(Party, form.source),
        agency=None if form.agency is None else _of(Party, form.agency),
        necessity=form.necessity,
        compatibility=form.compatibility,
        periodicity=form.periodicity,
        retention=None if form.retention is None else _of(Retention, form.retention),
        onward=None if form.onward is None else _of(Onward, form.onward),
        recipients=tuple(_of(Recipient, recipient) for recipient in form.recipients),
        processors=tuple(_of(Processor, processor) for processor in form.processors),
        security=form.security,
        quality=form.quality,
        rights=form.rights,
        rights_limits=form.rights_limits,
        sanctions=form.sanctions,
        impact=None if form.impact is None else _of(Impact, form.impact),
        publication=None if form.publication is None else _of(Publication, form.publication),
    )


def _of(kind: Callable[..., _Part], form: Form) -> _Part:
    """The value whose parts are named as the form's."""
    return kind(**dict(form))


def conditions_document(value: Conditions) -> dict[str, Any]:
    """JSON object of the conditions, without what they do not say; a form of it gives an equal value back."""
    return {name: _plain(part) for name, part in asdict(value).items() if part not in (None, ())}


def _plain(part: Any) -> Any:
    match part:
        case dict():
            return {name: _plain(value) for name, value in part.items() if value is not None}
        case tuple():
            return [_plain(item) for item in part]
        case Role():
            return part.value
        case _:
            return part
