"""Where a reader of a TREE stands: the pages that are still to be read, and those that can grow.

A tree that leads on through one page has the address of that page as its cursor. Addresses are the server's own names
of its pages; one that could hold a person's number or address is not kept, and then the cursor is the start.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote

from broker.errors import Invalid
from broker.model.identifiers import parse_insz

_DIGEST = 6
_MOST_TEXT = 64 * 1024
_NUMBER = re.compile(r"(?<![0-9])[0-9]{2}[ .]?[0-9]{2}[ .]?[0-9]{2}[ -]?[0-9]{3}[ .]?[0-9]{2}(?![0-9])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Place:
    """A page to be read: for the first time, or (`etag`, `known`) again for what came since.

    `known` are digests of the pages that it led to.
    """

    url: str
    etag: str = ""
    known: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Paths:
    """Properties by which a stream tells when a version was made, of what, and which of two came first; IRIs."""

    timestamp: str = "http://www.w3.org/ns/prov#generatedAtTime"
    version: str = "http://purl.org/dc/terms/isVersionOf"
    sequence: str = ""


def places(cursor: str) -> tuple[Paths, list[Place]]:
    """What the stream said of itself, and the pages in the order in which they are read; raises `Invalid`."""
    if not cursor.startswith("["):
        return Paths(), [Place(cursor)]
    try:
        paths, pages = json.loads(cursor)
        return Paths(*paths), [Place(url, etag, frozenset(known)) for url, etag, known in pages]
    except (TypeError, ValueError):
        raise Invalid("the cursor was written by another program: run this adapter under another name") from None


def cursor_of(paths: Paths, pages: Iterable[Place]) -> str:
    """The cursor of these pages; empty (the start) where it would be large, or hold what it must not."""
    found = list(pages)
    if any(_telling(page.url) for page in found):
        return ""
    if len(found) == 1 and not found[0].etag and not found[0].known and paths == Paths():
        return found[0].url
    stated = [[page.url, page.etag, sorted(page.known)] for page in found]
    text = json.dumps([[paths.timestamp, paths.version, paths.sequence], stated], separators=(",", ":"))
    return text if found and len(text) <= _MOST_TEXT else ""


def digest(url: str) -> str:
    """A short name of a page."""
    return blake2b(url.encode(), digest_size=_DIGEST).hexdigest()


def _telling(url: str) -> bool:
    """Whether the address has an e-mail address, or a national number, in its path or query."""
    text = unquote(url).partition("://")[2].partition("/")[2]
    if "@" in text:
        return True
    for match in _NUMBER.finditer(text):
        try:
            parse_insz(re.sub(r"[^0-9]", "", match[0]))
        except Invalid:
            continue
        return True
    return False
