"""Walks the pages of a Linked Data Event Stream over HTTP: any fragmentation, each page once while it cannot change.

Relations of every type are followed (TREE leaves it to the client what to skip, and this one skips nothing), deepest
first and in the order of time where they state one. A page that says that it is immutable (`Cache-Control`, or
`ldes:immutable`) is never read again. One that does not is asked for again in the next reading, with its ETag, if it
has no page behind it, has no members, or says how long it may be kept.
"""

from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import httpx
from rdflib import RDF, Graph, Literal, Namespace
from rdflib.term import Node, URIRef

from adapters import rdf, web
from adapters.ldes_cursor import Paths, Place, cursor_of, digest, places
from adapters.sources import Document
from broker.errors import PoisonRecord, Retriable

_TREE = Namespace("https://w3id.org/tree#")
_LDES = Namespace("https://w3id.org/ldes#")
_FROM = frozenset({_TREE.GreaterThanRelation, _TREE.GreaterThanOrEqualToRelation, _TREE.EqualToRelation})
_NOT_MODIFIED, _GONE = 304, frozenset({404, 410})
_EVER = datetime.min.replace(tzinfo=UTC)
_MOST_PAGES = 100_000
_MOST_WAITING = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """One page: its graph, or why there is none; `after` is the cursor once all that it holds is published, `before`
    until then.
    """  # noqa: D205 - one sentence

    url: str
    graph: Graph | None
    broken: str
    before: str
    after: str
    paths: Paths


@dataclass(slots=True)
class Walk:
    """One reading of the tree whose root is at `start`.

    `order` puts addresses of pages in their natural order; `holds` tells whether there are members in a page.
    """

    start: str
    contexts: rdf.Contexts
    order: Callable[[str], Any]
    holds: Callable[[Graph], bool]
    _waiting: list[Place] = field(default_factory=list)
    _open: list[Place] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)
    _paths: Paths = field(default_factory=Paths)

    async def pages(self, client: httpx.AsyncClient, cursor: str | None) -> AsyncGenerator[Page, None]:
        """Pages that are new or changed since `cursor`. Raises `Retriable` and `Invalid`.

        A page that is gone (404, 410: the stream keeps its members for a time only) is told once as PAGE_EXPIRED.
        """
        self._waiting = [Place(self.start)]
        if cursor:
            self._paths, self._waiting = places(cursor)
        self._seen.update(digest(place.url) for place in self._waiting)
        read = 0
        while self._waiting:
            if read == _MOST_PAGES:
                raise Retriable(f"the stream has more than {_MOST_PAGES} pages: reading goes on")
            read += 1
            before = self._cursor()
            place = self._waiting.pop(0)
            headers = {"accept": rdf.ACCEPT} | ({"if-none-match": place.etag} if place.etag else {})
            accepted = ({_NOT_MODIFIED} if place.etag else set[int]()) | (_GONE if place.url != self.start else set())
            answer = await web.get(client, place.url, headers=headers, accepted=accepted)
            if answer.status == _NOT_MODIFIED:
                self._open.append(place)
            elif answer.status in _GONE:
                yield Page(place.url, None, "PAGE_EXPIRED", before, self._cursor(), self._paths)
            else:
                yield self._page(place, answer, before)

    def _page(self, place: Place, answer: web.Answer, before: str) -> Page:
        document = Document(answer.url, answer.media_type, answer.body, web.modified(answer.headers))
        try:
            graph = rdf.graph_of(document, self.contexts)
        except PoisonRecord as poison:
            self._open.append(Place(place.url, known=place.known))
            return Page(place.url, None, poison.reason, before, self._cursor(), self._paths)
        self._paths = _stated(graph, self._paths)
        links = [link for link in self._links(graph, answer.url) if digest(link) not in place.known]
        fresh = [link for link in links if digest(link) not in self._seen]
        self._seen.update(map(digest, fresh))
        self._waiting[:0] = map(Place, fresh)
        if len(self._waiting) > _MOST_WAITING:
            raise Retriable(f"the stream has more than {_MOST_WAITING} pages that wait to be read")
        if _can_change(graph, answer, closed=self.holds(graph) and bool(links or place.known)):
            etag = answer.headers.get("etag", "")
            known = place.known | {digest(link) for link in links if link != place.url}
            self._open.append(Place(place.url, etag if etag.isascii() and etag.isprintable() else "", known))
        return Page(answer.url, graph, "", before, self._cursor(), self._paths)

    def _cursor(self) -> str:
        return cursor_of(self._paths, (*self._waiting, *self._open))

    def _links(self, graph: Graph, url: str) -> Iterator[str]:
        """Pages within the origin that this one leads to: by its relations, or as the view of a stream."""
        since: dict[str, datetime] = {}
        for relation, node in graph.subject_objects(_TREE.node):
            since[str(node)] = max(_from(graph, relation), since.get(str(node), _EVER))
        if not since and not self.holds(graph):
            views = sorted(map(str, graph.objects(None, _TREE.view)), key=self.order)
            since = dict.fromkeys([view for view in views if view != url][:1], _EVER)
        for link in sorted(since, key=lambda each: (since[each], self.order(each))):
            target = web.same_origin(url, link)
            if target is not None and target != url:
                yield target


def _stated(graph: Graph, known: Paths) -> Paths:
    """The paths that a stream's description in this page gives, beside those that are known."""

    def one(name: URIRef, otherwise: str) -> str:
        found = sorted(str(path) for path in graph.objects(None, name) if isinstance(path, URIRef))
        return found[0] if found else otherwise

    return Paths(
        one(_LDES.timestampPath, known.timestamp),
        one(_LDES.versionOfPath, known.version),
        one(_LDES.sequencePath, known.sequence),
    )


def _from(graph: Graph, relation: Node) -> datetime:
    """Since when the pages behind a relation have members, as far as it says so."""
    if not _FROM & set(graph.objects(relation, RDF.type)):
        return _EVER
    for value in graph.objects(relation, _TREE.value):
        if isinstance(value, Literal):
            try:
                instant = datetime.fromisoformat(str(value))
            except ValueError:
                continue
            return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return _EVER


def _can_change(graph: Graph, answer: web.Answer, *, closed: bool) -> bool:
    """Whether a page is to be asked for again; `closed`: it has members, and leads on, as the pages before the last do."""
    stated = str(answer.headers.get("cache-control", "")).lower()
    facts = {str(value).lower() for value in graph.objects(URIRef(answer.url), _LDES.immutable)}
    return not ("immutable" in stated or facts & {"true", "1"}) and (not closed or "max-age" in stated)
