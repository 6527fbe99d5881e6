"""A list of JSON (or of another body) over HTTP, in pages, through a mapping file: every item once, or only what changed since."""

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any

import httpx

from adapters import web
from adapters.mapping import MODIFIED, ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.rest_cursor import Cursor, Diverged, Trail, change_of, earlier_by, etag_of, later
from adapters.rest_form import WebForm
from adapters.rest_pages import Body, JsonBody, Page, Pages
from adapters.sdk import Broken, Item, SnapshotBegins, SnapshotEnds
from adapters.sources import whole_seconds
from adapters.web_auth import Secret, private
from broker.errors import Invalid, Retriable

_SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})
_TELLING = ("key", "token", "secret", "password")


@dataclass(frozen=True, slots=True)
class RestPoll:
    """Items of the list at `url`, each as the mapping says.

    A reading that breaks off goes on behind the last item that was published, as long as what comes before it is the
    same; otherwise it begins again and the runner recognises what it knows. Where pages are links, those before that
    item are asked for again: a link is not kept. With `since`, the next reading asks for what changed after the
    greatest change seen. In a snapshot the list is the whole population.
    """

    mapping: ProductMapping
    form: WebForm
    url: str
    body: Body
    random: Callable[[int], bytes] = secrets.token_bytes
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    @property
    def name(self) -> str:
        """As the mapping calls it."""
        return self.mapping.adapter

    @property
    def sources(self) -> Mapping[str, str]:
        """The mapping's product and its owner."""
        return {self.mapping.product: self.mapping.organisation}

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Items that are new since `cursor`.

        Raises `Retriable` where the server cannot answer now, or a snapshot changed while it was read, and `Invalid`
        where it refuses. A page that cannot be read is `Broken`, ends the reading, and is asked for again by the next.
        """
        at = Cursor.of(cursor, sha256(f"{self.mapping.fingerprint} {self.url}".encode()).hexdigest()[:8], self.random)
        reading = self._snapshot if self.mapping.snapshot else self._items
        async with httpx.AsyncClient() as client, aclosing(reading(client, at)) as items:
            async for item_and_cursor in items:
                yield item_and_cursor

    async def rows(self) -> AsyncIterator[Any]:
        """Items of all pages, for whoever wants to see what the mapping makes of them."""
        pages = self._pages()
        async with httpx.AsyncClient() as client, aclosing(pages.read(client, self._since(""), 0, {})) as found:
            async for page in found:
                for row in page.items:
                    yield row

    def findings(self) -> list[Finding]:
        """None: an item of JSON may lack what others have. Raises `Invalid` where a secret is not there."""
        stated = [value for value in self.form.headers.values() if isinstance(value, Secret)]
        for secret in (*stated, *([self.form.oauth2.secret] if self.form.oauth2 is not None else ())):
            secret.read(self.mapping.file.parent)
        return []

    def _pages(self) -> Pages:
        return Pages(self.form, self.url, self.mapping.file.parent, self.body)

    def _since(self, since: str) -> str:
        form = self.form.since
        if form is None:
            return ""
        return earlier_by(since, form.overlap_s) if since else str(form.start or "")

    async def _items(self, client: httpx.AsyncClient, at: Cursor) -> AsyncGenerator[tuple[Item, str], None]:
        """Items behind the place where the last run stopped, or all if what comes before it is different now."""
        try:
            async for item_and_cursor in self._onward(client, at):
                yield item_and_cursor
        except Diverged:
            async for item_and_cursor in self._onward(client, at.begun()):
                yield item_and_cursor

    async def _onward(self, client: httpx.AsyncClient, at: Cursor) -> AsyncGenerator[tuple[Item, str], None]:
        """The same; raises `Diverged` before the first item."""
        pages = self._pages()
        first = at.page if pages.numbered else 0
        trail, most, behind = Trail(at.salt, first, at.items, at.seen), at.most, at.text()
        held: Item | None = None
        page: Page | None = None
        async with aclosing(pages.read(client, self._since(at.since), first, self._validators(at))) as found:
            async for page in found:
                if pages.numbered and page.number != trail.page:
                    trail = trail.turned(page.number)
                for number, row in enumerate(page.items):
                    if not trail.add(row):
                        continue
                    if held is not None:
                        yield held, behind
                    held = self.mapping.item(self._stamped(row, page), f"{page.number}#{number}")
                    most = self._later(row, most)
                    behind = at.at(trail, most).text()
        if page is None:
            return
        if page.broken:
            if held is not None:
                yield held, behind
            yield self._unread(page), behind
            return
        trail.end()
        if held is not None:
            yield held, at.at(trail, most).over(*self._kept(page)).text()

    async def _snapshot(self, client: httpx.AsyncClient, at: Cursor) -> AsyncGenerator[tuple[Item, str], None]:
        """The whole list as one snapshot; every item but the last stands before it."""
        start, count, whole, begun = at.begun().text(), 0, True, False
        page: Page | None = None
        async with aclosing(self._pages().read(client, "", 0, self._validators(at))) as found:
            async for page in found:
                if not begun:
                    yield SnapshotBegins(self.mapping.product), start
                    begun = True
                if page.broken:
                    whole = False
                    yield self._unread(page), start
                for number, row in enumerate(page.items):
                    stamped = self._stamped(row, page)
                    whole = whole and self.mapping.identifies(stamped)
                    yield self.mapping.item(stamped, f"{page.number}#{number}"), start
                count += len(page.items)
                if page.last and not page.broken and page.total not in (None, count, str(count)):
                    raise Retriable("the source has another number of items than it says: it changed while it was read")
        if page is None:
            return
        if whole:
            yield SnapshotEnds(self.mapping.product, self.mapping.shrink), at.begun().over(*self._kept(page)).text()
        else:
            yield Broken("#end", "SNAPSHOT_INCOMPLETE", "", self.mapping.product), start

    def _kept(self, last: Page) -> tuple[str, str]:
        """ETag and Last-Modified of a list that was whole in one answer."""
        if last.number or self.form.since is not None:
            return "", ""
        return etag_of(last.headers.get("etag")), _dated(last.headers)

    def _validators(self, at: Cursor) -> dict[str, str]:
        stated = {"if-none-match": at.etag, "if-modified-since": at.modified}
        return {name: value for name, value in stated.items() if value}

    def _later(self, row: Any, most: str) -> str:
        if self.form.since is None:
            return ""
        return later(most, change_of(self.body.one(self.form.since.at)(row), self.now()))

    def _unread(self, page: Page) -> Broken:
        return Broken(f"page {page.number}", page.broken, "", self.mapping.product)

    def _stamped(self, row: Any, page: Page) -> Any:
        """The row with the time of its page, which snapshots may take as the time of what is stated."""
        return {**row, MODIFIED: whole_seconds(web.modified(page.headers))} if isinstance(row, dict) else row


def build(made: ProductMapping, form: WebForm, given: str | None, body: Body | None = None) -> RestPoll:
    """The adapter for the mapping's address, or another one; raises `MappingRefused` and `Invalid`. `body`: not JSON."""
    url = given if given is not None else form.url
    if url is None:
        raise Invalid("name the address: --source URL, or `url:` below `source:` in the mapping")
    if web.origin(url) is None:
        raise Invalid("the address is http:// or https://, a host and a path, without a name or password in it")
    if findings := [
        Finding(made.text.line(("source", *place)), ".".join(("source", *place)), told)
        for place, told in _wrong(made, form, url)
    ]:
        raise MappingRefused(str(made.file), tuple(findings))
    return RestPoll(made, form, url, body or JsonBody(form.items))


def _wrong(made: ProductMapping, form: WebForm, url: str) -> Iterator[tuple[tuple[str, ...], str]]:
    if made.snapshot and form.since is not None:
        yield ("since",), "a snapshot is the whole list, `since` a part of it: drop one of the two"
    for other in form.also:
        if web.origin(other) is None:
            yield ("also",), "is a list of origins, as https://data.example.be"
    for name, value in form.headers.items():
        telling = name.lower() in _SECRET_HEADERS or any(part in name.lower() for part in _TELLING)
        if telling and not isinstance(value, Secret):
            yield ("headers", name), "is a secret: write {env: NAME} or {file: path}, and put it there"
    hidden = form.oauth2 is not None or any(isinstance(value, Secret) for value in form.headers.values())
    if hidden and not private(url):
        yield ("url",), "a credential goes over https only"
    if form.oauth2 is not None and not private(form.oauth2.token_url):
        yield ("oauth2", "token_url"), "a credential goes over https only"


def _dated(headers: httpx.Headers) -> str:
    """The Last-Modified header, if it is an instant."""
    stated = headers.get("last-modified", "")
    try:
        return stated if parsedate_to_datetime(stated) and stated.isascii() else ""
    except ValueError:
        return ""
