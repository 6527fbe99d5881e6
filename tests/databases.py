"""Databases of a test's own in a real PostgreSQL, and mappings that read them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from adapters.mapped import build, load_mapping
from broker.schema.avro import load_schema
from tests.conftest import ROOT
from tests.postgres import Postgres

PASSWORD = "REGISTER_PASSWORD"
"""Variable of the environment in which mappings find the password."""

FIELDS = """\
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: omschrijving
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""


@dataclass(frozen=True)
class Database:
    """A database; its owner is the superuser `register`."""

    server: Postgres
    name: str
    password: str = field(repr=False)

    @contextmanager
    def session(self, **more: Any) -> Iterator[psycopg.Connection[Any]]:
        """A connection in which every statement is committed at once, unless told otherwise."""
        arguments = {"dbname": self.name, "password": self.password, "autocommit": True} | more
        with psycopg.connect(self.server.conninfo, **arguments) as connection:
            connection.execute("SET synchronous_commit = on")  # what is committed is in the log that slots read
            yield connection

    def run(self, *statements: str, **names: Any) -> list[tuple[Any, ...]]:
        """Run statements, with `:name` replaced by each of `names`, and return the rows of the last one."""
        with self.session() as connection:
            found = None
            for statement in statements:
                for name, value in names.items():
                    statement = statement.replace(f":{name}", str(value))  # noqa: PLW2901 - filled in step by step
                found = connection.execute(statement)  # type: ignore[call-overload]  # psycopg takes literal texts only; a test makes these
            return list(found.fetchall()) if found is not None and found.description else []

    def mapping(
        self, words: str, beside: str = "", user: str = "register", fields: str = FIELDS, name: str = "werken"
    ) -> str:
        """A mapping that reads this database."""
        place = f"host: 127.0.0.1, port: {self.server.port}, database: {self.name}, user: {user}"
        return (
            f"adapter: {name}\nproduct: hinder.v1\norganisation: gipod\n"
            f"source: {{kind: postgres, {place}, password: {{env: {PASSWORD}}}, {words}}}\n"
            f"id: nummer\n{beside or 'recordedAt: gewijzigd'}\n{fields}"
        )

    def adapter(self, folder: Path, words: str, beside: str = "", **more: Any) -> Any:
        """The adapter of such a mapping."""
        (folder / "mapping.yaml").write_text(self.mapping(words, beside, **more))
        return build(load_mapping(folder, schema_of), None)


def database(server: Postgres, name: str, options: str = "") -> Database:
    """A new database; mappings find its password."""
    os.environ[PASSWORD] = server.password
    made = Database(server, name.replace("-", "_"), server.password)
    with psycopg.connect(server.conninfo, password=server.password, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {made.name} {options}")  # type: ignore[call-overload]  # psycopg takes literal texts only; a test makes these
    return made


def schema_of(product: str) -> Any:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


OUTBOX = """
CREATE TABLE uitgaand (
  positie bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  transactie xid8 NOT NULL DEFAULT pg_current_xact_id(),
  nummer int NOT NULL,
  omschrijving text,
  gewijzigd timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z'
)
"""
WERKEN = """
CREATE TABLE werken (
  nummer int PRIMARY KEY,
  omschrijving text,
  gewijzigd timestamptz NOT NULL DEFAULT '2026-01-01T00:00:00Z'
)
"""
