"""The changes of a table out of a real replication slot: in the order of the commits, released only when published."""

from pathlib import Path
from typing import Any

import pytest

from adapters import postgres_changes, postgres_slot
from adapters.sdk import Broken, Change, Ignored
from broker.errors import Invalid, PositionLost
from tests.databases import WERKEN, Database
from tests.unit.adapters.wiring import MemoryJournal, runner

Found = list[tuple[str, int | str, Any]]


async def read(adapter: Any, cursor: str | None = None) -> tuple[Found, str | None]:
    """What came, as (kind, number, text) or (code, path, None), and the cursor behind it."""
    found: Found = []
    async for item, behind in adapter.changes(cursor):
        cursor = behind
        match item:
            case Change(value=None):
                found.append(("gone", int(item.source_id), item.subject.rpartition("/")[2]))
            case Change(value=value):
                found.append((value["kind"], int(item.source_id), value["omschrijving"]))
            case Broken(reason=reason, path=path):
                found.append((reason, path, None))
            case Ignored(reason=reason):
                found.append((reason, "", None))
    return found, cursor


@pytest.fixture
def slot(register: Database, tmp_path: Path) -> Any:
    """An adapter over the changes of a table; the slot is dropped behind the test."""
    register.run(
        WERKEN,
        "CREATE TABLE anders (n int PRIMARY KEY)",
        "CREATE PUBLICATION naar_buiten FOR TABLE werken, anders",
        "SELECT pg_create_logical_replication_slot(':slot', 'pgoutput')",
        slot=register.name,
    )
    words = f"slot: {register.name}, publication: naar_buiten, table: werken"

    def made(more: str = "", beside: str = "") -> Any:
        return register.adapter(tmp_path, words + more, beside, name="given")

    yield made
    register.run("SELECT pg_drop_replication_slot(':slot')", slot=register.name)


def confirmed(register: Database) -> int:
    shown = "SELECT confirmed_flush_lsn - '0/0'::pg_lsn FROM pg_replication_slots WHERE slot_name = ':slot'"
    return int(register.run(shown, slot=register.name)[0][0])


async def test_changes_come_in_the_order_of_their_commits(register, slot) -> None:
    adapter = slot()
    with register.session(autocommit=False) as late, register.session() as early:
        late.execute("INSERT INTO werken VALUES (1, 'laat')")
        early.execute("INSERT INTO werken VALUES (2, 'vroeg')")
        early.execute("UPDATE werken SET omschrijving = 'vroeger' WHERE nummer = 2")
        early.execute("INSERT INTO anders VALUES (5)")
        late.execute("INSERT INTO werken VALUES (3, 'ook laat')")
        late.commit()
        early.execute("UPDATE werken SET nummer = 4 WHERE nummer = 3")
        early.execute("DELETE FROM werken WHERE nummer = 1")
        late.execute("INSERT INTO werken VALUES (9, 'niet')")
        late.rollback()
    found, cursor = await read(adapter)
    assert found == [
        ("added", 2, "vroeg"),
        ("changed", 2, "vroeger"),
        ("added", 1, "laat"),
        ("added", 3, "ook laat"),
        ("gone", 3, "3"),
        ("changed", 4, "ook laat"),
        ("gone", 1, "1"),
    ]
    assert (await read(adapter, cursor))[0] == []


async def test_a_mapping_may_say_the_kind_and_read_when_it_was_committed(register, slot) -> None:
    register.run("INSERT INTO werken VALUES (1, 'sleuf')")
    beside = "recordedAt: '@committed'\nkind: {from: '@op', codes: {c: corrected, u: changed}}"
    items = [item async for item, _ in slot(beside=beside).changes(None)]
    assert items[0].value["kind"] == "corrected"
    assert items[0].value["recordedAt"].startswith("20")


async def test_a_reading_goes_on_behind_any_item_and_the_slot_moves_only_behind_the_cursor(
    register, slot, monkeypatch
) -> None:
    monkeypatch.setattr(postgres_slot, "FIRST_MESSAGES", 7)
    for first in range(0, 12, 4):
        register.run("INSERT INTO werken SELECT generate_series(:first, :first + 3)", first=first)
    adapter, start = slot(), confirmed(register)
    whole = [(int(item.source_id), cursor) async for item, cursor in adapter.changes(None)]
    assert [number for number, _ in whole] == list(range(12))
    assert confirmed(register) == start, "reading moves nothing"
    moved = []
    for number, cursor in whole:
        assert [n for _, n, _ in (await read(adapter, cursor))[0]] == list(range(number + 1, 12))
        moved.append(confirmed(register))
    assert moved == sorted(moved)
    assert len(set(moved)) == 3 + (moved[0] == start), "after each whole transaction, and nowhere else"
    with pytest.raises(PositionLost, match="initial: true"):
        await read(adapter, whole[0][1])


async def test_a_large_transaction_hides_none_behind_it(register, slot, monkeypatch) -> None:
    monkeypatch.setattr(postgres_slot, "FIRST_MESSAGES", 7)
    monkeypatch.setattr(postgres_changes, "WIDE", 0)
    for first, last in ((1, 60), (61, 61), (62, 300), (301, 303), (304, 304)):
        register.run("INSERT INTO werken SELECT generate_series(:first, :last)", first=first, last=last)
    found, cursor = await read(slot())
    assert [number for _, number, _ in found if number] == list(range(1, 305))
    register.run("INSERT INTO werken VALUES (305)")
    assert [number for _, number, _ in (await read(slot(), cursor))[0] if number] == [305]


async def test_large_values_that_a_change_left_alone_never_become_empty(register, slot) -> None:
    adapter = slot()
    register.run(
        "INSERT INTO werken SELECT 1, string_agg(md5(random()::text), '') FROM generate_series(1, 500)",
        "UPDATE werken SET gewijzigd = '2026-02-01T00:00:00Z'",
        "ALTER TABLE werken REPLICA IDENTITY FULL",
        "UPDATE werken SET gewijzigd = '2026-03-01T00:00:00Z'",
        "DELETE FROM werken",
    )
    found, _ = await read(adapter)
    text = found[0][2]
    assert len(text) == 16_000
    assert found[1] == ("COLUMN_UNCHANGED", "omschrijving", None)
    assert found[2:] == [("changed", 1, text), ("gone", 1, "1")]


async def test_a_deletion_needs_to_say_whose_it_is(register, slot) -> None:
    register.run(
        "CREATE SEQUENCE sleutel",
        "ALTER TABLE werken DROP CONSTRAINT werken_pkey, ADD COLUMN sleutel int PRIMARY KEY DEFAULT nextval('sleutel')",
        "INSERT INTO werken VALUES (1, 'a'), (2, 'b')",
        "DELETE FROM werken WHERE nummer = 1",
        "ALTER TABLE werken REPLICA IDENTITY FULL",
        "DELETE FROM werken WHERE nummer = 2",
    )
    found, _ = await read(slot())
    assert found[2:] == [("REPLICA_IDENTITY_MISSING", "nummer", None), ("gone", 2, "2")]


async def test_a_table_that_is_emptied_is_told(register, slot) -> None:
    register.run("INSERT INTO werken VALUES (1, 'a')", "TRUNCATE anders", "TRUNCATE werken")
    assert [each[0] for each in (await read(slot()))[0]] == ["added", "TABLE_TRUNCATED"]


async def test_the_table_as_it_is_comes_first(register, slot) -> None:
    register.run("INSERT INTO werken VALUES (1, 'a'), (2, 'b'), (3, 'c')", "DELETE FROM werken WHERE nummer = 2")
    adapter = slot(", initial: true")
    found, cursor = await read(adapter)
    assert found[:2] == [("snapshot", 1, "a"), ("snapshot", 3, "c")]
    state = dict[int | str, str]()
    for kind, number, text in found:
        state[number] = kind if kind == "gone" else text
    assert state == {1: "a", 2: "gone", 3: "c"}, "what changed since the slot was made comes after it, in its order"
    register.run("INSERT INTO werken VALUES (4, 'd')")
    assert (await read(adapter, cursor))[0] == [("added", 4, "d")]


async def test_the_lag_is_told_and_a_log_without_changes_of_the_table_is_released(register, slot, monkeypatch) -> None:
    monkeypatch.setattr(postgres_changes, "WIDE", 10_000)
    adapter, journal = slot(), MemoryJournal()
    register.run("INSERT INTO werken VALUES (1, 'a')")
    assert (await runner(adapter, journal).run(once=True)).published == 1
    register.run("INSERT INTO anders SELECT generate_series(1, 1000)", "SELECT pg_sleep(0)")
    told = await runner(adapter, journal).run(once=True)
    assert dict(told.ignored) == {"LOG_WITHOUT_CHANGES": 1}
    assert adapter.facts["slotLagBytes"] > 10_000
    assert adapter.facts["slotKeptBytes"] >= adapter.facts["slotLagBytes"]
    await read(adapter, None)
    assert (await runner(adapter, journal).run(once=True)).read == 0
    await read(adapter, None)
    assert adapter.facts["slotLagBytes"] < 10_000


async def test_what_lacks_is_told_with_the_sql_that_makes_it(register, tmp_path, unique) -> None:
    name = unique("lezer").replace("-", "_")
    register.run(WERKEN, f"CREATE ROLE {name} LOGIN PASSWORD '{register.password}'")
    words = f"slot: {name}, publication: naar_buiten, table: werken, initial: true"
    adapter = register.adapter(tmp_path, words, user=name)
    register.run("INSERT INTO werken VALUES (1, 'a')", "CREATE PUBLICATION anders FOR TABLE werken")
    try:
        for verb in ("ALTER", "CREATE", "SELECT", "GRANT"):
            with pytest.raises(Invalid) as refused:
                await read(adapter)
            sql = str(refused.value).split(": ")[-1]
            assert sql.split()[0] == verb
            register.run(sql)
        assert (await read(adapter))[0] == [("snapshot", 1, "a")]
    finally:
        register.run(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ':slot'", slot=name
        )


async def test_a_publication_without_the_table_is_told(register, slot) -> None:
    register.run("ALTER PUBLICATION naar_buiten DROP TABLE werken")
    with pytest.raises(Invalid, match=r"ALTER PUBLICATION naar_buiten ADD TABLE public\.werken"):
        await read(slot())


async def test_a_publication_that_leaves_something_out_is_told(register, slot) -> None:
    register.run("ALTER PUBLICATION naar_buiten SET (publish = 'insert')")
    with pytest.raises(Invalid, match="SET \\(publish = 'insert, update, delete, truncate'\\)"):
        await read(slot())
    register.run(
        "ALTER PUBLICATION naar_buiten SET (publish = 'insert, update, delete, truncate')",
        "ALTER PUBLICATION naar_buiten SET TABLE werken (nummer, gewijzigd)",
        "INSERT INTO werken VALUES (1, 'a')",
    )
    assert (await read(slot()))[0] == [("COLUMN_MISSING", "omschrijving", None)]


async def test_a_table_in_partitions_is_read_by_its_own_name(register, slot) -> None:
    register.run(
        "DROP TABLE werken",
        "CREATE TABLE werken (nummer int PRIMARY KEY, omschrijving text, gewijzigd timestamptz DEFAULT now()) PARTITION BY HASH (nummer)",
        "CREATE TABLE werken_0 PARTITION OF werken FOR VALUES WITH (MODULUS 2, REMAINDER 0)",
        "CREATE TABLE werken_1 PARTITION OF werken FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
        "ALTER PUBLICATION naar_buiten ADD TABLE werken",
    )
    adapter = slot()
    with pytest.raises(Invalid, match="publish_via_partition_root") as refused:
        await read(adapter)
    register.run(str(refused.value).split(": ")[-1], "INSERT INTO werken VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    assert (await read(adapter))[0] == [("added", 1, "a"), ("added", 2, "b"), ("added", 3, "c")]
