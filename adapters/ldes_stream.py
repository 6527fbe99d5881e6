"""Members of a Linked Data Event Stream in the order of their versions, whatever is made of each.

The source is a folder of pages or members, one file, or the address of a page or a stream (`adapters.ldes_pages`). A
member is a version and never changes: where pages repeat it the first reading stands. A version that an earlier page
had a later one of is not published: the last word stays the last. That holds within one reading, so take a view that
is fragmented by time or into pages.
"""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b

import httpx
from rdflib import Graph, Namespace

from adapters import rdf
from adapters.ldes_cursor import Paths
from adapters.ldes_pages import Page, Walk
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import Document, documents, from_cursor, is_feed, local_path
from broker.errors import PoisonRecord

ACTIVITY = Namespace("https://www.w3.org/ns/activitystreams#")
"""Of whose class Delete a version is that says that its object is no more (LDES 1.0 §4.3)."""

_MOST_REMEMBERED = 1_000_000
_NUMBER = re.compile(r"([0-9]+)")

Name = tuple[tuple[int, int, str], ...]
Order = tuple[datetime, Name, Name]
"""When it was generated, its place in the sequence, its name in natural order."""


@dataclass(frozen=True, slots=True)
class Member:
    """What became of one member: `name` is its IRI, `version_of` what it is a version of."""

    order: Order
    name: str
    version_of: str
    item: Item


@dataclass(frozen=True, slots=True)
class Stream:
    """The members at `source`, as `members` reads them; JSON-LD contexts come from `contexts` only.

    `members` takes a page's graph, its name, and what the stream says of itself; `holds` tells whether a page has any.
    `headers` gives what goes with each request, to this origin only: no page is read from another.
    """

    source: str
    contexts: rdf.Contexts
    members: Callable[[Graph, str, Paths], list[Member]]
    holds: Callable[[Graph], bool]
    headers: Callable[[], dict[str, str]]

    async def items(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Members in the order in which they were generated, within the folder or within each page of a feed.

        The cursor of a feed is the pages to read next: one that cannot change is not read again, others are if they
        did. After a kill the page that was being read is read again, and what was published of it is recognised.
        """
        if not is_feed(self.source):
            folder = _Folder(self)
            async for document in documents(local_path(self.source), rdf.SUFFIXES):
                folder.add(document)
            async for item, after in from_cursor(folder.items(), cursor):
                yield item, after
            return
        feed = _Feed(self)
        async for page in self.pages(cursor):
            found = feed.items(page)
            for number, item in enumerate(found, 1):
                yield item, page.after if number == len(found) else page.before

    async def pages(self, cursor: str | None = None) -> AsyncIterator[Page]:
        """Pages of a feed that are new since `cursor`."""
        walk = Walk(self.source, self.contexts, natural, self.holds)
        async with (
            httpx.AsyncClient(headers=self.headers()) as client,
            aclosing(walk.pages(client, cursor)) as pages,
        ):
            async for page in pages:
                yield page


@dataclass(slots=True)
class _Folder:
    """Items of the documents of a folder, and the first reading of every member."""

    stream: Stream
    _items: list[tuple[Order, Item]] = field(default_factory=list)
    _first: dict[str, Item] = field(default_factory=dict)

    def add(self, page: Document) -> None:
        """Read one document."""
        try:
            graph = rdf.graph_of(page, self.stream.contexts)
        except PoisonRecord as error:
            self._items.append((place(None, page.name), Broken(page.name, error.reason)))
            return
        found = self.stream.members(graph, page.name, Paths())
        self._items += [(each.order, self._first.setdefault(each.name, each.item)) for each in found]
        if not found:
            reason = "NOT_A_MEMBER" if len(graph) else "EMPTY_DOCUMENT"
            self._items.append((place(None, page.name), Ignored(page.name, reason)))

    def items(self) -> list[Item]:
        """All of them, in the order in which members were generated."""
        return [item for _, item in sorted(self._items, key=lambda placed: placed[0])]


@dataclass(slots=True)
class _Feed:
    """What a reading of pages remembers: which members it saw, and of each subject the latest version."""

    stream: Stream
    _members: set[bytes] = field(default_factory=set)
    _latest: dict[bytes, tuple[datetime, Name]] = field(default_factory=dict)

    def items(self, page: Page) -> list[Item]:
        """Items of one page, in the order in which members were generated."""
        if page.graph is None:
            return [Broken(page.url, page.broken)]
        found = sorted(self.stream.members(page.graph, page.url, page.paths), key=lambda each: each.order)
        return [self._told(each) for each in found]

    def _told(self, member: Member) -> Item:
        name, order, item = _digest(member.name), member.order[:2], member.item
        source_id = item.source_id if isinstance(item, Change | Broken | Ignored) else member.name
        if name in self._members:
            return Ignored(source_id, "MEMBER_REPEATED")
        if len(self._members) >= _MOST_REMEMBERED:
            self._members.clear()
            self._latest.clear()
        self._members.add(name)
        if isinstance(item, Change):
            subject = _digest(member.version_of)
            if order < self._latest.get(subject, order):
                return Ignored(source_id, "VERSION_SUPERSEDED")
            self._latest[subject] = order
        return item


def place(generated: str | None, name: str, sequence: str = "") -> Order:
    """Sort key: what has no instant comes first; versions made at one instant are told apart by what the stream says of
    their sequence, or by the number in their name. Raises `PoisonRecord` TIME_INVALID.
    """  # noqa: D205 - one sentence
    at = datetime.min.replace(tzinfo=UTC) if generated is None else instant(generated, "recordedAt")
    return at, natural(sequence), natural(name)


def natural(name: str) -> Name:
    """Sort key by which 10 comes after 9."""
    parts = _NUMBER.split(name)
    return tuple((1, int(part), "") if index % 2 else (0, 0, part) for index, part in enumerate(parts))


def instant(text: str, path: str) -> datetime:
    """The instant, in UTC unless it says otherwise; raises `PoisonRecord` TIME_INVALID at the schema path `path`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise PoisonRecord("TIME_INVALID", path) from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _digest(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()
