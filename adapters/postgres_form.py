"""The words of a mapping's `source:` for a PostgreSQL database."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from adapters.web_auth import Secret

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})

_Name = Annotated[str, Field(min_length=1, max_length=63)]
"""As the catalogue has it: without quotes, capitals as they are."""
_Table = Annotated[str, Field(pattern=r'^[^."\x00]{1,63}(\.[^."\x00]{1,63})?$')]
"""A table, or its schema and the table with a point between; the schema is `public` unless stated."""


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class OutboxTable(_Form):
    """A table to which the source adds a row for every change.

    `position` is an identity or serial column that the insertion itself fills. With `transaction`, a column `xid8 DEFAULT
    pg_current_xact_id()`, rows come in the order of their transactions' numbers, and `position` may be any whole number.
    `payload` is the column whose JSON object is the row; without it the row is the table's.
    """

    table: _Table
    position: _Name
    payload: _Name | None = None
    transaction: _Name | None = None


class PostgresSource(_Form):
    """One database, and what is read in it: an outbox, the changes of a table (`slot`), or a whole table or query."""

    kind: Literal["postgres"]
    host: Annotated[str, Field(min_length=1, pattern=r"^[^,\s]+$")] | None = None
    port: Annotated[int, Field(ge=1, le=65535)] = 5432
    database: _Name | None = None
    user: _Name | None = None
    password: Secret | None = None
    tls: Literal["verify-full", "verify-ca", "require", "disable"] | None = None
    """Default: `require`, or for a server on this machine what it offers. `disable` is for this machine only."""
    ca: str | None = None
    """File with the authorities that `verify-*` trusts, relative to the mapping."""
    outbox: OutboxTable | None = None
    listen: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,62}$")] | None = None
    """Channel of a NOTIFY that says that there is something new, which is then read without waiting for the next poll."""
    slot: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,63}$")] | None = None
    publication: _Name | None = None
    table: _Table | None = None
    initial: bool = False
    """Whether the table is read as it is before the slot's first change."""
    query: Annotated[str, Field(min_length=1)] | None = None
    timeout_s: Annotated[int, Field(ge=1, le=3600)] = 30

    @field_validator("password", mode="before")
    @classmethod
    def _nowhere_written(cls, stated: Any) -> Any:
        if isinstance(stated, str | int):
            raise ValueError("is a secret: write {env: NAME} or {file: path}, and put it there")  # noqa: TRY004 - pydantic's
        return stated

    @property
    def on_this_machine(self) -> bool:
        """Whether what is sent to the server stays on this machine."""
        return self.host is not None and (self.host in _LOOPBACK or self.host.startswith("/"))

    @property
    def read_table(self) -> str | None:
        """The table that is read, where one is named."""
        return self.outbox.table if self.outbox is not None else self.table


def parts_of(table: str) -> tuple[str, str]:
    """Schema and name of a table."""
    schema, _, name = table.rpartition(".")
    return schema or "public", name
