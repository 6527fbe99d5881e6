"""An outbox in a real PostgreSQL: nothing is lost to a late commit, a notification wakes a run, nothing depends on one."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapters import postgres_outbox
from adapters.mapped import build, load_mapping
from adapters.sdk import Broken, Change, SnapshotBegins
from broker.errors import Invalid, Retriable
from broker.testing import wait_until
from tests.databases import OUTBOX, schema_of
from tests.unit.adapters.wiring import MemoryJournal, runner

ORDERS = {
    "position": "outbox: {table: uitgaand, position: positie}",
    "transaction": "outbox: {table: uitgaand, position: positie, transaction: transactie}",
}
INSERT = "INSERT INTO uitgaand (nummer, omschrijving) VALUES (%s, 'werken')"


async def read(adapter: Any, cursor: str | None = None) -> tuple[list[int], str | None]:
    """Numbers that came, and the cursor behind them."""
    found = []
    async for item, behind in adapter.changes(cursor):
        if isinstance(item, SnapshotBegins):
            continue
        assert isinstance(item, Change), item
        found.append(int(item.source_id))
        cursor = behind
    return found, cursor


@pytest.fixture
def outbox(register, tmp_path: Path) -> Callable[..., Any]:
    register.run(OUTBOX)
    return lambda order="position", more="": register.adapter(tmp_path, ORDERS[order] + more)


@pytest.mark.parametrize("order", ORDERS)
async def test_a_transaction_that_commits_late_is_not_lost(register, outbox, order, monkeypatch) -> None:
    monkeypatch.setattr(postgres_outbox, "PATIENCE_S", 0.0)
    adapter = outbox(order)
    with register.session(autocommit=False) as late, register.session() as early:
        early.execute(INSERT, (0,))
        late.execute(INSERT, (1,))
        early.execute(INSERT, (2,))
        found, cursor = await read(adapter)
        assert found == [0], "what the late one may still come before is held back"
        late.commit()
        found, cursor = await read(adapter, cursor)
        assert found == [1, 2]
        late.execute(INSERT, (3,))
        late.rollback()
        early.execute(INSERT, (4,))
        assert (await read(adapter, cursor))[0] == [4], "nobody is going to fill the gap"


async def test_a_reading_waits_for_who_writes_now(register, outbox) -> None:
    adapter = outbox()
    with register.session(autocommit=False) as late, register.session() as early:
        late.execute(INSERT, (1,))
        early.execute(INSERT, (2,))
        reading = asyncio.create_task(read(adapter))
        shown = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'datanuts' AND query LIKE '%%pg_locks%%'"
        )
        await wait_until(lambda: early.execute(shown).fetchall() != [(0,)], timeout=20)
        late.commit()
        assert (await asyncio.wait_for(reading, 20))[0] == [1, 2]


@pytest.mark.parametrize("order", ORDERS)
async def test_every_row_of_many_writers_comes_once(register, outbox, order, monkeypatch) -> None:
    monkeypatch.setattr(postgres_outbox, "PATIENCE_S", 0.2)
    adapter, written = outbox(order), list[int]()

    def write(seed: int) -> None:
        draw = Random(seed)
        with register.session(autocommit=False) as connection:
            for number in range(40):
                value = seed * 1000 + number
                connection.execute(INSERT, (value,))
                connection.execute("SELECT pg_sleep(%s)", (draw.random() / 100,))
                if draw.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    written.append(value)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(6)]
    for writer in writers:
        writer.start()
    found, cursor = list[int](), None
    while any(writer.is_alive() for writer in writers):
        some, cursor = await read(adapter, cursor)
        found += some
    found += (await read(adapter, cursor))[0]
    assert sorted(found) == sorted(written)
    for seed in range(6):
        own = [value for value in found if value // 1000 == seed]
        assert own == sorted(own), "one writer's rows keep their order"


async def test_a_reading_goes_on_behind_any_row_and_begins_again_for_another_mapping(
    register, tmp_path, outbox
) -> None:
    adapter = outbox()
    register.run("INSERT INTO uitgaand (nummer) SELECT generate_series(1, 450)")
    whole = [(int(item.source_id), cursor) async for item, cursor in adapter.changes(None)]
    assert [number for number, _ in whole] == list(range(1, 451))
    for number, cursor in whole[::50]:
        assert (await read(adapter, cursor))[0] == list(range(number + 1, 451))
    cursor = whole[-1][1]
    assert (await read(adapter, cursor))[0] == []
    other = register.adapter(tmp_path, ORDERS["position"], "recordedAt: gewijzigd\nkind: {const: added}")
    assert len((await read(other, cursor))[0]) == 450
    register.run("DELETE FROM uitgaand WHERE positie > 400")
    assert (await read(adapter, cursor))[0] == [], "a clean-up that keeps old rows does not make them new"
    register.run("TRUNCATE uitgaand RESTART IDENTITY", "INSERT INTO uitgaand (nummer) VALUES (7)")
    assert (await read(adapter, cursor))[0] == [7], "an outbox that was begun anew"


async def test_a_payload_is_the_row(register, tmp_path) -> None:
    register.run(
        "CREATE TABLE uit (n serial PRIMARY KEY, inhoud text)",
        """INSERT INTO uit (inhoud) VALUES ('{"nummer": 1, "gewijzigd": "2026-01-01", "werk": {"tekst": "sleuf"}}'),
           ('[1]'), ('{"nummer": '), (NULL)""",
    )
    fields = "fields:\n  omschrijving: /werk/tekst\n"
    fields += '  identificator: {template: "https://gent.example/id/{nummer}"}\n  versie: {const: "urn:v:1"}\n'
    fields += "".join(f"  {name}: {{const: []}}\n" for name in ("contactorganisaties", "perioden", "zones", "oorzaken"))
    adapter = register.adapter(tmp_path, "outbox: {table: uit, position: n, payload: inhoud}", fields=fields)
    assert adapter.findings() == []
    found = [item async for item, _ in adapter.changes(None)]
    assert found[0].value["omschrijving"] == "sleuf"
    reasons = [item.reason for item in found if isinstance(item, Broken)]
    assert reasons == ["PAYLOAD_NOT_OBJECT", "JSON_MALFORMED", "PAYLOAD_NOT_OBJECT"]


async def running(adapter: Any, interval_s: float, journal: MemoryJournal) -> Any:
    def later(seconds: float) -> Any:
        return asyncio.sleep(seconds)

    made = runner(adapter, journal, interval_s=interval_s, sleep=later)
    return made, asyncio.create_task(made.run(once=False))


async def ended(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_notification_wakes_a_run_that_would_wait_an_hour(register, outbox) -> None:
    register.run("INSERT INTO uitgaand (nummer) VALUES (1)")
    made, task = await running(outbox(more=", listen: uitgaand"), 3600.0, MemoryJournal())
    try:
        await wait_until(lambda: made.summary.published == 1, timeout=20)
        for number in range(2, 5):
            register.run("INSERT INTO uitgaand (nummer) VALUES (:number)", "NOTIFY uitgaand", number=number)
            await wait_until(lambda n=number: made.summary.published == n, timeout=20)
    finally:
        await ended(task)


async def test_a_notification_that_never_comes_loses_nothing(register, outbox) -> None:
    made, task = await running(outbox(more=", listen: uitgaand"), 0.2, MemoryJournal())
    try:
        for number in range(1, 4):
            register.run("INSERT INTO uitgaand (nummer) VALUES (:number)", number=number)
            await wait_until(lambda n=number: made.summary.published == n, timeout=20)
    finally:
        await ended(task)


@pytest.mark.parametrize(
    ("prepare", "words", "told"),
    [
        ("SELECT 1", "outbox: {table: nergens, position: positie}", "there is no table public.nergens"),
        ("SELECT 1", "outbox: {table: uitgaand, position: plaats}", "has no column plaats"),
        ("SELECT 1", "outbox: {table: uitgaand, position: nummer}", "GENERATED ALWAYS AS IDENTITY"),
        ("ALTER SEQUENCE uitgaand_positie_seq CACHE 50", ORDERS["position"], "CACHE 1"),
        ("CREATE VIEW gezien AS TABLE uitgaand", "outbox: {table: gezien, position: positie}", "is no table"),
        ("REVOKE ALL ON uitgaand FROM {user}", ORDERS["position"], "GRANT SELECT ON uitgaand TO {user}"),
        ("ALTER ROLE {user} PASSWORD 'anders'", ORDERS["position"], "check `user` and the secret"),
        ("ALTER ROLE {user} NOLOGIN", ORDERS["position"], ""),
        ("SELECT 1", ORDERS["position"] + ", tls: require", "offers no TLS"),
    ],
)
async def test_what_is_refused_says_what_to_do_and_not_the_password(
    register, outbox, tmp_path, unique, prepare, words, told
) -> None:
    outbox()
    user = unique("lezer").replace("-", "_")
    register.run(f"CREATE ROLE {user} LOGIN PASSWORD '{register.password}'", f"GRANT SELECT ON uitgaand TO {user}")
    register.run(prepare.format(user=user))
    adapter = register.adapter(tmp_path, words, user=user)
    with pytest.raises(Invalid) as refused:
        await read(adapter)
    shown = f"{refused.value} {refused.value.operator} {refused.value.__cause__} {refused.getrepr(style='long')}"
    assert told.format(user=user) in str(refused.value)
    assert register.password not in shown


async def test_no_password_and_no_row_in_any_error_or_repr(register, outbox, tmp_path) -> None:
    adapter = outbox()
    register.run("INSERT INTO uitgaand (nummer, omschrijving) VALUES (1, 'Jansens')")
    query = 'query: "SELECT *, omschrijving::int FROM uitgaand"'
    failing = register.adapter(tmp_path, query, "recordedAt: gewijzigd\nsnapshot: true")
    with pytest.raises(Invalid) as refused:
        await read(failing)
    shown = f"{refused.value} {refused.value.operator} {refused.value.__cause__} {adapter!r} {failing!r}"
    assert "Jansens" not in shown
    assert register.password not in shown
    assert "22P02" in str(refused.value)


async def test_a_reader_writes_nothing_and_holds_no_transaction_open(register, outbox, tmp_path) -> None:
    register.run("INSERT INTO uitgaand (nummer) SELECT generate_series(1, 300)")
    items = outbox().changes(None)
    await anext(items)
    shown = "SELECT state FROM pg_stat_activity WHERE application_name = 'datanuts' AND datname = current_database()"
    assert register.run(shown) == [("idle",)], "between two pages the source's clean-up is not held back"
    await items.aclose()
    assert register.run(shown) == []
    query = "query: \"SELECT nextval('uitgaand_positie_seq') AS nummer\""
    with pytest.raises(Invalid, match="25006"):
        await read(register.adapter(tmp_path, query, "recordedAt: gewijzigd\nsnapshot: true"))


async def test_a_server_that_is_away_is_tried_again(register, outbox, tmp_path) -> None:
    outbox()
    file = tmp_path / "mapping.yaml"
    file.write_text(file.read_text().replace(f"port: {register.server.port}", "port: 9"))
    with pytest.raises(Retriable, match="cannot be reached"):
        await read(build(load_mapping(tmp_path, schema_of), None))


async def test_a_column_that_was_renamed_is_no_absent_value(register, outbox) -> None:
    adapter = outbox()
    register.run("INSERT INTO uitgaand (nummer) VALUES (1)", "ALTER TABLE uitgaand RENAME omschrijving TO tekst")
    [(item, _)] = [pair async for pair in adapter.changes(None)]
    assert isinstance(item, Broken)
    assert (item.reason, item.path) == ("COLUMN_MISSING", "omschrijving")


async def test_a_session_that_the_server_ends_is_tried_again_behind_the_last_row(register, outbox) -> None:
    register.run("INSERT INTO uitgaand (nummer) SELECT generate_series(1, 450)")
    adapter, found = outbox(), list[tuple[int, str]]()

    async def broken_off() -> None:
        async for item, behind in adapter.changes(None):
            found.append((int(item.source_id), behind))
            if len(found) == 10:
                register.run(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'datanuts' AND datname = current_database()"
                )

    with pytest.raises(Retriable):
        await broken_off()
    rest, _ = await read(adapter, found[-1][1])
    assert [number for number, _ in found] + rest == list(range(1, 451))


async def test_a_statement_that_takes_too_long_is_given_up(register, outbox, tmp_path) -> None:
    outbox()
    words = 'query: "SELECT *, pg_sleep(20) FROM uitgaand", timeout_s: 1'
    register.run("INSERT INTO uitgaand (nummer) VALUES (1)")
    with pytest.raises(Retriable, match="raise `timeout_s`"):
        await read(register.adapter(tmp_path, words, "recordedAt: gewijzigd\nsnapshot: true"))
