"""Changes of one table out of a replication slot, as items with the cursor behind each.

Rows have two columns more, as in a raw topic: `@op`, which is c (created), u (updated), r (read as it is) or d (deleted),
and `@committed`, the instant of the commit.
"""

from collections.abc import AsyncGenerator, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import MappingProxyType

from psycopg.sql import SQL

from adapters.change_row import ChangeRow
from adapters.mapping import ProductMapping
from adapters.postgres_cursor import SlotCursor
from adapters.postgres_form import parts_of
from adapters.postgres_messages import (
    UNCHANGED,
    Begin,
    Commit,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
)
from adapters.postgres_session import named
from adapters.postgres_slot import Slot
from adapters.postgres_values import Cell, row_of
from adapters.sdk import Broken, Change, Ignored, Item
from adapters.sources import whole_seconds
from broker.errors import PositionLost
from broker.model.decision import Kind

OPERATION, COMMITTED = "@op", "@committed"
"""What these columns are called in a raw topic, too: one mapping serves both."""

WIDE = 16 << 20
"""Bytes of the log without a change of the table after which the cursor moves on all the same."""

_KINDS = MappingProxyType({"c": Kind.ADDED.value, "u": Kind.CHANGED.value, "r": Kind.SNAPSHOT.value})
_OUTSIDE_KEY = "REPLICA_IDENTITY_MISSING"

Items = AsyncGenerator[tuple[Item, str], None]


@dataclass(slots=True)
class Changes:
    """Reads `slot` through `mapping`."""

    mapping: ProductMapping
    slot: Slot
    fingerprint: str
    wanted: Collection[str] = ()
    """Columns that the mapping reads."""
    _relation: Relation | None = field(default=None, init=False)

    async def after(self, at: SlotCursor | None) -> Items:
        """Items behind a cursor; without one, first the table as it is where `initial` is stated.

        What is released of the slot is what `at` says was read. Raises `PositionLost` where it was moved by another.
        """
        slot = self.slot
        if at is not None:
            if at.over < slot.confirmed:
                raise PositionLost(
                    f"slot {slot.form.slot} was read by another, or made anew: changes may be missing. Read everything under "
                    "another `adapter:` name with `initial: true`"
                )
            await slot.release(at.over)
        else:
            at = SlotCursor(self.fingerprint, slot.confirmed)
            if slot.form.initial:
                async for item_and_cursor in self._initial(at):
                    yield item_and_cursor
        async for item_and_cursor in self._onward(at):
            yield item_and_cursor

    async def _onward(self, at: SlotCursor) -> Items:
        """Items behind a cursor; the last one of a transaction stands behind the whole of it."""
        held: tuple[Item, SlotCursor] | None = None
        given = over = at
        async for item, behind in self._told(at.over):
            if item is None:
                over = behind
                if held is not None:
                    yield held[0], behind.text()
                    held, given = None, behind
            elif behind.commit != at.commit or behind.items > at.items:
                if held is not None:
                    yield held[0], held[1].text()
                held = item, behind
        if self.slot.head - given.over > WIDE:
            passed = SlotCursor(self.fingerprint, max(self.slot.head, over.over))
            yield Ignored("log", "LOG_WITHOUT_CHANGES"), passed.text()

    async def _told(self, over: int) -> AsyncGenerator[tuple[Item | None, SlotCursor], None]:
        """What the transactions that commit from `over` on state, each with the place behind it; None where one ends."""
        transaction, number = Begin(0, datetime.min.replace(tzinfo=UTC)), 0
        since = over
        async for message in self.slot.messages():
            match message:
                case Begin():
                    transaction, number = message, 0
                case Commit(end=end):
                    over = max(over, end)
                    yield None, SlotCursor(self.fingerprint, over)
                case Relation(schema=schema, name=name):
                    if (schema, name) == parts_of(str(self.slot.form.table)):
                        self._relation = message
                case _ if transaction.commit >= since:
                    found = list(self._items(message, transaction, number))
                    for place, item in enumerate(found, number + 1):
                        yield item, SlotCursor(self.fingerprint, over, transaction.commit, place)
                    number += len(found)

    async def _initial(self, at: SlotCursor) -> Items:
        """The table as it is; every row but the last stands before it."""
        session, held = self.slot.session, None
        now = (await session.ask(SQL("SELECT now()")))[0][0]
        number = 0
        async for page in session.batches(SQL("SELECT * FROM {}").format(named(str(self.slot.form.table)))):
            for cells in page.rows:
                number += 1
                if held is not None:
                    yield held, ""
                row = self._row(zip(page.names, page.types, cells, strict=True), "r", now)
                held = self._stated(row, f"initial#{number}", "r")
        if held is not None:
            yield held, at.text()

    def _items(self, message: Message, transaction: Begin, number: int) -> Iterator[Item]:
        """What a message states; nothing for one about other tables."""
        place, at = f"{transaction.commit:x}#{number + 1}", transaction.at
        relation = self._relation
        if relation is None:
            return
        match message:
            case Truncate(relations=relations) if relation.oid in relations:
                yield Broken(place, "TABLE_TRUNCATED", "", self.mapping.product)
            case Insert(relation=relation.oid, row=cells):
                yield self._stated(self._now(relation, cells, "c", at), place, "c")
            case Delete(relation=relation.oid):
                yield self.mapping.item(self._before(relation, message.before, at, whole=message.whole), place)
            case Update(relation=relation.oid):
                yield from self._updated(relation, message, place, at)

    def _updated(self, relation: Relation, update: Update, place: str, at: datetime) -> Iterator[Item]:
        """The row as it is; before it, where its id changed, the deletion of the one that it was."""
        cells: Sequence[Cell] = update.row
        if update.before is not None and update.whole:
            cells = [old if new == UNCHANGED else new for new, old in zip(cells, update.before, strict=True)]
        item = self._stated(self._now(relation, cells, "u", at), place, "u")
        if update.before is not None:
            gone = self.mapping.item(self._before(relation, update.before, at, whole=update.whole), place)
            if isinstance(gone, Change) and isinstance(item, Change) and gone.source_id != item.source_id:
                yield gone
        yield item

    def _stated(self, row: ChangeRow, place: str, operation: str) -> Item:
        item = self.mapping.item(row, place)
        if isinstance(item, Change) and item.value is not None and "kind" not in self.mapping.text.data:
            return replace(item, value={**item.value, "kind": _KINDS[operation]})
        return item

    def _now(self, relation: Relation, cells: Sequence[Cell], operation: str, at: datetime) -> ChangeRow:
        columns = zip(relation.columns, cells, strict=True)
        return self._row(((column.name, column.type, cell) for column, cell in columns), operation, at)

    def _before(self, relation: Relation, cells: Sequence[Cell], at: datetime, *, whole: bool) -> ChangeRow:
        """A row that was; of which only the replica identity is known, unless `whole`."""
        columns = zip(relation.columns, cells, strict=True)
        known = ((column.name, column.type, cell if whole or column.key else _OUTSIDE_KEY) for column, cell in columns)
        return self._row(known, "d", at)

    def _row(self, columns: Iterator[tuple[str, int, Cell]], operation: str, at: datetime) -> ChangeRow:
        more = {OPERATION: operation, COMMITTED: whole_seconds(at)}
        return row_of(columns, self.slot.session.types, self.wanted, gone=operation == "d", **more)
