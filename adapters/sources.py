"""What the adapters share: folders and feeds as documents, cursors over a snapshot, instants as records write them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import httpx

from adapters import web
from adapters.sdk import Item
from broker.errors import Invalid

MAX_DOCUMENT = web.MAX_DOCUMENT
"""Bytes of one document that are read at all."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file or one answer: where it came from (a relative path or a URL), its media type, its bytes, what follows.

    `body` is None where it is larger than `MAX_DOCUMENT`; `modified` is when the file was written or the answer
    changed (or, failing that, was given).
    """

    name: str
    media_type: str
    body: bytes | None
    modified: datetime
    next_url: str | None = None


def is_feed(source: str) -> bool:
    """Whether `source` is read over HTTP."""
    return urlsplit(source).scheme in {"http", "https"}


def local_path(source: str) -> Path:
    """The folder or file that `source` (a path or a file URL) names; raises `Invalid` where there is none."""
    parts = urlsplit(source)
    path = Path(url2pathname(parts.path)) if parts.scheme == "file" else Path(source)
    if not path.exists():
        raise Invalid("the source is no folder, file or URL that can be read")
    return path


async def documents(path: Path, suffixes: frozenset[str]) -> AsyncIterator[Document]:
    """Files below `path` with one of `suffixes`, in the order of their relative paths; a single file is itself."""
    for name, file in await asyncio.to_thread(_listing, path, suffixes):
        yield await asyncio.to_thread(_read, file, name)


def _listing(path: Path, suffixes: frozenset[str]) -> list[tuple[str, Path]]:
    if path.is_file():
        return [(path.name, path)]
    found = (file for file in path.rglob("*") if file.suffix in suffixes and file.is_file() and not file.is_symlink())
    return [(file.relative_to(path).as_posix(), file) for file in sorted(found, key=lambda file: file.parts)]


def _read(file: Path, name: str) -> Document:
    facts = file.stat()
    body = file.read_bytes() if facts.st_size <= MAX_DOCUMENT else None
    return Document(name, "", body, datetime.fromtimestamp(facts.st_mtime, UTC))


async def fetch(client: httpx.AsyncClient, url: str) -> Document:
    """The document at `url`, and the address in its `Link: rel="next"` header (RFC 8288) if that is of the same origin.

    Redirects are followed within that origin. Raises `Retriable` where the server cannot answer now, `Invalid` where
    it refuses.
    """
    answer = await web.get(client, url)
    following = web.same_origin(answer.url, answer.next_link)
    return Document(answer.url, answer.media_type, answer.body, web.modified(answer.headers), following)


async def from_cursor(items: Sequence[Item], cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
    """Items of a snapshot after `cursor`, each with its own cursor; the last one's is empty: the next run starts over.

    A cursor is `position/total`. Where the total differs the snapshot is another one, and is read from its start:
    the runner recognises what it published before. (A file's name would be a cursor that holds personal data.)
    """
    total = len(items)
    position, _, expected = (cursor or "").partition("/")
    start = int(position) if expected == str(total) and position.isdecimal() else 0
    for index in range(start, total):
        yield items[index], f"{index + 1}/{total}" if index + 1 < total else ""


def whole_seconds(instant: datetime) -> str:
    """RFC 3339 in UTC, whole seconds (a fraction is dropped); a naive instant is UTC."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
