"""A PostgreSQL database through a mapping file: an outbox, the changes of a table, or a whole table or query."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

from psycopg.sql import SQL, Composed, Identifier

from adapters.change_row import ChangeRow
from adapters.json_body import parsed
from adapters.mapping import MODIFIED, ProductMapping
from adapters.mapping_errors import Finding
from adapters.postgres_changes import COMMITTED, OPERATION, Changes
from adapters.postgres_cursor import OutboxCursor, SlotCursor
from adapters.postgres_form import PostgresSource
from adapters.postgres_outbox import Outbox, Place
from adapters.postgres_session import Query, Session, Table, described, named, session
from adapters.postgres_slot import Slot
from adapters.postgres_values import MOST_DEPTH, columns_of, row_of
from adapters.sdk import Broken, Item, SnapshotBegins, SnapshotEnds
from adapters.sources import whole_seconds
from broker.errors import Invalid, PoisonRecord, Retriable

_SHORTEST_S = 1.0

Items = AsyncGenerator[tuple[Item, str], None]


@dataclass(slots=True)
class PostgresPoll:
    """What the database holds, each row as the mapping says.

    An outbox is read in an order that no late commit can fall behind, a slot in the order of the commits; what comes after
    the cursor is asked for, and nothing is written except that a slot is released up to a cursor that was committed. A
    snapshot is read as it is at one moment.
    """

    mapping: ProductMapping
    form: PostgresSource
    facts: Mapping[str, int] = field(default_factory=dict)
    """What whoever runs it should know of the source: of a slot, how far it lags (bytes of log)."""
    _reached: Place | None = field(default=None, init=False)
    _returned: Place | None = field(default=None, init=False)
    """Where the last wait ended, for one that would end at once again and again."""

    @property
    def name(self) -> str:
        """As the mapping calls it."""
        return self.mapping.adapter

    @property
    def sources(self) -> Mapping[str, str]:
        """The mapping's product and its owner."""
        return {self.mapping.product: self.mapping.organisation}

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Items that are new since `cursor`.

        Raises `Retriable` where the server cannot be reached or is busy, `Invalid` where it refuses, with the SQL that
        mends it, and `PositionLost` where a slot no longer has what was not read.
        """
        async with (
            session(self.form, self.mapping.file.parent) as opened,
            aclosing(self._items(opened, cursor)) as items,
        ):
            async for item_and_cursor in items:
                yield item_and_cursor

    async def rows(self) -> AsyncIterator[Any]:
        """Rows of the table or query as they are, for whoever wants to see what the mapping makes of them."""
        async with (
            session(self.form, self.mapping.file.parent) as opened,
            aclosing(opened.batches(self._whole())) as pages,
        ):
            own = {OPERATION: "r", COMMITTED: await _now(opened)} if self.form.slot is not None else {}
            async for page in pages:
                for cells in page.rows:
                    try:
                        yield self._read(self._row(page, cells, opened, **own))
                    except PoisonRecord:
                        continue

    async def announced(self, within_s: float) -> None:
        """Return when the source says that there is something new, at the latest after `within_s` seconds.

        What came before it listened is looked for, so that no notification needs to be caught.
        """
        if self.form.listen is None or self.form.outbox is None:
            raise Invalid("the mapping names no channel in `listen`")
        async with session(self.form, self.mapping.file.parent) as opened:
            await opened.table(SQL("LISTEN {}").format(Identifier(self.form.listen)))
            outbox = await Outbox.of(self.form.outbox, opened)
            reached = self._reached or Place()
            if not await outbox.waits(reached):
                await opened.notified(within_s)
            elif self._returned == reached:  # what is there is held back by who still writes
                await opened.notified(min(_SHORTEST_S, within_s))
            self._returned = reached

    @property
    def announces(self) -> bool:
        """Whether `announced` can be waited for."""
        return self.form.listen is not None

    def findings(self) -> list[Finding]:
        """Columns of the mapping that the table or query lacks; raises `Invalid` where that cannot be seen."""
        try:
            columns = described(self.form, self.mapping.file.parent, self._whole(" LIMIT 0"))
        except Retriable as error:
            raise Invalid(str(error)) from None
        words = self.form.outbox
        line = self.mapping.text.line(("source",))
        if words is not None and words.payload is not None:
            lacking = [(line, "source.outbox.payload", words.payload)] if words.payload not in columns else []
        else:
            lacking = [
                (step.line, step.path, column)
                for step in self.mapping.steps
                for column in columns_of(step.sources)
                if column not in columns
            ]
        told = f"there is no column `{{}}`; there are {', '.join(columns)}"
        return [Finding(number, path, told.format(column)) for number, path, column in lacking]

    def _items(self, opened: Session, cursor: str | None) -> Items:
        if self.form.outbox is not None:
            return self._outbox(opened, cursor)
        return self._snapshot(opened) if self.form.slot is None else self._changes(opened, cursor)

    async def _outbox(self, opened: Session, cursor: str | None) -> Items:
        outbox = await Outbox.of(self.form.outbox, opened)  # type: ignore[arg-type]
        at = OutboxCursor.of(cursor, self._fingerprint(outbox.oid))
        self._reached = at.place
        async with aclosing(outbox.pages(at.place, at.node)) as pages:
            async for page in pages:
                for cells in page.rows:
                    place = outbox.behind(cells, page.names)
                    at = replace(at, place=place, node=outbox.node)
                    yield self._item(page, cells, opened, f"{place.transaction}/{place.position}"), at.text()
                    self._reached = place

    async def _changes(self, opened: Session, cursor: str | None) -> Items:
        slot = await Slot.of(self.form, opened)
        self.facts = slot.facts
        fingerprint = self._fingerprint(0)
        changes = Changes(self.mapping, slot, fingerprint, self._wanted())
        async with aclosing(changes.after(SlotCursor.of(cursor, fingerprint))) as items:
            async for item_and_cursor in items:
                yield item_and_cursor

    async def _snapshot(self, opened: Session) -> Items:
        """All rows as one snapshot; the next reading is a whole one again."""
        modified = await _now(opened)
        yield SnapshotBegins(self.mapping.product), ""
        number, whole = 0, True
        async with aclosing(opened.batches(self._whole())) as pages:
            async for page in pages:
                for cells in page.rows:
                    number += 1
                    row = self._row(page, cells, opened, **{MODIFIED: modified})
                    whole = whole and self.mapping.identifies(row)
                    yield self.mapping.item(row, f"#{number}"), ""
        if whole:
            yield SnapshotEnds(self.mapping.product, self.mapping.shrink), ""
        else:
            yield Broken("#end", "SNAPSHOT_INCOMPLETE", "", self.mapping.product), ""

    def _item(self, page: Table, cells: tuple[bytes | None, ...], opened: Session, place: str) -> Item:
        try:
            row = self._read(self._row(page, cells, opened))
        except PoisonRecord as poison:
            return Broken(place, poison.reason, "", self.mapping.product)
        return self.mapping.item(row, place)

    def _read(self, row: ChangeRow) -> Any:
        """The row as the mapping gets it; raises `PoisonRecord` where it is a payload that is no JSON object."""
        words = self.form.outbox
        if words is None or words.payload is None:
            return row
        payload = row.get(words.payload)
        if isinstance(payload, str):
            payload = parsed(payload.encode(), MOST_DEPTH)
        if not isinstance(payload, dict):
            raise PoisonRecord("PAYLOAD_NOT_OBJECT")
        return payload

    def _row(self, page: Table, cells: tuple[bytes | None, ...], opened: Session, **more: Any) -> ChangeRow:
        return row_of(zip(page.names, page.types, cells, strict=True), opened.types, self._wanted(), **more)

    def _wanted(self) -> frozenset[str]:
        """Columns that the rules read; none where they read a payload."""
        if self.form.outbox is not None and self.form.outbox.payload is not None:
            return frozenset()
        return columns_of(source for step in self.mapping.steps for source in step.sources)

    def _whole(self, end: str = "") -> Query:
        if self.form.query is not None:
            return f"SELECT * FROM ({self.form.query.strip().rstrip(';')}\n) AS stated{end}".encode()  # noqa: S608 - its author's own, read-only
        words = self.form.outbox
        order = SQL(" ORDER BY {}").format(Identifier(words.position)) if words is not None else SQL("")
        return Composed([SQL("SELECT * FROM "), named(str(self.form.read_table)), order, SQL(end)])

    def _fingerprint(self, oid: int) -> str:
        place = f"{self.form.host}:{self.form.port}/{self.form.database} {oid}"
        return sha256(f"{self.mapping.fingerprint} {place}".encode()).hexdigest()[:8]


async def _now(opened: Session) -> str:
    return whole_seconds((await opened.ask(SQL("SELECT now()")))[0][0])
