"""Generated product schemas and their records, and one schema that reads like a real one."""

import json
import random
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings

from broker.errors import SchemaRefused
from broker.model.agreement import FieldClass
from broker.model.decision import RECORD_KINDS
from broker.schema.avro import Schema, load_schema

settings.register_profile("thorough", max_examples=2_000, deadline=None)

KINDS = [kind.value for kind in RECORD_KINDS]
PRIMITIVES = ("boolean", "int", "long", "float", "double", "string", "string", "string", "bytes")
TEXTS = (
    "",
    "a",
    "Gent",
    "9000",
    "44021",
    "2008-05-17",
    "2008-00-00",
    "Ðoe é",
    "\U0001d504",
    "x" * 63,
    "x" * 64,
    "é" * 70,
    "\x00",
)
INTEGERS = (0, -1, 1, 63, 64, -64, -65, 8191, 8192, 2**31 - 1, -(2**31))
LONGS = (*INTEGERS, 2**31, 2**62, 2**63 - 1, -(2**63))
DOUBLES = (0.0, -0.0, 1.5, -2.25, 1e300, 5e-324, 1.7976931348623157e308)
FLOATS = (0.0, -0.0, 1.5, 3.4028234663852886e38, 1e-45)

Json = dict[str, Any]


def field(name: str, type_: Any, field_class: str | None = "public", **more: str) -> Json:
    stated = {"iri": f"https://data.example/ns#{name}", "doc": f"The {name}.", **more}
    return {"name": name, "type": type_, **stated, **({"class": field_class} if field_class else {})}


def head() -> list[Json]:
    text = ["null", "string"]
    kind = {"type": "enum", "name": "RecordKind", "symbols": KINDS}
    return [
        field("kind", kind),
        field("validFrom", text),
        field("validTo", text),
        field("recordedAt", "string"),
        field("corrects", text),
    ]


def product(members: list[Json], namespace: str = "be.vlaanderen.voorbeeld.v1") -> Json:
    stated = {"product": "voorbeeld.v1", "iri": "https://data.example/ns#Thing", "doc": "A thing."}
    return {"type": "record", "name": "Thing", "namespace": namespace, **stated, "fields": [*head(), *members]}


class Dice:
    """Draws schemas, and records of them, from one seed; `size` bounds the fields of each record type."""

    def __init__(self, seed: int, size: int) -> None:
        self.random = random.Random(seed)
        self.size = size
        self.numbers = iter(range(1_000_000))
        self.reusable: list[str] = []
        self.records: list[str] = []

    def schema(self) -> Schema:
        members = self.members(self.size, 1)
        principal = field("insz", "string", "national-number", subject="principal")
        members.insert(self.random.randrange(len(members) + 1), principal)
        try:
            return load_schema(json.dumps(product(members)))
        except SchemaRefused as refused:
            if refused.rule not in {"TOO_DEEP", "TOO_MANY_FIELDS"}:
                raise
            # References to records multiplied beyond what the lint allows.
            return Dice(self.random.getrandbits(64), max(1, self.size // 2)).schema()

    def members(self, size: int, depth: int) -> list[Json]:
        classes = [member.value for member in FieldClass if member is not FieldClass.NATIONAL_NUMBER]
        count = self.random.randint(1, size)
        found = [field(self.name("f"), self.type(depth), self.random.choice(classes)) for _ in range(count)]
        if depth > 1 and self.random.random() < 0.1:
            found.append(field(self.name("f"), "string", "national-number", subject="mentioned"))
        return found

    def type(self, depth: int, *, nullable: bool = True, array: bool = True) -> Any:  # noqa: PLR0911 - one per type
        roll = self.random.random()
        if nullable and roll < 0.3:
            return ["null", self.type(depth, nullable=False, array=array)]
        if array and roll < 0.45:
            return {"type": "array", "items": self.type(depth + 1, array=False)}
        if depth < 4 and roll < (0.65 if array else 0.85):
            if self.records and self.random.random() < 0.2:
                return self.random.choice(self.records)
            name = self.name("R")
            fields = self.members(max(1, self.size // 2), depth + 1)
            self.records.append(name)
            return {"type": "record", "name": name, "fields": fields}
        if roll < 0.89:
            return self.named(
                "E", {"type": "enum", "symbols": [f"S{i}" for i in range(self.random.choice((1, 2, 9, 70)))]}
            )
        if roll < 0.92:
            return self.named("F", {"type": "fixed", "size": self.random.choice((1, 4, 16))})
        if roll < 0.95:
            return self.random.choice(
                ({"type": "int", "logicalType": "date"}, {"type": "long", "logicalType": "timestamp-millis"})
            )
        return self.random.choice(PRIMITIVES)

    def named(self, letter: str, type_: Json) -> Any:
        if self.reusable and self.random.random() < 0.3:
            return self.random.choice(self.reusable)
        name = self.name(letter)
        self.reusable.append(name)
        return {**type_, "name": name}

    def name(self, letter: str) -> str:
        return f"{letter}{next(self.numbers)}"

    def record(self, type_: Any, named: Json | None = None) -> Any:  # noqa: PLR0911 - one per type
        """A value of an Avro type in JSON; `named` collects the named types met so far."""
        named = {} if named is None else named
        if isinstance(type_, list):
            absent = self.random.random() < 0.35
            value = self.record(type_[1], named)  # drawn in any case: it may define a type
            return None if absent else value
        if isinstance(type_, str):
            return self.record(named[type_], named) if type_ in named else self.scalar(type_)
        match type_["type"]:
            case "record":
                named[type_["name"]] = type_
                return {member["name"]: self.record(member["type"], named) for member in type_["fields"]}
            case "array":
                items = [self.record(type_["items"], named) for _ in range(self.random.choice((1, 2, 2, 3, 70)))]
                return items if self.random.random() < 0.8 else []
            case "enum":
                named[type_["name"]] = type_
                return self.random.choice(type_["symbols"])
            case "fixed":
                named[type_["name"]] = type_
                return self.random.randbytes(type_["size"])
            case _ if type_.get("logicalType") == "date":
                return self.random.choice((-719_162, -1, 0, 63, 64, 20_000, 2_932_896))
            case _ if "logicalType" in type_:
                return self.random.choice((-62_135_596_800_000, -1, 0, 64, 1_700_000_000_123, 253_402_300_799_999))
            case name:
                return self.scalar(name)

    def scalar(self, name: str) -> Any:  # noqa: PLR0911 - one per type
        match name:
            case "boolean":
                return self.random.random() < 0.5
            case "int":
                return self.random.choice(INTEGERS)
            case "long":
                return self.random.choice(LONGS)
            case "double":
                return self.random.choice(DOUBLES)
            case "float":
                return struct.unpack("<f", struct.pack("<f", self.random.choice(FLOATS)))[0]
            case "bytes":
                return self.random.randbytes(self.random.choice((0, 1, 63, 64, 200)))
            case _:
                return self.random.choice(TEXTS)


@pytest.fixture(scope="session")
def dice() -> type[Dice]:
    return Dice


@pytest.fixture(scope="session")
def as_product() -> Callable[..., Json]:
    """A product document around further members; it has no principal of its own."""
    return product


@pytest.fixture(scope="session")
def member() -> Callable[..., Json]:
    """One stated field: `member(name, type, class, **properties)`; class None for a record or an array of records."""
    return field


@pytest.fixture(scope="session")
def person() -> Json:
    text = ["null", "string"]
    nationality = [
        field("code", "string", "identifying", reveals="special"),
        field("omschrijving", text, "identifying"),
    ]
    birth = [field("datum", text, "identifying"), field("plaats", text, "identifying")]
    address = [field("straatnaam", "string", "contact"), field("nis", "string", "contact")]
    names = [field("achternaam", "string", "identifying")]
    names.append(field("voornamen", {"type": "array", "items": "string"}, "identifying"))
    partner = [field("insz", "string", "family", subject="mentioned")]
    return product(
        [
            field("insz", "string", "national-number", subject="principal"),
            field("naam", {"type": "record", "name": "Naam", "fields": names}, None),
            field("geboorte", ["null", {"type": "record", "name": "Geboorte", "fields": birth}], None),
            field(
                "nationaliteiten",
                {"type": "array", "items": {"type": "record", "name": "N", "fields": nationality}},
                None,
            ),
            field("verblijfplaats", ["null", {"type": "record", "name": "Adres", "fields": address}], None),
            field("partner", ["null", {"type": "record", "name": "Partner", "fields": partner}], None),
            field("overleden", "boolean", "identifying"),
            field("volgnummer", "int", "public"),
            field("sinds", {"type": "int", "logicalType": "date"}, "public"),
        ]
    )


@pytest.fixture(scope="session")
def person_schema(person: Json) -> Schema:
    return load_schema(json.dumps(person))


@pytest.fixture(scope="session")
def someone() -> Json:
    """A synthetic person (test number: month + 60)."""
    return {
        "kind": "snapshot",
        "validFrom": "2019-03-00",
        "validTo": None,
        "recordedAt": "2026-11-24T08:00:00Z",
        "corrects": None,
        "insz": "08651712329",
        "naam": {"achternaam": "Peeters", "voornamen": ["Anaïs", "Jo"]},
        "geboorte": {"datum": "2008-05-17", "plaats": None},
        "nationaliteiten": [{"code": "150", "omschrijving": "Belg"}, {"code": "111", "omschrijving": None}],
        "verblijfplaats": {"straatnaam": "Verzonnen Lindelaan", "nis": "44021"},
        "partner": None,
        "overleden": False,
        "volgnummer": 7,
        "sinds": 20_000,
    }
