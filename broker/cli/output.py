"""What commands write: one JSON value per line for machines, plain text and tables for people."""

import json
import re
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def machine(value: Any) -> None:
    """One JSON value on one line of standard output, at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """One line for the person who reads."""
    sys.stdout.write(plain(line) + "\n")
    sys.stdout.flush()


def note(line: str) -> None:
    """One line about the work itself, kept out of what is piped on."""
    sys.stderr.write(plain(line) + "\n")
    sys.stderr.flush()


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table; cells are shown as they are, without markup."""
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(plain("" if cell is None else str(cell)).replace("[", "\\[") for cell in row))
    Console(highlight=False, soft_wrap=not sys.stdout.isatty()).print(shown)


def plain(text: str) -> str:
    """`text` without control characters: a record's value must not drive the reader's terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
