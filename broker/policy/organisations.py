"""`policies/organisations.yaml`: the public bodies of an installation, their roles, and the products of the sources."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from broker.errors import Invalid
from broker.model.registered import Organisation
from broker.policy.forms import Document, Form, ProductId, Slug, Text, read
from broker.policy.yamltext import load

Role = Literal["agency", "auditor", "dpo", "operator", "processor", "source-owner", "supervisor"]


@dataclass(frozen=True, slots=True)
class Member:
    """A body as the installation knows it; `products` are the record types it offers as a source."""

    organisation: Organisation
    roles: tuple[str, ...]
    products: tuple[str, ...] = ()


class _OrganisationForm(Form):
    id: Slug
    name: Text
    ovo: Annotated[str, Field(strict=True, pattern=r"^OVO[0-9]{6}$")] | None = None
    kbo: Annotated[str, Field(strict=True, pattern=r"^[01][0-9]{9}$")] | None = None

    def organisation(self) -> Organisation:
        return Organisation(self.id, self.name, self.ovo, self.kbo)


class _MemberForm(_OrganisationForm):
    roles: Annotated[tuple[Role, ...], Field(min_length=1)]
    products: tuple[ProductId, ...] = ()


class _MembersForm(Form):
    organisations: tuple[_MemberForm, ...]


def members(text: str) -> tuple[Member, ...]:
    """Members in document order; raises `Invalid` naming the place."""
    listed = read(_MembersForm, load(text)).organisations
    if len({item.id for item in listed}) != len(listed):
        raise Invalid("organisations: an id is listed twice")
    for item in listed:
        if item.products and "source-owner" not in item.roles:
            raise Invalid("organisations: only a source-owner offers products")
    return tuple(Member(item.organisation(), item.roles, item.products) for item in listed)


def organisation(document: Document) -> Organisation:
    """One body, `{id, name, ovo, kbo}`; the last two may be absent. Raises `Invalid` naming the place."""
    return read(_OrganisationForm, document).organisation()


def organisation_document(value: Organisation) -> dict[str, str | None]:
    """JSON object of a body; `organisation` gives an equal value back."""
    return {"id": value.id, "name": value.name, "ovo": value.ovo, "kbo": value.kbo}
