"""The words of a mapping's `source:` for JSON over HTTP."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from adapters.mapping_values import SELF
from adapters.web_auth import ClientCredentials, Secret

_Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class BodyLink(_Form):
    """The next page's address is in the answer, at the source path `at`."""

    by: Literal["body"]
    at: str


class HeaderLink(_Form):
    """The next page's address is in the header `Link: <…>; rel="next"` (RFC 8288)."""

    by: Literal["link"]


class Token(_Form):
    """What is in the answer at `at` goes into the query as `parameter`."""

    by: Literal["token"]
    parameter: _Name
    at: str


class PageNumber(_Form):
    """Pages are numbered from `first`; the last one has fewer than `size` items, or none where no size is stated."""

    by: Literal["page"]
    parameter: _Name
    first: int = 1
    size: Annotated[int, Field(ge=1)] | None = None
    size_parameter: _Name | None = None


class Offset(_Form):
    """Pages begin at an item's number; the last one has fewer than `size` items."""

    by: Literal["offset"]
    parameter: _Name
    size: Annotated[int, Field(ge=1)]
    size_parameter: _Name | None = None


Paging = Annotated[BodyLink | HeaderLink | Token | PageNumber | Offset, Field(discriminator="by")]


class Since(_Form):
    """Only what changed is asked for: the greatest value of `at` so far goes into the query as `parameter`.

    `overlap_s`: so many seconds earlier, for a source that commits late (instants only); what comes again is known.
    """

    parameter: _Name
    at: str
    start: str | int | None = None
    overlap_s: Annotated[int, Field(ge=0)] = 0


class WebForm(_Form):
    """How lists at an address are asked for, whatever they are made of."""

    kind: str
    url: str | None = None
    items: str = SELF
    """Where the list is in the answer."""
    paging: Paging | None = None
    total: str | None = None
    """Where the answer says how many items there are: a reading with another number is begun again."""
    since: Since | None = None
    headers: dict[str, str | Secret] = Field(default_factory=dict)
    oauth2: ClientCredentials | None = None
    also: list[str] = Field(default_factory=list)
    """Other origins that pages may lead to; no credential goes there."""
    timeout_s: Annotated[int, Field(ge=1, le=300)] = 30
    most_bytes: Annotated[int, Field(ge=1)] = 16 << 20
    most_depth: Annotated[int, Field(ge=1, le=200)] = 32
    most_pages: Annotated[int, Field(ge=1)] = 10_000


class RestSource(WebForm):
    """A list of JSON objects at an address, in one answer or in pages."""

    kind: Literal["rest"]
