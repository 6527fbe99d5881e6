"""A Linked Data Event Stream through a mapping file: every member a row, its properties what source paths name."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from rdflib import RDF, Graph, Namespace
from rdflib.term import Node as Term
from rdflib.term import URIRef

from adapters import contexts, rdf, web
from adapters.ldes_cursor import Paths
from adapters.ldes_form import LdesSource
from adapters.ldes_stream import ACTIVITY, Member, Stream, place
from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.rdf_rows import Node
from adapters.sdk import Broken, Item
from adapters.sources import documents, is_feed, local_path
from adapters.web_auth import private
from broker.errors import Invalid, PoisonRecord

_TREE = Namespace("https://w3id.org/tree#")


@dataclass(frozen=True, slots=True)
class LdesPoll:
    """Members at `source` (a folder, a file, a page or a stream), each as the mapping says.

    Streams are followed as `adapters.ldes_stream` says; a version of class as:Delete deletes its subject.
    """

    mapping: ProductMapping
    form: LdesSource
    source: str
    contexts: rdf.Contexts

    @property
    def name(self) -> str:
        """As the mapping calls it."""
        return self.mapping.adapter

    @property
    def sources(self) -> Mapping[str, str]:
        """The mapping's product and its owner."""
        return {self.mapping.product: self.mapping.organisation}

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Members that are new since `cursor`. Raises `Retriable` and `Invalid`."""
        made_by = sha256(f"{self.mapping.fingerprint} {self.source}".encode()).hexdigest()[:8]
        own, _, stands = (cursor or "").partition(" ")
        async for item, after in self._stream().items(stands if own == made_by else None):
            yield item, f"{made_by} {after}"

    async def rows(self) -> AsyncIterator[Any]:
        """Members that are no deletions, for whoever wants to see what the mapping makes of them."""
        if is_feed(self.source):
            async for page in self._stream().pages():
                for row in self._shown(page.graph, page.paths):
                    yield row
            return
        async for document in documents(local_path(self.source), rdf.SUFFIXES):
            try:
                graph: Graph | None = rdf.graph_of(document, self.contexts)
            except PoisonRecord:
                graph = None
            for row in self._shown(graph, Paths()):
                yield row

    def findings(self) -> list[Finding]:
        """None: a version may lack what others have. Raises `Invalid` where a secret is not there."""
        self._headers()
        return []

    def _stream(self) -> Stream:
        return Stream(self.source, self.contexts, self._members, self._holds, self._headers)

    def _headers(self) -> dict[str, str]:
        secret = self.form.authorization
        return {} if secret is None else {"authorization": secret.read(self.mapping.file.parent)}

    def _holds(self, graph: Graph) -> bool:
        class_ = self._class()
        return (None, _TREE.member, None) in graph or (class_ is not None and (None, RDF.type, class_) in graph)

    def _class(self) -> URIRef | None:
        return None if self.form.member is None else self.form.paths.iri(self.form.member)

    def _nodes(self, graph: Graph, paths: Paths) -> list[Term]:
        """Members of a page, and of a document that says nothing of a stream the versions in it."""
        deleted = set(graph.subjects(RDF.type, ACTIVITY.Delete))
        if (class_ := self._class()) is not None:
            found = set(graph.subjects(RDF.type, class_)) | deleted
        else:
            versions = {term for term in graph.subjects(URIRef(paths.version)) if isinstance(term, URIRef)}
            found = set(graph.objects(None, _TREE.member)) or versions | deleted
        return sorted(found, key=str)

    def _shown(self, graph: Graph | None, paths: Paths) -> Iterator[Node]:
        if graph is None:
            return
        for term in self._nodes(graph, paths):
            if (term, RDF.type, ACTIVITY.Delete) not in graph:
                yield Node(graph, term)

    def _members(self, graph: Graph, document: str, paths: Paths) -> list[Member]:
        return [self._member(graph, term, document, paths) for term in self._nodes(graph, paths)]

    def _member(self, graph: Graph, term: Term, document: str, paths: Paths) -> Member:
        name = rdf.iri(term) or f"{document}#blank"
        at = rdf.one(graph, term, URIRef(paths.timestamp))
        sequence = rdf.one(graph, term, URIRef(paths.sequence)) if paths.sequence else None
        version_of = rdf.one(graph, term, URIRef(paths.version)) or name
        try:
            if (term, None, None) not in graph:
                raise PoisonRecord("MEMBER_INCOMPLETE")  # noqa: TRY301 - told as what else is wrong with a member
            order = place(at, name, sequence or "")
            gone = (term, RDF.type, ACTIVITY.Delete) in graph
            item = self.mapping.item(Node(graph, term), name, gone=gone)
        except PoisonRecord as poison:
            order, item = place(None, name), Broken(name, poison.reason, poison.path, self.mapping.product)
        return Member(order, name, version_of, item)


def build(made: ProductMapping, form: LdesSource, given: str | None) -> LdesPoll:
    """The adapter for the mapping's stream, or another one; raises `MappingRefused` and `Invalid`."""
    url = given if given is not None and is_feed(given) else form.url if given is None else None
    if findings := [Finding(made.text.line(place), ".".join(place), told) for place, told in _wrong(made, form, url)]:
        raise MappingRefused(str(made.file), tuple(findings))
    if url is not None:
        if web.origin(url) is None:
            raise Invalid("the address is http:// or https://, a host and a path, without a name or password in it")
        source = url
    elif given is not None or form.path is not None:
        source = str(local_path(given if given is not None else str(made.file.parent / str(form.path))))
    else:
        raise Invalid("name the stream: --source URL_OR_PATH, or `url:` or `path:` below `source:` in the mapping")
    return LdesPoll(made, form, source, contexts.reviewed(os.environ))


def _wrong(made: ProductMapping, form: LdesSource, url: str | None) -> Iterator[tuple[tuple[str, ...], str]]:
    if form.url is not None and form.path is not None:
        yield ("source", "url"), "is beside `path`: state one of them"
    if form.member is not None and form.paths.iri(form.member) is None:
        told = form.paths.wrong(form.member) or "is a class, as prefix:Name or <IRI>"
        yield ("source", "member"), told
    if form.authorization is not None and url is not None and not private(url):
        yield ("source", "url"), "a credential goes over https only"
    if made.snapshot:
        yield ("snapshot",), "a stream tells of versions and deletions, and is never a whole population: drop this"
