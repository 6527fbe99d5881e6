"""A replication slot read through SQL: looked into as often as wanted, moved only behind what was published.

`pg_logical_slot_peek_binary_changes` leaves the slot where it is, and begins there each time (PostgreSQL manual §9.28.6).
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from psycopg.sql import SQL, Literal

from adapters.postgres_cursor import lsn
from adapters.postgres_form import PostgresSource, parts_of
from adapters.postgres_messages import Message, message
from adapters.postgres_session import Session
from broker.errors import Invalid, PositionLost

FIRST_MESSAGES = 10_000
"""Messages that are asked for at first; as the slot begins anew each time, twice as many after that."""

_ABOUT = SQL("""
    SELECT current_setting('wal_level'), pg_is_in_recovery(),
           (SELECT rolsuper OR rolreplication FROM pg_roles WHERE rolname = current_user),
           EXISTS (SELECT FROM pg_publication WHERE pubname = %s),
           EXISTS (SELECT FROM pg_publication WHERE pubname = %s AND pubinsert AND pubupdate AND pubdelete AND pubtruncate),
           EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                    WHERE c.relkind = 'p' AND (n.nspname, c.relname) = (%s, %s)),
           EXISTS (SELECT FROM pg_publication_tables WHERE (pubname, schemaname, tablename) = (%s, %s, %s)),
           s.slot_name IS NOT NULL, s.plugin, s.database = current_database(), s.wal_status,
           s.confirmed_flush_lsn - '0/0'::pg_lsn, s.restart_lsn - '0/0'::pg_lsn
      FROM (SELECT) one LEFT JOIN pg_replication_slots s ON s.slot_name = %s
""")


@dataclass(frozen=True, slots=True)
class Slot:
    """The slot of `form` over an open session, at the moment when it was looked at.

    `confirmed` is up to where it was released, `kept` from where on the server keeps its log for it, `head` the log's end.
    """

    form: PostgresSource
    session: Session
    confirmed: int
    kept: int
    head: int

    @classmethod
    async def of(cls, form: PostgresSource, session: Session) -> "Slot":
        """Raises `Invalid` with the SQL to run where something lacks, `PositionLost` where the server gave the slot up."""
        schema, name = parts_of(str(form.table))
        found = await session.ask(
            _ABOUT, (*[form.publication] * 2, schema, name, form.publication, schema, name, form.slot)
        )
        confirmed, kept = _checked(form, found[0])
        head = await session.ask(SQL("SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn"))
        return cls(form, session, confirmed, kept, int(head[0][0]))

    @property
    def facts(self) -> dict[str, int]:
        """Bytes of the log that were not released yet, and that the server keeps on disk for the slot."""
        return {"slotLagBytes": self.head - self.confirmed, "slotKeptBytes": self.head - self.kept}

    async def release(self, over: int) -> None:
        """Let the server forget what ended before `over`."""
        if over > self.confirmed:
            query = SQL("SELECT pg_replication_slot_advance({}, {}::pg_lsn)")
            await self.session.ask(query.format(Literal(self.form.slot), Literal(lsn(over))))

    async def messages(self) -> AsyncGenerator[Message, None]:
        """Messages of all transactions that ended before `head`, in the order in which they were committed."""
        seen, most = 0, FIRST_MESSAGES
        while True:
            before = seen
            peeked = SQL(
                "SELECT data FROM pg_logical_slot_peek_binary_changes({}, {}::pg_lsn, {}, "
                "'proto_version', '1', 'publication_names', {}) OFFSET {}"
            ).format(
                Literal(self.form.slot),
                Literal(lsn(self.head)),
                Literal(most),
                Literal(f'"{str(self.form.publication).replace(chr(34), chr(34) * 2)}"'),
                Literal(seen),
            )
            async for page in self.session.batches(peeked):
                for (raw,) in page.rows:
                    seen += 1
                    read = message(bytes.fromhex((raw or b"").decode().removeprefix("\\x")))
                    if read is not None:
                        yield read
            if seen < most or seen == before:
                return  # fewer than were asked for: there are no more
            most = 2 * seen  # a transaction comes whole, so that there can be many more than were asked for


def _checked(form: PostgresSource, found: tuple[Any, ...]) -> tuple[int, int]:
    """Where the slot stands, and from where on the log is kept."""
    level, standby, may, published, whole, in_parts, member, there, plugin, here, status, confirmed, kept = found
    table, name = ".".join(parts_of(str(form.table))), form.publication
    create = f"SELECT pg_create_logical_replication_slot('{form.slot}', 'pgoutput')"
    lacking = (
        (standby, "this server is a standby: name the primary"),
        (
            level != "logical",
            "the server writes no logical log. Run: ALTER SYSTEM SET wal_level = 'logical'; then restart it",
        ),
        (not may, f"the user may not read a replication slot. Run: ALTER ROLE {form.user} REPLICATION"),
        (not published, f"there is no publication {name}. Run: CREATE PUBLICATION {name} FOR TABLE {table}"),
        (
            not whole,
            (
                f"the publication leaves out changes. Run: ALTER PUBLICATION {name} SET "
                "(publish = 'insert, update, delete, truncate')"
            ),
        ),
        (
            in_parts and not member,
            (
                f"the publication tells of {table} by its partitions. Have {table} in it, and run: ALTER PUBLICATION {name} "
                "SET (publish_via_partition_root = true)"
            ),
        ),
        (not member, f"{table} is not in the publication. Run: ALTER PUBLICATION {name} ADD TABLE {table}"),
        (not there, f"there is no slot {form.slot}. Run, after the publication was made: {create}"),
        (
            plugin != "pgoutput" or not here,
            f"slot {form.slot} is of another database or plugin: name another one, and run: {create}",
        ),
    )
    if told := next((text for wrong, text in lacking if wrong), ""):
        raise Invalid(told)
    if status == "lost" or confirmed is None or kept is None:
        raise PositionLost(
            f"the server threw away what slot {form.slot} had not been read of (max_slot_wal_keep_size): changes are missing. "
            f"Drop it, run {create}, and read everything under another `adapter:` name with `initial: true`"
        )
    return int(confirmed), int(kept)
