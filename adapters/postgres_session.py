"""One connection to a source's PostgreSQL: read-only, bounded in time, with errors that say what to do.

No text of the server is in an error: it can quote a row. What a server says of a statement is told by its SQLSTATE
(PostgreSQL manual, appendix A); of a refused connection libpq has no code, so that fixed words are looked for.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg.pq.abc import PGresult
from psycopg.sql import SQL, Composed, Identifier

from adapters.postgres_form import PostgresSource, parts_of
from adapters.postgres_values import Types
from broker.errors import BrokerError, Invalid, Retriable

AT_ONCE = 200
"""Rows that are fetched at a time."""

_SPARE_S = 15
_SETTINGS = MappingProxyType(
    {
        "default_transaction_read_only": "on",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "IntervalStyle": "iso_8601",
        "extra_float_digits": "1",
        "bytea_output": "hex",
    }
)
_REFUSED = (
    ("password authentication failed", "does not take this user with this password: check `user` and the secret"),
    ("no password supplied", "asks for a password: add `password: {env: NAME}`"),
    ("pg_hba.conf", "does not admit this user from here: ask its administrator for a line in pg_hba.conf"),
    ("does not support SSL", "offers no TLS: switch it on there, or state `tls: disable` for a server on this machine"),
    ("certificate", "has a certificate that is not trusted: name its authority in `ca`"),
    ('database "', "has no such database, or this user may not enter it: check `database`, or GRANT CONNECT"),
    ('role "', "has no such user, or one that may not log in: check `user`"),
)
"""Words of a refusal that does not pass by itself, in the order in which they are looked for."""
_FULL = "too many connections"

_BUSY = MappingProxyType(
    {
        "57014": "a statement took longer than {timeout} s: raise `timeout_s`, or ask for an index on what it sorts by",
        "55006": "another reader uses the replication slot now: one adapter reads one slot",
    }
)
_MENDED = MappingProxyType(
    {
        "42501": "the user may not read {table}. Have its owner run: GRANT SELECT ON {table} TO {user}",
        "42P01": "there is no table {table} in this database: check its name and schema",
        "3F000": "there is no table {table} in this database: check its name and schema",
        "42703": "a column that the mapping names is not in {table}: compare the names, capitals included",
        "42704": "the publication was made after the slot, which does not see it: drop the slot, and create it again",
    }
)
_PASSING = frozenset({"08", "40", "53", "55", "57", "58"})
"""By SQLSTATE, and by its class: connection, rollback, resources, prerequisites, intervention, the system."""

Query = Composed | SQL | bytes


@dataclass(frozen=True, slots=True)
class Table:
    """Rows as the server writes them: text by column, None for NULL."""

    names: tuple[str, ...]
    types: tuple[int, ...]
    rows: tuple[tuple[bytes | None, ...], ...]

    @classmethod
    def of(cls, found: PGresult) -> "Table":
        """The rows of a result."""
        columns = range(found.nfields)
        return cls(
            tuple((found.fname(each) or b"").decode() for each in columns),
            tuple(found.ftype(each) for each in columns),
            tuple(tuple(found.get_value(row, each) for each in columns) for row in range(found.ntuples)),
        )


@dataclass(frozen=True, slots=True)
class Session:
    """An open connection. Every statement is a transaction of its own, except in `batches`."""

    form: PostgresSource
    connection: psycopg.AsyncConnection[Any] = field(repr=False)
    types: Types

    async def ask(self, query: Query, given: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows of a question about the catalogue. Raises `Retriable` and `Invalid`."""
        with _told(self.form):
            async with asyncio.timeout(self.form.timeout_s + _SPARE_S):
                return await (await self.connection.execute(query, given)).fetchall()

    async def table(self, query: Query) -> Table:
        """Rows as the server writes them. Raises `Retriable` and `Invalid`."""
        with _told(self.form):
            async with asyncio.timeout(self.form.timeout_s + _SPARE_S):
                found = (await self.connection.execute(query)).pgresult
        return Table.of(found) if found is not None else Table((), (), ())

    async def batches(self, query: Query) -> AsyncGenerator[Table, None]:
        """All rows of a query as they are at one moment, so many at a time; the server keeps the rest."""
        await self.table(SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        text = query if isinstance(query, bytes) else query.as_bytes(self.connection)
        await self.table(b"DECLARE datanuts NO SCROLL CURSOR FOR " + text)
        while (found := await self.table(f"FETCH {AT_ONCE} FROM datanuts".encode())).rows:
            yield found
        await self.table(SQL("COMMIT"))

    async def notified(self, within_s: float) -> None:
        """Return at a NOTIFY on a channel that is listened to, at the latest after so many seconds."""
        with _told(self.form):
            async for _ in self.connection.notifies(timeout=within_s, stop_after=1):
                return


@asynccontextmanager
async def session(form: PostgresSource, folder: Path) -> AsyncIterator[Session]:
    """A connection that is closed when the block ends; secrets of files are below `folder`.

    Raises `Retriable` where the server cannot be reached now, `Invalid` where it refuses.
    """
    arguments, connection = connecting(form, folder), None
    with _told(form):
        async with asyncio.timeout(form.timeout_s + _SPARE_S):
            connection = await psycopg.AsyncConnection.connect(**arguments)
    try:
        made = Session(form, connection, Types())
        await made.ask(_settings(form))
        made.types.learn(await made.ask(Types.QUESTION))
        yield made
    finally:
        await connection.close()


def described(form: PostgresSource, folder: Path, query: Query) -> tuple[str, ...]:
    """Names of a query's columns, asked while nothing else waits; raises `Retriable` and `Invalid`."""
    with _told(form), psycopg.connect(**connecting(form, folder)) as connection:
        connection.execute(_settings(form))
        return tuple(each.name for each in connection.execute(query).description or ())
    raise AssertionError  # for the type checker: an error was told


def connecting(form: PostgresSource, folder: Path) -> dict[str, Any]:
    """What libpq is told; what it says goes before the environment's own words for it (PGSSLMODE, PGHOST, …)."""
    trusted = {"sslrootcert": str(folder / form.ca)} if form.ca is not None else {}
    return {
        "host": form.host,
        "port": form.port,
        "dbname": form.database,
        "user": form.user,
        "password": form.password.read(folder) if form.password is not None else None,
        "sslmode": form.tls or ("prefer" if form.on_this_machine else "require"),
        **trusted,
        "connect_timeout": min(form.timeout_s, 30),
        "keepalives_idle": 30,
        "tcp_user_timeout": form.timeout_s * 1000,
        "client_encoding": "UTF8",
        "application_name": "datanuts",
        "autocommit": True,
    }


def named(table: str) -> Composed:
    """A table in a statement."""
    return Composed([Identifier(*parts_of(table))])


def _settings(form: PostgresSource) -> bytes:
    settings = {**_SETTINGS, "statement_timeout": f"{form.timeout_s}s"}
    calls = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    return f"SELECT {calls}".encode()


@contextmanager
def _told(form: PostgresSource) -> Iterator[None]:
    """Errors of the database as ours, without its texts."""
    trouble: BrokerError
    try:
        yield
    except psycopg.Error as error:
        trouble = _of_connection(str(error)) if error.sqlstate is None else _of_statement(error.sqlstate, form)
    except TimeoutError:
        trouble = Retriable(f"the database did not answer within {form.timeout_s + _SPARE_S} s")
    except UnicodeError:
        trouble = Invalid("the database gives text that is not in its own encoding: ask its administrator")
    else:
        return
    raise trouble


def _of_connection(text: str) -> BrokerError:
    for words, told in _REFUSED:
        if words in text and _FULL not in text:
            return Invalid(f"the database server {told}")
    return Retriable("the database server cannot be reached: is it up, and are `host` and `port` right?")


def _of_statement(state: str, form: PostgresSource) -> BrokerError:
    if state in _BUSY:
        return Retriable(_BUSY[state].format(timeout=form.timeout_s))
    if state in _MENDED:
        table = form.read_table or "what `query` reads"
        return Invalid(_MENDED[state].format(table=table, user=form.user))
    if state[:2] in _PASSING:
        return Retriable(f"the database cannot answer now (SQLSTATE {state})")
    return Invalid(f"the database refuses a statement (SQLSTATE {state}): try it in psql as this user")
