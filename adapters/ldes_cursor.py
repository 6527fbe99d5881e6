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


def places(cursor: str) -> list[Place]:
    """The pages of a cursor, in the order in which they are read; raises `Invalid` for a text that is none."""
    if not cursor.startswith("["):
        return [Place(cursor)]
    try:
        return [Place(url, etag, frozenset(known)) for url, etag, known in json.loads(cursor)]
    except (TypeError, ValueError):
        raise Invalid("the cursor was written by another program: run this adapter under another name") from None


def cursor_of(pages: Iterable[Place]) -> str:
    """The cursor of these pages; empty (the start) where it would be large, or hold what it must not."""
    found = list(pages)
    if any(_telling(page.url) for page in found):
        return ""
    if len(found) == 1 and not found[0].etag and not found[0].known:
        return found[0].url
    text = json.dumps([[page.url, page.etag, sorted(page.known)] for page in found], separators=(",", ":"))
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
