"""Files of rows on a real Kafka: twice is once, a killed run loses and repeats nothing, a snapshot deletes whom it lacks."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from adapters.mapped import build, load_mapping
from broker.cli.datadir import DataDir
from broker.control.keys import FileKeyStore
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.keyed import lane_key
from broker.schema.avro import load_schema
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.reading import committed_records

pytestmark = pytest.mark.timeout(300)

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: gipod
source: {kind: csv, path: bron}
id: nummer
recordedAt: gewijzigd
%s
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  omschrijving: omschrijving
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
HEAD = "nummer;omschrijving;gewijzigd\n"


def row(number: int, text: str = "werken") -> str:
    return f"{number};{text};2026-01-01T00:00:00Z\n"


def schema_of(product: str) -> Any:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "bron").mkdir()
    (tmp_path / "mapping.yaml").write_text(MAPPING % "")
    return tmp_path / "bron"


async def test_a_folder_is_published_once_and_grows(bench, source) -> None:
    (source / "a.csv").write_text(HEAD + "".join(row(number) for number in range(300)))
    (source / "b.csv").write_text(HEAD + row(7, "verlengd") + "8\n")
    adapter = await bench.renamed(build(load_mapping(source.parent, schema_of), None))
    first = await bench.runner(adapter).run(once=True)
    assert (first.read, first.published, first.quarantined) == (302, 301, {"ROW_RAGGED": 1})
    second = await bench.runner(adapter).run(once=True)
    assert (second.read, second.published) == (0, 0)
    with (source / "b.csv").open("a") as out:
        out.write(row(300))
    third = await bench.runner(adapter).run(once=True)
    assert (third.read, third.published) == (1, 1)
    assert len(await bench.published(adapter)) == 302


async def test_a_snapshot_deletes_whom_it_lacks(bench, source) -> None:
    (source.parent / "mapping.yaml").write_text(MAPPING % "snapshot: true")
    (source / "1.csv").write_text(HEAD + "".join(row(number) for number in range(100)))
    adapter = await bench.renamed(build(load_mapping(source.parent, schema_of), None))
    assert (await bench.runner(adapter).run(once=True)).published == 100
    (source / "2.csv").write_text(HEAD + "".join(row(number) for number in range(20, 110)))
    second = await bench.runner(adapter).run(once=True)
    assert (second.published, second.deleted, second.duplicate) == (10, 20, 80)
    last = {record.key: record.value for record in await bench.published(adapter)}
    assert len(last) == 110
    assert sum(value is None for value in last.values()) == 20
    again = await bench.runner(adapter).run(once=True)
    assert (again.read, again.published, again.deleted) == (0, 0, 0)


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


async def test_a_run_that_is_killed_again_and_again_publishes_the_source(home, source) -> None:
    there, node = home
    rows, draw = 40_000, Random(11)
    for name, numbers in (("a.csv", range(rows // 2)), ("b.csv", range(rows // 2, rows))):
        (source / name).write_text(HEAD + "".join(row(number) for number in numbers))
    killed = 0
    for _ in range(6):
        seen, process = batches(there), await start(there, source.parent)
        wanted = seen + 1 + draw.randrange(2)
        await wait_until(lambda p=process, n=wanted: p.returncode is not None or batches(there) >= n, timeout=60)
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        await process.communicate()
    assert killed >= 2
    process = await start(there, source.parent)
    await process.communicate()
    assert process.returncode == 0
    clients, admin = KafkaClients(node.access), KafkaAdmin(node.access, replication=1)
    found = Counter(
        record.key for record in await committed_records(clients, admin, topics.source("gipod", "hinder.v1"))
    )
    k_lane = FileKeyStore(there.root / "keys").get("lane")
    assert found == {lane_key(k_lane, f"https://gent.example/id/{number}".encode()): 1 for number in range(rows)}
