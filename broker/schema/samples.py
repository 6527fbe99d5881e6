"""Records of a type that nobody is in: one with every field filled in, and as many random ones as a test asks for.

Identifiers have valid check digits and are of nobody (an INSZ is a test number, month + 60); texts and IRIs are made up.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from broker.model.identifiers import make_test_insz
from broker.schema.avro import Schema
from broker.schema.identifier_forms import PATTERNS, pattern_of
from broker.schema.linked_terms import OWN_NAMESPACE, TEMPORAL, Json, Property, node_type
from broker.schema.types import Array, Enumeration, Fixed, Nullable, Primitive, Record, RecordField, Type, unwrapped

DAYS = ("2024-05-17", "2024-05-00", "2024-00-00", "0000-00-00", "0000-05-17", "2024-05-17T08:30:00+02:00")
"""Dates as sources know them: whole, in part, hardly, or with a time."""

_MOST_ITEMS = 3
_TEXTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "achternaam": ("Voorbeeld", "de Proef", "Test-Ðoe"),
        "voornamen": ("Jo", "Anna Maria", "Élise"),
        "gebruikteVoornaam": ("Jo", "Anna"),
        "straatnaam": ("Voorbeeldstraat", "Rue de l'Exemple"),
        "huisnummer": ("1", "12 bis", "100"),
        "busnummer": ("2", "0103", "A"),
        "postcode": ("9000", "3000", "1000"),
        "geometrie": ("POINT(104000.5 192000.25)",),
        "telefoon": ("+32 2 555 00 00",),
        "email": ("loket@voorbeeld.example",),
        "website": ("https://voorbeeld.example/",),
        "doorverwijzing": ("https://voorbeeld.example/dossier",),
        "taal": ("nl", "fr"),
        "gemeente.naam": ("Gent", "Leuven"),
        "land.naam": ("België", "Nederland"),
        "code": ("10", "20", "AC"),
        "omschrijving": ("Omschrijving van de code", "Andere omschrijving"),
        "positie": ("01", "02", "03"),
        "positieOmschrijving": ("gezinshoofd", "echtgenoot/echtgenote"),
        "bron": ("RR", "KSZ"),
        "aktenummer": ("1", "123"),
        "corrects": ("source-id-1", "source-id-2"),
        "dossiernummer": ("2026-0001", "2026/0002"),
        "productnummer": ("12345", "685"),
        "producten": ("12345", "685"),
        "versie": ("2026-01-05T09:00:00+01:00", "2008"),
        "iso": ("BEL", "NLD"),
    }
)


class Dice(Protocol):
    """Source of chance, such as a seeded `random.Random`."""

    def randrange(self, stop: int, /) -> int:
        """A whole number from 0 up to `stop`."""


def example(schema: Schema) -> Json:
    """One record with every field filled in, always the same."""
    return _made(schema, _First())


def drawn(schema: Schema, dice: Dice) -> Json:
    """A random record: what may be absent is absent one time in three, lists hold up to three items."""
    return _made(schema, dice)


class _First:
    """No chance: the first of everything."""

    def randrange(self, stop: int, /) -> int:  # noqa: ARG002 - the protocol's
        return 0


def _made(schema: Schema, dice: Dice) -> Json:
    maker = _Maker(schema.principal, dice)
    return maker.record(schema.root, node_type(schema.text, OWN_NAMESPACE).properties, "")


@dataclass(frozen=True, slots=True)
class _Maker:
    principal: str
    dice: Dice

    def record(self, record: Record, properties: tuple[Property, ...], path: str) -> Json:
        pairs = zip(record.fields, properties, strict=True)
        return {own.name: self.value(own.type, own, each, f"{path}.{own.name}".lstrip(".")) for own, each in pairs}

    def value(self, type_: Type, own: RecordField, each: Property, path: str) -> Any:
        match type_:
            case Nullable(inner=inner):
                # The last of three, so that whoever always gets the first gets a value.
                return None if self.dice.randrange(3) == 2 else self.value(inner, own, each, path)  # noqa: PLR2004
            case Array(items=items):
                count = 1 + self.dice.randrange(_MOST_ITEMS + 1)
                return [self.value(unwrapped(items), own, each, path) for _ in range(count % (_MOST_ITEMS + 1))]
            case Record():
                return self.record(type_, each.node.properties if each.node else (), path)
            case Enumeration(symbols=symbols):
                return self.one_of(symbols)
            case _:
                return self.scalar(type_, own, each, path)

    def scalar(self, type_: Primitive | Fixed, own: RecordField, each: Property, path: str) -> Any:
        match type_.name:
            case "boolean":
                return self.dice.randrange(2) == 0
            case "int" | "long":
                return 1 + self.dice.randrange(5000)
            case "double" | "float":
                return self.dice.randrange(5000) + 0.5
            case "string":
                return self.text(own, each, path)
            case _:
                raise TypeError(type_)  # no type has bytes that could be made up

    def text(self, own: RecordField, each: Property, path: str) -> str:
        pattern = pattern_of(own.name, own.attributes)
        if pattern is not None:
            return _IDENTIFIERS[pattern](self.dice, path)
        if each.datatype == "@id":
            return f"https://data.example/id/{own.name}/{1 + self.dice.randrange(10_000)}"
        if own.name == "recordedAt":
            return f"2026-01-05T{self.dice.randrange(24):02}:00:00Z"
        if each.iri in TEMPORAL:
            return self.one_of(DAYS)
        if path == self.principal:
            return _IDENTIFIERS[PATTERNS["kbonummer"]](self.dice, path)
        placed = ".".join(path.split(".")[-2:])
        return self.one_of(
            _TEXTS.get(placed) or _TEXTS.get(own.name, (f"Voorbeeld van {own.name}", "tekst €", '"<tekst>"\\'))
        )

    def one_of(self, choices: tuple[str, ...]) -> str:
        return choices[self.dice.randrange(len(choices))]


def _insz(dice: Dice, _: str) -> str:
    year, day = 1930 + dice.randrange(90), 1 + dice.randrange(28)
    return make_test_insz(f"{year}-{1 + dice.randrange(12):02}-{day:02}", 1 + dice.randrange(997))


def _numbered(first: int) -> Callable[[Dice, str], str]:
    def made(dice: Dice, _: str) -> str:
        base = first + dice.randrange(9_000_000)
        return f"{base:08}{97 - base % 97:02}"

    return made


def _nis(dice: Dice, path: str) -> str:
    found = ("150", "111") if "land" in path.lower().split(".")[-2] else ("44021", "24062", "11002")
    return found[dice.randrange(len(found))]


_IDENTIFIERS: Mapping[str, Callable[[Dice, str], str]] = MappingProxyType(
    {
        PATTERNS["insz"]: _insz,
        PATTERNS["kbonummer"]: _numbered(1_000_000),
        PATTERNS["vestigingsnummer"]: _numbered(20_000_000),
        PATTERNS["ovocode"]: lambda dice, _: f"OVO{900_000 + dice.randrange(100_000)}",
        PATTERNS["nis"]: _nis,
        PATTERNS["capakey"]: lambda dice, _: f"44802{'ABC'[dice.randrange(3)]}{dice.randrange(10_000):04}/00A000",
    }
)
