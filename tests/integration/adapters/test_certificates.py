"""Certificates on a real Kafka: a withdrawal stops a runner that knows of it, and one that does not."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from adapters import example
from adapters.conformance.catalogue import CHECKS, KIT
from adapters.runner import Runner
from adapters.sdk import Change, Item
from broker.cli.certified_journal import CertifiedJournal, Rule, bindings_of
from broker.cli.datadir import DataDir
from broker.control.adapter_certificates import AdapterCertificates, Kit
from broker.control.log import ControlLog
from broker.errors import Fenced, NotCertified
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topology
from broker.model.adapter_certificates import Binding
from broker.testing import wait_until
from tests.conftest import ROOT

pytestmark = pytest.mark.timeout(240)

CHECKED = Kit(KIT, frozenset(each.code for each in CHECKS))


def report(binding: Binding, adapter: str) -> dict[str, Any]:
    """All checks passed."""
    return {
        "kit": KIT,
        "adapter": adapter,
        "module": binding.module,
        "package": binding.package,
        "source": binding.source,
        "product": binding.product,
        "at": datetime.now(UTC).isoformat(),
        "checks": [{"code": each.code, "outcome": "passed"} for each in CHECKS],
    }


@dataclass
class Ticking:
    """One more hindrance whenever it is read on."""

    sources: dict[str, str] = field(default_factory=lambda: {"hinder.v1": "gipod"})

    async def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        number = int(cursor or 0) + 1
        row = dict.fromkeys(("straat", "postcode", "omschrijving", "begin", "einde"), "x")
        item = example.hindrance({"nummer": str(number), "gewijzigd": "2026-02-01T08:00:00Z"} | row)
        assert isinstance(item, Change)
        yield item, str(number)


@pytest.fixture
async def control(kafka_clients: KafkaClients, kafka_admin: Any, unique: Callable[[str], str]) -> AsyncIterator[Any]:
    """A control log of its own."""
    name = unique("control")
    [log] = [spec for spec in topology.installation(1) if spec.name == "control.log"]
    await kafka_admin.ensure_topics([topology.TopicSpec(name, config=log.config)])
    async with ControlLog(kafka_clients, topic=name) as opened:
        yield opened


@dataclass
class Lagging:
    """A control log that this process reads when its writer is opened (after a doubt it is, again), and never besides."""

    control: Any
    state: Any = None

    async def read_to_head(self) -> int:
        head = int(await self.control.read_to_head())
        self.state = deepcopy(self.control.state)
        return head


@pytest.mark.parametrize("lagging", [False, True], ids=["knows", "does not know"])
async def test_after_a_withdrawal_nothing_more_is_committed(bench, control, kafka_clients, *, lagging: bool) -> None:
    adapter = await bench.renamed(Ticking())
    binding = Binding("theirs.roads", f"sha256:{'ab' * 32}", adapter.sources["hinder.v1"], "hinder.v1")
    certificates = AdapterCertificates(control, kafka_clients, CHECKED)
    made = await certificates.certify(report(binding, adapter.name), by=binding.source)
    await certificates.countersign(made.id, by="operator")

    plain = bench.runner(adapter)
    seen = Lagging(control) if lagging else control
    journal = CertifiedJournal(plain.journal, seen, Rule([binding], real=True))
    runner = Runner(adapter, plain.publications, journal, plain.key, interval_s=0.01)
    running = asyncio.create_task(runner.run(once=False))
    await wait_until(lambda: runner.summary.published >= 3, timeout=60)

    await certificates.withdraw(made.id, by="operator", why="probe")
    published = len(await bench.published(adapter))
    with pytest.raises((Fenced, NotCertified)):
        await asyncio.wait_for(running, 30)
    assert len(await bench.published(adapter)) == published

    again = CertifiedJournal(bench.journal(adapter), control, Rule([binding], real=True))
    with pytest.raises(NotCertified, match="withdrawn"):
        await Runner(adapter, plain.publications, again, plain.key).run(once=True)
    assert len(await bench.published(adapter)) == published


async def run(home: DataDir, source: Path, *form: str, **environment: str) -> tuple[int | None, str, str]:
    command = [sys.executable, "-m", "broker.cli.main", "adapter", "run", "example", "--once", *form]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    process = await asyncio.create_subprocess_exec(
        *command,
        "--source",
        str(source),
        "--data-dir",
        str(home.root),
        stdout=PIPE,
        stderr=PIPE,
        env=clean | environment,
    )
    out, told = await process.communicate()
    return process.returncode, out.decode(), told.decode()


async def test_where_persons_are_real_the_command_refuses_without_a_certificate(tmp_path: Path) -> None:
    home = DataDir(tmp_path / "installation")
    home.make()
    source = ROOT / "tests" / "contract" / "conformance" / "werken.csv"
    async with LocalKafka(home.root, ROOT / ".cache") as node:
        code, out, told = await run(home, source, "--json", DATANUTS_PERSONS="real")
        assert code == 1, told
        assert "ADAPTER_NOT_CERTIFIED" in out
        assert "datanuts adapter certify" in out

        code, out, told = await run(home, source, "--json")
        assert (code, json.loads(out)["published"]) == (0, 6), told
        assert "elsewhere it would not" not in told, "a program that reads JSON asked for nothing else"
        code, out, told = await run(home, source)
        assert (code, "elsewhere it would not" in told) == (0, True), out

        clients = KafkaClients(node.access)
        [binding] = bindings_of(example.build(str(source)), "example")
        async with ControlLog(clients) as control:
            certificates = AdapterCertificates(control, clients, CHECKED)
            made = await certificates.certify(report(binding, "example"), by="stad-gent")
            await certificates.countersign(made.id, by="operator")
        code, out, told = await run(home, source, "--json", DATANUTS_PERSONS="real")
        assert (code, json.loads(out)["duplicate"]) == (0, 6), told
        assert "elsewhere" not in told
