"""Rows of an outbox table, in an order that no transaction which commits late can fall behind.

Numbers of a sequence become visible out of order: a transaction that drew a lower one may commit later. Whoever inserts
into a table holds its ROW EXCLUSIVE lock before drawing the number, and until the transaction's end (PostgreSQL manual
§13.3.1). So, of what is visible, everything up to the greatest number is there for good once all those are gone who held
that lock after it was seen. docs/adr/2026-11-26-commit-order-of-a-database.md says why it is done so.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Literal

from adapters.postgres_form import OutboxTable, parts_of
from adapters.postgres_session import AT_ONCE, Session, Table, named
from broker.errors import Invalid

PATIENCE_S = 5.0
"""How long a reading waits for writers before it leaves what they may still add to to the next one."""

_LOOK_AGAIN_S = 0.05

_ABOUT = SQL("""
    SELECT c.oid, c.relkind IN ('r', 'p'), a.attname IS NOT NULL,
           coalesce(s.seqcache = 1 AND s.seqincrement > 0 AND NOT s.seqcycle, false), pg_is_in_recovery(), s.seqcache,
           coalesce(pg_relation_filenode(c.oid), 0)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = %s AND NOT a.attisdropped
      LEFT JOIN pg_sequence s ON s.seqrelid = pg_get_serial_sequence(format('%%I.%%I', n.nspname, c.relname), a.attname)::regclass
     WHERE n.nspname = %s AND c.relname = %s
""")
_WRITERS = SQL("""
    SELECT DISTINCT virtualtransaction FROM pg_locks
     WHERE locktype = 'relation' AND mode = 'RowExclusiveLock'
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND (relation = %s OR relation IN (SELECT relid FROM pg_partition_tree(%s)))
""")


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Behind one row: the number of its transaction (0 where they do not count) and its position."""

    transaction: int = 0
    position: int = 0


@dataclass(frozen=True, slots=True)
class Outbox:
    """The outbox `words` over an open session; `oid` is the table's, `node` of its file: TRUNCATE gives it a new one."""

    words: OutboxTable
    session: Session
    oid: int
    node: int

    @classmethod
    async def of(cls, words: OutboxTable, session: Session) -> "Outbox":
        """Raises `Invalid` where the table cannot be read in a safe order."""
        schema, name = parts_of(words.table)
        found = await session.ask(_ABOUT, (words.position, schema, name))
        if not found:
            raise Invalid(f"there is no table {schema}.{name} in this database: check its name and schema")
        oid, is_table, has_position, drawn, standby, cache, node = found[0]
        if not is_table:
            raise Invalid(f"{words.table} is no table: name the table into which the source inserts")
        if not has_position:
            raise Invalid(f"{words.table} has no column {words.position}: check `position`")
        if words.transaction is None and not drawn:
            raise Invalid(_unsafe(words, cache))
        if words.transaction is None and standby:
            raise Invalid("this server is a standby, which does not know who writes: name the primary")
        return cls(words, session, oid, node)

    def behind(self, row: tuple[bytes | None, ...], names: tuple[str, ...]) -> Place:
        """The place behind a row that was read."""
        words = self.words
        position = int(row[names.index(words.position)] or b"0")
        return Place(int(row[names.index(words.transaction)] or b"0") if words.transaction else 0, position)

    async def pages(self, after: Place, node: int) -> AsyncGenerator[Table, None]:
        """Rows behind `after`, as it was in a file `node`, that nothing can come before any more, in order."""
        if self.words.transaction is None:
            pages = self._by_position(after.position, emptied=node != self.node)
        else:
            pages = self._by_transaction(after)
        async for page in pages:
            yield page

    async def waits(self, after: Place) -> bool:
        """Whether there are rows behind `after`, safe or not."""
        return bool((await self._page(self._behind(after), 1)).rows)

    async def _by_position(self, after: int, *, emptied: bool) -> AsyncGenerator[Table, None]:
        head = await self._head()
        if emptied and head < after:
            after = 0  # it counts from the start again; a clean-up that deleted the latest rows is none
        if head <= after:
            return
        writing = await self._writers()  # after the head was seen: not the other way about
        if writing:
            while (page := _unbroken(await self._page(self._between(after, head)), after, self.words.position)).rows:
                yield page
                after += len(page.rows)
            if not await self._over(writing):
                return
        while (page := await self._page(self._between(after, head))).rows:
            yield page
            after = int(page.rows[-1][page.names.index(self.words.position)] or b"0")

    async def _by_transaction(self, after: Place) -> AsyncGenerator[Table, None]:
        """A transaction below the snapshot's `xmin` is over, and all that it ever adds is visible in that snapshot."""
        column = Identifier(str(self.words.transaction))
        while True:
            over = SQL(" AND {} < pg_snapshot_xmin(pg_current_snapshot())").format(column)
            page = await self._page(Composed([self._behind(after), over]))
            if not page.rows:
                return
            yield page
            after = self.behind(page.rows[-1], page.names)

    async def _head(self) -> int:
        query = SQL("SELECT max({}) FROM {}").format(Identifier(self.words.position), named(self.words.table))
        return int((await self.session.ask(query))[0][0] or 0)

    async def _writers(self) -> set[Any]:
        return {each for (each,) in await self.session.ask(_WRITERS, (self.oid, self.oid))}

    async def _over(self, writing: set[Any]) -> bool:
        """Whether all of them ended while we waited."""
        until = asyncio.get_running_loop().time() + PATIENCE_S
        while writing & await self._writers():
            if asyncio.get_running_loop().time() >= until:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True

    def _between(self, after: int, head: int) -> Composed:
        column = Identifier(self.words.position)
        return SQL("{} > {} AND {} <= {}").format(column, Literal(after), column, Literal(head))

    def _behind(self, after: Place) -> Composed:
        position = Identifier(self.words.position)
        if self.words.transaction is None:
            return SQL("{} > {}").format(position, Literal(after.position))
        return SQL("({}, {}) > ({}::text::xid8, {})").format(
            Identifier(self.words.transaction), position, Literal(str(after.transaction)), Literal(after.position)
        )

    async def _page(self, where: Composed, most: int = AT_ONCE) -> Table:
        order = [Identifier(each) for each in (self.words.transaction, self.words.position) if each is not None]
        return await self.session.table(
            SQL("SELECT * FROM {} WHERE {} ORDER BY {} LIMIT {}").format(
                named(self.words.table), where, SQL(", ").join(order), Literal(most)
            )
        )


def _unbroken(page: Table, after: int, position: str) -> Table:
    """The rows that follow `after` without a gap: nothing can come between them."""
    column = page.names.index(position)
    follows = takewhile(lambda each: int(each[1][column] or b"0") == after + 1 + each[0], enumerate(page.rows))
    return Table(page.names, page.types, tuple(row for _, row in follows))


def _unsafe(words: OutboxTable, cache: int | None) -> str:
    if cache is None:
        told = "is not filled by a sequence of its own: make it GENERATED ALWAYS AS IDENTITY"
    else:
        told = "comes from a sequence that does not count up one by one: ALTER SEQUENCE … INCREMENT 1 CACHE 1 NO CYCLE"
    return (
        f"{words.position} of {words.table} {told}; or add a column `xid8 DEFAULT pg_current_xact_id()`, "
        "and name it in `transaction`"
    )
