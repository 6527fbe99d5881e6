"""An agency reads its deliveries with what it has: kafka-console-consumer, and Confluent's Avro deserializer on our registry."""

import asyncio
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from broker.cli import credential as credential_command
from broker.kafka.runtime import find_java
from broker.model.record import WIRE_HEADER_BYTES
from broker.schema.reference import decode
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd
from tests.stage import ROOT, Stage, installation

pytestmark = pytest.mark.timeout(240)

_POM = Path(__file__).with_name("console-consumer.pom.xml")
_AGENCY = "statistiek-vlaanderen"
_PEOPLE = 5


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An installation of two lanes."""
    async with installation(tmp_path_factory.mktemp("console"), lanes=2) as made:
        yield made


@pytest.fixture(scope="module")
async def topic(stage: Stage) -> str:
    """A stream of the agency's that holds five deliveries."""
    agreement = await stage.agreement("statistiek-vlaanderen")
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, Crowd().people(_PEOPLE))
        await stage.drained(TOPIC)
    return stage.delivery_topic(agreement)


@pytest.fixture(scope="module")
def jars() -> Path:
    """Folder of the tool's jars, fetched by Maven once."""
    folder = ROOT / ".cache" / f"console-consumer-{hashlib.sha256(_POM.read_bytes()).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        maven = shutil.which("mvn")
        assert maven, "Maven is needed once, to fetch kafka-tools"
        fetch = [maven, "-B", "-q", "-f", str(_POM), "dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
        # Two Mavens at once can meet in their common repository, where one reads what the other is writing: the loser asks again.
        if subprocess.run(fetch, check=False, stdin=subprocess.DEVNULL, timeout=200).returncode:
            subprocess.run(fetch, check=True, stdin=subprocess.DEVNULL, timeout=200)
        (folder / "complete").touch()
    return folder


def credential(stage: Stage) -> dict[str, Any]:
    """What `datanuts up` left for the agency, as the agency's engineer finds it."""
    held: dict[str, Any] = json.loads((stage.stack.home.root / "credentials" / f"{_AGENCY}.json").read_text())
    return held


async def values_of(stage: Stage, topic: str) -> list[dict[str, Any]]:
    """The delivered values, decoded without a registry."""
    entry = stage.stack.site.control.state.agreements[topic.rpartition(".")[2]]
    egress = stage.stack.site.control.state.schemas[entry.egress_schema_id or 0].text
    return [decode(egress, message.value[WIRE_HEADER_BYTES:]) for message in await stage.read(topic)]


async def test_kafka_console_consumer_prints_the_deliveries(
    stage: Stage, topic: str, jars: Path, tmp_path: Path
) -> None:
    own = credential(stage)
    login = (
        "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\n"
        "sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required "
        f'username="{own["kafka_username"]}" password="{own["kafka_password"]}";\n'
    )
    await prints_the_deliveries(stage, topic, jars, tmp_path, login, stage.stack.connection.kafka)


async def test_the_same_certificate_serves_the_console_consumer_and_curl(
    stage: Stage, topic: str, jars: Path, tmp_path: Path
) -> None:
    """The commands of docs/credentials.md, with openssl and curl as an agency has them."""
    await command(*shlex.split(credential_command.OPENSSL), cwd=tmp_path)
    home = str(stage.stack.home.root)
    await command(sys.executable, "-m", "broker.cli.main", "credential", "issue", "--as", _AGENCY, "--data-dir", home,
                  "--csr", f"{tmp_path}/app.csr", "--out", f"{tmp_path}/app.pem", cwd=ROOT)  # fmt: skip
    (tmp_path / "app.both.pem").write_text((tmp_path / "app.key").read_text() + (tmp_path / "app.pem").read_text())
    login = (
        f"security.protocol=SSL\nssl.keystore.type=PEM\nssl.keystore.location={tmp_path}/app.both.pem\n"
        f"ssl.truststore.type=PEM\nssl.truststore.location={stage.stack.home.ca}\n"
    )
    await prints_the_deliveries(stage, topic, jars, tmp_path, login, stage.stack.connection.kafka_tls)
    url = f"{stage.stack.connection.https}/v1/deliveries/{topic.rpartition('.')[2]}"
    page = await command("curl", "-sS", "--noproxy", "*", "--cacert", str(stage.stack.home.ca), "--cert", "app.pem",
                         "--key", "app.key", url, cwd=tmp_path)  # fmt: skip
    assert [item["data"] for item in json.loads(page)["items"]] == await values_of(stage, topic)


async def command(*words: str, cwd: Path) -> bytes:
    """What a program prints."""
    process = await asyncio.create_subprocess_exec(
        *words, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    printed, complaints = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 0, complaints.decode()
    return printed


async def prints_the_deliveries(
    stage: Stage, topic: str, jars: Path, folder: Path, login: str, bootstrap: str | None
) -> None:
    """The tool, with this login, prints the topic as it is."""
    config = folder / "agency.properties"
    # Every test starts at the beginning.
    config.write_text(f"{login}isolation.level=read_committed\nenable.auto.commit=false\n")
    process = await asyncio.create_subprocess_exec(
        str(find_java()), "-cp", f"{jars}/*", "org.apache.kafka.tools.consumer.ConsoleConsumer",
        "--bootstrap-server", str(bootstrap), "--topic", topic, "--group", topic, "--from-beginning",
        "--consumer.config", str(config), "--max-messages", str(_PEOPLE), "--timeout-ms", "30000",
        "--property", "print.key=true", "--property", "print.headers=true", "--property", "line.separator=<end>",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    printed, complaints = await asyncio.wait_for(process.communicate(), 90)
    lines = printed.split(b"<end>")[:-1]
    messages = await stage.read(topic)
    assert len(lines) == _PEOPLE, complaints.decode()
    for line, message in zip(lines, messages, strict=True):
        headers, key, value = line.split(b"\t", 2)
        assert (key, value) == (message.key, message.value)
        assert b"content-type:application/avro" in headers


async def test_confluents_consumer_and_deserializer_read_the_same_values(stage: Stage, topic: str) -> None:
    own = credential(stage)

    def read() -> list[Any]:
        consumer = Consumer(
            {
                "bootstrap.servers": stage.stack.connection.kafka,
                "security.protocol": "SASL_PLAINTEXT",
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": own["kafka_username"],
                "sasl.password": own["kafka_password"],
                "group.id": topic,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
            }
        )
        registry = {"url": stage.stack.connection.api, "basic.auth.user.info": f"{own['organisation']}:{own['token']}"}
        found: list[Any] = []
        try:
            with SchemaRegistryClient(registry) as client:
                deserialize = AvroDeserializer(client)
                consumer.subscribe([topic])
                while len(found) < _PEOPLE:
                    message = consumer.poll(20.0)
                    assert message is not None
                    assert message.error() is None
                    found.append(deserialize(message.value(), SerializationContext(topic, MessageField.VALUE)))
        finally:
            consumer.close()
        return found

    assert await asyncio.to_thread(read) == await values_of(stage, topic)
