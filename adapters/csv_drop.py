"""A folder of CSV files or workbooks (or one file), through a mapping file: every row once."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from adapters.csv_cursor import Cursor, Listed, Trail
from adapters.csv_form import CsvSource
from adapters.csv_rows import SUFFIXES, FileBroken, table
from adapters.mapping import MODIFIED, ProductMapping
from adapters.mapping_errors import Finding
from adapters.sdk import Broken, Ignored, Item, SnapshotBegins, SnapshotEnds
from adapters.sources import whole_seconds
from broker.errors import Invalid, Retriable

_MOST_FILES = 1000
_AT_ONCE = 500
_UNFINISHED = ("~$", ".")
"""How the names of files begin that another program still writes."""

Reading = Iterator[tuple[Item, str]]


@dataclass(frozen=True, slots=True)
class CsvDrop:
    """Files in the order of their names, each as the mapping says.

    Rows added at the end of a file are read on from where the last run stopped. A file that was replaced, or came late
    under an earlier name, is read whole, and every file after it again: the last word stays the last. In a snapshot
    each file is the whole population.
    """

    mapping: ProductMapping
    form: CsvSource
    path: Path
    random: Callable[[int], bytes] = secrets.token_bytes

    @property
    def name(self) -> str:
        """As the mapping calls it."""
        return self.mapping.adapter

    @property
    def sources(self) -> Mapping[str, str]:
        """The mapping's product and its owner."""
        return {self.mapping.product: self.mapping.organisation}

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Rows that are new since `cursor`. Raises `Retriable` where a file goes away, or a snapshot changes, meanwhile."""
        at = Cursor.of(cursor, self.mapping.fingerprint, self.random)
        listing = await asyncio.to_thread(_listing, self.path)
        first = at.first_new(listing)
        for number in range(first, len(listing)):
            at = at if number == first else _anew(at)  # what was read of a later file, earlier ones came before now
            reading = (self._snapshot if self.mapping.snapshot else self._rows)(at, listing, number)
            while some := await asyncio.to_thread(list, islice(reading, _AT_ONCE)):
                for item_and_cursor in some:
                    yield item_and_cursor

    async def rows(self) -> AsyncIterator[Mapping[str, str]]:
        """Rows of all files that can be read, for whoever wants to see what the mapping makes of them."""
        for file in _listing(self.path):
            reading = self._whole(file)
            while some := await asyncio.to_thread(list, islice(reading, _AT_ONCE)):
                for row in some:
                    yield row

    def findings(self) -> list[Finding]:
        """Columns of the mapping that the first file lacks, each with its line in the mapping; raises `Invalid`."""
        listing = _listing(self.path)
        if not listing:
            raise Invalid(f"the source has no file that ends in one of {', '.join(sorted(SUFFIXES))}")
        reason = ""
        try:
            with listing[0].path.open("rb") as opened:
                columns = table(opened, listing[0].name, self.form).columns
        except FileBroken as broken:
            reason = broken.reason
        except OSError as error:
            reason = error.strerror or "OSError"
        if reason:
            raise Invalid(f"the first file of the source cannot be read: {reason}")
        told = f"the first file has no such column; it has {', '.join(columns)}"
        return [Finding(self.mapping.columns[name], name, told) for name in self._lacking(columns)]

    def _lacking(self, columns: list[str]) -> list[str]:
        return [name for name in self.mapping.columns if name not in columns and name != MODIFIED]

    def _rows(self, at: Cursor, listing: list[Listed], number: int) -> Reading:
        """Items behind the place where the last run stopped; the cursor of the last one stands behind the file."""
        file, rows = listing[number], at.rows_of(listing[number])
        within, behind = at.before(listing, number), at.behind(listing, number)
        held: Item | None = None
        before, trail = "", at.trail(())
        try:
            for _, row, item in self._read(file, trail):
                if trail.rows <= rows:
                    if trail.rows == rows and trail.digest != at.seen:
                        yield from self._rows(_anew(at), listing, number)
                        return
                    continue
                if held is not None:
                    yield held, before
                held, before = self._item(row, item), within(trail)
        except FileBroken as broken:
            if held is not None:
                yield held, before
            held = self._broken(file, broken)
        if trail.rows < rows:
            yield from self._rows(_anew(at), listing, number)
        elif held is not None:
            yield held, behind(trail)

    def _snapshot(self, at: Cursor, listing: list[Listed], number: int) -> Reading:
        """A whole file as one snapshot; every item but the last stands before it."""
        file, trail, whole = listing[number], at.trail(()), True
        start, end = at.before(listing, number)(trail), at.behind(listing, number)(trail)
        yield SnapshotBegins(self.mapping.product), start
        try:
            for _, row, place in self._read(file, at.trail(())):
                whole = whole and isinstance(row, dict) and self.mapping.identifies(row)
                yield self._item(row, place), start
        except FileBroken as broken:
            yield self._broken(file, broken), start
            whole = False
        if _stat(file.name, file.path) != file:
            raise Retriable("a file of the source was changed while it was read as a snapshot")
        if whole:
            yield SnapshotEnds(self.mapping.product, self.mapping.shrink), end
        else:
            yield Broken(f"{file.name}#end", "SNAPSHOT_INCOMPLETE", "", self.mapping.product), end

    def _read(self, file: Listed, trail: Trail) -> Iterator[tuple[int, dict[str, str] | str, str]]:
        """Number, row (or why there is none) and place of every row; the trail goes along. Raises `FileBroken`."""
        try:
            with file.path.open("rb") as opened:
                found = table(opened, file.name, self.form)
                if lacking := self._lacking(found.columns):
                    raise FileBroken("COLUMN_MISSING", self.mapping.field_of(lacking[0]))
                modified = {MODIFIED: whole_seconds(datetime.fromtimestamp(file.changed_ns / 1e9, UTC))}
                trail.add(found.columns)
                for number, row in found.rows:
                    trail.add(row)
                    shown = row if isinstance(row, str) else dict(zip(found.columns, row, strict=True)) | modified
                    yield number, shown, f"{file.name}#{number}"
        except OSError as error:
            gone = type(error).__name__
        else:
            return
        raise Retriable(f"a file of the source cannot be read now ({gone})")

    def _whole(self, file: Listed) -> Iterator[Mapping[str, str]]:
        with suppress(FileBroken):
            yield from (row for _, row, _ in self._read(file, Trail(b"", ())) if isinstance(row, dict))

    def _item(self, row: dict[str, str] | str, place: str) -> Item:
        return Broken(place, row, "", self.mapping.product) if isinstance(row, str) else self.mapping.item(row, place)

    def _broken(self, file: Listed, broken: FileBroken) -> Item:
        if broken.reason == "EMPTY_FILE" and not self.mapping.snapshot:
            return Ignored(file.name, broken.reason)
        return Broken(file.name, broken.reason, broken.path, self.mapping.product)


def _anew(at: Cursor) -> Cursor:
    """The same without a place in a file: it no longer begins with what was read."""
    return Cursor(at.fingerprint, at.salt, at.done)


def _listing(path: Path) -> list[Listed]:
    if path.is_file():
        return [_stat(path.name, path)]
    found = [
        file
        for file in path.rglob("*")
        if file.suffix.lower() in SUFFIXES
        and file.is_file()
        and not file.is_symlink()
        and not file.name.startswith(_UNFINISHED)
    ]
    if len(found) > _MOST_FILES:
        raise Invalid(f"the source has more than {_MOST_FILES} files: move away what was read, oldest first")
    return [_stat(file.relative_to(path).as_posix(), file) for file in sorted(found, key=lambda file: file.parts)]


def _stat(name: str, path: Path) -> Listed:
    try:
        facts = path.stat()
    except OSError:
        facts = None
    if facts is None:
        raise Retriable("a file of the source went away while the folder was read")
    return Listed(name, path, facts.st_size, facts.st_mtime_ns)
