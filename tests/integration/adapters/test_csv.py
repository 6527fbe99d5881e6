"""Files of rows, here and on an SFTP server, on a real Kafka: twice is once, a killed run loses and repeats nothing, a snapshot deletes whom it lacks."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import asyncssh
import pytest

from adapters.mapped import build, load_mapping
from broker.cli.datadir import DataDir
from broker.control.keys import FileKeyStore
from broker.kafka.admin import KafkaAdmin
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.keyed import lane_key
from broker.model.record import header
from broker.model.source_seal import decode_seal, record_leaf
from broker.schema.avro import load_schema
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.integration.drops.sftp import USER, Server, listening
from tests.reading import committed_records

pytestmark = pytest.mark.timeout(300)

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: gipod
source: {kind: csv, path: bron}  # here
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


def row(number: int | str, text: str = "werken") -> str:
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


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose files are the source of the mapping, under an adapter name of its own."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    (tmp_path / "sleutel").write_bytes(key.export_private_key())
    async with listening(tmp_path / "server") as made:
        made.admit(key.export_public_key().decode())
        place = (
            f"source: {{kind: csv, path: 'sftp://{USER}@127.0.0.1:{made.port}/in', key: {{file: sleutel}}, "
            f"host_key: '{made.host_key}'}}"
        )
        text = (MAPPING % "").replace("source: {kind: csv, path: bron}  # here", place)
        (tmp_path / "mapping.yaml").write_text(text.replace("adapter: werken", "adapter: werken-sftp"))
        yield made


async def test_a_server_of_files_is_published_once_and_grows(bench, server, tmp_path) -> None:
    (server.root / "in" / "a.csv").write_text(HEAD + "".join(row(number) for number in range(300)))
    (server.root / "in" / "b.csv").write_text(HEAD + row(7, "verlengd") + "8\n")
    adapter = await bench.renamed(build(load_mapping(tmp_path, schema_of), None))
    first = await bench.runner(adapter).run(once=True)
    assert (first.read, first.published, first.quarantined) == (302, 301, {"ROW_RAGGED": 1})
    with (server.root / "in" / "b.csv").open("a") as out:
        out.write(row(300))
    second = await bench.runner(adapter).run(once=True)
    assert (second.read, second.published) == (1, 1)
    assert (await bench.runner(adapter).run(once=True)).read == 0
    assert len(await bench.published(adapter)) == 302


async def test_a_connection_that_is_lost_again_and_again_loses_and_repeats_nothing(bench, server, tmp_path) -> None:
    for number in range(6):
        rows = "".join(row(number * 100 + each) for each in range(100))
        (server.root / "in" / f"{number}.csv").write_text(HEAD + rows)
    steps = count(1)

    async def failing(_step: str) -> None:
        if next(steps) % 3 == 0:
            raise asyncssh.SFTPConnectionLost("weg")

    server.hook = failing
    adapter = await bench.renamed(build(load_mapping(tmp_path, schema_of), None))
    told = await bench.runner(adapter, sleep=at_once).run(once=True)
    assert (told.published, told.duplicate, dict(told.quarantined)) == (600, 0, {})
    assert set(Counter(record.key for record in await bench.published(adapter)).values()) == {1}


async def at_once(_seconds: float) -> None:
    """A runner that need not wait."""


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


async def verify(home: DataDir) -> tuple[int | None, dict[str, Any]]:
    command = [sys.executable, "-m", "broker.cli.main", "product", "verify", "gipod", "hinder.v1", "--json"]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    process = await asyncio.create_subprocess_exec(
        *command, "--data-dir", str(home.root), stdout=PIPE, stderr=DEVNULL, env=clean
    )
    out, _ = await process.communicate()
    return process.returncode, json.loads(out)


def batches(home: DataDir, adapter: str = "werken") -> int:
    log = home.logs / f"adapter-{adapter}.log"
    return log.read_text().count('"adapter.batch"') if log.exists() else 0


async def killed(there: DataDir, folder: Path, adapter: str, rounds: int) -> int:
    """Run and kill the adapter so many times, then let it come to its end; gives how many runs were killed."""
    draw, kills = Random(11), 0
    for _ in range(rounds):
        seen, process = batches(there, adapter), await start(there, folder)
        wanted = seen + 1 + draw.randrange(2)
        await wait_until(
            lambda p=process, n=wanted: p.returncode is not None or batches(there, adapter) >= n, timeout=60
        )
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        await process.communicate()
    process = await start(there, folder)
    await process.communicate()
    assert process.returncode == 0
    return kills


async def times(there: DataDir, node: LocalKafka, subjects: Iterable[str]) -> Counter[bytes]:
    """How often each of these subjects was published, and that of each there is one number."""
    clients, admin = KafkaClients(node.access), KafkaAdmin(node.access, replication=1)
    k_lane = FileKeyStore(there.root / "keys").get("lane")
    wanted = {lane_key(k_lane, subject.encode()) for subject in subjects}
    records = await committed_records(clients, admin, topics.source("gipod", "hinder.v1"))
    found = Counter(dict.fromkeys(wanted, 0))
    found.update(record.key for record in records if record.key in wanted)
    return found


async def assert_sealed_once(node: LocalKafka, adapter: str) -> None:
    """Every record that is in the adapter's seals is in its topic, as often as there, and none is in two seals."""
    clients, admin = KafkaClients(node.access), KafkaAdmin(node.access, replication=1)
    topic = topics.source("gipod", "hinder.v1")
    seals = [
        decode_seal(record.value)
        for record in await committed_records(clients, admin, topics.seals("gipod", "hinder.v1"))
    ]
    own = [seal for seal in seals if seal.adapter == adapter]
    assert [seal.number for seal in own] == list(range(1, len(own) + 1))
    leaves = Counter(leaf for seal in own for leaf in seal.leaves)
    others = {leaf for seal in seals if seal.adapter != adapter for leaf in seal.leaves}
    published = Counter(
        record_leaf(topic, header(record.headers, "ce_id") or b"", record.key, record.value)
        for record in await committed_records(clients, admin, topic)
    )
    assert leaves == Counter({leaf: times for leaf, times in published.items() if leaf not in others})
    assert set(leaves.values()) == {1}


async def test_a_run_that_is_killed_again_and_again_publishes_the_source(home, source) -> None:
    (there, node), rows = home, 40_000
    for name, numbers in (("a.csv", range(rows // 2)), ("b.csv", range(rows // 2, rows))):
        (source / name).write_text(HEAD + "".join(row(number) for number in numbers))
    assert await killed(there, source.parent, "werken", 6) >= 2
    found = await times(there, node, (f"https://gent.example/id/{number}" for number in range(rows)))
    assert set(found.values()) == {1}
    await assert_sealed_once(node, "werken")
    code, told = await verify(there)
    assert (code, told["sound"], told["sealed"]) == (0, True, told["records"])
    assert told["records"] >= rows


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("rounds", [3, 50])
async def test_so_does_one_over_sftp(home, server, tmp_path, rounds) -> None:
    (there, node), rows = home, 5_000 * rounds
    names = [f"{rounds}-{number}" for number in range(rows)]
    for number in range(4):
        some = names[number * rows // 4 : (number + 1) * rows // 4]
        (server.root / "in" / f"{number}.csv").write_text(HEAD + "".join(map(row, some)))
    assert await killed(there, tmp_path, "werken-sftp", rounds) >= rounds // 3
    assert set((await times(there, node, (f"https://gent.example/id/{name}" for name in names))).values()) == {1}
    await assert_sealed_once(node, "werken-sftp")
