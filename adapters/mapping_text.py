"""YAML of a mapping with the line of everything it says, so that an error can point at it.

A small, safe part of YAML: one document, no anchors, aliases or tags, no key twice. Only `null`, `true`, `false` and
decimal integers are typed; everything else is the text that a reader sees (`no`, `1e3` and `2026-01-01` are text).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from adapters.mapping_errors import Finding, MappingRefused

LONGEST_TEXT = 256 * 1024
DEEPEST = 24

Place = tuple[str | int, ...]
"""Keys and positions from the root of the document."""

_WORDS = {"null": None, "~": None, "": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Text:
    """The document's data, and the line (from 1) of each place in it."""

    data: Any
    lines: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Line of `place`, or of the nearest thing around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(text: str, file: str) -> Text:
    """The one document in `text`; raises `MappingRefused` with the line of what cannot be read."""
    if len(text) > LONGEST_TEXT:
        raise MappingRefused(file, (Finding(1, "", f"a mapping has at most {LONGEST_TEXT} characters"),))
    line, problem = 1, ""
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
                line, problem = _line(event.start_mark), "anchors, aliases and tags are not used here: write it out"
                break
        else:
            lines: dict[Place, int] = {}
            node = yaml.compose(text, Loader=yaml.SafeLoader)
            return Text(_data(node, (), lines) if node is not None else None, lines)
    except _Refused as refused:
        line, problem = refused.line, refused.problem
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, problem = _line(mark), f"not YAML: {error.problem}"
    except (yaml.YAMLError, RecursionError):
        problem = "not YAML"
    raise MappingRefused(file, (Finding(line, "", problem),))


def _line(mark: Any) -> int:
    return 1 if mark is None else int(mark.line) + 1


class _Refused(Exception):
    def __init__(self, node: Node, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = _line(node.start_mark), problem


def _data(node: Node, place: Place, lines: dict[Place, int]) -> Any:
    if len(place) > DEEPEST:
        raise _Refused(node, "nested too deeply")
    lines.setdefault(place, node.start_mark.line + 1)
    match node:
        case MappingNode():
            found: dict[str, Any] = {}
            for key, below in _pairs(node):
                if key.value in found:
                    raise _Refused(key, f"`{key.value}` is there twice: keep one")
                lines[*place, key.value] = key.start_mark.line + 1
                found[key.value] = _data(below, (*place, key.value), lines)
            return found
        case SequenceNode(value=items):
            return [_data(item, (*place, number), lines) for number, item in enumerate(items)]
        case ScalarNode(value=text, style=style):
            return _scalar(text) if style is None else text
    raise _Refused(node, "not a mapping, a list or a value")


def _pairs(node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
    for key, below in node.value:
        if not isinstance(key, ScalarNode):
            raise _Refused(key, "a key must be text")
        yield key, below


def _scalar(text: str) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    return int(text) if _INTEGER.fullmatch(text) else text
