"""A mapping of an outbox passes the kit: what the kit does to its copy of the sample is done to a real table."""

import os
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from adapters import mapped
from adapters.conformance.kit import Outcome
from adapters.sdk import Adapter
from tests.contract.conformance.playing import outcomes, played, schema_of
from tests.databases import PASSWORD, Database, database
from tests.postgres import Postgres

WORDS = "outbox: {table: uit, position: positie, payload: inhoud}"
TABLE = "CREATE TABLE uit (positie bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, inhoud text NOT NULL)"
SYNC = """
WITH gone AS (DELETE FROM uit WHERE NOT inhoud = ANY (%(rows)s::text[]))
INSERT INTO uit (inhoud)
SELECT row FROM unnest(%(rows)s::text[]) WITH ORDINALITY AS told (row, number)
 WHERE row NOT IN (SELECT inhoud FROM uit) ORDER BY number
"""


@pytest.fixture
def register(postgres_server: Postgres, unique: Callable[[str], str]) -> Database:
    return database(postgres_server, unique("register"))


def building(register: Database, mapping: Path) -> Callable[[str], Adapter]:
    """An adapter over a table that holds the lines of a file; without the file there is no table."""
    made, shown = mapped.load_mapping(mapping, schema_of), ""

    def build(source: str) -> Adapter:
        nonlocal shown
        with psycopg.connect(register.server.conninfo, dbname=register.name, password=register.password) as connection:
            if source != shown or not Path(source).exists():
                connection.execute("DROP TABLE IF EXISTS uit")
            if Path(source).exists():
                if source != shown or not connection.execute("SELECT to_regclass('uit')").fetchall()[0][0]:
                    connection.execute(TABLE)
                text = Path(source).read_bytes().decode(errors="replace").replace("\0", "")
                lines = [line for line in text.split("\n") if line.strip()]
                connection.execute(SYNC, {"rows": lines})
            shown = source
        return mapped.build(made, None)

    return build


def test_a_mapping_of_an_outbox(register: Database, tmp_path: Path) -> None:
    assert os.environ[PASSWORD] == register.password
    (tmp_path / "mapping.yaml").write_text(register.mapping(WORDS))
    line = '{"nummer": "W-%d", "omschrijving": "werken %d", "gewijzigd": "2026-01-05T08:00:00Z"}\n'
    (tmp_path / "werken.ndjson").write_text("".join(line % (number, number) for number in range(20)))
    found = played(building(register, tmp_path), tmp_path / "werken.ndjson", tmp_path / "copies", "hinder.v1")
    assert outcomes(found, Outcome.BROKEN) | outcomes(found, Outcome.NOT_TRIED) == {}
    assert len(outcomes(found, Outcome.HELD)) >= 20
