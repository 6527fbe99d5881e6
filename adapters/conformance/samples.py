"""Copies of a sample that can be damaged and mended again, without knowing what its bytes mean.

Rows are the lines of a delimited file (its first line is the header), the lines of newline-delimited JSON, or the members
of a JSON list; a folder without rows has its files in their place. Damage leaves the time of a file's last change as it was.
"""

import csv
import io
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

_DELIMITED, _LINES, _LIST = frozenset({".csv", ".tsv"}), frozenset({".ndjson", ".jsonl"}), frozenset({".json"})
_FEWEST_ROWS = 3
_WORD = re.compile(r"""(?<=[">,;\t])[A-Za-z][A-Za-z ]{2,}(?=["<,;\t\r\n])""")
_YEAR = re.compile(r"\b(?:19|20)[0-9]{2}(?=-[0-9]{2}-[0-9]{2})")
_NAME = re.compile(r"[A-Za-z]{3,}")

Rows = list[Any]


@dataclass(frozen=True, slots=True)
class Sample:
    """A copy at `path`, a file or a folder, alone in a folder of its own."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, in the order of their paths."""
        if self.path.is_file():
            return (self.path,)
        return tuple(sorted(each for each in self.path.rglob("*") if each.is_file()))

    @property
    def largest(self) -> Path:
        """Its largest file."""
        return max(self.files, key=lambda file: (file.stat().st_size, file.as_posix()))

    @property
    def names(self) -> frozenset[str]:
        """Names of files and folders in a folder, without suffix: they can hold personal data."""
        inside = self.files if self.path.is_dir() else ()
        return frozenset(part.partition(".")[0] for file in inside for part in file.relative_to(self.path).parts)

    def fingerprint(self) -> dict[str, str]:
        """Digest of every file beside and below it, by relative path."""
        home = self.path.parent
        return {
            each.relative_to(home).as_posix(): sha256(each.read_bytes()).hexdigest()
            for each in sorted(home.rglob("*"))
            if each.is_file()
        }

    def rows(self) -> "Table | None":
        """The first of its files that consists of rows, if one has enough of them."""
        for file in self.files:
            table = Table.of(file)
            if table is not None and len(table.rows) >= _FEWEST_ROWS:
                return table
        return None

    @contextmanager
    def written(self, file: Path, body: bytes) -> Iterator[None]:
        """Other bytes in a file while the block lasts."""
        before, facts = file.read_bytes(), file.stat()
        try:
            _write(file, body, facts)
            yield
        finally:
            _write(file, before, facts)

    @contextmanager
    def without_first(self) -> Iterator[bool]:
        """The first row gone, or the first file of a folder without rows; yields whether there is such a thing."""
        table = self.rows()
        if table is not None:
            with self.written(table.file, table.bytes_of(table.rows[1:])):
                yield True
            return
        files = self.files
        if len(files) < _FEWEST_ROWS:
            yield False
            return
        aside = self.path.parent / "aside"
        shutil.move(files[0], aside)
        try:
            yield True
        finally:
            shutil.move(aside, files[0])

    @contextmanager
    def away(self) -> Iterator[None]:
        """Not there at all."""
        aside = self.path.parent / "aside"
        self.path.rename(aside)
        try:
            yield
        finally:
            aside.rename(self.path)

    @contextmanager
    def emptied(self) -> Iterator[None]:
        """An empty file, or a folder without files."""
        if self.path.is_dir():
            with self.away():
                self.path.mkdir()
                try:
                    yield
                finally:
                    self.path.rmdir()
            return
        with self.written(self.path, b""):
            yield

    @contextmanager
    def touched(self, seconds: int) -> Iterator[None]:
        """Files that say they were changed so many seconds later."""
        times = {file: file.stat() for file in self.files}
        try:
            for file, facts in times.items():
                os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns + seconds * 1_000_000_000))
            yield
        finally:
            for file, facts in times.items():
                os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def words(self, most: int) -> list[tuple[Path, str, int, int]]:
        """Some places of a text value: file, whole text, start and end; never in a header."""
        file = self.largest
        text = text_of(file)
        if text is None:
            return []
        below = text.find("\n") if file.suffix in _DELIMITED else 0
        found = [(file, text, match.start(), match.end()) for match in _WORD.finditer(text, max(below, 0))]
        return spread(found, most)


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of one file, and how they are written; `head` is a delimited file's first line."""

    file: Path
    rows: Sequence[Any]
    head: str | None
    around: Any
    """None for lines, else the document of which `rows` is the value at `key` (an empty key: the whole)."""
    key: str = ""

    @classmethod
    def of(cls, file: Path) -> "Table | None":
        """The rows of a file; None where it has none that can be told apart."""
        text = text_of(file)
        if text is None or file.suffix not in _DELIMITED | _LINES | _LIST:
            return None
        if file.suffix in _LIST:
            return cls._listed(file, text)
        lines = text.splitlines(keepends=True)
        if file.suffix in _LINES:
            return cls(file, [line for line in lines if line.strip()], None, None)
        if not lines or any(line.count('"') % 2 for line in lines):
            return None  # a value goes on over the end of a line
        return cls(file, [line if line.endswith("\n") else f"{line}\n" for line in lines[1:]], lines[0], None)

    @classmethod
    def _listed(cls, file: Path, text: str) -> "Table | None":
        try:
            whole = json.loads(text)
        except (ValueError, RecursionError):
            return None
        if isinstance(whole, list):
            return cls(file, whole, None, whole)
        if not isinstance(whole, dict):
            return None
        lists = {key: value for key, value in whole.items() if isinstance(value, list) and key != "@context"}
        if not lists:
            return None
        key = max(lists, key=lambda name: len(lists[name]))
        return cls(file, lists[key], None, whole, key)

    def bytes_of(self, rows: Sequence[Any]) -> bytes:
        """The file with these rows."""
        if self.around is None:
            return ((self.head or "") + "".join(rows)).encode()
        whole = list(rows) if not self.key else {**self.around, self.key: list(rows)}
        return json.dumps(whole, ensure_ascii=False).encode()

    def columns(self) -> list[str]:
        """Names in a delimited file's header."""
        if self.head is None:
            return []
        try:
            dialect: Any = csv.Sniffer().sniff(self.head, delimiters=",;\t|")
        except csv.Error:
            return []
        [names] = csv.reader(io.StringIO(self.head.strip()), dialect)
        return [name for name in names if _NAME.search(name)]

    def renamed(self, column: str) -> bytes:
        """The file with another name in the header for one column."""
        name = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(column)}(?![A-Za-z0-9_])")
        head = name.sub("verdwenen_kolom", self.head or "", count=1)
        return (head + "".join(self.rows)).encode()


def copied(source: Path, folder: Path) -> Sample:
    """A copy of a sample, alone in `folder`."""
    target = folder / source.name
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copy2(source, target)
    return Sample(target)


def text_of(file: Path) -> str | None:
    """A file's text, line ends as they are; None where it is not UTF-8."""
    try:
        return file.read_bytes().decode()
    except UnicodeDecodeError:
        return None


def later(text: str) -> str:
    """The text with all its days in the year 2999."""
    return _YEAR.sub("2999", text)


def spread(found: Sequence[Any], most: int) -> list[Any]:
    """At most so many of them: the first, the last, and others evenly between."""
    if len(found) <= most:
        return list(found)
    step = (len(found) - 1) / (most - 1)
    return [found[round(number * step)] for number in range(most)]


def _write(file: Path, body: bytes, facts: os.stat_result) -> None:
    file.write_bytes(body)
    os.utime(file, ns=(facts.st_atime_ns, facts.st_mtime_ns))
