"""Raw sources over a log in memory: declared once, and writers that may do nothing but write them."""

from datetime import timedelta

import pytest

from broker.control.client_authority import local_authority
from broker.control.keys import FileKeyStore
from broker.control.logins import LoginKeeper, rights, users_of
from broker.control.raw_sources import RawSources
from broker.errors import Conflict, Invalid, NotFound
from broker.model import topics
from broker.model.facts import FactType
from tests.certificates import Pair, thumbprint_of
from tests.unit.control.room import NOW, Room, open_room

TOPIC = "raw.rijksregister.personen-in"
HOUR = timedelta(hours=1)


@pytest.fixture
async def room() -> Room:
    made = await open_room()
    made.organisations._now = lambda: made.control.now
    await sources(made).declare("rijksregister", "personen-in", by="t")
    return made


def sources(room: Room) -> RawSources:
    return RawSources(room.control, room.kafka)


async def test_a_raw_source_is_declared_once_and_its_topic_is_there_first(room) -> None:
    assert room.since() == [("topics", TOPIC), FactType.RAW_DECLARED]
    again = await sources(room).declare("rijksregister", "personen-in", by="other")
    assert (again.topic, again.declared, room.since()) == (TOPIC, NOW, [])
    with pytest.raises(NotFound):
        await sources(room).declare("elders", "personen-in", by="t")
    for name in ("personen_in", "Personen", "a.b", ""):
        with pytest.raises(Invalid):
            await sources(room).declare("rijksregister", name, by="t")


async def test_declaring_decides_nothing_and_is_ignored_where_it_says_nothing(room) -> None:
    state, epoch = room.control.state, room.control.state.policy_epoch
    await sources(room).declare("rijksregister", "adressen", by="t")
    assert state.policy_epoch == epoch
    for data in (
        {"organisation": "rijksregister", "name": "adressen"},
        {"organisation": "rijksregister", "name": "../adressen"},
        {"organisation": "elders", "name": "adressen"},
        {"name": "adressen"},
    ):
        with pytest.raises(Conflict):
            await room.control.append(FactType.RAW_DECLARED, "raw/other", data, by="t")
    assert sorted(state.raw.declared) == [("rijksregister", "adressen"), ("rijksregister", "personen-in")]


async def test_a_writer_may_write_its_topic_and_nothing_else(room) -> None:
    room.since()
    made = await room.organisations.issue_writer("rijksregister", "personen-in", by="rijksregister")
    user = f"rijksregister~{made.id}"
    assert room.since() == [FactType.CREDENTIAL, ("login", user, "secret-32"), ("allow writing", user, TOPIC)]
    assert (made.token, made.roles, made.kafka_username, made.kafka_password) == ("", (), user, "secret-32")
    held = room.control.state.credentials[made.id]
    assert (held.writes, held.sha256) == (TOPIC, "")
    assert rights(room.control.state, NOW) == {user: frozenset({TOPIC})}
    assert users_of(room.control.state, "rijksregister", NOW) == []
    with pytest.raises(NotFound):
        await room.organisations.issue_writer("rijksregister", "elders", by="t")


async def test_a_rotated_writer_writes_beside_the_new_one_until_its_instant(room) -> None:
    old = await room.organisations.issue_writer("rijksregister", "personen-in", by="t", lasting=48 * HOUR)
    new = await room.organisations.rotate(old.id, by="t", overlap=HOUR)
    assert (new.token, room.control.state.credentials[new.id].writes) == ("", TOPIC)
    assert rights(room.control.state, NOW).keys() == {old.kafka_username, new.kafka_username}
    room.control.now = NOW + HOUR
    await LoginKeeper(room.control, room.kafka, now=lambda: room.control.now).keep()
    assert room.kafka.users == {new.kafka_username}
    assert {(each.principal, each.operation) for each in room.kafka.granted} == {(new.kafka_username, "write")}
    await room.organisations.revoke(new.id, by="t")
    assert room.kafka.users == set()


async def test_the_keeper_gives_a_writer_what_it_misses(room) -> None:
    made = await room.organisations.issue_writer("rijksregister", "personen-in", by="t")
    room.kafka.granted.clear()
    await LoginKeeper(room.control, room.kafka, now=lambda: NOW).keep()
    assert [(each.principal, each.name, each.operation) for each in room.kafka.granted] == [
        (made.kafka_username, TOPIC, "write")
    ]


async def test_what_a_stolen_credential_let_write_falls_with_it(room) -> None:
    stolen = await room.organisations.issue("rijksregister", ("source-owner",), by="t", kafka=False)
    made = await room.organisations.issue_writer("rijksregister", "personen-in", by="t", shown=stolen.id)
    fallen = await room.organisations.compromised(stolen.id, NOW - HOUR, by="t")
    assert {each.id for each in fallen} == {stolen.id, made.id}
    assert room.kafka.users == set()


async def test_a_writer_can_be_a_certificate(room, tmp_path) -> None:
    room.organisations._authority = local_authority(FileKeyStore(tmp_path), tmp_path / "ca.pem", NOW)
    made = await room.organisations.issue_writer(
        "rijksregister", "personen-in", by="t", lasting=HOUR, csr=Pair.made().csr
    )
    held = room.control.state.credentials[made.id]
    assert (held.writes, held.thumbprint, made.kafka_password) == (TOPIC, thumbprint_of(made.certificate), "")


def test_a_raw_topic_is_named_by_slugs_alone() -> None:
    assert topics.raw("stad-gent", "inwoners") == "raw.stad-gent.inwoners"
    for parts in (("stad.gent", "a"), ("stad-gent", "a_b"), ("stad-gent", "a.v1"), ("stad-gent", "a" * 81)):
        with pytest.raises(Invalid):
            topics.raw(*parts)
