"""Values of single leaves straight from their encoded bytes, as a walk or lane state gives them."""

from collections.abc import Callable
from typing import Protocol

from broker.schema.varints import CONTINUES, content, read


class Leaf(Protocol):
    """What must be known of a leaf: its Avro type without null, and whether its bytes start with a branch byte."""

    @property
    def type(self) -> str:
        """`string`, `int`, `long`, …."""

    @property
    def repeated(self) -> bool:
        """Whether one record may hold several values."""

    @property
    def nullable(self) -> bool:
        """Whether its own type is a union with null."""


def text_of(leaf: Leaf) -> Callable[[bytes], bytes | None]:
    """Reader of an encoded string leaf's UTF-8 text; None where it, or a record above it, is null."""
    if leaf.nullable:
        return lambda raw: content(raw[1:]) if raw[:1] == b"\x02" else None

    def text(raw: bytes) -> bytes | None:
        if not raw:
            return None
        return raw[1:] if raw[0] < CONTINUES else content(raw)

    return text


def number_of(leaf: Leaf) -> Callable[[bytes], int | None]:
    """As `text_of`, of an `int` or `long` leaf."""
    if leaf.nullable:
        return lambda raw: read(raw, 1)[0] if raw[:1] == b"\x02" else None
    return lambda raw: read(raw, 0)[0] if raw else None


def literal_of(leaf: Leaf) -> Callable[[bytes], str | None]:
    """Reader of an encoded text or plain number, as a document writes it: what `encode_literal` takes."""
    if leaf.type == "string":
        text = text_of(leaf)
        return lambda raw: None if (found := text(raw)) is None else found.decode()
    number = number_of(leaf)
    return lambda raw: None if (found := number(raw)) is None else str(found)
