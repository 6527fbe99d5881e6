"""`datanuts adapter run` as a process on an installation of its own: nothing set up before, interrupted, taken over."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from broker.cli.datadir import DataDir
from broker.kafka import node_files
from broker.kafka.clients import KafkaAccess, KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.testing import wait_until
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(240)

HEAD = "nummer,straat,postcode,omschrijving,begin,einde,gewijzigd\n"
ROW = "{},Nevelhertendreef,9000,Riolering,2026-03-01,2026-04-01,{}\n"
STATED = "2026-02-01T08:00:00Z"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[DataDir]:
    """An installation of which nothing but Kafka runs."""
    made = DataDir(tmp_path_factory.mktemp("installation"))
    made.make()
    async with LocalKafka(made.root, ROOT / ".cache"):
        yield made


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "werken.csv"
    file.write_text(HEAD + ROW.format(1, STATED) + ROW.format(2, STATED) + ROW.format(3, ""))
    return file


async def start(home: DataDir, source: Path, *options: str) -> Process:
    command = [sys.executable, "-m", "broker.cli.main", "adapter", "run", "example", "--json"]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    return await asyncio.create_subprocess_exec(
        *command, "--source", str(source), "--data-dir", str(home.root), *options, stdout=PIPE, stderr=PIPE, env=clean
    )


async def ended(process: Process) -> tuple[int | None, Any]:
    """Exit code and the one line of JSON."""
    out, _ = await process.communicate()
    [line] = out.splitlines()
    return process.returncode, json.loads(line)


async def verified(home: DataDir) -> tuple[int | None, Any]:
    return await product(home, "verify", "stad-gent", "hinder.v1")


async def product(home: DataDir, *words: str) -> tuple[int | None, Any]:
    command = [sys.executable, "-m", "broker.cli.main", "product", *words, "--json"]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    return await ended(
        await asyncio.create_subprocess_exec(
            *command, "--data-dir", str(home.root), stdout=PIPE, stderr=PIPE, env=clean
        )
    )


def batches(home: DataDir) -> int:
    log = home.logs / "adapter-example.log"
    return log.read_text().count('"adapter.batch"') if log.exists() else 0


async def test_a_source_is_published_once_and_a_run_can_be_interrupted_and_taken_over(home, source) -> None:
    code, first = await ended(await start(home, source, "--once"))
    assert (code, first["read"], first["published"], first["quarantined"]) == (0, 3, 2, {"FIELD_MISSING": 1})
    code, second = await ended(await start(home, source, "--once"))
    assert (code, second["published"], second["duplicate"], second["quarantined"]) == (0, 0, 2, {"FIELD_MISSING": 1})

    seen = batches(home)
    polling = await start(home, source)
    await wait_until(lambda: batches(home) > seen, timeout=30)
    polling.send_signal(signal.SIGINT)
    code, interrupted = await ended(polling)
    assert (code, interrupted["read"], interrupted["duplicate"]) == (130, 3, 2)

    seen = batches(home)
    polling = await start(home, source, "--every", "1")
    await wait_until(lambda: batches(home) > seen, timeout=30)
    source.write_text(source.read_text() + ROW.format(4, STATED))
    code, taken_over = await ended(await start(home, source, "--once"))
    assert code == 0
    assert taken_over["read"] == 4
    code, problem = await ended(polling)
    assert (code, problem["code"]) == (3, "FENCED")
    assert str(source) not in (home.logs / "adapter-example.log").read_text()

    code, vouched = await verified(home)
    assert (code, vouched["sound"], vouched["sealed"]) == (0, True, vouched["records"])
    await forge(home)
    code, found = await verified(home)
    assert (code, found["sound"], found["unsealed"]) == (1, False, {"3": 1})
    assert found["coordinates"]["unsealed"][0]["lane"] == 3
    code, held = await product(home, "seal-key", "distrust", "stad-gent/1", "--since", "2026-01-01T00:00:00Z")
    assert (code, held["distrusted"]) == (0, "2026-01-01T00:00:00Z")
    code, keys = await product(home, "seal-key", "list", "stad-gent")
    assert (code, [key["key"] for key in keys]) == (0, ["stad-gent/1", "stad-gent/2"])
    code, found = await verified(home)
    assert (code, found["sealed"], found["doubts"]) == (1, 0, {"SEAL_KEY_DISTRUSTED": found["seals"]})


async def forge(home: DataDir) -> None:
    """Write to a source topic as only the operator could."""
    held = node_files.load_identity(home.root / "kafka")
    access = KafkaAccess(f"127.0.0.1:{held.port}", node_files.SUPER_USER, held.password)
    async with KafkaClients(access).producer() as producer:
        await producer.send_and_wait(topics.source("stad-gent", "hinder.v1"), b"forged", key=b"f" * 32, partition=3)
