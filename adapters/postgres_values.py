"""What PostgreSQL writes of a value, as a mapping reads it: the values of JSON.

Whole numbers are numbers, `numeric` keeps its digits as text unless it is whole, instants are RFC 3339 in UTC, `json` is
what it holds, an array a list; any other type is its text. The session's settings make the texts independent of the
server's (`postgres_session`).
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from psycopg.sql import SQL

from adapters.change_row import ChangeRow
from adapters.json_body import parsed
from adapters.mapping_values import SELF
from broker.errors import PoisonRecord

Cell = bytes | str | None
"""Text of a value, None for NULL, or (`str`) the reason why it is not told."""

MOST_BYTES, MOST_DEPTH = 16 << 20, 32
"""Bounds of one value, and of JSON in it."""

_BYTEA = 17
_TOKEN = re.compile(r'[{}]|"((?:[^"\\]|\\.)*)"|([^{}",]+)|,', re.DOTALL)


@dataclass(slots=True)
class Types:
    """What is known of a database's types: whose elements an array has, which type a domain is of."""

    _element: dict[int, int] = field(default_factory=dict)
    _base: dict[int, int] = field(default_factory=dict)

    QUESTION = SQL(
        "SELECT oid, typelem, typbasetype FROM pg_type WHERE typcategory = 'A' AND typdelim = ',' OR typbasetype <> 0"
    )

    def learn(self, rows: Iterable[Sequence[Any]]) -> None:
        """Take in the answer to `QUESTION`."""
        for oid, element, base in rows:
            if base:
                self._base[oid] = base
            else:
                self._element[oid] = element

    def value(self, oid: int, raw: bytes | None) -> Any:
        """The value of type `oid` that `raw` writes in UTF-8.

        Raises `PoisonRecord`: BYTES_NOT_READ, ENCODING_WRONG, DOCUMENT_TOO_LARGE, JSON_MALFORMED, JSON_TOO_DEEP.
        """
        if raw is None:
            return None
        if len(raw) > MOST_BYTES:
            raise PoisonRecord("DOCUMENT_TOO_LARGE")
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = None
        if text is None:
            raise PoisonRecord("ENCODING_WRONG")
        return self._made(oid, text)

    def _made(self, oid: int, text: str) -> Any:
        while oid in self._base:
            oid = self._base[oid]
        if oid in self._element:
            return _listed(text, lambda each: self._made(self._element[oid], each))
        if oid == _BYTEA:
            raise PoisonRecord("BYTES_NOT_READ")
        return _MAKES.get(oid, str)(text)


def row_of(
    columns: Iterable[tuple[str, int, Cell]], types: Types, wanted: Collection[str], *, gone: bool = False, **more: Any
) -> ChangeRow:
    """The row of columns (name, type, text); a text that is `str` is the reason why the column cannot be read.

    One of `wanted` that is not among them is COLUMN_MISSING: a column that was renamed is no absent value.
    """
    values, unreadable = dict[str, Any](more), dict[str, str]()
    for name, oid, cell in columns:
        if isinstance(cell, str):
            unreadable[name] = cell
            continue
        try:
            values[name] = types.value(oid, cell)
        except PoisonRecord as poison:
            unreadable[name] = poison.reason
    lacking = (name for name in wanted if name not in values and name not in unreadable)
    return ChangeRow(values, gone=gone, unreadable={**unreadable, **dict.fromkeys(lacking, "COLUMN_MISSING")})


def columns_of(sources: Iterable[str]) -> frozenset[str]:
    """The columns that source paths begin at; those that a reader adds (`@…`) left out."""
    first = (
        source[1:].split("/")[0].replace("~1", "/").replace("~0", "~") if source[:1] == "/" else source
        for source in sources
    )
    return frozenset(name for name in first if name != SELF and not name.startswith("@"))


def _listed(text: str, made: Callable[[str], Any]) -> Any:
    """An array as PostgreSQL writes it (manual §8.15.6): `{1,NULL,"a b"}`, with bounds before it where they are not 1."""
    stack: list[list[Any]] = [[]]
    for match in _TOKEN.finditer(text[text.index("{") :]):
        mark, quoted, plain = match.group(), match.group(1), match.group(2)
        if mark == "{":
            stack.append([])
        elif mark == "}":
            inner = stack.pop()
            stack[-1].append(inner)
        elif quoted is not None:
            stack[-1].append(made(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)))
        elif plain is not None:
            stack[-1].append(None if plain == "NULL" else made(plain))
    return stack[0][0]


def _numeric(text: str) -> int | str:
    return int(text) if text.lstrip("-").isdecimal() else text


def _instant(text: str) -> str:
    return text.replace(" ", "T", 1).replace("+00", "Z")


_MAKES: Mapping[int, Callable[[str], Any]] = MappingProxyType(
    {
        16: lambda text: text == "t",
        **dict.fromkeys((20, 21, 23, 26), int),
        **dict.fromkeys((700, 701), float),
        1700: _numeric,
        **dict.fromkeys((114, 3802), lambda text: parsed(text.encode(), MOST_DEPTH)),
        **dict.fromkeys((1114, 1184), _instant),
    }
)
"""By the number of a built-in type, the same in every installation (pg_type.dat): bool, int8, int2, int4 and oid, float4
and float8, numeric, json and jsonb, timestamp and timestamptz."""
