"""The words of a mapping's `source:` for a raw topic: what the source's own programs wrote there."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from broker.errors import Invalid
from broker.model import topics


class RawSource(BaseModel):
    """The raw source `name` of the mapping's organisation, each message in one form."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    kind: Literal["raw"]
    name: str
    form: Literal["debezium", "json"]
    most_bytes: Annotated[int, Field(ge=1)] = 4 << 20
    most_depth: Annotated[int, Field(ge=1, le=200)] = 32

    @field_validator("name")
    @classmethod
    def _slug(cls, stated: str) -> str:
        try:
            return topics.slug(stated, "name")
        except Invalid as error:
            raise ValueError(str(error)) from None
