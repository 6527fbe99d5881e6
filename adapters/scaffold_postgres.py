"""A new adapter's files for PostgreSQL: an outbox in SQL with made-up changes, and a test that needs no database."""

import json
from collections.abc import Sequence

TEST = '''"""The mapping on the rows of the sample, without a database: change both, and say here what must come out."""

import json
import re
from pathlib import Path

from adapters.mapped import load_mapping
from adapters.sdk import Change
from broker.cli.documents import PolicyFolder
from broker.cli.publishing import schema_of
from broker.settings import load_settings

HERE = Path(__file__).parent


def rows():
    sql = (HERE / "sample" / "{name}.sql").read_text(encoding="utf-8")
    return [json.loads(text.replace("''", "'")) for text in re.findall(r"^  \\('(.*)'\\)[,;]$", sql, re.MULTILINE)]


def test_every_row_of_the_sample_becomes_a_record():
    folder = PolicyFolder.of(schemas=load_settings().schemas)
    made = load_mapping(HERE, lambda product: schema_of(folder, product))
    items = [made.item(row, str(number)) for number, row in enumerate(rows(), 1)]
    assert [type(item) for item in items] == [Change] * {rows}, items
'''
_SQL = """\
-- An outbox: in the transaction that changes its own tables, the source inserts the complete state into it.
-- Nobody in it exists. Run it as who may make roles and tables in the database.
CREATE TABLE uitgaand (
  positie bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- filled by the insertion itself: the order of reading
  inhoud jsonb NOT NULL
);

-- Who listens need not wait for the next poll. What is not heard is read all the same.
CREATE FUNCTION meld_uitgaand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NOTIFY uitgaand;
  RETURN NULL;
END $$;
CREATE TRIGGER meld AFTER INSERT ON uitgaand FOR EACH STATEMENT EXECUTE FUNCTION meld_uitgaand();

CREATE ROLE {user} LOGIN;
GRANT SELECT ON uitgaand TO {user};

INSERT INTO uitgaand (inhoud) VALUES
{rows};
"""


def words(name: str) -> Sequence[str]:
    """Lines below `source:`."""
    return (
        "kind: postgres",
        "host: 127.0.0.1 # elsewhere TLS is a must: docs/adapters.md; --source HOST:PORT/DATABASE goes before it",
        "# port: 5432",
        f"database: {_slug(name)}",
        f"user: {_user(name)}",
        "password: {env: BRON_WACHTWOORD} # or {file: path}",
        "outbox: {table: uitgaand, position: positie, payload: inhoud}",
        "listen: uitgaand",
    )


def sample(name: str, rows: Sequence[Sequence[str | list[str]]]) -> tuple[str, str]:
    """The outbox, and a row in it for each of `rows`; the first one has the names of columns."""
    head = [str(column) for column in rows[0]]
    stated = (json.dumps(dict(zip(head, row, strict=True)), ensure_ascii=False).replace("'", "''") for row in rows[1:])
    lines = ",\n".join(f"  ('{text}')" for text in stated)
    return f"sample/{name}.sql", _SQL.format(user=_user(name), rows=lines)


def ready(name: str) -> Sequence[str]:
    """Commands that make the sample's database, before all others."""
    return (
        f"createdb {_slug(name)} && psql -d {_slug(name)} -f {name}/sample/{name}.sql",
        f"psql -d {_slug(name)} -c '\\password {_user(name)}'    # think of one, then:",
        "read -rs BRON_WACHTWOORD && export BRON_WACHTWOORD",
    )


def _slug(name: str) -> str:
    return name.replace("-", "_")


def _user(name: str) -> str:
    return f"{_slug(name)}_lezer"
