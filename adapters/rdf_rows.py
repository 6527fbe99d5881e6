"""Nodes of a graph as rows, and paths into them: properties joined by `/`, as SPARQL 1.1 writes sequences and inverses.

What a property has is a set. It is put into an order that depends on nothing but what it says, blank nodes included, so
that the same document is the same record on every reading; a list (rdf:first, rdf:rest) keeps its own.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rdflib import RDF, Graph
from rdflib.term import BNode, Literal, URIRef
from rdflib.term import Node as Term

from adapters.mapping_values import SELF, Get

_STEP = re.compile(
    r"(?P<inverse>\^?)(?:<(?P<iri>[^<>\"{}|^`\\\s]+)>|(?P<prefix>[A-Za-z][\w.-]*):(?P<local>[\w.:%-]+))"
    r"(?P<language>@[A-Za-z]{1,8}(?:-[A-Za-z0-9]{1,8})*)?"
)
_DEEPEST = 12
_LONGEST_LIST = 10_000


@dataclass(frozen=True, slots=True)
class Node:
    """A term of a graph, with what the graph says of it."""

    graph: Graph = field(repr=False)
    term: Term

    def __str__(self) -> str:
        return "[ ]" if isinstance(self.term, BNode) else str(self.term)


@dataclass(frozen=True, slots=True)
class _Step:
    property: URIRef
    inverse: bool
    language: str


@dataclass(frozen=True, slots=True)
class RdfPaths:
    """`prefix:name` or `<IRI>`, `^` before one that leads here; `@nl` at the end for literals of that language."""

    prefixes: Mapping[str, str] = field(default_factory=dict)

    def wrong(self, path: str) -> str:
        """Say it of other paths, and of prefixes that nobody explained."""
        if path == SELF:
            return ""
        rest = path
        while rest:
            found = _STEP.match(rest)
            if found is None:
                return "a path is `.`, or properties as prefix:name or <IRI> joined by `/`, at the end perhaps @nl"
            if found["prefix"] and found["prefix"] not in self.prefixes:
                return f"say which namespace `{found['prefix']}:` stands for, in `prefixes` below `source`"
            rest = rest[found.end() :]
            if rest and (not rest.startswith("/") or found["language"] or rest == "/"):
                return "steps are joined by `/`, and a language stands at the end"
            rest = rest[1:]
        return "" if path else "a path is not empty"

    def iri(self, name: str) -> URIRef | None:
        """The term that `prefix:name` or `<IRI>` stands for; None for anything else."""
        steps = self._steps(name) if not self.wrong(name) else []
        plain = len(steps) == 1 and not steps[0].inverse and not steps[0].language
        return steps[0].property if plain else None

    def one(self, path: str) -> Get:
        """Text of the literal or the IRI; None where there is none; of several a list of them."""
        steps = self._steps(path)

        def get(row: Any) -> Any:
            found = [_value(node) for node in _nodes(row, steps)]
            return found[0] if len(found) == 1 else found or None

        return get

    def several(self, path: str) -> Get:
        """The nodes, in an order of their own or of their list."""
        steps = self._steps(path)
        return lambda row: _nodes(row, steps)

    def _steps(self, path: str) -> list[_Step]:
        found: list[_Step] = []
        for each in _STEP.finditer(path) if path != SELF else ():
            iri = each["iri"] or f"{self.prefixes.get(each['prefix'], '')}{each['local']}"
            found.append(_Step(URIRef(iri), bool(each["inverse"]), (each["language"] or "")[1:].lower()))
        return found


def _nodes(row: Any, steps: list[_Step]) -> list[Node]:
    here: list[Node] = [row]
    for step in steps:
        terms: dict[tuple[Graph, Term], None] = {}
        for node in here:
            terms.update(dict.fromkeys((node.graph, term) for term in _step(node, step)))
        here = [Node(graph, term) for graph, term in terms]
    return here


def _step(node: Node, step: _Step) -> Iterator[Term]:
    graph = node.graph
    if step.inverse:
        found = set(graph.subjects(step.property, node.term))
    else:
        found = set(graph.objects(node.term, step.property))
    for term in sorted(found, key=lambda each: _told(graph, each, ())):
        if (term, RDF.first, None) in graph or term == RDF.nil:
            yield from _listed(graph, term)
        elif not step.language or _is_in(term, step.language):
            yield term


def _listed(graph: Graph, head: Term | None) -> Iterator[Term]:
    """Items of a list, as far as it is one and does not lead into itself."""
    seen: set[Term] = set()
    while head is not None and head != RDF.nil and head not in seen and len(seen) < _LONGEST_LIST:
        seen.add(head)
        yield from sorted(graph.objects(head, RDF.first), key=str)[:1]
        head = min(graph.objects(head, RDF.rest), key=str, default=None)


def _is_in(term: Term, language: str) -> bool:
    """Basic filtering of RFC 4647: `nl` takes `nl` and `nl-BE`."""
    tag = (term.language or "").lower() if isinstance(term, Literal) else ""
    return tag == language or tag.startswith(f"{language}-")


def _told(graph: Graph, term: Term, above: tuple[Term, ...]) -> str:
    """What a term says: of a blank node, whose name is made up anew on every reading, all that is said of it."""
    if not isinstance(term, BNode):
        return f"{type(term).__name__} {term.n3()}"
    if term in above or len(above) == _DEEPEST:
        return "[ ]"
    said = (f"{name} {_told(graph, value, (*above, term))}" for name, value in graph.predicate_objects(term))
    return f"[{' ; '.join(sorted(said))}]"


def _value(node: Node) -> Any:
    return node if isinstance(node.term, BNode) else str(node.term)
