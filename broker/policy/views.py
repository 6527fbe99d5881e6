"""What this room needs to know of a schema, as small protocols: `broker.schema.avro` fits them, and so does a test's fake."""

from collections.abc import Mapping
from typing import Protocol

from broker.model.agreement import FieldClass


class FieldView(Protocol):
    """One leaf of a schema; `repeated` = it is, or lies under, an array; `nullable` = its own type is a union with null."""

    @property
    def type(self) -> str:
        """Avro type name of the leaf without null: `string`, `int`, `enum`, …."""

    @property
    def field_class(self) -> FieldClass:
        """Sensitivity class."""

    @property
    def reveals(self) -> str | None:
        """`special` where a value implies a special category (art. 9 GDPR)."""

    @property
    def subject(self) -> str | None:
        """`principal` or `mentioned` on an identifier of a person, else None."""

    @property
    def repeated(self) -> bool:
        """Whether one record may hold several values."""

    @property
    def nullable(self) -> bool:
        """Whether the encoded value starts with a union branch byte."""


class SchemaView(Protocol):
    """A product's schema: its leaves by dotted path, and the path of the principal's identifier."""

    @property
    def product(self) -> str:
        """Versioned product, such as `persoon.v1`."""

    @property
    def fields(self) -> Mapping[str, FieldView]:
        """Leaves by path."""

    @property
    def principal(self) -> str:
        """Path of the identifier of the record's subject."""


class EncodeLiteral(Protocol):
    """Encoded Avro bytes that a record of this schema holds at `path` for `text`; raises `Invalid` if it cannot."""

    def __call__(self, path: str, text: str, /) -> bytes:
        """Encode one scalar."""
