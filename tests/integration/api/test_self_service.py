"""An agency's engineer alone: from the catalogue to the first record, a rotation, and the day the secret got out."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import fastavro
import httpx
import pytest
from confluent_kafka import Consumer

from broker.api.app import create_app
from broker.cli.main import main
from broker.control.log import ControlLog
from broker.errors import Unauthenticated
from broker.kafka.clients import KafkaAccess, probe
from broker.model import topics
from broker.model.record import WIRE_HEADER_BYTES
from broker.testing import wait_until
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd
from tests.stage import ROOT, Stage, installation

pytestmark = pytest.mark.timeout(180)

AGENCY = "statistiek-vlaanderen"
TEMPLATE = ROOT / "policies" / "agreements" / f"{AGENCY}.yaml"
_SIDES = (SOURCE, AGENCY)


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An installation of two lanes, routed."""
    async with installation(tmp_path_factory.mktemp("self-service"), lanes=2) as made, made.router():
        yield made


@dataclass
class Register:
    """The source: people nobody published before, all of whom every stream of this module is told of."""

    stage: Stage
    crowd: Crowd = field(default_factory=Crowd)
    published: int = 0

    async def publish(self, number: int) -> None:
        self.published += await self.stage.publish(SOURCE, PRODUCT, self.crowd.people(number))


@pytest.fixture(scope="module")
def register(stage: Stage) -> Register:
    return Register(stage)


async def datanuts(stage: Stage, *words: str) -> None:
    """One command, as it is typed."""
    code = await asyncio.to_thread(main, [*words, "--data-dir", str(stage.stack.home.root)])
    assert code == 0, words


async def ask(stage: Stage, who: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    token = stage.stack.home.credential_of(who).token
    return await call(stage, token, method, path, body)


async def call(stage: Stage, token: str, method: str, path: str, body: Any = None) -> dict[str, Any]:
    bearer = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=stage.stack.connection.api, trust_env=False, timeout=60) as http:
        answer = await http.request(method, path, json=body, headers=bearer)
        assert answer.is_success, answer.text
        return dict(answer.json())


async def approved(stage: Stage, folder: Path) -> str:
    """The engineer's request and what the two sides say to it: each step over HTTP or the command line, by its actor."""
    name = f"zelf-{len(stage.stack.site.control.state.agreements)}"
    file = folder / f"{name}.yaml"
    text = TEMPLATE.read_text().replace(f"id: {AGENCY}\n", f"id: {name}\n", 1)
    assert name in text
    file.write_text(text)
    await datanuts(stage, "agreement", "apply", str(file), "--as", AGENCY)
    at = f"/v1/agreements/{name}"
    await ask(stage, SOURCE, "POST", f"{at}/approve")
    for side in _SIDES:
        await datanuts(
            stage, "agreement", "advise", name, "--verdict", "favourable", "--reference", "DPO-1", "--as", side
        )
        await datanuts(stage, "agreement", "sign", name, "--function", "F", "--mandate", "M", "--as", side)
    await ask(stage, SOURCE, "POST", f"{at}/publish")
    return name


async def credential(stage: Stage, folder: Path) -> Mapping[str, Any]:
    """What the engineer's application gets for itself."""
    place = folder / "toepassing.json"
    await datanuts(stage, "credential", "issue", "--as", AGENCY, "--role", "agency", "--out", str(place))
    return dict(json.loads(place.read_text()))


def login(stage: Stage, held: Mapping[str, Any]) -> KafkaAccess:
    return stage.stack.site.access.as_user(held["kafka"]["username"], held["kafka"]["password"])


@asynccontextmanager
async def reader(access: KafkaAccess, topic: str) -> AsyncIterator[Consumer]:
    """A stock client of the agency's; `poll` it in a thread."""
    given = {"group.id": topic, "auto.offset.reset": "earliest", "enable.auto.commit": False, "log_level": 0}
    consumer = Consumer({**access.for_librdkafka(), **given})
    consumer.subscribe([topic])
    try:
        yield consumer
    finally:
        await asyncio.to_thread(consumer.close)


async def first_of(consumer: Consumer) -> Any:
    """A record, or an error that is not a passing one."""
    return await wait_until(lambda: asyncio.to_thread(consumer.poll, 1.0), timeout=60)


def described(document: Mapping[str, Any], message: Any) -> bool:
    """Whether the AsyncAPI document has this record: its topic, its headers, and a schema that reads all of its bytes."""
    said = document["components"]["messages"][f"{message.topic()}.v1"]
    agency = message.topic().rpartition(".")[0]
    assert message.topic() in document["channels"]
    assert all(channel.startswith(f"{agency}.") for channel in document["channels"]), "another's topic is shown"
    names, body = {name for name, _ in message.headers()}, BytesIO(message.value()[WIRE_HEADER_BYTES:])
    assert fastavro.schemaless_reader(body, fastavro.parse_schema(said["payload"]["schema"]), None)
    return set(said["headers"]["required"]) <= names <= set(said["headers"]["properties"]) and not body.read()


async def refused(access: KafkaAccess) -> bool:
    try:
        await probe(access)
    except Unauthenticated:
        return True
    return False


async def page_of(stage: Stage, token: str, agreement: str, **query: Any) -> dict[str, Any]:
    """The next page that is not empty."""

    async def page() -> Any:
        found = await call(stage, token, "GET", f"/v1/deliveries/{agreement}?{urlencode({'wait': 5, **query})}")
        return found["items"] and found

    return dict(await wait_until(page, timeout=60))


async def actors(stage: Stage, agreement: str, delivery: str) -> list[dict[str, Any]]:
    """Who could read a delivery for its agency, as the operator is told."""
    found = await ask(stage, "operator", "GET", f"/v1/traces/{delivery}")
    leaves = [leaf for receipt in found["receipts"] for leaf in receipt["decisions"]]
    (leaf,) = (leaf for leaf in leaves if leaf["delivery"] == delivery)
    assert (leaf["agreement"], leaf["principal"]) == (agreement, AGENCY)
    return list(leaf["actors"])


async def test_from_the_catalogue_to_the_first_record_without_anybodys_hand(
    stage: Stage, register: Register, tmp_path: Path
) -> None:
    catalogue = await ask(stage, AGENCY, "GET", "/v1/catalogue")
    offered = {(each["source"], each["id"]): each for each in catalogue["items"]}
    assert "statistiek" in {purpose["purpose"] for purpose in offered[SOURCE, PRODUCT]["purposes"]}
    agreement = await approved(stage, tmp_path)
    held = await credential(stage, tmp_path)
    await register.publish(5)
    path = f"/v1/deliveries/{agreement}?wait=30&limit=1"

    async def first() -> Any:
        return (await call(stage, held["token"], "GET", path))["items"]

    (item,) = await wait_until(first, timeout=60)
    assert item["data"]
    async with reader(login(stage, held), topics.delivery(AGENCY, agreement)) as consumer:
        message = await first_of(consumer)
        assert message.error() is None
        assert message.key().decode() == item["key"]
        assert described(await call(stage, held["token"], "GET", "/v1/catalogue/asyncapi"), message)
    status = await call(stage, held["token"], "GET", f"/v1/agreements/{agreement}/subscription")
    assert status["exits"]["http"]["handedOut"] > 0
    assert (status["lastDelivery"] is not None, status["alerts"]) == (True, [])
    await datanuts(stage, "agreement", "status", agreement, "--as", AGENCY)


async def test_a_kafka_user_is_taken_away_at_the_instant_its_credential_expires(
    stage: Stage, register: Register, tmp_path: Path
) -> None:
    agreement = await approved(stage, tmp_path)
    old = await credential(stage, tmp_path)
    await register.publish(5)
    at = f"/v1/organisations/{AGENCY}/credentials/{old['id']}/rotate"
    new = await call(stage, old["token"], "POST", at, {"overlapHours": 24})
    topic = topics.delivery(AGENCY, agreement)
    for held in (old, new):
        async with reader(login(stage, held), topic) as consumer:
            assert (await first_of(consumer)).error() is None
    await call(stage, new["token"], "POST", at, {"overlapHours": 0})
    await wait_until(lambda: refused(login(stage, old)), timeout=60)
    assert not await refused(login(stage, new))
    grants = await stage.stack.site.admin.grants(topic=topic)
    users = {grant.principal for grant in grants}
    assert old["kafka"]["username"] not in users
    assert new["kafka"]["username"] in users


async def test_what_is_compromised_opens_nothing_anywhere_and_its_scope_is_told(
    stage: Stage, register: Register, tmp_path: Path
) -> None:
    good = datetime.now(UTC) - timedelta(seconds=2)
    agreement = await approved(stage, tmp_path)
    topic = topics.delivery(AGENCY, agreement)
    stolen = await credential(stage, tmp_path)
    await register.publish(7)

    async def pages() -> Any:
        page = await call(stage, stolen["token"], "GET", f"/v1/deliveries/{agreement}?limit=1000")
        return page if len(page["items"]) >= register.published else None

    page = await wait_until(pages, timeout=60)
    bearer = {"Authorization": f"Bearer {stolen['token']}"}
    site = stage.stack.site
    async with ControlLog(site.clients, beating=True) as elsewhere:
        other = create_app(replace(stage.stack.services, control=elsewhere))
        doors = (
            httpx.AsyncClient(base_url=stage.stack.connection.api, trust_env=False, timeout=60, headers=bearer),
            httpx.AsyncClient(transport=httpx.ASGITransport(other), base_url="http://other.test", headers=bearer),
        )
        async with doors[0], doors[1], reader(login(stage, stolen), topic) as consumer:
            assert (await first_of(consumer)).error() is None
            waiting = f"/v1/deliveries/{agreement}?wait=30&after={page['next']}"
            polls = [asyncio.create_task(door.get(waiting)) for door in doors]
            done, _ = await asyncio.wait(polls, timeout=0.5)
            assert not done
            report = f"/v1/organisations/{AGENCY}/credentials/{stolen['id']}/compromised"
            told = await ask(stage, "operator", "POST", report, {"lastKnownGood": good.isoformat()})
            await register.publish(3)  # after the report: for nobody's eyes with it
            for answer in await asyncio.gather(*polls):
                assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHENTICATED")
            for door in doors:
                assert (await door.get("/v1/agreements")).status_code == 401

            async def is_shut_out() -> bool:
                polled = await asyncio.to_thread(consumer.poll, 1.0)
                return polled is not None and polled.error() is not None

            await wait_until(is_shut_out, timeout=60)
    assert await refused(login(stage, stolen))
    assert [each["id"] for each in told["revoked"]] == [stolen["id"]]
    stream = next(each for each in told["scope"]["agreements"] if each["agreement"] == agreement)
    subjects = {item["key"] for item in page["items"] if item["kind"] != "life-cycle"}
    assert stream["readable"] == {"deliveries": len(page["items"]), "subjects": len(subjects)}
    assert stream["deliveredSince"] == stream["readable"]
    assert stream["pulled"]["position"] > 0
    await datanuts(stage, "credential", "list")


async def test_a_processor_reads_for_its_agency_until_the_mandate_ends(
    stage: Stage, register: Register, tmp_path: Path
) -> None:
    agreement, other = await approved(stage, tmp_path), await approved(stage, tmp_path)
    await register.publish(3)
    helper = f"softwarehuis-{len(stage.stack.site.control.state.organisations)}"
    await ask(stage, "operator", "POST", "/v1/organisations", {"id": helper, "name": "Softwarehuis"})
    house = f"/v1/organisations/{helper}/credentials"
    held = await ask(stage, "operator", "POST", house, {"roles": ["processor"]})
    bearer = {"Authorization": f"Bearer {held['token']}"}
    path, topic = f"/v1/deliveries/{agreement}", topics.delivery(AGENCY, agreement)
    url = stage.stack.connection.api
    own = stage.stack.home.credential_of(AGENCY).token
    early = await page_of(stage, own, agreement)
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60, headers=bearer) as door:
        assert (await door.get(path)).status_code == 404
        give = ("mandate", "give", helper, "--agreement", agreement, "--reference", "VO-2026-7", "--as", AGENCY)
        await datanuts(stage, *give)
        assert (await page_of(stage, held["token"], agreement))["items"][0] == early["items"][0]
        (of_one,) = await actors(stage, agreement, early["items"][0]["id"])
        assert (of_one["processor"], of_one["reference"], of_one["later"]) == (helper, "VO-2026-7", True)
        await stage.drained(TOPIC)
        await stage.told(TOPIC)
        start = (await page_of(stage, own, agreement, limit=1000))["next"]
        await register.publish(1)
        page = await page_of(stage, held["token"], agreement, after=start)
        assert [each["later"] for each in await actors(stage, agreement, page["items"][0]["id"])] == [False]
        assert (await door.get(f"/v1/deliveries/{other}")).status_code == 404
        assert (await door.post(f"/v1/agreements/{agreement}/replays")).status_code == 403
        async with reader(login(stage, held), topic) as consumer:

            async def reads() -> bool:
                polled = await asyncio.to_thread(consumer.poll, 1.0)
                return polled is not None and polled.error() is None

            await wait_until(reads, timeout=60)
            waiting = asyncio.create_task(door.get(f"{path}?wait=30&after={page['next']}"))
            done, _ = await asyncio.wait([waiting], timeout=0.5)
            assert not done
            await datanuts(stage, "mandate", "end", helper, "--as", AGENCY)
            await register.publish(2)  # for the agency only
            assert (await waiting).status_code == 404
            assert (await door.get(path)).status_code == 404

            async def is_shut_out() -> bool:
                polled = await asyncio.to_thread(consumer.poll, 1.0)
                return polled is not None and polled.error() is not None

            await wait_until(is_shut_out, timeout=60)
    unread = await page_of(stage, own, agreement, after=page["next"])
    assert await actors(stage, agreement, unread["items"][0]["id"]) == []
    (of_one,) = await actors(stage, agreement, early["items"][0]["id"])
    assert of_one["until"] is not None
    assert [
        each.principal for each in await stage.stack.site.admin.grants(topic=topic) if helper in each.principal
    ] == []
