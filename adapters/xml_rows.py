"""Elements of XML as rows: trees of texts, attributes and children, and paths into them.

A tree has its element's text under "", an attribute under "@" and its name, and the children of one name in a list
under that name; names are in Clark notation, `{namespace}name`. It is what JSON can hold.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from xml.etree.ElementTree import Element

from adapters.mapping_values import SELF, Get

Tree = dict[str, Any]

_NAME = r"[^\W\d][\w.-]*"
_STEP = re.compile(rf"(?:(?P<prefix>{_NAME}):)?(?P<name>{_NAME})")
_NIL = "@{http://www.w3.org/2001/XMLSchema-instance}nil"

Step = tuple[str | None, str]
"""Namespace (None: any) and local name; the name of an attribute begins with "@"."""


def tree_of(element: Element) -> Tree:
    """The element as a tree."""
    made: Tree = {f"@{name}": text for name, text in element.attrib.items()}
    for child in element:
        made.setdefault(child.tag, []).append(tree_of(child))
    if not len(element):
        made[""] = element.text or ""
    return made


@dataclass(frozen=True, slots=True)
class XmlPaths:
    """Names of children joined by `/`, at the end perhaps `@` and the name of an attribute.

    A name without a prefix is that name in any namespace; `namespaces` says what prefixes stand for.
    """

    namespaces: Mapping[str, str] = field(default_factory=dict)

    def wrong(self, path: str) -> str:
        """Say it of other paths, and of prefixes that nobody explained."""
        steps = _parts(path)
        for number, step in enumerate(steps):
            name = step[1:] if step.startswith("@") and number + 1 == len(steps) else step
            found = _STEP.fullmatch(name)
            if name == SELF and number == 0:
                continue
            if found is None:
                return "a path is names of elements joined by `/`, at the end perhaps an attribute as @name"
            if found["prefix"] and found["prefix"] not in self.namespaces:
                return f"say which namespace `{found['prefix']}` stands for, in `namespaces` below `source`"
        return ""

    def one(self, path: str) -> Get:
        """Text of the element or attribute; None where it is not there or nil; of several a list of them."""
        nodes = self._nodes(path)

        def get(row: Any) -> Any:
            found = [_value(node) for node in nodes(row)]
            return found[0] if len(found) == 1 else found or None

        return get

    def several(self, path: str) -> Get:
        """The elements or attributes, without those that are nil."""
        nodes = self._nodes(path)
        return lambda row: list(nodes(row))

    def elements(self, path: str, root: Element) -> list[Element] | None:
        """The repeated elements of a document, `.` is its root; None where what they would be in is not there."""
        steps = self._steps(path)
        found = [root]
        for step in steps[:-1]:
            found = [child for element in found for child in element if _is(child.tag, step)]
        if not found:
            return None
        return [child for element in found for child in element if _is(child.tag, steps[-1])] if steps else found

    def _steps(self, path: str) -> list[Step]:
        steps: list[Step] = []
        for part in _parts(path):
            mark = "@" if part.startswith("@") else ""
            if part != SELF and (found := _STEP.fullmatch(part.removeprefix("@"))):
                steps.append((self.namespaces.get(found["prefix"]) if found["prefix"] else None, mark + found["name"]))
        return steps

    def _nodes(self, path: str) -> Any:
        steps = self._steps(path)

        def nodes(row: Any) -> Iterator[Any]:
            found: list[Any] = [row]
            for step in steps:
                found = [each for node in found for each in _below(node, step)]
            return (node for node in found if not _is_nil(node))

        return nodes


def _parts(path: str) -> list[str]:
    return path.split("/")


def _is(name: str, step: Step) -> bool:
    namespace, local = step
    return name == f"{{{namespace}}}{local}" if namespace is not None else name.rpartition("}")[2] == local


def _below(node: Any, step: Step) -> Iterator[Any]:
    if not isinstance(node, dict):
        return
    namespace, name = step
    attribute = name.startswith("@")
    for key, value in node.items():
        if key.startswith("@") != attribute or not key:
            continue
        if _is(key.removeprefix("@"), (namespace, name.removeprefix("@"))):
            if attribute:
                yield value
            else:
                yield from value


def _is_nil(node: Any) -> bool:
    return isinstance(node, dict) and node.get(_NIL) in {"true", "1"}


def _value(node: Any) -> Any:
    """Its text; an element that has others in it is no text."""
    return node.get("", node) if isinstance(node, dict) else node
