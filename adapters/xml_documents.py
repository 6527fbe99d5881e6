"""Documents of XML through a mapping file, from a folder, a server of files or the web: every repeated element once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from adapters import rest_poll
from adapters.file_drop import FileDrop
from adapters.file_form import files_of
from adapters.file_rows import FileBroken, Table
from adapters.mapping import ProductMapping
from adapters.mapping_errors import Finding, MappingRefused
from adapters.mapping_values import Get
from adapters.rest_poll import RestPoll
from adapters.sources import MAX_DOCUMENT, is_feed
from adapters.xml_body import parsed
from adapters.xml_form import XmlSource
from adapters.xml_rows import Tree, XmlPaths, tree_of
from broker.errors import Invalid, PoisonRecord


@dataclass(frozen=True, slots=True)
class XmlFormat:
    """Files of XML; a row is the tree of a repeated element."""

    items: str
    paths: XmlPaths
    suffixes: frozenset[str] = frozenset({".xml"})

    def table(self, file: BinaryIO, name: str) -> Table[Tree]:
        """Its elements; raises `FileBroken`, before the first one."""
        del name
        body = file.read(MAX_DOCUMENT + 1)
        reason = ""
        try:
            root = parsed(body if len(body) <= MAX_DOCUMENT else None)
            found = self.paths.elements(self.items, root)
        except PoisonRecord as poison:
            reason, found = poison.reason, None
        if found is None:
            raise FileBroken(reason or "ITEMS_MISSING")
        found.reverse()
        return Table([], _taken(found))

    def shown(self, columns: Sequence[str], row: Any) -> dict[str, Any]:
        """The tree itself."""
        del columns
        tree: Tree = row
        return tree


def _taken(waiting: list[Any]) -> Iterator[tuple[int, Tree | str]]:
    number = 0
    while waiting:
        number += 1
        yield number, tree_of(waiting.pop())


@dataclass(frozen=True, slots=True)
class XmlBody:
    """Answers of XML, as `rest_pages` asks for them."""

    items: str
    paths: XmlPaths
    media_type: str = "application/xml, text/xml;q=0.9"

    def parsed(self, body: bytes | None, most_depth: int) -> Any:
        """The document as a tree, which is less deep than `most_depth` in any case."""
        del most_depth
        return tree_of(parsed(body))

    def one(self, path: str) -> Get:
        """A value of the document."""
        return self.paths.one(path)

    def listed(self, document: Any) -> list[Any] | None:
        """The repeated elements; None where what they would be in is not there."""
        parent = self.items.rpartition("/")[0]
        if parent and not self.paths.several(parent)(document):
            return None
        found: list[Any] = self.paths.several(self.items)(document)
        return found


def build(made: ProductMapping, form: XmlSource, given: str | None) -> FileDrop | RestPoll:
    """The adapter for the mapping's place, or another one; raises `MappingRefused` and `Invalid`."""
    findings = []
    if told := form.paths.wrong(form.items) or ("@" in form.items and "is a path of elements"):
        findings.append(Finding(made.text.line(("source", "items")), "source.items", told))
    if form.path is not None and form.url is not None:
        findings.append(Finding(made.text.line(("source", "url")), "source.url", "is beside `path`: state one of them"))
    if findings:
        raise MappingRefused(str(made.file), tuple(findings))
    if given is None and form.path is None and form.url is None:
        raise Invalid("name the documents: --source PATH_OR_URL, or `path:` or `url:` below `source:` in the mapping")
    if is_feed(given) if given is not None else form.url is not None:
        return rest_poll.build(made, form, given, XmlBody(form.items, form.paths))
    return FileDrop(made, XmlFormat(form.items, form.paths), files_of(made, form, given))
