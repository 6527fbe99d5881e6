"""What an organisation's own credentials do not open: others' streams, its own source, and every topic to write on."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from confluent_kafka import Consumer, Producer

from broker.cli.datadir import LocalCredential
from broker.kafka.clients import KafkaAccess
from broker.model import topics
from tests.faults.crowd import PRODUCT, SOURCE, Crowd
from tests.stage import Stage

pytestmark = pytest.mark.timeout(120)

_REFUSED = "TOPIC_AUTHORIZATION_FAILED"


def credential(stage: Stage, organisation: str) -> LocalCredential:
    return stage.stack.home.credential_of(organisation)


def login(stage: Stage, organisation: str) -> KafkaAccess:
    own = credential(stage, organisation)
    return stage.stack.site.access.as_user(own.kafka_username, own.kafka_password)


@pytest.fixture(scope="module")
async def streams(stage: Stage, crowd: Crowd) -> tuple[str, str]:
    """One delivering agreement each of stad-gent and stad-leuven."""
    own, foreign = await stage.agreement("inwoners-gent"), await stage.agreement("inwoners-leuven")
    async with stage.router():
        await stage.publish(SOURCE, PRODUCT, crowd.people(50))
        await stage.drained(topics.source(SOURCE, PRODUCT))
    return own, foreign


@pytest.fixture
async def http(stage: Stage) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=stage.stack.connection.api, trust_env=False) as client:
        yield client


async def read_as(access: KafkaAccess, topic: str, group: str) -> str:
    """`record`, or the name of the error that a stock client gets."""
    consumer = Consumer({**access.for_librdkafka(), "group.id": group, "auto.offset.reset": "earliest", "log_level": 0})
    try:
        consumer.subscribe([topic])
        message = await asyncio.to_thread(consumer.poll, 15.0)
        assert message is not None
        return str(message.error().name()) if message.error() else "record"
    finally:
        await asyncio.to_thread(consumer.close)


async def write_as(access: KafkaAccess, topic: str) -> str:
    """`written`, or the name of the error that a stock client gets."""
    outcome: list[str] = []
    producer = Producer({**access.for_librdkafka(), "log_level": 0})
    told = lambda error, _: outcome.append(error.name() if error else "written")  # noqa: E731 - a callback
    producer.produce(topic, b"forged", partition=0, on_delivery=told)
    await asyncio.to_thread(producer.flush, 15)
    return outcome[0]


async def test_an_agency_reads_its_own_stream_and_no_other(stage: Stage, streams: tuple[str, str]) -> None:
    own, foreign = map(stage.delivery_topic, streams)
    gent = login(stage, "stad-gent")
    assert await read_as(gent, own, own) == "record"
    assert await read_as(gent, foreign, own) == _REFUSED
    assert await read_as(gent, foreign, foreign) == "GROUP_AUTHORIZATION_FAILED"
    assert await read_as(gent, own, "a-group-of-mine") == "GROUP_AUTHORIZATION_FAILED"


@pytest.mark.parametrize(
    "topic", [topics.RECEIPTS, topics.CONTROL_LOG, topics.DOSSIERS, topics.source(SOURCE, PRODUCT)]
)
@pytest.mark.parametrize("organisation", [SOURCE, "stad-gent"])
async def test_nobody_reads_the_brokers_topics_not_even_a_source_its_own(
    stage: Stage, streams: tuple[str, str], organisation: str, topic: str
) -> None:
    group = stage.delivery_topic(streams[0]) if organisation == "stad-gent" else "any"
    assert await read_as(login(stage, organisation), topic, group) in {_REFUSED, "GROUP_AUTHORIZATION_FAILED"}


async def test_nobody_but_the_broker_writes_what_others_rely_on(stage: Stage, streams: tuple[str, str]) -> None:
    deliveries = list(map(stage.delivery_topic, streams))
    forbidden = [topics.CONTROL_LOG, topics.RECEIPTS, topics.DOSSIERS, *deliveries]
    organisations = [path.stem for path in (stage.stack.home.root / "credentials").glob("*.json")]
    assert len(organisations) > 10
    attempts = [(organisation, topic) for organisation in organisations for topic in forbidden]
    outcomes = await asyncio.gather(*(write_as(login(stage, who), topic) for who, topic in attempts))
    assert set(outcomes) == {_REFUSED}


async def test_no_right_to_write_stands_on_those_topics(stage: Stage, streams: tuple[str, str]) -> None:
    admin = stage.stack.site.admin
    for topic in (topics.CONTROL_LOG, topics.RECEIPTS, topics.DOSSIERS, *map(stage.delivery_topic, streams)):
        granted = {grant.operation for grant in await admin.grants(topic=topic)}
        assert granted <= {"read", "describe"}, f"{topic}: {granted}"


async def test_a_foreign_agreement_looks_like_one_that_does_not_exist(
    http: httpx.AsyncClient, stage: Stage, streams: tuple[str, str]
) -> None:
    foreign = streams[1]
    paths = (
        "/v1/deliveries/{}",
        "/v1/agreements/{}",
        "/v1/agreements/{}/dossiers",
        "/subjects/delivery.stad-leuven.{}-value/versions",
    )
    bearer = {"Authorization": f"Bearer {credential(stage, 'stad-gent').token}"}
    for path in paths:
        theirs, nobodys = [await http.get(path.format(name), headers=bearer) for name in (foreign, "bestaat-niet")]
        assert theirs.status_code == nobodys.status_code == 404, path
        assert theirs.text.replace(foreign, "bestaat-niet") == nobodys.text, path


async def test_a_foreign_agreement_is_not_changed_either(
    http: httpx.AsyncClient, stage: Stage, streams: tuple[str, str]
) -> None:
    bearer = {"Authorization": f"Bearer {credential(stage, 'stad-gent').token}"}
    for verb in ("approve", "suspend", "resume", "end", "revoke"):
        theirs, nobodys = [
            await http.post(f"/v1/agreements/{name}/{verb}", headers=bearer) for name in (streams[1], "bestaat-niet")
        ]
        assert theirs.status_code == nobodys.status_code
        assert theirs.status_code in {403, 404}, verb
        assert theirs.text.replace(streams[1], "bestaat-niet") == nobodys.text, verb
    assert stage.standing(streams[1]).state.value == "active"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "Bearer",
        "Bearer dn_00000000_unknown",
        "Basic c3RhZC1nZW50OnVua25vd24=",
        "Bearer {gent}x",
        "Basic {mixed}",
    ],
)
async def test_no_or_wrong_credentials_are_told_nothing(
    http: httpx.AsyncClient, stage: Stage, streams: tuple[str, str], header: str | None
) -> None:
    token = credential(stage, "stad-gent").token
    mixed = httpx.BasicAuth("stad-leuven", token)._auth_header.removeprefix("Basic ")
    headers = {} if header is None else {"Authorization": header.format(gent=token, mixed=mixed)}
    for path in (f"/v1/deliveries/{streams[0]}", "/v1/deliveries/bestaat-niet", "/v1/agreements", "/subjects"):
        answer = await http.get(path, headers=headers)
        assert answer.status_code == 401, path
        assert streams[0] not in answer.text.replace(path, "")
