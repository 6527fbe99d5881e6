"""Purposes and ceilings: documents (YAML text, or the JSON objects that the control log holds) to model values and back."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from broker.errors import Invalid
from broker.model.agreement import Ceiling, FieldCeiling, Transform
from broker.model.purpose import Purpose, Purposes
from broker.policy.forms import Document, Form, Path, ProductId, Slug, Text, read
from broker.policy.yamltext import load

_PRODUCT = r"(?:ipdc|mpdc)[1-9][0-9]{0,5}"
"""Number of a product in the catalogues IPDC and MPDC, as MAGDA and DOSIS write it: `ipdc2045`."""

Product = Annotated[str, Field(strict=True, pattern=f"^{_PRODUCT}$")]
Capacity = Annotated[str, Field(strict=True, pattern=f"^(?:[1-9][0-9]{{2,4}}|{_PRODUCT})$")]
"""MAGDA hoedanigheid: a number of its own (`101`), or that of a product."""

Term = Annotated[
    str, Field(strict=True, pattern=r"^https://w3id\.org/dpv(?:/[a-z0-9/-]+)?#[A-Z][A-Za-z0-9-]+$", max_length=200)
]
"""A concept of the Data Privacy Vocabulary, not a page about it."""


class _PurposeForm(Form):
    code: Slug
    title: Text
    description: Text
    parents: Annotated[tuple[Slug, ...], Field(max_length=10)] = ()
    dpv: Term | None = None
    ipdc: Product | None = None
    hoedanigheid: Annotated[tuple[Capacity, ...], Field(max_length=20)] = ()


class _PurposesForm(Form):
    purposes: Annotated[tuple[_PurposeForm, ...], Field(min_length=1, max_length=2000)]


class _FieldCeilingForm(Form):
    path: Path
    transforms: Annotated[frozenset[Transform], Field(min_length=1)]


class _GrantForm(Form):
    purpose: Slug
    fields: Annotated[tuple[_FieldCeilingForm, ...], Field(max_length=500)]
    selectable: Annotated[tuple[Path, ...], Field(max_length=100)] = ()
    onward_sharing: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _once(self) -> Self:
        paths = [field.path for field in self.fields]
        if len(set(paths)) != len(paths):
            raise ValueError("a path is listed twice")
        return self


class _OwnedForm(Form):
    """Whose ceilings: `source` absent, those of every source of the product that has set none itself."""

    source: Slug | None = None
    product: ProductId
    quasi_identifiers: Annotated[
        tuple[Annotated[tuple[Path, ...], Field(min_length=2, max_length=10)], ...], Field(max_length=50)
    ] = ()


class _CeilingForm(_OwnedForm, _GrantForm):
    pass


class _CeilingsForm(_OwnedForm):
    ceilings: Annotated[tuple[_GrantForm, ...], Field(min_length=1, max_length=2000)]


def purposes(source: str | Document | Iterable[Document]) -> Purposes:
    """Purposes of `purposes.yaml`, of `{"purposes": [...]}`, or of the list the control log holds; checked as a DAG."""
    data = load(source) if isinstance(source, str) else source
    form = read(_PurposesForm, data if isinstance(data, Mapping) else {"purposes": _listed(data)})
    listed = [Purpose(**{name: getattr(item, name) for name in _PurposeForm.model_fields}) for item in form.purposes]
    by_code = {purpose.code: purpose for purpose in listed}
    if len(by_code) != len(listed):
        raise Invalid("purposes: a code is listed twice")
    return Purposes(by_code)


def purpose_documents(values: Purposes) -> list[dict[str, Any]]:
    """The JSON objects of `purposes`, in order: what a `purposes.set` fact holds under `purposes`."""
    return [
        {
            "code": purpose.code,
            "title": purpose.title,
            "description": purpose.description,
            "parents": list(purpose.parents),
            "dpv": purpose.dpv,
            "ipdc": purpose.ipdc,
            "hoedanigheid": list(purpose.hoedanigheid),
        }
        for purpose in values.by_code.values()
    ]


def ceiling(source: str | Document) -> Ceiling:
    """One ceiling, as a `ceiling.set` fact holds it.

    `{product, purpose, fields: [{path, transforms}], source, selectable, onward_sharing, quasi_identifiers}`; the last four
    may be absent.
    """
    form = read(_CeilingForm, load(source) if isinstance(source, str) else source)
    return _ceiling(form, form)


def ceilings(source: str | Document) -> tuple[Ceiling, ...]:
    """The ceilings of one product, `policies/ceilings/<product>.yaml`: `{product, ceilings: [{purpose, fields, …}]}`.

    `source` and `quasi_identifiers` may stand beside `product`: they hold for each.
    """
    form = read(_CeilingsForm, load(source) if isinstance(source, str) else source)
    if len({grant.purpose for grant in form.ceilings}) != len(form.ceilings):
        raise Invalid("ceilings: a purpose is listed twice")
    return tuple(_ceiling(form, grant) for grant in form.ceilings)


def ceiling_document(value: Ceiling) -> dict[str, Any]:
    """JSON object of one ceiling; `ceiling` accepts it."""
    owned = {} if value.source is None else {"source": value.source}
    return owned | {
        "product": value.product,
        "purpose": value.purpose,
        "fields": [
            {"path": field.path, "transforms": sorted(transform.value for transform in field.transforms)}
            for field in value.fields.values()
        ],
        "selectable": sorted(value.selectable),
        "onward_sharing": value.onward_sharing,
        "quasi_identifiers": [list(group) for group in value.quasi_identifiers],
    }


def _ceiling(owned: _OwnedForm, grant: _GrantForm) -> Ceiling:
    fields = {field.path: FieldCeiling(field.path, field.transforms) for field in grant.fields}
    return Ceiling(
        owned.product,
        grant.purpose,
        fields,
        frozenset(grant.selectable),
        onward_sharing=grant.onward_sharing,
        source=owned.source,
        quasi_identifiers=owned.quasi_identifiers,
    )


def _listed(data: object) -> object:
    return list(data) if isinstance(data, Iterable) and not isinstance(data, str | bytes) else data
