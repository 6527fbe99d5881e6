"""Agreement documents (YAML text, or the JSON objects that the control log holds) to model values and back.

Reading checks form only; whether an agreement may be activated is `broker.policy.check`.
"""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from broker.errors import Invalid
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
    Term,
    Transform,
)
from broker.model.conditions import NO_CONDITIONS, Conditions
from broker.policy.condition_documents import ConditionsForm, conditions, conditions_document
from broker.policy.findings import Finding
from broker.policy.forms import Document, Form, Instant, Name, Path, ProductId, Slug, Text, Url, Value, read
from broker.policy.forms import faults as form_faults
from broker.policy.yamltext import load

_PLACE = re.compile(r"(line \d+, column \d+): (.*)", re.DOTALL)
_Bound = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
_Nis = Annotated[str, Field(strict=True, pattern=r"^[0-9]{5}$")]
_UNNAMED = frozenset({Transform.KEEP, Transform.NOTIFY_ONLY})
_ARGUMENT = {Transform.BAND: "bounds", Transform.AGE: "age", Transform.LIVES_IN: "municipalities"}
"""The key under which a transform's arguments are written."""


def _calendar_day(value: object) -> object:
    """A whole ISO date; pydantic alone would also read a number as a moment."""
    if isinstance(value, str) and len(value) == len("2026-01-01"):
        with suppress(ValueError):
            return date.fromisoformat(value)
    raise ValueError("must be a day such as 2026-01-31")


Day = Annotated[date, BeforeValidator(_calendar_day)]


class _BasisForm(Form):
    instrument: Instrument
    reference: Value
    gdpr: Annotated[str, Field(strict=True, pattern=r"^(?:6\.1\.[a-f]|9\.2\.[a-j]|10)$")]
    text: Text
    dated: Day | None = None
    url: Url | None = None


class _ReleasedForm(Form):
    path: Path
    transform: Transform = Transform.KEEP
    why: Text
    name: Name | None = None
    bounds: Annotated[tuple[_Bound, ...] | None, Field(min_length=1, max_length=50)] = None
    age: _Bound | None = None
    municipalities: Annotated[tuple[_Nis, ...] | None, Field(min_length=1, max_length=600)] = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.transform in _UNNAMED) != (self.name is None):
            raise ValueError("a derived value needs `name`; a kept value or a notice has none of its own")
        given = {key for key in _ARGUMENT.values() if getattr(self, key) is not None}
        needed = {_ARGUMENT[self.transform]} if self.transform in _ARGUMENT else set()
        if given != needed:
            raise ValueError("band needs `bounds`, leeftijd-vanaf `age`, woont-in `municipalities`; nothing else does")
        return self

    def released(self) -> ReleasedField:
        given = (*(self.bounds or ()), *(() if self.age is None else (self.age,)), *(self.municipalities or ()))
        return ReleasedField(self.path, self.transform, self.why, self.name, tuple(map(str, given)))


class _SpanForm(Form):
    low: Annotated[Value | None, Field(alias="from")] = None
    high: Annotated[Value | None, Field(alias="to")] = None


class _ConstraintForm(Form):
    """One of: `all`, `any`, or `path` with one of `equals`, `in`, `range`, `prefix`."""

    all: Annotated[tuple["_ConstraintForm", ...] | None, Field(max_length=200)] = None
    any: Annotated[tuple["_ConstraintForm", ...] | None, Field(max_length=200)] = None
    path: Path | None = None
    equals: Value | None = None
    values: Annotated[tuple[Value, ...] | None, Field(alias="in", min_length=1, max_length=2000)] = None
    range: _SpanForm | None = None
    prefix: Value | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        tests = [test for test in (self.equals, self.values, self.range, self.prefix) if test is not None]
        groups = [group for group in (self.all, self.any) if group is not None]
        if len(groups) + len(tests) != 1 or bool(tests) != (self.path is not None):
            raise ValueError("must be `all`, `any`, or `path` with one of `equals`, `in`, `range`, `prefix`")
        return self

    def constraint(self) -> Constraint:
        if self.all is not None:
            return AllOf(tuple(part.constraint() for part in self.all))
        if self.any is not None:
            return AnyOf(tuple(part.constraint() for part in self.any))
        path = self.path or ""
        if self.range is not None:
            return Range(path, self.range.low, self.range.high)
        if self.prefix is not None:
            return Prefix(path, self.prefix)
        return Equals(path, (self.equals,) if self.equals is not None else self.values or ())


class _PopulationForm(Form):
    where: _ConstraintForm = _ConstraintForm(all=())
    dossiers: Annotated[bool, Field(strict=True)] = False
    consent: Annotated[bool, Field(strict=True)] = False


class _TermForm(Form):
    start: Instant
    end: Instant | None = None


class _FieldsForm(Form):
    fields: Annotated[tuple[_ReleasedForm, ...], Field(min_length=1, max_length=500)]


class _DecidingForm(Form):
    id: Slug
    version: Annotated[int, Field(strict=True, ge=1, le=1_000_000)] = 1
    title: Text
    source: Slug
    product: ProductId
    agency: Slug
    purpose: Slug
    bases: Annotated[tuple[_BasisForm, ...], Field(max_length=20)] = ()
    population: _PopulationForm = _PopulationForm()
    term: _TermForm
    retention_days: Annotated[int, Field(strict=True, ge=1, le=14)] = 14


class _OnwardForm(Form):
    conditions: ConditionsForm = ConditionsForm()


class _AgreementForm(_DecidingForm, _OnwardForm, _FieldsForm):
    bases: Annotated[tuple[_BasisForm, ...], Field(max_length=20)]


_DECIDING = frozenset(_DecidingForm.model_fields) - {"bases"}


def agreement(source: str | Document) -> Agreement:
    """One agreement version (design §6), from YAML text or the JSON object of an `agreement.requested` fact."""
    form = read(_AgreementForm, load(source) if isinstance(source, str) else source)
    return _agreement(form, tuple(each.released() for each in form.fields), conditions(form.conditions))


def deciding(document: Document) -> Agreement:
    """`agreement` of a fact's object without what decides nothing: no legal basis, and of the conditions only `onward`.

    For what reads every agreement at each start: nearly all of such an object is text for people. Raises `Invalid`.
    """
    given = {key: document[key] for key in _DECIDING if key in document}
    stated = document.get("conditions")
    laid_down = NO_CONDITIONS
    if isinstance(stated, Mapping) and "onward" in stated:
        laid_down = _onward(json.dumps(stated["onward"]))
    return _agreement(read(_DecidingForm, given), _fields(json.dumps(document.get("fields"))), laid_down)


@lru_cache(maxsize=1024)
def _onward(text: str) -> Conditions:
    """Conditions of which only `onward` is stated, as JSON; as `_fields`."""
    return conditions(read(_OnwardForm, {"conditions": {"onward": json.loads(text)}}).conditions)


@lru_cache(maxsize=1024)
def _fields(text: str) -> tuple[ReleasedField, ...]:
    """Fields of a JSON list; read once, because the instances of a template all have the same."""
    return tuple(each.released() for each in read(_FieldsForm, {"fields": json.loads(text)}).fields)


def _agreement(form: "_DecidingForm", fields: tuple[ReleasedField, ...], laid_down: Conditions) -> Agreement:
    return Agreement(
        id=form.id,
        version=form.version,
        title=form.title,
        source=form.source,
        product=form.product,
        agency=form.agency,
        purpose=form.purpose,
        bases=tuple(
            LegalBasis(**{name: getattr(basis, name) for name in _BasisForm.model_fields}) for basis in form.bases
        ),
        fields=fields,
        population=Population(form.population.where.constraint(), form.population.dossiers, form.population.consent),
        term=Term(form.term.start.astimezone(UTC), form.term.end and form.term.end.astimezone(UTC)),
        retention_days=form.retention_days,
        conditions=laid_down,
    )


def faults(text: str) -> tuple[Finding, ...]:
    """Why this YAML is no agreement document, place by place; empty if `agreement` reads it."""
    try:
        data = load(text)
    except Invalid as error:
        place = _PLACE.match(str(error))
        where, problem = place.groups() if place else ("document", str(error))
        return (Finding("NOT_YAML", where, f"{problem}: correct the YAML here"),)
    return form_faults(_AgreementForm, data)


def agreement_document(value: Agreement) -> dict[str, Any]:
    """JSON object of an agreement; `agreement` gives an equal value back.

    What an agreement does not use is left out, so that the object of an older one stays as it is.
    """
    laid_down = conditions_document(value.conditions)
    return {
        "id": value.id,
        "version": value.version,
        "title": value.title,
        "source": value.source,
        "product": value.product,
        "agency": value.agency,
        "purpose": value.purpose,
        "bases": [_basis_document(basis) for basis in value.bases],
        "fields": [_field_document(field) for field in value.fields],
        "population": {"dossiers": value.population.dossiers, "where": constraint_document(value.population.where)}
        | ({"consent": True} if value.population.consent else {}),
        "term": {"start": _written(value.term.start), "end": value.term.end and _written(value.term.end)},
        "retention_days": value.retention_days,
    } | ({"conditions": laid_down} if laid_down else {})


def constraint_document(value: Constraint) -> dict[str, Any]:
    """JSON object of a constraint, as under `population.where`."""
    match value:
        case AllOf(parts=parts):
            return {"all": [constraint_document(part) for part in parts]}
        case AnyOf(parts=parts):
            return {"any": [constraint_document(part) for part in parts]}
        case Equals(path=path, values=(only,)):
            return {"path": path, "equals": only}
        case Equals(path=path, values=values):
            return {"path": path, "in": list(values)}
        case Range(path=path, low=low, high=high):
            return {"path": path, "range": {"from": low, "to": high}}
        case Prefix(path=path, prefix=prefix):
            return {"path": path, "prefix": prefix}


def _basis_document(basis: LegalBasis) -> dict[str, Any]:
    return (
        {"instrument": basis.instrument.value, "reference": basis.reference, "gdpr": basis.gdpr, "text": basis.text}
        | ({} if basis.dated is None else {"dated": basis.dated.isoformat()})
        | ({} if basis.url is None else {"url": basis.url})
    )


def _field_document(field: ReleasedField) -> dict[str, Any]:
    return (
        {"path": field.path, "transform": field.transform.value, "why": field.why}
        | ({} if field.name is None else {"name": field.name})
        | _arguments_document(field)
    )


def _arguments_document(field: ReleasedField) -> dict[str, Any]:
    match field.transform:
        case Transform.BAND:
            return {"bounds": [int(bound) for bound in field.arguments]}
        case Transform.AGE:
            return {"age": int(field.arguments[0])}
        case Transform.LIVES_IN:
            return {"municipalities": list(field.arguments)}
        case _:
            return {}


def _written(instant: datetime) -> str:
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
