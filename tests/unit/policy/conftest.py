"""A small schema that fits the policy room's protocols, and its encoding of scalars, for tests without real schemas."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest

from broker.errors import Invalid
from broker.model.agreement import FieldClass
from broker.model.receipt import zigzag

SYMBOLS = ("man", "vrouw", "x")


@dataclass(frozen=True, slots=True)
class FakeField:
    type: str = "string"
    field_class: FieldClass = FieldClass.IDENTIFYING
    reveals: str | None = None
    subject: str | None = None
    repeated: bool = False
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class FakeSchema:
    """Leaves of an invented `persoon.v1`."""

    product: str
    fields: Mapping[str, FakeField]
    principal: str

    def encode(self, path: str, text: str | None) -> bytes:
        """Avro bytes of one scalar; None is null, or the empty span below a null parent where it is not nullable."""
        field = self.fields[path]
        if text is None:
            return b"\x00" if field.nullable else b""
        if field.type == "enum":
            if text not in SYMBOLS:
                raise Invalid(path)
            body = zigzag(SYMBOLS.index(text))
        else:
            raw = text.encode()
            body = zigzag(len(raw)) + raw
        return b"\x02" + body if field.nullable else body


FAKE = FakeSchema(
    "persoon.v1",
    {
        "insz": FakeField(field_class=FieldClass.NATIONAL_NUMBER, subject="principal"),
        "partner.insz": FakeField(
            field_class=FieldClass.NATIONAL_NUMBER, subject="mentioned", reveals="special", nullable=True
        ),
        "naam.achternaam": FakeField(),
        "naam.voornamen": FakeField(repeated=True),
        "geslacht": FakeField("enum"),
        "geboorte.datum": FakeField(nullable=True),
        "nationaliteiten.code": FakeField(reveals="special", repeated=True),
        "registers.soort": FakeField(reveals="special"),
        "gezin.omvang": FakeField("int", FieldClass.FAMILY),
        "uitkering.soort": FakeField(field_class=FieldClass.SOCIAL),
        "veroordeling.soort": FakeField(field_class=FieldClass.CRIMINAL),
        "zorg.soort": FakeField(field_class=FieldClass.SPECIAL),
        "adres.straat": FakeField(field_class=FieldClass.CONTACT),
        "adres.gemeente.nis": FakeField(field_class=FieldClass.CONTACT),
        "adres.postcode": FakeField(field_class=FieldClass.CONTACT, nullable=True),
        "recordedAt": FakeField(field_class=FieldClass.PUBLIC),
    },
    "insz",
)


@pytest.fixture(scope="session")
def schema() -> FakeSchema:
    return FAKE


@pytest.fixture(scope="session")
def encode() -> Callable[[str, str | None], bytes]:
    return FAKE.encode
