"""PostgreSQL to a real Kafka: a run that is killed again and again loses and repeats nothing; the scaffold works on a server."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from adapters.mapped import FILE, build, load_mapping
from adapters.scaffold import ROWS, files
from broker.cli.datadir import DataDir
from broker.control.keys import FileKeyStore
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.keyed import lane_key
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.databases import OUTBOX, PASSWORD, WERKEN, Database, database, schema_of
from tests.reading import committed_records

pytestmark = pytest.mark.timeout(300)

FIRST = {"outbox": 0, "slot": 500_000_000}
"""Numbers of each kind's own, since both are read under one name."""


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[DataDir, LocalKafka]]:
    """An installation of which nothing but Kafka runs."""
    made = DataDir(tmp_path_factory.mktemp("installation"))
    made.make()
    async with LocalKafka(made.root, ROOT / ".cache") as node:
        yield made, node


async def start(home: DataDir, folder: Path) -> Process:
    command = [sys.executable, "-m", "broker.cli.main", "adapter", "run", str(folder), "--once", "--json"]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    return await asyncio.create_subprocess_exec(
        *command, "--data-dir", str(home.root), stdout=PIPE, stderr=DEVNULL, env=clean
    )


def batches(home: DataDir) -> int:
    log = home.logs / "adapter-werken.log"
    return log.read_text().count('"adapter.batch"') if log.exists() else 0


def prepared(register: Database, kind: str) -> str:
    """The words that read it."""
    if kind == "outbox":
        register.run(OUTBOX)
        return "outbox: {table: uitgaand, position: positie}"
    register.run(
        WERKEN,
        "CREATE PUBLICATION naar_buiten FOR TABLE werken",
        "SELECT pg_create_logical_replication_slot(':slot', 'pgoutput')",
        slot=register.name,
    )
    return f"slot: {register.name}, publication: naar_buiten, table: werken"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        ("outbox", 3),
        *(
            pytest.param(kind, rounds, marks=pytest.mark.long)
            for kind, rounds in (("slot", 3), ("outbox", 50), ("slot", 50))
        ),
    ],
)
async def test_a_run_that_is_killed_again_and_again_publishes_the_source(
    home, register, tmp_path: Path, kind: str, rounds: int
) -> None:
    (there, node), draw, killed = home, Random(rounds), 0
    words, first = prepared(register, kind), FIRST[kind] + rounds * 1_000_000
    (tmp_path / "mapping.yaml").write_text(register.mapping(words))
    table, count = {"outbox": "uitgaand", "slot": "werken"}[kind], 0
    for _ in range(rounds):
        for size in (1, 2_000):  # transactions of one row, and of more than a batch
            register.run(
                "INSERT INTO :table (nummer, omschrijving) SELECT generate_series(:first, :last), 'werken'",
                table=table,
                first=first + count,
                last=first + count + size - 1,
            )
            count += size
        wanted, process = batches(there) + draw.randrange(3), await start(there, tmp_path)
        await wait_until(lambda p=process, b=wanted: p.returncode is not None or batches(there) >= b, timeout=60)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        await process.communicate()
    process = await start(there, tmp_path)
    told, _ = await process.communicate()
    assert process.returncode == 0
    assert (b"slotLagBytes" in told) == (kind == "slot")
    assert register.password not in told.decode() + (there.logs / "adapter-werken.log").read_text()
    assert killed >= rounds // 3
    clients, admin = KafkaClients(node.access), KafkaAdmin(node.access, replication=1)
    k_lane = FileKeyStore(there.root / "keys").get("lane")
    expected = {lane_key(k_lane, f"https://gent.example/id/{first + n}".encode()) for n in range(count)}
    found = Counter(
        record.key for record in await committed_records(clients, admin, topics.source("gipod", "hinder.v1"))
    )
    assert {key: number for key, number in found.items() if key in expected} == dict.fromkeys(expected, 1)
    if kind == "slot":
        register.run("SELECT pg_drop_replication_slot(':slot')", slot=register.name)


async def test_the_scaffold_works_on_a_server(bench, postgres_server, unique, monkeypatch, tmp_path: Path) -> None:
    name = unique("bron")
    made = database(postgres_server, name)
    for path, text in files(name, schema_of("persoon.v1"), "rijksregister", "postgres", wanted=(), fixed={}).items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    made.run((tmp_path / f"sample/{name}.sql").read_text())
    reader = f"{made.name}_lezer"
    made.run("ALTER ROLE :reader PASSWORD ':word'", reader=reader, word=made.password)
    monkeypatch.setenv("BRON_WACHTWOORD", os.environ[PASSWORD])
    place = f"127.0.0.1:{postgres_server.port}"
    plain = build(load_mapping(tmp_path / FILE, schema_of), place)
    assert plain.findings() == []
    adapter = await bench.renamed(plain)
    assert (await bench.runner(adapter).run(once=True)).published == ROWS
    assert (await bench.runner(adapter).run(once=True)).read == 0
