"""A stock client follows our pages over real Kafka: aborted records, markers, barriers and a repeated delivery included."""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.cli.processes import served
from broker.delivery.pull import DeliveryReader
from broker.delivery.streams import Message
from broker.delivery.tree import OFFSETS
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.model import topics
from broker.model.barrier import AMENDED, barrier
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.unit.api import roadworks
from tests.unit.api.conftest import Control, token

HERE = Path(__file__).parent / "ldes_client"
FILES = ("package.json", "package-lock.json", "follow.js")
DELIVERIES = 300


@pytest.fixture(scope="session")
async def client() -> Path:
    """Folder in which `node follow.js` runs: packages installed once, as the lock has them."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: no stock LDES client followed our pages")
    text = b"".join((HERE / name).read_bytes() for name in FILES)
    folder = ROOT / ".cache" / f"ldes-client-{sha256(text).hexdigest()[:16]}"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            shutil.copy(HERE / name, folder)
        await _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", cwd=folder)
        (folder / "ready").touch()
    return folder


@dataclass
class Followed:
    """A stream in Kafka behind our HTTP interface."""

    url: str
    agreement: str
    client: Path

    async def members(self, **more: str) -> list[dict[str, Any]]:
        """What the client emits."""
        variables = {
            "LDES_URL": f"{self.url}/v1/ldes/{self.agreement}",
            "LDES_AUTH": f"{roadworks.AGENCY}:{token('agency')}",
        }
        said = await _run("node", "follow.js", cwd=self.client, **variables, **more)
        return [json.loads(line) for line in said.splitlines() if line.startswith("{")]

    def version(self, number: int) -> str:
        return f"urn:datanuts:agreement/{self.agreement}/delivery/{number:032x}"


@pytest.fixture
async def followed(
    client: Path, kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, unique: Callable[[str], str]
) -> AsyncIterator[Followed]:
    agreement, control = unique("hinder"), Control()
    await roadworks.agree(control, agreement)
    topic = topics.delivery(roadworks.AGENCY, agreement)
    await kafka_admin.ensure_topics([TopicSpec(topic)])
    await _fill(kafka_clients, topic, roadworks.deliveries(control, agreement, DELIVERIES))
    reader = DeliveryReader(lambda: kafka_clients.consumer(None))
    (end,) = (await kafka_admin.end_offsets(topic)).values()

    async def committed() -> bool:
        return await reader.head(topic) >= end

    await wait_until(committed, timeout=30)
    nothing: dict[str, Any] = {each.name: None for each in fields(Services)}
    services = Services(**nothing | {"control": control, "deliveries": reader, "iri_base": "urn:datanuts:"})
    try:
        async with served(create_app(services)) as url:
            yield Followed(url, agreement, client)
    finally:
        await reader.close()


async def _fill(clients: KafkaClients, topic: str, messages: list[Message]) -> None:
    producer = clients.transactional_producer(f"writer-{topic}")
    await producer.start()

    async def transaction(rows: list[Any], *, commit: bool = True) -> None:
        await producer.begin_transaction()
        for key, value, headers in rows:
            await producer.send(topic, value, key=key, headers=list(headers), partition=0)
        await (producer.commit_transaction() if commit else producer.abort_transaction())

    rows = [(message.key, message.value, message.headers) for message in messages]
    try:
        await transaction(rows[:100])
        await transaction(rows[:60], commit=False)
        await transaction(rows[100:200])
        await transaction([*rows[90:95], barrier(topic, 0, 41, AMENDED).row])
        await transaction(rows[200:])
        await transaction([(rows[7][0], None, roadworks.headers(DELIVERIES, b"left-population"))])
    finally:
        await producer.stop()


async def _run(*command: str, cwd: Path, **variables: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env=os.environ | variables,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complaint = await asyncio.wait_for(process.communicate(), 200)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()[-2000:]
    return said.decode()


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("order", ["none", "ascending"])
async def test_a_stock_client_gets_every_member(followed: Followed, order: str) -> None:
    members = await followed.members(LDES_ORDER=order)
    by_id = {member["id"]: member for member in members}
    assert sorted(by_id) == [followed.version(n) for n in range(DELIVERIES + 1)]
    # Of what was delivered again, its ordered mode emits every copy; it remembers members in the other mode only.
    assert len(members) == len(by_id) + (5 if order == "ascending" else 0)
    assert DELIVERIES > OFFSETS, "several pages"
    subject = f"urn:datanuts:agreement/{followed.agreement}/subject/"
    assert {member["isVersionOf"].removeprefix(subject) for member in members} == {f"{n:032x}" for n in range(50)}
    assert {member["timestamp"] for member in members} == {"2026-11-24T12:00:00.000Z"}
    departure = by_id.pop(followed.version(DELIVERIES))
    assert departure["type"] == "https://www.w3.org/ns/activitystreams#Delete"
    assert {member["type"] for member in by_id.values()} == {
        "https://data.vlaanderen.be/ns/mobiliteit#Mobiliteitshinder"
    }
    assert min(member["quads"] for member in by_id.values()) > 20  # nested nodes come with their member
