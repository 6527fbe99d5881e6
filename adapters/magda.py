"""MAGDA answers as records of persons, households, diplomas, files, measures, enterprises, places of business, parcels.

The source is a folder of answers (read recursively, in the order of the paths), one file, or a feed over HTTP whose
documents hold any number of answers and name the next document in a `Link: rel="next"` header.

Proofs, files and rights are one change per person of an answer, with all that the answer states of that person.
Two answers about the same person are two changes: each is the complete state as MAGDA gave it, and the later path
wins. Their source ids differ, so a second reading finds both unchanged and publishes neither.
"""

import re
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element

import httpx

from adapters import magda_xml as xml
from adapters.magda_bewijs import bewijzen
from adapters.magda_dossier import dossiers
from adapters.magda_gezin import gezin
from adapters.magda_onderneming import onderneming
from adapters.magda_perceel import perceel, superseded
from adapters.magda_persoon import persoon
from adapters.magda_services import LEFT_OUT, refusal
from adapters.magda_steunmaatregel import steunmaatregelen
from adapters.magda_vestiging import vestiging
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, documents, fetch, from_cursor, is_feed, local_path
from broker.errors import PoisonRecord

PERSON, ORGANISATION, SITE = "persoon.v1", "organisatie.v1", "vestiging.v1"
HOUSEHOLD, DIPLOMA, CASE, MEASURE, PARCEL = "gezin.v1", "diploma.v1", "dossier.v1", "steunmaatregel.v1", "perceel.v1"
_SOURCES = MappingProxyType(
    {
        PERSON: "rijksregister",
        ORGANISATION: "kbo",
        SITE: "kbo",
        HOUSEHOLD: "rijksregister",
        DIPLOMA: "ahovoks",
        CASE: "digitaal-vlaanderen",
        MEASURE: "wse",
        PARCEL: "patrimoniumdocumentatie",
    }
)
_SUFFIXES = frozenset({".xml"})
_SERVICE, _VERSION = re.compile(r"[A-Za-z]{1,80}", re.ASCII), re.compile(r"[0-9]{2}\.[0-9]{2}\.[0-9]{4}", re.ASCII)

Head = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Part:
    """One product of an answer: where its elements are, what each of them states, and why there may be nothing.

    `absent`: no element is there (empty: that is nothing to tell); `nobody`: one states nothing for this product.
    """

    product: str
    path: str
    read: Callable[[Element, Element, Head], list[dict[str, Any]]]
    absent: str = ""
    nobody: str = ""
    superseded: Callable[[Sequence[Element]], Collection[int]] = lambda _elements: ()
    """Places of elements that state what a later one of the same subject replaces: a record is what is."""


@dataclass(frozen=True, slots=True)
class _PerPerson:
    """One product of an answer whose elements, at `path`, are together the state of each person whom they are about."""

    product: str
    path: str
    read: Callable[[Sequence[Element], Head], Sequence[dict[str, Any] | PoisonRecord]]
    absent: str
    nobody: str = ""


def _enterprise(_answer: Element, element: Element, head: Head) -> list[dict[str, Any]]:
    return [onderneming(element, head)]


def _person(answer: Element, element: Element, head: Head) -> list[dict[str, Any]]:
    value = persoon(answer, element, head)
    return [value if value["vervangenDoor"] is None else {**value, "kind": "replaced"}]


_PERSONS = _Part(PERSON, "Inhoud/Persoon", _person, "NO_PERSON")
_ENTERPRISES = _Part(ORGANISATION, "Inhoud/Onderneming", _enterprise, "NO_ENTERPRISE")
_SITES = _Part(SITE, "Inhoud/Onderneming/Vestigingen/Vestiging", vestiging)
_HOUSEHOLDS = _Part(HOUSEHOLD, "Inhoud/Gezinsleden", gezin, "NO_HOUSEHOLD", "NO_HOUSEHOLD")
_DIPLOMAS = _PerPerson(DIPLOMA, "Inhoud/Bewijzen/Bewijs", bewijzen, "NO_DIPLOMA")
_CASES = _PerPerson(
    CASE, "Inhoud/Dossiers/Dossier/DossierMutaties/DossierMutatie", dossiers, "NO_CASE", "SUBJECT_NOT_A_PERSON"
)
_MEASURES = _PerPerson(
    MEASURE, "Inhoud/StatusRechtOndersteuningen/StatusRechtOndersteuning", steunmaatregelen, "NO_MEASURE"
)
_PARCELS = _Part(
    PARCEL,
    "Inhoud/Eigendom/Eigendomstoestanden/Eigendomstoestand/Perceel",
    perceel,
    "NO_PARCEL",
    "PART_OF_A_PARCEL",
    superseded,
)
_MAPPED: Mapping[tuple[str, str], tuple[_Part | _PerPerson, ...]] = MappingProxyType(
    {
        ("GeefPersoon", "02.02.0000"): (_PERSONS,),
        ("GeefGezinssamenstelling", "02.00.0000"): (_HOUSEHOLDS,),
        ("GeefGezinssamenstelling", "02.02.0000"): (_HOUSEHOLDS,),
        ("GeefOnderneming", "02.00.0000"): (_ENTERPRISES, _SITES),
        ("GeefOndernemingVKBO", "02.00.0000"): (_ENTERPRISES, _SITES),
        ("GeefBewijs", "02.00.0000"): (_DIPLOMAS,),
        ("GeefDossier", "02.00.0000"): (_CASES,),
        ("GeefDossiers", "02.00.0000"): (_CASES,),
        ("GeefStatusRechtOndersteuningen", "02.00.0000"): (_MEASURES,),
        ("ZoekEigendomstoestanden", "02.00.0000"): (_PARCELS,),
    }
)
"""Service and version → what its answers are published as."""


@dataclass(frozen=True, slots=True)
class MagdaAdapter:
    """Reads the answers at `source`."""

    source: str
    name: str = "magda"
    sources: Mapping[str, str] = field(default_factory=lambda: _SOURCES)

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """One item per answer, or per document that holds none. The cursor of a feed is the address to read next."""
        if not is_feed(self.source):
            found = [item async for page in documents(local_path(self.source), _SUFFIXES) for item in items_of(page)]
            async for item, after in from_cursor(found, cursor):
                yield item, after
            return
        url: str | None = cursor or self.source
        async with httpx.AsyncClient(follow_redirects=False) as client:
            while url:
                page = await fetch(client, url)
                found, url = items_of(page), page.next_url
                for index, item in enumerate(found, 1):
                    last = index == len(found) and url
                    yield item, (url or page.name) if last else page.name


def build(source: str) -> MagdaAdapter:
    """The adapter for a folder, a file or a feed."""
    return MagdaAdapter(source)


def items_of(document: Document) -> list[Item]:
    """What one document holds: an item per answer, and one for a document that cannot be read or holds no answer."""
    if document.body is None:
        return [Broken(document.name, "DOCUMENT_TOO_LARGE")]
    try:
        root = xml.parse(document.body)
    except PoisonRecord as error:
        return [Broken(document.name, error.reason)]
    items = [
        item
        for place, reply in enumerate(reply for reply in root.iter("Repliek"))
        for item in _answers(f"{document.name}#{place}", reply)
    ]
    return items or [Ignored(document.name, "NOT_AN_ANSWER")]


def _answers(place: str, reply: Element) -> list[Item]:
    name, version = (xml.text(reply, f"Context/{word}") or "" for word in ("Naam", "Versie"))
    name = name.removeprefix("Persoon.")  # one client's recordings name the domain too
    parts = _MAPPED.get((name, version))
    answers = reply.findall("Antwoorden/Antwoord")
    if parts is None:
        left_out = LEFT_OUT.get(name)
        if left_out is None:
            named = _SERVICE.fullmatch(name) and _VERSION.fullmatch(version)
            return [Ignored(place, "SERVICE_NOT_MAPPED") if named else Broken(place, "SERVICE_INVALID")]
        silent = all(answer.find("Inhoud/*") is None for answer in answers)
        refused = refusal(answers[0] if answers else reply) if silent else None
        return [Ignored(place, refused or left_out)]
    if not answers:
        return [Ignored(place, refusal(reply) or parts[0].absent)]
    return [
        item
        for index, answer in enumerate(answers)
        for part in parts
        for item in _items(f"{place}.{index}", part, reply, answer)
    ]


def _items(place: str, part: _Part | _PerPerson, reply: Element, answer: Element) -> list[Item]:
    """What one answer holds of one product: a change per element and subject, or why there is none."""
    elements = answer.findall(part.path)
    if not elements:
        return [Ignored(place, refusal(answer) or part.absent)] if part.absent else []
    if isinstance(part, _PerPerson):
        return _per_person(f"{place}.{part.product}", part, reply, elements)
    earlier = part.superseded(elements)
    items: list[Item] = []
    for number, element in enumerate(elements):
        if number in earlier:
            items.append(Ignored(f"{place}.{part.product}.{number}", "VERSION_SUPERSEDED"))
        else:
            items += _stated(place, part, number, reply, element, answer)
    return items


def _per_person(place: str, part: _PerPerson, reply: Element, elements: Sequence[Element]) -> list[Item]:
    try:
        found = part.read(elements, _head(reply))
    except PoisonRecord as error:
        return [Broken(place, error.reason, error.path, part.product)]
    return [
        Broken(f"{place}.{index}", each.reason, each.path, part.product)
        if isinstance(each, PoisonRecord)
        else Change(f"{place}.{index}", part.product, each)
        for index, each in enumerate(found)
    ] or [Ignored(place, part.nobody)]


def _stated(place: str, part: _Part, number: int, reply: Element, element: Element, answer: Element) -> list[Item]:
    # An answer about one person or enterprise is that one; of what there are several, the place tells which.
    own = part in (_PERSONS, _ENTERPRISES)
    source_id = place if own else f"{place}.{part.product}.{number}"
    try:
        values = part.read(answer, element, _head(reply))
    except PoisonRecord as error:
        return [Broken(source_id, error.reason, error.path, part.product)]
    if not values:
        return [Ignored(source_id, part.nobody)]
    several = len(values) > 1 or part is _HOUSEHOLDS
    return [
        Change(f"{source_id}.{index}" if several else source_id, part.product, value)
        for index, value in enumerate(values)
    ]


def _head(reply: Element) -> Head:
    """First five fields: an answer states a situation, at the instant it was given."""
    return {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": xml.instant(reply, "Context/Bericht/Tijdstip"),
        "corrects": None,
    }
