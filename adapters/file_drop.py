"""A folder of files with rows (or one file), through a mapping file: every row once."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from adapters.file_cursor import Cursor, Listed, Trail
from adapters.file_rows import FileBroken, Format
from adapters.file_source import Copy, Files
from adapters.mapping import MODIFIED, ProductMapping
from adapters.mapping_errors import Finding
from adapters.sdk import Broken, Ignored, Item, SnapshotBegins, SnapshotEnds
from adapters.sources import whole_seconds
from broker.errors import Invalid, Retriable

_AT_ONCE = 500

Reading = Iterator[tuple[Item, str]]


@dataclass(frozen=True, slots=True)
class FileDrop:
    """Files in the order of their names, each as the mapping says.

    Rows added at the end of a file are read on from where the last run stopped. A file that was replaced, or came late
    under an earlier name, is read whole, and every file after it again: the last word stays the last. In a snapshot
    each file is the whole population.
    """

    mapping: ProductMapping
    format: Format
    files: Files
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
        read = self._snapshot if self.mapping.snapshot else self._rows
        async with self.files.visit(self.format.suffixes) as visit:
            listing = visit.listing
            first = at.first_new(listing)
            for number in range(first, len(listing)):
                at = at if number == first else _anew(at)  # what was read of a later file, earlier ones came before now
                async with visit.copy(listing[number]) as copy:
                    reading = read(at, listing, number, copy)
                    while some := await asyncio.to_thread(list, islice(reading, _AT_ONCE)):
                        for item_and_cursor in some:
                            yield item_and_cursor

    async def rows(self) -> AsyncIterator[Any]:
        """Rows of all files that can be read, for whoever wants to see what the mapping makes of them."""
        async with self.files.visit(self.format.suffixes) as visit:
            for file in visit.listing:
                async with visit.copy(file) as copy:
                    reading = self._whole(file, copy)
                    while some := await asyncio.to_thread(list, islice(reading, _AT_ONCE)):
                        for row in some:
                            yield row

    def findings(self) -> list[Finding]:
        """Columns of the mapping that the first file lacks, each with its line in the mapping; raises `Invalid`."""
        with ThreadPoolExecutor(1) as apart:  # there is a loop in the caller's thread already
            columns = apart.submit(asyncio.run, self._columns()).result()
        told = f"the first file has no such column; it has {', '.join(columns)}"
        return [Finding(self.mapping.columns[name], name, told) for name in self._lacking(columns)]

    async def _columns(self) -> list[str]:
        reason = ""
        async with self.files.visit(self.format.suffixes) as visit:
            if not visit.listing:
                raise Invalid(f"the source has no file that ends in one of {', '.join(sorted(self.format.suffixes))}")
            file = visit.listing[0]
            try:
                async with visit.copy(file) as copy:
                    with copy.open() as opened:
                        return self.format.table(opened, file.name).columns
            except FileBroken as broken:
                reason = broken.reason
            except OSError as error:
                reason = error.strerror or "OSError"
        raise Invalid(f"the first file of the source cannot be read: {reason}")

    def _lacking(self, columns: list[str]) -> list[str]:
        return [name for name in self.mapping.columns if name not in columns and name != MODIFIED]

    def _rows(self, at: Cursor, listing: list[Listed], number: int, copy: Copy) -> Reading:
        """Items behind the place where the last run stopped; the cursor of the last one stands behind the file."""
        file, rows = listing[number], at.rows_of(listing[number])
        within, behind = at.before(listing, number), at.behind(listing, number)
        held: Item | None = None
        before, trail = "", at.trail(())
        try:
            for _, row, item in self._read(file, copy, trail):
                if trail.rows <= rows:
                    if trail.rows == rows and trail.digest != at.seen:
                        yield from self._rows(_anew(at), listing, number, copy)
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
            yield from self._rows(_anew(at), listing, number, copy)
        elif held is not None:
            yield held, behind(trail)

    def _snapshot(self, at: Cursor, listing: list[Listed], number: int, copy: Copy) -> Reading:
        """A whole file as one snapshot; every item but the last stands before it."""
        file, trail, whole = listing[number], at.trail(()), True
        start, end = at.before(listing, number)(trail), at.behind(listing, number)(trail)
        yield SnapshotBegins(self.mapping.product), start
        try:
            for _, row, place in self._read(file, copy, at.trail(())):
                whole = whole and isinstance(row, dict) and self.mapping.identifies(row)
                yield self._item(row, place), start
        except FileBroken as broken:
            yield self._broken(file, broken), start
            whole = False
        if copy.changed():
            raise Retriable("a file of the source was changed while it was read as a snapshot")
        if whole:
            yield SnapshotEnds(self.mapping.product, self.mapping.shrink), end
        else:
            yield Broken(f"{file.name}#end", "SNAPSHOT_INCOMPLETE", "", self.mapping.product), end

    def _read(self, file: Listed, copy: Copy, trail: Trail) -> Iterator[tuple[int, dict[str, Any] | str, str]]:
        """Number, row (or why there is none) and place of every row; the trail goes along. Raises `FileBroken`."""
        try:
            with copy.open() as opened:
                found = self.format.table(opened, file.name)
                if lacking := self._lacking(found.columns):
                    raise FileBroken("COLUMN_MISSING", self.mapping.field_of(lacking[0]))
                modified = {MODIFIED: whole_seconds(datetime.fromtimestamp(file.changed_ns / 1e9, UTC))}
                trail.add(found.columns)
                for number, row in found.rows:
                    trail.add(row)
                    shown = row if isinstance(row, str) else self.format.shown(found.columns, row) | modified
                    yield number, shown, f"{file.name}#{number}"
        except OSError as error:
            gone = type(error).__name__
        else:
            return
        raise Retriable(f"a file of the source cannot be read now ({gone})")

    def _whole(self, file: Listed, copy: Copy) -> Iterator[dict[str, Any]]:
        with suppress(FileBroken):
            yield from (row for _, row, _ in self._read(file, copy, Trail(b"", ())) if isinstance(row, dict))

    def _item(self, row: dict[str, Any] | str, place: str) -> Item:
        return Broken(place, row, "", self.mapping.product) if isinstance(row, str) else self.mapping.item(row, place)

    def _broken(self, file: Listed, broken: FileBroken) -> Item:
        if broken.reason == "EMPTY_FILE" and not self.mapping.snapshot:
            return Ignored(file.name, broken.reason)
        return Broken(file.name, broken.reason, broken.path, self.mapping.product)


def _anew(at: Cursor) -> Cursor:
    """The same without a place in a file: it no longer begins with what was read."""
    return Cursor(at.fingerprint, at.salt, at.done)
