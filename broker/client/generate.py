"""The egress schema of an agreement as a Python module of pydantic models: self-contained, formatted, the same every time.

Names and texts of a schema end in source code, so nothing of it is taken as it is: names are identifiers or refused,
docs lose everything that could end a docstring. Pure: schema text in, module text out.
"""

import json
import keyword
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from broker.errors import Invalid
from broker.model import topics

_WIDTH = 88
"""Columns: the formatter's own default, so that the module is formatted wherever it lands."""

_LONGEST_NAME = 64
_DEEPEST = 24
_MOST_FIELDS = 1000
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_IRI = re.compile(r"(?:https?://|urn:)[!#-;=?-Z_a-z~]{1,400}", re.ASCII)
_PRIMITIVES: Mapping[str, str] = {
    "boolean": "bool",
    "int": "int",
    "long": "int",
    "float": "float",
    "double": "float",
    "string": "str",
    "bytes": "Base64Bytes",
}
_LOGICAL: Mapping[tuple[str, Any], str] = {("int", "date"): "date", ("long", "timestamp-millis"): "datetime"}
_IMPORTS: Mapping[str, str] = {
    "date": "datetime",
    "datetime": "datetime",
    "Literal": "typing",
    **dict.fromkeys(("Base64Bytes", "BaseModel", "ConfigDict", "Field"), "pydantic"),
}
_TAKEN = frozenset({*keyword.kwlist, *keyword.softkwlist, *_PRIMITIVES.values(), *_IMPORTS, "list"})


def generate(schema: str, *, agreement: str, version: int) -> str:
    """Module whose last class is the data of a delivery under this version; raises `Invalid` for what is no such schema."""
    topics.slug(agreement, "agreement")
    try:
        document = json.loads(schema)
    except (ValueError, RecursionError):
        raise Invalid("the schema is not JSON") from None
    if not isinstance(document, dict) or document.get("type") != "record":
        raise Invalid("an egress schema is a record")
    module = _Module()
    root = module.type(document, "", 0)
    return f'''"""Data of deliveries under one agreement: {root}.

Agreement: {agreement}
Version: {version}
Made by `datanuts client generate`; do not edit, make it again.
"""

{module.imports()}
{"".join(module.parts)}'''


@dataclass(slots=True)
class _Module:
    """Writes every named type once, before what uses it; `named` maps full names to the Python names."""

    parts: list[str] = field(default_factory=list)
    named: dict[str, str | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=lambda: {"BaseModel", "ConfigDict"})
    names: set[str] = field(default_factory=set)
    fields: int = 0

    def imports(self) -> str:
        """The import lines in the linter's order: the standard library, a gap, pydantic."""
        lines = [
            f"from {module} import {', '.join(sorted(name for name in self.used if _IMPORTS.get(name) == module))}"
            for module in ("datetime", "typing", "pydantic")
            if module in map(_IMPORTS.get, self.used)
        ]
        return "\n".join([*lines[:-1], *([""] if len(lines) > 1 else []), lines[-1]])

    def type(self, node: Any, namespace: str, depth: int) -> str:
        if depth > _DEEPEST:
            raise Invalid("the schema is nested too deep")
        if isinstance(node, list):
            if len(node) != 2 or node[0] != "null" or isinstance(node[1], list):  # noqa: PLR2004 - a pair
                raise Invalid('the only union of an egress schema is ["null", X]')
            return f"{self.type(node[1], namespace, depth)} | None"
        if isinstance(node, str):
            node = {"type": node}
        if not isinstance(node, dict) or not isinstance(node.get("type"), str):
            raise Invalid("the schema holds what is not an Avro type")
        kind = node["type"]
        if kind == "array":
            return f"list[{self.type(node.get('items'), namespace, depth + 1)}]"
        if kind in {"record", "enum", "fixed"}:
            return self._definition(node, namespace, depth)
        return self._reference(kind, node.get("logicalType"), namespace)

    def _definition(self, node: Mapping[str, Any], namespace: str, depth: int) -> str:
        full = self._full(node, namespace)
        match node["type"]:
            case "record":
                self.named[full] = self._record(node, full, depth)
            case "enum":
                self.named[full] = self._enum(node, full)
            case _:
                self.named[full] = self._builtin(_PRIMITIVES["bytes"])
        return self.named[full] or ""

    def _reference(self, kind: str, logical: Any, namespace: str) -> str:
        if kind in _PRIMITIVES:
            return self._builtin(_LOGICAL.get((kind, logical), _PRIMITIVES[kind]))
        known = self.named.get(kind if "." in kind or not namespace else f"{namespace}.{kind}")
        if known is None:
            raise Invalid("the schema names a type that is not defined before")
        return known

    def _write(self, lines: list[str]) -> None:
        """One more statement, as far below the one before as the formatter wants it."""
        gap = "\n\n" if self.parts or lines[0].startswith("class ") else "\n"
        self.parts.append(gap + "\n".join(lines) + "\n")

    def _builtin(self, name: str) -> str:
        self.used.add(name)
        return name

    def _full(self, node: Mapping[str, Any], namespace: str) -> str:
        name, space = node.get("name"), node.get("namespace", namespace)
        if not isinstance(name, str) or not isinstance(space, str):
            raise Invalid("a record, enum or fixed has a name")
        full = name if "." in name or not space else f"{space}.{name}"
        if full in self.named:
            raise Invalid("the schema defines a type twice")
        for part in full.split("."):
            _checked(part)
        self.named[full] = None
        return full

    def _class(self, full: str) -> str:
        """A class name of its own: Python's style, never one that is taken."""
        parts = full.rpartition(".")[2].split("_")
        base = name = "".join(part[:1].upper() + part[1:] for part in parts) or "Type"
        if not name[0].isalpha():
            base = name = f"Type{name}"
        number = 1
        while name in self.names or name in _TAKEN:
            number += 1
            name = f"{base}{number}"
        self.names.add(name)
        return name

    def _enum(self, node: Mapping[str, Any], full: str) -> str:
        name = self._class(full)
        symbols = node.get("symbols")
        if not isinstance(symbols, list) or not symbols:
            raise Invalid("an enum has symbols")
        for symbol in symbols:
            _checked(symbol)
        self.used.add("Literal")
        listed = [f'    "{symbol}",' for symbol in symbols]
        lines = [f"{name} = Literal[", *listed, "]"] if len(symbols) > 1 else [f'{name} = Literal["{symbols[0]}"]']
        self._write([*lines, *_docstring("", node, "")])
        return name

    def _record(self, node: Mapping[str, Any], full: str, depth: int) -> str:
        members = node.get("fields")
        if not isinstance(members, list) or not members:
            raise Invalid("a record has fields")
        body: list[str] = []
        taken: set[str] = set()
        for member in members:
            self.fields += 1
            if not isinstance(member, dict) or self.fields > _MOST_FIELDS:
                raise Invalid("a record's fields are objects, and not so many")
            type_ = self.type(member.get("type"), full.rpartition(".")[0], depth + 1)
            body += ["", *self._field(_checked(member.get("name")), type_, taken), *_docstring("    ", member, "")]
        name = self._class(full)
        doc = _docstring("    ", node, f"{name}, as it is delivered")
        config = "    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)"
        self._write([f"class {name}(BaseModel):", *doc, "", config, *body])
        return name

    def _field(self, name: str, type_: str, taken: set[str]) -> list[str]:
        """The attribute, under the schema's name wherever Python and pydantic leave it free."""
        own = f"field_{name.lstrip('_')}" if name.startswith(("_", "model_")) else name
        while own in taken or own in _TAKEN or own in self.names or hasattr(BaseModel, own):
            own += "_"
        taken.add(own)
        optional = type_.endswith(" | None")
        if own == name:
            return [f"    {own}: {type_} = None" if optional else f"    {own}: {type_}"]
        self.used.add("Field")
        default = ["        default=None,"] if optional else []
        return [f"    {own}: {type_} = Field(", *default, f'        alias="{name}",', "    )"]


def _checked(name: Any) -> str:
    """The name if it is an identifier of a sane length: it becomes source code."""
    if not isinstance(name, str) or len(name) > _LONGEST_NAME or not _IDENTIFIER.fullmatch(name):
        raise Invalid(f"a name of the schema is no identifier of at most {_LONGEST_NAME} letters, digits and _")
    return name


def _docstring(indent: str, node: Mapping[str, Any], summary: str) -> list[str]:
    """Docstring of a class (with a one-line summary) or of an attribute, out of `doc` and `iri`; empty without either."""
    text, iri = _plain(node.get("doc")), node.get("iri")
    known = [str(iri)] if isinstance(iri, str) and _IRI.fullmatch(iri) else []
    width = _WIDTH - len(indent) - len('"""')
    wrapped = [textwrap.wrap(text, width)] if text else []
    if summary and not (text.endswith(".") and len(wrapped[0]) == 1):
        wrapped.insert(0, [f"{summary}."])
    paragraphs = [*wrapped, *([f"IRI: {each}"] for each in known)]
    lines = [line for paragraph in paragraphs for line in (*paragraph, "")][:-1]
    if not lines:
        return []
    if len(lines) == 1:
        return [f'{indent}"""{lines[0]}"""']
    return [f'{indent}"""{lines[0]}', *(f"{indent}{line}".rstrip() for line in lines[1:]), f'{indent}"""']


def _plain(text: Any) -> str:
    """One line of a schema's text that cannot end a docstring nor hide what it says."""
    if not isinstance(text, str):
        return ""
    visible = "".join(letter if letter.isprintable() else " " for letter in text[:2000])
    return " ".join(visible.replace('"', "'").replace("\\", "/").split())
