"""MAGDA answers as records: GeefPersoon → persoon.v1, GeefOnderneming and GeefOndernemingVKBO → organisatie.v1.

The source is a folder of answers (read recursively, in the order of the paths), one file, or a feed over HTTP whose
documents hold any number of answers and name the next document in a `Link: rel="next"` header.

Two answers about the same person are two changes: each is the complete state as MAGDA gave it, and the later path
wins. Their source ids differ, so a second reading finds both unchanged and publishes neither.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from xml.etree.ElementTree import Element

import httpx

from adapters import magda_xml as xml
from adapters.magda_onderneming import onderneming
from adapters.magda_persoon import persoon
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, documents, fetch, from_cursor, is_feed, local_path
from broker.errors import PoisonRecord

PERSON, ORGANISATION = "persoon.v1", "organisatie.v1"
_SOURCES = MappingProxyType({PERSON: "rijksregister", ORGANISATION: "kbo"})
_SUFFIXES = frozenset({".xml"})
_EMPTY = {PERSON: "NO_PERSON", ORGANISATION: "NO_ENTERPRISE"}
_PRODUCTS = {
    ("GeefPersoon", "02.02.0000"): PERSON,
    ("GeefOnderneming", "02.00.0000"): ORGANISATION,
    ("GeefOndernemingVKBO", "02.00.0000"): ORGANISATION,
}


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
    product = _PRODUCTS.get((xml.text(reply, "Context/Naam") or "", xml.text(reply, "Context/Versie") or ""))
    if product is None:
        return [Ignored(place, "SERVICE_NOT_MAPPED")]
    answers = reply.findall("Antwoorden/Antwoord")
    if not answers:
        failed = reply.find("Uitzonderingen") is not None
        return [Ignored(place, "SOURCE_FAILED" if failed else _EMPTY[product])]
    return [_item(f"{place}.{index}", product, reply, answer) for index, answer in enumerate(answers)]


def _item(source_id: str, product: str, reply: Element, answer: Element) -> Item:
    subject = answer.find("Inhoud/Persoon" if product == PERSON else "Inhoud/Onderneming")
    if subject is None:
        return Ignored(source_id, _EMPTY[product])
    try:
        head = _head(reply)
        if product == ORGANISATION:
            return Change(source_id, product, onderneming(subject, head))
        value = persoon(answer, subject, head)
    except PoisonRecord as error:
        return Broken(source_id, error.reason, error.path, product)
    if value["vervangenDoor"] is not None:
        value["kind"] = "replaced"
    return Change(source_id, product, value)


def _head(reply: Element) -> Mapping[str, Any]:
    """First five fields: an answer states a situation, at the instant it was given."""
    return {
        "kind": "snapshot",
        "validFrom": None,
        "validTo": None,
        "recordedAt": xml.instant(reply, "Context/Bericht/Tijdstip"),
        "corrects": None,
    }
