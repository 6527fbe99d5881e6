"""What must not leave a record by a side door: national numbers, and values of fields about persons."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from broker.errors import Invalid
from broker.model.agreement import FieldClass
from broker.model.identifiers import parse_insz
from broker.schema.avro import Schema

_ELEVEN = re.compile(r"(?<![0-9])[0-9]{11}(?![0-9])", re.ASCII)
_SMALL_NUMBER = re.compile(r"[0-9]{1,5}", re.ASCII)


def holds_insz(text: str) -> bool:
    """Whether eleven digits in a text are a national number."""
    return any(_is_insz(match.group()) for match in _ELEVEN.finditer(text))


def personal(schema: Schema, value: Mapping[str, Any]) -> Iterator[str]:
    """Texts in a record whose field is of another class than public; small numbers, which could be anything, left out."""
    for path, text in _texts(value, ""):
        leaf = schema.fields.get(path)
        if leaf is not None and leaf.field_class is not FieldClass.PUBLIC and not _SMALL_NUMBER.fullmatch(text):
            yield text


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _texts(inner, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner, path)
    elif isinstance(value, str):
        yield path, value


def _is_insz(text: str) -> bool:
    try:
        parse_insz(text)
    except Invalid:
        return False
    return True
