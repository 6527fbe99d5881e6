"""One client certificate instead of a token and a password: it opens HTTPS and Kafka, for as long as its credential holds."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import TopicAuthorizationFailedError
from aiokafka.structs import TopicPartition
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from broker.cli.main import main
from broker.cli.tls import client_authority
from broker.client import Certificate, Kafka, MemoryPositions, Patience, Subscription
from broker.errors import BrokerError, BrokerUnavailable, ConfigError, Forbidden, Unauthenticated
from broker.testing import wait_until
from tests.certificates import Pair, issued_by, stranger
from tests.faults.crowd import PRODUCT, SOURCE, TOPIC, Crowd
from tests.stage import Stage, installation

pytestmark = pytest.mark.timeout(240)

AGENCY, OTHER = "statistiek-vlaanderen", "stad-leuven"
PEOPLE = 5


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """An installation of two lanes."""
    async with installation(tmp_path_factory.mktemp("mutual-tls"), lanes=2) as made:
        yield made


@pytest.fixture(scope="module")
async def agreement(stage: Stage) -> str:
    """A stream of the agency's that holds five deliveries."""
    name = await stage.agreement(AGENCY)
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, Crowd().people(PEOPLE))
        await stage.drained(TOPIC)
    return name


def kept(stage: Stage, folder: Path, certificate: str, pair: Pair) -> Certificate:
    """As files of an agency's application."""
    return Certificate(*pair.files(folder, certificate), ca=stage.stack.home.ca)


async def issued(stage: Stage, folder: Path, organisation: str = AGENCY, key: Any = None) -> tuple[str, Certificate]:
    """A credential of the organisation in the form of a certificate, and its id."""
    pair = Pair.made(key)
    token = stage.stack.home.credential_of(organisation).token
    async with httpx.AsyncClient(base_url=stage.stack.connection.api, trust_env=False, timeout=60) as http:
        answer = await http.post(
            f"/v1/organisations/{organisation}/credentials",
            json={"roles": ["agency"], "csr": pair.csr},
            headers={"Authorization": f"Bearer {token}"},
        )
    assert answer.status_code == 201, answer.text
    made = answer.json()
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    return made["id"], kept(stage, folder, made["certificate"], pair)


def https(stage: Stage, shown: ssl.SSLContext) -> httpx.AsyncClient:
    assert stage.stack.connection.https is not None
    return httpx.AsyncClient(base_url=stage.stack.connection.https, verify=shown, trust_env=False, timeout=60)


def kafka(stage: Stage, shown: Certificate) -> Kafka:
    assert stage.stack.connection.kafka_tls is not None
    return Kafka(stage.stack.connection.kafka_tls, certificate=shown)


@asynccontextmanager
async def consumer(stage: Stage, shown: Certificate, topic: str) -> AsyncIterator[Any]:
    """A reader of the topic from its beginning, without the subscriber."""
    given = kafka(stage, shown)
    made = AIOKafkaConsumer(
        bootstrap_servers=given.bootstrap, **given.login(), group_id=None, isolation_level="read_committed",
        auto_offset_reset="earliest", enable_auto_commit=False,
    )  # fmt: skip
    made.assign([TopicPartition(topic, 0)])
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def subscription(stage: Stage, agreement: str, token: Any, **more: Any) -> Subscription[Any]:
    url = stage.stack.connection.https if isinstance(token, Certificate) else stage.stack.connection.api
    usual = {"positions": MemoryPositions(), "follow": False, "patience": Patience(give_up_after_s=20)}
    return Subscription(agreement, url=str(url), token=token, **usual | more)


async def read(stage: Stage, agreement: str, token: Any, **more: Any) -> list[Any]:
    async with subscription(stage, agreement, token, **more) as deliveries:
        return [(each.id, each.data) async for each in deliveries]


async def datanuts(stage: Stage, *words: str) -> int:
    return await asyncio.to_thread(main, [*words, "--data-dir", str(stage.stack.home.root)])


async def test_one_certificate_reads_the_same_over_https_and_kafka(
    stage: Stage, agreement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Pair.made()
    (tmp_path / "app.csr").write_text(pair.csr)
    (tmp_path / "app.key").write_text(pair.key)
    place = str(tmp_path / "app.pem")
    code = await datanuts(stage, "credential", "issue", "--as", AGENCY, "--csr", f"{tmp_path}/app.csr", "--out", place)
    assert (code, "its key is yours alone" in capsys.readouterr().out) == (0, True)
    shown = Certificate(Path(place), tmp_path / "app.key", stage.stack.home.ca)
    over_http = await read(stage, agreement, shown)
    assert len(over_http) == PEOPLE
    assert await read(stage, agreement, shown, kafka=kafka(stage, shown)) == over_http
    code = await datanuts(stage, "consume", agreement, "--cert", place, "--key", f"{tmp_path}/app.key", "--json")
    printed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (code, [(each["id"], each["data"]) for each in printed]) == (0, over_http)


@pytest.mark.parametrize("kind", ["rsa", "ed25519"])
async def test_every_kind_of_key_opens_both(stage: Stage, agreement: str, tmp_path: Path, kind: str) -> None:
    key = rsa.generate_private_key(65537, 3072) if kind == "rsa" else ed25519.Ed25519PrivateKey.generate()
    _, shown = await issued(stage, tmp_path, key=key)
    assert len(await read(stage, agreement, shown, kafka=kafka(stage, shown))) == PEOPLE


async def test_a_token_works_over_https_too(stage: Stage, agreement: str) -> None:
    own = stage.stack.home.credential_of(AGENCY)
    async with https(stage, ssl.create_default_context(cafile=stage.stack.home.ca)) as http:
        path = f"/v1/deliveries/{agreement}"
        assert (await http.get(path)).status_code == 401
        assert (await http.get(path, headers={"Authorization": f"Bearer {own.token}"})).status_code == 200


async def test_another_organisations_certificate_opens_nothing_of_this_one(
    stage: Stage, agreement: str, tmp_path: Path
) -> None:
    _, theirs = await issued(stage, tmp_path, OTHER)
    async with https(stage, theirs.context()) as http:
        assert (await http.get(f"/v1/deliveries/{agreement}")).status_code == 404
        own = stage.stack.home.credential_of(AGENCY)
        both = await http.get(f"/v1/deliveries/{agreement}", headers={"Authorization": f"Bearer {own.token}"})
        assert both.status_code == 401
    with pytest.raises(Forbidden):
        await read(stage, agreement, own.token, kafka=kafka(stage, theirs))


async def test_a_certificate_that_no_credential_knows_opens_nothing(
    stage: Stage, agreement: str, tmp_path: Path
) -> None:
    identifier, _ = await issued(stage, tmp_path / "own")
    own, pair = stage.stack.home.credential_of(AGENCY), Pair.made()
    authority = client_authority(stage.stack.home, stage.stack.site.settings, stage.stack.site.keys)
    unknown = kept(stage, tmp_path, issued_by(authority, pair, f"{AGENCY}~00000000"), pair)
    async with https(stage, unknown.context()) as http:
        assert (await http.get(f"/v1/deliveries/{agreement}")).status_code == 401
    with pytest.raises(Forbidden):
        await read(stage, agreement, own.token, kafka=kafka(stage, unknown))
    super_user = kept(stage, tmp_path, issued_by(authority, pair, "broker"), pair)
    assert await refused_by_kafka(stage, super_user, stage.delivery_topic(agreement))
    foreign = issued_by(stranger(tmp_path), pair, f"{AGENCY}~{identifier}")
    expired = issued_by(authority, pair, f"{AGENCY}~{identifier}", since_h=-3, until_h=-1)
    for certificate, refusal in ((foreign, BrokerUnavailable), (expired, Unauthenticated)):
        bad = kept(stage, tmp_path, certificate, pair)
        with pytest.raises(refusal):
            await read(stage, agreement, bad, patience=Patience(give_up_after_s=0))
        with pytest.raises(Unauthenticated):
            await read(stage, agreement, own.token, kafka=kafka(stage, bad))


async def refused_by_kafka(stage: Stage, shown: Certificate, topic: str) -> bool:
    try:
        async with asyncio.timeout(30), consumer(stage, shown, topic) as reader:
            await reader.getone()
    except Exception:  # noqa: BLE001 - whatever a client makes of it
        return True
    return False


async def test_who_is_not_vouched_for_gets_nothing_from_a_reader(stage: Stage, agreement: str, tmp_path: Path) -> None:
    _, shown = await issued(stage, tmp_path)
    stranger(tmp_path)
    elsewhere = Certificate(shown.certificate, shown.key, tmp_path / "their-ca.pem")
    with pytest.raises(ConfigError, match="vouches"):
        await read(stage, agreement, elsewhere)
    with pytest.raises(ConfigError, match="vouches"):
        await read(stage, agreement, shown, kafka=kafka(stage, elsewhere))


async def test_a_revoked_certificate_ends_what_is_open_over_it(stage: Stage, agreement: str, tmp_path: Path) -> None:
    identifier, shown = await issued(stage, tmp_path)
    user, topic = f"{AGENCY}~{identifier}", stage.delivery_topic(agreement)
    admin = stage.stack.site.admin
    assert (await admin.limited_users())[user] == {"consumer_byte_rate": 10_000_000, "request_percentage": 100}
    async with consumer(stage, shown, topic) as reader, https(stage, shown.context()) as http:
        assert await asyncio.wait_for(reader.getone(), 60)
        path = f"/v1/deliveries/{agreement}"
        assert (await http.get(path)).status_code == 200
        revoked = await http.delete(f"/v1/organisations/{AGENCY}/credentials/{identifier}")
        assert revoked.status_code == 200  # by itself
        assert (await http.get(path)).status_code == 401
        reader.seek(TopicPartition(topic, 0), 0)
        with pytest.raises(TopicAuthorizationFailedError):
            await asyncio.wait_for(read_on(reader), 60)
    assert await admin.grants(principal=user) == []
    assert user not in await admin.limited_users()
    with pytest.raises(BrokerError):
        await read(stage, agreement, shown)


async def read_on(reader: Any) -> None:
    """What was fetched before may still be handed over."""
    while True:
        await reader.getone()


async def test_an_expired_one_is_taken_away_from_kafka_by_itself(stage: Stage, agreement: str, tmp_path: Path) -> None:
    identifier, shown = await issued(stage, tmp_path)
    async with https(stage, shown.context()) as http:
        path = f"/v1/organisations/{AGENCY}/credentials/{identifier}/rotate"
        fresh = await http.post(path, json={"csr": Pair.made().csr, "overlapHours": 0})
        assert fresh.status_code == 201
        assert (await http.get(f"/v1/deliveries/{agreement}")).status_code == 401
    admin = stage.stack.site.admin

    async def gone() -> bool:
        return not await admin.grants(principal=f"{AGENCY}~{identifier}")

    await wait_until(gone, timeout=60)
    assert await admin.grants(principal=f"{AGENCY}~{fresh.json()['id']}")
