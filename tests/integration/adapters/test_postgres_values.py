"""Rows of a real PostgreSQL as a mapping gets them: every type, another encoding, whole tables and queries."""

from pathlib import Path
from typing import Any

import pytest

from adapters.sdk import Change
from broker.errors import PoisonRecord
from tests.databases import WERKEN, database
from tests.unit.adapters.wiring import MemoryJournal, runner

SNAPSHOT = "recordedAt: '@modified'\nsnapshot: true"

VALUES = {
    "7::smallint": 7,
    "(-9223372036854775808)::bigint": -9223372036854775808,
    "12.50::numeric": "12.50",
    "1e25::numeric": 10**25,
    "'NaN'::numeric": "NaN",
    "0.1::double precision": 0.1,
    "true": True,
    "'  tekst\u00e9\u20ac'::text": "  tekst\u00e9\u20ac",
    "'ab'::char(4)": "ab  ",
    "date '2026-02-28'": "2026-02-28",
    "date '0044-03-15 BC'": "0044-03-15 BC",
    "timestamp '2026-01-05 08:00:00.25'": "2026-01-05T08:00:00.25",
    "timestamptz '2026-01-05 08:00:00+01'": "2026-01-05T07:00:00Z",
    "timestamptz 'infinity'": "infinity",
    "interval '1 day 2 hours'": "P1DT2H",
    '\'{"a": [1, null, {"b": "x"}]}\'::jsonb': {"a": [1, None, {"b": "x"}]},
    "'{\"a\": 1.5}'::json": {"a": 1.5},
    "array[1, null, 3]": [1, None, 3],
    "array['a,b', 'c\"d', 'NULL', '', null, 'e{f}', '\\']": ["a,b", 'c"d', "NULL", "", None, "e{f}", "\\"],
    "array[[1, 2], [3, 4]]": [[1, 2], [3, 4]],
    "'{}'::text[]": [],
    "'[2:3]={5,6}'::int[]": [5, 6],
    "array['{\"a\": 1}'::jsonb]": [{"a": 1}],
    "array[timestamptz '2026-01-05 08:00:00+01']": ["2026-01-05T07:00:00Z"],
    "'6f9619ff-8b86-d011-b42d-00c04fc964ff'::uuid": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
    "null::text": None,
    "'groot'::maat": "groot",
    "array['groot']::maat[]": ["groot"],
    "5::procent": 5,
    "array[5]::procent[]": [5],
}


async def rows(adapter: Any) -> list[Any]:
    return [row async for row in adapter.rows()]


async def test_every_type_is_what_json_would_say(register, tmp_path: Path) -> None:
    register.run("CREATE TYPE maat AS ENUM ('groot')", "CREATE DOMAIN procent AS int CHECK (VALUE < 101)")
    register.run("ALTER ROLE register SET datestyle = 'German'", "SET timezone = 'Asia/Tokyo'")
    columns = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(VALUES))
    register.run(f"CREATE TABLE alles AS SELECT 1 AS nummer, {columns}")
    [row] = await rows(register.adapter(tmp_path, "table: alles", SNAPSHOT))
    assert {sql: row[f"c{number}"] for number, sql in enumerate(VALUES)} == VALUES


async def test_bytes_and_deep_json_are_refused_where_they_are_asked_for(register, tmp_path: Path) -> None:
    deep = "[" * 40 + "]" * 40
    register.run(
        "CREATE TABLE alles (nummer int, omschrijving bytea, gewijzigd jsonb)",
        "INSERT INTO alles VALUES (1, 'abc', ':deep'), (2, NULL, NULL)",
        deep=deep,
    )
    [row, other] = await rows(register.adapter(tmp_path, "table: alles", SNAPSHOT))
    assert row["nummer"] == 1
    for column, reason in (("omschrijving", "BYTES_NOT_READ"), ("gewijzigd", "JSON_TOO_DEEP")):
        with pytest.raises(PoisonRecord) as poison:
            row.get(column)
        assert (poison.value.reason, poison.value.path) == (reason, column)
        assert other.get(column) is None


async def test_a_database_in_another_encoding(postgres_server, unique, tmp_path: Path) -> None:
    latin = database(postgres_server, unique("latijn"), "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    latin.run(
        WERKEN,
        "CREATE PUBLICATION p FOR TABLE werken",
        "SELECT pg_create_logical_replication_slot(':slot', 'pgoutput')",
        "INSERT INTO werken VALUES (1, 'caf\u00e9 \u00fc')",
        slot=latin.name,
    )
    try:
        for words, beside in (
            ("table: werken", SNAPSHOT),
            (f"slot: {latin.name}, publication: p, table: werken", ""),
        ):
            items = [item async for item, _ in latin.adapter(tmp_path, words, beside).changes(None)]
            texts = [item.value["omschrijving"] for item in items if isinstance(item, Change)]
            assert texts == ["caf\u00e9 \u00fc"]
    finally:
        latin.run("SELECT pg_drop_replication_slot(':slot')", slot=latin.name)


@pytest.mark.parametrize("words", ["table: werken", 'query: "SELECT * FROM werken WHERE gewijzigd IS NOT NULL;"'])
async def test_a_whole_table_or_query_deletes_whom_it_lacks(register, tmp_path: Path, words: str) -> None:
    register.run(WERKEN, "INSERT INTO werken SELECT generate_series(1, 500), 'werken'")
    beside, journal = "recordedAt: gewijzigd\nsnapshot: true", MemoryJournal()
    adapter = register.adapter(tmp_path, words, beside, name="given")
    assert adapter.findings() == []
    assert (await runner(adapter, journal).run(once=True)).published == 500
    register.run("DELETE FROM werken WHERE nummer <= 20", "INSERT INTO werken VALUES (501)")
    told = await runner(adapter, journal).run(once=True)
    assert (told.published, told.deleted, told.duplicate) == (1, 20, 480)
    register.run("ALTER TABLE werken ALTER nummer TYPE bytea USING 'x'::bytea || nummer::text::bytea")
    told = await runner(adapter, journal).run(once=True)
    assert told.deleted == 0, "rows of which nobody knows which they are delete nobody"
    assert told.quarantined["SNAPSHOT_INCOMPLETE"] == 1


async def test_columns_that_are_not_there_are_told_with_their_line(register, tmp_path: Path) -> None:
    register.run(WERKEN, "ALTER TABLE werken RENAME omschrijving TO tekst")
    [finding] = register.adapter(tmp_path, "table: werken", SNAPSHOT).findings()
    assert finding.path == "omschrijving"
    assert "there is no column `omschrijving`; there are nummer, tekst, gewijzigd" in finding.text
    assert "omschrijving" in (tmp_path / "mapping.yaml").read_text().splitlines()[finding.line - 1]
