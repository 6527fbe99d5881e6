"""What an IRI in somebody's linked data is among our terms: both generations of OSLO, and what registers really write.

Our terms are those of the schemas; `schemas/aliases.yaml` says what others call them. An IRI that neither knows is
unknown, which is a value here: the caller's policy warns or refuses, and nothing is passed over in silence.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from broker.errors import Invalid, PoisonRecord
from broker.schema.avro import Schema
from broker.schema.linked_terms import concepts_of, single
from broker.schema.types import Enumeration, Record, RecordField

_PARTS = {"placeholders", "refused", "prefixes", "classes", "terms"}


class OnUnknown(StrEnum):
    """What is done about an IRI that is unknown."""

    WARN = "warn"
    REFUSE = "refuse"


class Why(StrEnum):
    """Why an IRI is no term of ours: the reason code of what is refused for it."""

    UNKNOWN = "TERM_UNKNOWN"
    UNKNOWN_CONCEPT = "CONCEPT_UNKNOWN"
    PLACEHOLDER = "TERM_PLACEHOLDER"
    AMBIGUOUS = "TERM_AMBIGUOUS"


@dataclass(frozen=True, slots=True)
class Known:
    """A term of ours. `symbol` is that of the code list, where it is a concept."""

    iri: str
    symbol: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """An IRI that is none; it is the source's text, and belongs in no log."""

    iri: str
    why: Why


Found = Known | Unknown


def admitted(found: Found, policy: OnUnknown) -> Found:
    """The same, if the policy lets it pass; raises `PoisonRecord` with the reason, without the IRI.

    A placeholder and an IRI of which nobody can know what it means are refused under every policy.
    """
    if isinstance(found, Unknown) and (policy is OnUnknown.REFUSE or found.why in {Why.PLACEHOLDER, Why.AMBIGUOUS}):
        raise PoisonRecord(found.why)
    return found


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Our terms, and what others call them; made by `vocabulary`.

    `concepts` gives the symbol of each concept, `lists` what the IRIs of code lists begin with. Aliases are keyed by IRI
    and class in which they hold, None for every class.
    """

    properties: frozenset[str]
    classes: frozenset[str]
    concepts: Mapping[str, str]
    lists: tuple[str, ...]
    property_aliases: Mapping[tuple[str, str | None], str]
    class_aliases: Mapping[tuple[str, str | None], str]
    refused: frozenset[tuple[str, str | None]]
    prefixes: tuple[tuple[str, str], ...]
    placeholders: tuple[str, ...]

    def property(self, iri: str, of: Iterable[str] = ()) -> Found:
        """The property that `iri` is in a node of the classes `of` (in our terms)."""
        return self._found(iri, self.properties, self.property_aliases, (*of, None))

    def class_(self, iri: str) -> Found:
        """The class that `iri` is."""
        return self._found(iri, self.classes, self.class_aliases, (None,))

    def is_coded(self, iri: str) -> bool:
        """Whether `iri` stands where the concepts of a code list of ours do, so that it must be one of them."""
        return self._moved(iri).startswith(self.lists) or iri.startswith(self.placeholders)

    def concept(self, iri: str) -> Found:
        """The concept that `iri` is."""
        if iri.startswith(self.placeholders):
            return Unknown(iri, Why.PLACEHOLDER)
        moved = self._moved(iri)
        symbol = self.concepts.get(moved)
        return Unknown(iri, Why.UNKNOWN_CONCEPT) if symbol is None else Known(moved, symbol)

    def _found(
        self,
        iri: str,
        known: frozenset[str],
        aliases: Mapping[tuple[str, str | None], str],
        places: tuple[str | None, ...],
    ) -> Found:
        if iri.startswith(self.placeholders):
            return Unknown(iri, Why.PLACEHOLDER)
        for text in dict.fromkeys((iri, self._moved(iri))):
            term = next((aliases[text, place] for place in places if (text, place) in aliases), None)
            if term is not None:
                return Known(term)
            if any((text, place) in self.refused for place in places):
                return Unknown(iri, Why.AMBIGUOUS)
            if text in known:
                return Known(text)
        return Unknown(iri, Why.UNKNOWN)

    def _moved(self, iri: str) -> str:
        for before, after in self.prefixes:
            if iri.startswith(before):
                return after + iri.removeprefix(before)
        return iri


def vocabulary(document: Any, schemas: Iterable[Schema]) -> Vocabulary:
    """The terms of these schemas with the aliases of a document (`schemas/aliases.yaml`, as plain data).

    Raises `Invalid` where the document is of another form, or an alias stands for no term of the schemas.
    """
    if not isinstance(document, dict) or set(document) != _PARTS:
        raise Invalid(f"aliases have the parts {', '.join(sorted(_PARTS))}")
    pairs = [pair for schema in schemas for pair in _stated(schema.root)]
    coded = {
        iri: symbol
        for _, type_ in pairs
        if isinstance(type_, Enumeration)
        for symbol, iri in concepts_of(type_).items()
    }
    properties = frozenset(str(own.attributes["iri"]) for own, _ in pairs if own)
    classes = frozenset(str(type_.attributes["iri"]) for _, type_ in pairs if isinstance(type_, Record))
    return Vocabulary(
        properties=properties,
        classes=classes,
        concepts=coded,
        lists=tuple(sorted({iri[: iri.rindex("/") + 1] for iri in coded})),
        property_aliases=_aliases(document["terms"], properties, classes),
        class_aliases=_aliases(document["classes"], classes, classes),
        refused=frozenset(
            (_text(line, "iri"), place) for line in document["refused"] for place in _places(line, classes)
        ),
        prefixes=tuple((_text(line, "from"), _text(line, "to")) for line in document["prefixes"]),
        placeholders=tuple(document["placeholders"]),
    )


def _stated(
    record: Record, own: RecordField | None = None
) -> Iterator[tuple[RecordField | None, Record | Enumeration | None]]:
    """Every field with the record or code list that it holds; the record itself first."""
    yield own, record
    for member in record.fields:
        inner = single(member.type)
        if isinstance(inner, Record):
            yield from _stated(inner, member)
        else:
            yield member, inner if isinstance(inner, Enumeration) else None


def _aliases(lines: Any, terms: frozenset[str], classes: frozenset[str]) -> Mapping[tuple[str, str | None], str]:
    found: dict[tuple[str, str | None], str] = {}
    for line in lines:
        iri, term = _text(line, "iri"), _text(line, "term")
        if term not in terms:
            raise Invalid(f"{term} is no term of a schema")
        for place in _places(line, classes):
            if (iri, place) in found:
                raise Invalid(f"{iri} stands for two terms")
            found[iri, place] = term
    return found


def _places(line: Any, classes: frozenset[str]) -> tuple[str | None, ...]:
    _text(line, "iri")
    places = line.get("of", [None])
    if wrong := [place for place in places if place is not None and place not in classes]:
        raise Invalid(f"{wrong[0]} is no class of a schema")
    return tuple(places)


def _text(line: Any, name: str) -> str:
    found = line.get(name) if isinstance(line, dict) else None
    if not isinstance(found, str) or not found:
        raise Invalid(f"a line has no `{name}`")
    return found
