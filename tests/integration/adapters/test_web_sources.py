"""Sources over HTTP on a real Kafka: twice is once, and a killed run loses and repeats nothing."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, fields
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

import pytest

from adapters import basisregisters, ldes
from adapters.mapped import build, load_mapping
from adapters.sdk import Change
from broker.api.app import create_app
from broker.api.services import Services
from broker.cli.datadir import DataDir
from broker.cli.processes import served
from broker.control.keys import FileKeyStore
from broker.delivery.pull import DeliveryReader
from broker.kafka.admin import KafkaAdmin, TopicSpec
from broker.kafka.clients import KafkaClients
from broker.kafka.local import LocalKafka
from broker.model import topics
from broker.model.keyed import lane_key
from broker.schema.avro import load_schema
from broker.testing import wait_until
from tests.conftest import ROOT
from tests.reading import committed_records
from tests.unit.adapters.loopback import Answers, Asked, Reply, serving
from tests.unit.api import roadworks
from tests.unit.api.conftest import Control, token

pytestmark = pytest.mark.timeout(300)

MAPPING = """\
adapter: werken
product: hinder.v1
organisation: gipod
source: {kind: rest, items: lijst, paging: {by: body, at: volgende}}
id: nummer
recordedAt: gewijzigd
fields:
  identificator: {template: "https://gent.example/id/{nummer}"}
  versie: {template: "https://gent.example/id/{nummer}/1"}
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
OF_XML = MAPPING.replace("adapter: werken", "adapter: werken-xml").replace(
    "source: {kind: rest, items: lijst, paging: {by: body, at: volgende}}",
    "source: {kind: xml, items: lijst/werk, paging: {by: body, at: '@volgende'}}",
).replace("https://gent.example/id/", "https://gent.example/xml/")  # fmt: skip
OF_A_STREAM = """\
adapter: werken-stroom
product: hinder.v1
organisation: gipod
source:
  kind: ldes
  member: m:Mobiliteitshinder
  prefixes:
    dct: http://purl.org/dc/terms/
    prov: http://www.w3.org/ns/prov#
    m: https://data.vlaanderen.be/ns/mobiliteit#
id: .
recordedAt: prov:generatedAtTime
fields:
  identificator: {template: "https://gent.example/stroom/{dct:isVersionOf}"}
  versie: .
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
OF_OUR_EXIT = """\
adapter: onze-uitgang
product: hinder.v1
organisation: gipod
source:
  kind: ldes
  prefixes: {dct: "http://purl.org/dc/terms/", prov: "http://www.w3.org/ns/prov#"}
  authorization: {env: LDES_AUTHORIZATION}
id: .
recordedAt: prov:generatedAtTime
fields:
  identificator: dct:isVersionOf
  versie: .
  omschrijving: dct:description
  contactorganisaties: {const: []}
  perioden: {const: []}
  zones: {const: []}
  oorzaken: {const: []}
"""
SPACE = "https://data.vlaanderen.be/id/adres"
FEED = "/v2/feeds/wijzigingen/adressen"
GIPOD = "https://gipod.example/id"
PAGE = 25
AT = "2026-01-01T10:00:00+01:00"


def of_rest(count: int) -> Answers:
    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("vanaf", 0))
        following = f"/?vanaf={start + PAGE}" if start + PAGE < count else None
        numbers = range(start, min(start + PAGE, count))
        return Reply({"lijst": [{"nummer": each, "gewijzigd": AT} for each in numbers], "volgende": following})

    return answer


def of_xml(count: int) -> Answers:
    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("vanaf", 0))
        following = f" volgende='/?vanaf={start + PAGE}'" if start + PAGE < count else ""
        numbers = range(start, min(start + PAGE, count))
        items = "".join(f"<werk><nummer>{each}</nummer><gewijzigd>{AT}</gewijzigd></werk>" for each in numbers)
        return Reply(f"<antwoord{following}><lijst>{items}</lijst></antwoord>".encode())

    return answer


def of_register(count: int) -> Answers:
    def event(number: int) -> dict[str, Any]:
        data = {"objectId": str(number), "naamruimte": SPACE, "versieId": AT, "nisCodes": [], "attributen": []}
        return {"id": str(number), "type": "basisregisters.address.create.v1", "data": data}

    def answer(asked: Asked) -> Reply:
        if asked.path == FEED:
            start = (int(asked.query["pagina"]) - 1) * PAGE
            events = [event(number) for number in range(start + 1, min(start + PAGE, count) + 1)]
            return Reply(events, headers={"x-page-complete": str(start + PAGE < count).lower()})
        object_id = asked.path.rpartition("/")[2]
        return Reply(
            {
                "identificator": {"id": f"{SPACE}/{object_id}", "versieId": AT},
                "gemeente": {"objectId": "44021", "gemeentenaam": {"geografischeNaam": {"spelling": "Gent"}}},
                "straatnaam": {"objectId": "7", "straatnaam": {"geografischeNaam": {"spelling": "Nevelhertendreef"}}},
                "huisnummer": object_id,
                "adresStatus": "inGebruik",
                "officieelToegekend": True,
            }
        )

    return answer


def of_stream(count: int) -> Answers:
    def answer(asked: Asked) -> Reply:
        start = int(asked.query.get("page", 0)) * PAGE
        text = "".join(
            f"<{GIPOD}/{number}/1> a <https://data.vlaanderen.be/ns/mobiliteit#Mobiliteitshinder> ; "
            f'<http://purl.org/dc/terms/isVersionOf> <{GIPOD}/{number}> ; <http://www.w3.org/ns/prov#generatedAtTime> "{AT}" .\n'
            for number in range(start, min(start + PAGE, count))
        )
        if start + PAGE < count:
            text += (
                f"<> <https://w3id.org/tree#relation> [ <https://w3id.org/tree#node> <?page={start // PAGE + 1}> ] .\n"
            )
        return Reply(text.encode(), headers={"content-type": "text/turtle"})

    return answer


@dataclass(frozen=True)
class Source:
    """One kind of source: what it answers, where it begins, how the command names it, and its subjects."""

    answers: Callable[[int], Answers]
    path: str
    name: str
    adapter: str
    topic: str
    subject: Callable[[int], str]
    first: int = 0
    mapping: str = MAPPING


SOURCES = {
    "rest": Source(of_rest, "/", "", "werken", topics.source("gipod", "hinder.v1"), lambda n: f"https://gent.example/id/{n}"),
    "basisregisters": Source(
        of_register, FEED, "basisregisters", "basisregisters",
        topics.source("digitaal-vlaanderen", "adres.v1"), lambda n: f"{SPACE}/{n}", 1,
    ),
    "ldes": Source(of_stream, "/", "ldes", "ldes", topics.source("gipod", "hinder.v1"), lambda n: f"{GIPOD}/{n}"),
    "xml": Source(
        of_xml, "/", "", "werken-xml", topics.source("gipod", "hinder.v1"),
        lambda n: f"https://gent.example/xml/{n}", mapping=OF_XML,
    ),
    "stream": Source(
        of_stream, "/", "", "werken-stroom", topics.source("gipod", "hinder.v1"),
        lambda n: f"https://gent.example/stroom/{quote(f'{GIPOD}/{n}', safe='')}", mapping=OF_A_STREAM,
    ),
}  # fmt: skip
KILLED = ("rest", "basisregisters", "ldes")
"""Kinds that are killed in every run of the tests; the others are read by the same clients."""


def schema_of(product: str) -> Any:
    return load_schema((ROOT / "schemas" / f"{product}.avsc").read_text())


@pytest.mark.parametrize("kind", SOURCES)
async def test_twice_is_once(bench, tmp_path, kind) -> None:
    source, count = SOURCES[kind], 3 * PAGE + 7
    (tmp_path / "mapping.yaml").write_text(source.mapping)
    async with serving(source.answers(count)) as server:
        url = server.origin + source.path
        made = {"basisregisters": basisregisters.build, "ldes": ldes.build}.get(
            source.name, lambda url: build(load_mapping(tmp_path, schema_of), url)
        )(url)
        adapter = await bench.renamed(made)
        assert (await bench.runner(adapter).run(once=True)).published == count
        server.answers = source.answers(count + 1)
        again = await bench.runner(adapter).run(once=True)
        assert again.published == 1, "what came since"
        assert (await bench.runner(adapter).run(once=True)).published == 0
    assert set(Counter(record.key for record in await bench.published(adapter)).values()) == {1}
    assert len(await bench.published(adapter)) == count + 1


async def test_our_own_exit_is_a_stream_that_this_client_follows(
    bench, kafka_clients: KafkaClients, kafka_admin: KafkaAdmin, unique: Callable[[str], str], monkeypatch, tmp_path
) -> None:
    count, agreement, control = 300, unique("hinder"), Control()
    await roadworks.agree(control, agreement)
    topic = topics.delivery(roadworks.AGENCY, agreement)
    await kafka_admin.ensure_topics([TopicSpec(topic)])
    producer = kafka_clients.transactional_producer(f"writer-{topic}")
    await producer.start()
    try:
        await producer.begin_transaction()
        given = roadworks.deliveries(control, agreement, count)
        for message in [*given, *given[90:95]]:
            await producer.send(topic, message.value, key=message.key, headers=list(message.headers), partition=0)
        gone = roadworks.headers(count, b"left-population")
        await producer.send(topic, None, key=given[7].key, headers=list(gone), partition=0)
        await producer.commit_transaction()
    finally:
        await producer.stop()
    reader = DeliveryReader(lambda: kafka_clients.consumer(None))
    nothing: dict[str, Any] = {each.name: None for each in fields(Services)}
    services = Services(**nothing | {"control": control, "deliveries": reader, "iri_base": "urn:datanuts:"})
    monkeypatch.setenv("LDES_AUTHORIZATION", f"Bearer {token('agency')}")
    try:
        async with served(create_app(services)) as url:
            client = ldes.build(f"{url}/v1/ldes/{agreement}")
            found = [item async for item, _ in client.changes(None)]
            adapter = await bench.renamed(client)
            first = await bench.runner(adapter).run(once=True)
            second = await bench.runner(adapter).run(once=True)
            (tmp_path / "mapping.yaml").write_text(OF_OUR_EXIT)
            by_mapping = build(load_mapping(tmp_path, schema_of), f"{url}/v1/ldes/{agreement}")
            mapped = [item async for item, _ in by_mapping.changes(None)]
    finally:
        await reader.close()
    assert [item.source_id for item in mapped] == [item.source_id for item in found]
    changes = [(item.value or {}).get("omschrijving") for item in mapped if isinstance(item, Change)]
    assert changes == [(item.value or {}).get("omschrijving") for item in found if isinstance(item, Change)]
    version = f"urn:datanuts:agreement/{agreement}/delivery/"
    assert {item.source_id.removeprefix(version) for item in found} == {f"{n:032x}" for n in range(count + 1)}
    assert (first.published, second.published, dict(first.quarantined)) == (count + 1, 0, {})
    last = {record.key: record.value for record in await bench.published(adapter)}
    assert len(last) == 50
    assert sum(value is None for value in last.values()) == 1, "the subject that left"


@pytest.fixture(scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[DataDir, LocalKafka]]:
    """An installation of which nothing but Kafka runs."""
    made = DataDir(tmp_path_factory.mktemp("installation"))
    made.make()
    async with LocalKafka(made.root, ROOT / ".cache") as node:
        yield made, node


async def start(home: DataDir, named: list[str], url: str) -> Process:
    command = [sys.executable, "-m", "broker.cli.main", "adapter", "run", *named, "--source", url, "--once", "--json"]
    clean = {name: text for name, text in os.environ.items() if "DATANUTS" not in name and "KAFKA" not in name}
    return await asyncio.create_subprocess_exec(
        *command, "--data-dir", str(home.root), stdout=PIPE, stderr=DEVNULL, env=clean
    )


def batches(home: DataDir, adapter: str) -> int:
    log = home.logs / f"adapter-{adapter}.log"
    return log.read_text().count('"adapter.batch"') if log.exists() else 0


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("kind", "rounds"),
    [
        *((kind, 10) for kind in KILLED),
        *(pytest.param(kind, 10, marks=pytest.mark.long) for kind in SOURCES if kind not in KILLED),
        *(pytest.param(kind, 50, marks=pytest.mark.long) for kind in SOURCES),
    ],
)
async def test_a_run_that_is_killed_again_and_again_publishes_the_source(
    home, tmp_path: Path, kind: str, rounds: int
) -> None:
    (there, node), source, draw = home, SOURCES[kind], Random(rounds)
    (tmp_path / "mapping.yaml").write_text(source.mapping)
    named, count, killed = [source.name or str(tmp_path)], 80 * rounds, 0
    async with serving(source.answers(count)) as server:
        url = server.origin + source.path
        for _ in range(rounds):
            wanted = batches(there, source.adapter) + 1 + draw.randrange(3)
            asked = len(server.asked) + draw.randrange(1, 60)
            process = await start(there, named, url)
            await wait_until(
                lambda p=process, b=wanted, a=asked: (
                    p.returncode is not None or batches(there, source.adapter) >= b or len(server.asked) >= a
                ),
                timeout=60,
            )
            if process.returncode is None:
                process.send_signal(signal.SIGKILL)
                killed += 1
            await process.communicate()
        process = await start(there, named, url)
        await process.communicate()
    assert process.returncode == 0
    assert killed >= rounds // 2
    clients, admin = KafkaClients(node.access), KafkaAdmin(node.access, replication=1)
    k_lane = FileKeyStore(there.root / "keys").get("lane")
    expected = {lane_key(k_lane, source.subject(n).encode()) for n in range(source.first, source.first + count)}
    found = Counter(record.key for record in await committed_records(clients, admin, source.topic))
    assert {key: number for key, number in found.items() if key in expected} == dict.fromkeys(expected, 1)
