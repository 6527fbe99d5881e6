"""Credentials over a log in memory: shown once, rotated with an overlap, expired by the clock, revoked with their offspring."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from broker.api.auth import credential_in
from broker.control.logins import LoginKeeper, rights
from broker.errors import Conflict, KafkaUnavailable, NotFound, Unauthenticated
from broker.model.agreement import State
from broker.model.facts import ControlState, Fact, FactType, decode_fact
from broker.model.lifecycle import AgreementEntry
from tests.unit.control.room import NOW, Room, document, open_room

HOUR = timedelta(hours=1)
TOPIC = "delivery.stad-gent.inwoners-gent"


@pytest.fixture
async def room() -> Room:
    made = await open_room()
    made.organisations._now = lambda: made.control.now
    return made


def agree(room: Room, state: State = State.ACTIVE) -> None:
    """stad-gent has an agreement."""
    held = AgreementEntry("inwoners-gent", 1, state, document(), None, NOW, 99, activated_at=NOW)
    room.control.state.agreements["inwoners-gent"] = held


def lets_in(room: Room, token: str, at: datetime) -> bool:
    try:
        credential_in(f"Bearer {token}", room.control.state.credentials, at)
    except Unauthenticated:
        return False
    return True


async def test_a_credential_is_shown_once_and_known_by_its_digest(room) -> None:
    agree(room)
    issued = await room.organisations.issue("stad-gent", ("agency",), by="t")
    user = f"stad-gent~{issued.id}"
    assert room.since() == [FactType.CREDENTIAL, ("login", user, "secret-32"), ("allow", user, TOPIC, TOPIC)]
    held = room.control.state.credentials[issued.id]
    assert (held.sha256, held.roles) == (sha256(issued.token.encode()).hexdigest(), ("agency",))
    assert (held.issued, held.issued_by, held.expires, held.kafka_user) == (NOW, "t", None, user)
    assert issued.token not in repr(issued)
    assert "secret-32" not in repr(issued)
    await room.organisations.revoke(issued.id, by="t")
    assert room.since() == [FactType.CREDENTIAL_REVOKED, ("no rights", user), ("no login", user)]
    assert room.control.state.credentials == {}
    for unknown in (room.organisations.revoke(issued.id, by="t"), room.organisations.issue("x", (), by="t")):
        with pytest.raises(NotFound):
            await unknown


async def test_a_second_credential_leaves_the_first_ones_kafka_user_alone(room) -> None:
    first = await room.organisations.issue("stad-gent", ("agency",), by="t")
    second = await room.organisations.issue("stad-gent", ("agency",), by="t")
    await room.organisations.revoke(second.id, by="t")
    assert room.kafka.users == {first.kafka_username}


async def test_without_kafka_there_is_no_kafka_user(room) -> None:
    issued = await room.organisations.issue("rijksregister", ("source-owner",), by="t", kafka=False)
    assert room.since() == [FactType.CREDENTIAL]
    assert (issued.kafka_username, issued.kafka_password) == ("", "")
    await room.organisations.revoke(issued.id, by="t")
    assert room.since() == [FactType.CREDENTIAL_REVOKED]


async def test_where_kafka_does_not_take_the_user_nobody_keeps_a_token(room, monkeypatch) -> None:
    async def fails(*_: object) -> None:
        raise KafkaUnavailable

    monkeypatch.setattr(room.kafka, "ensure_scram_user", fails)
    with pytest.raises(KafkaUnavailable):
        await room.organisations.issue("stad-gent", ("agency",), by="t")
    assert room.control.state.credentials == {}


async def test_a_rotated_credential_works_until_its_instant_and_no_longer(room) -> None:
    old = await room.organisations.issue("stad-gent", ("agency",), by="t")
    new = await room.organisations.rotate(old.id, by="t", overlap=2 * HOUR)
    assert new.replaced_until == NOW + 2 * HOUR
    last = NOW + 2 * HOUR - timedelta(microseconds=1)
    assert lets_in(room, old.token, last)
    assert not lets_in(room, old.token, NOW + 2 * HOUR)
    assert lets_in(room, new.token, NOW + 2 * HOUR)
    assert new.kafka_username != old.kafka_username
    assert set(rights(room.control.state, last)) == {old.kafka_username, new.kafka_username}
    assert set(rights(room.control.state, NOW + 2 * HOUR)) == {new.kafka_username}


async def test_rotating_twice_never_prolongs_the_first(room) -> None:
    old = await room.organisations.issue("stad-gent", ("agency",), by="t", lasting=5 * HOUR)
    await room.organisations.rotate(old.id, by="t", overlap=HOUR)
    again = await room.organisations.rotate(old.id, by="t", overlap=3 * HOUR)
    assert again.replaced_until == NOW + HOUR
    room.control.now = NOW + HOUR
    with pytest.raises(Conflict):
        await room.organisations.rotate(old.id, by="t")


async def test_what_a_thief_issued_falls_with_the_stolen_credential(room) -> None:
    stolen = await room.organisations.issue("stad-gent", ("agency",), by="t")
    honest = await room.organisations.issue("stad-gent", ("agency",), by="stad-gent", shown=stolen.id)
    other = await room.organisations.issue("stad-gent", ("agency",), by="t")
    room.control.now = good = NOW + HOUR
    child = await room.organisations.issue("stad-gent", ("agency",), by="stad-gent", shown=stolen.id)
    grandchild = await room.organisations.rotate(child.id, by="stad-gent", shown=child.id)
    await room.organisations.revoke(child.id, by="stad-gent")  # by the thief, to hide where it came from
    fallen = await room.organisations.compromised(stolen.id, good, by="operator")
    assert [each.id for each in fallen] == [stolen.id, child.id, grandchild.id]
    assert set(room.control.state.credentials) == {honest.id, other.id}
    assert room.kafka.users == {honest.kafka_username, other.kafka_username}
    again = await room.organisations.compromised(stolen.id, good, by="operator")
    assert [each.id for each in again] == [each.id for each in fallen]


async def test_a_revoked_credential_issues_and_rotates_nothing_whoever_is_late(room) -> None:
    stolen = await room.organisations.issue("stad-gent", ("agency",), by="t")
    other = await room.organisations.issue("stad-gent", ("agency",), by="t")
    await room.organisations.revoke(stolen.id, by="t")
    with pytest.raises(Conflict):  # a door that had let it in before it heard of the revocation
        await room.organisations.issue("stad-gent", ("agency",), by="stad-gent", shown=stolen.id)
    with pytest.raises(Conflict):
        await room.organisations.rotate(other.id, by="stad-gent", shown=stolen.id)
    assert set(room.control.state.credentials) == {other.id}
    assert room.control.state.credentials[other.id].expires is None


async def test_the_keeper_ends_kafka_users_at_their_instant_and_gives_missing_rights(room) -> None:
    old = await room.organisations.issue("stad-gent", ("agency",), by="t")
    new = await room.organisations.rotate(old.id, by="t", overlap=HOUR)
    agree(room)  # by another process, just before it heard of the users
    room.kafka.users |= {"admin", "stad-gent~gone"}
    room.since()
    keeper = LoginKeeper(room.control, room.kafka, now=lambda: room.control.now)
    await keeper.keep()
    allowed = [what for what in room.since() if what[0] == "allow"]
    assert sorted(allowed) == sorted(("allow", user, TOPIC, TOPIC) for user in (old.kafka_username, new.kafka_username))
    assert room.kafka.users == {"admin", old.kafka_username, new.kafka_username}
    assert keeper._pause_s() == 60
    room.control.now = NOW + HOUR - timedelta(seconds=7)
    assert keeper._pause_s() == 7
    await keeper.keep()
    assert room.since() == []
    room.control.now = NOW + HOUR
    await keeper.keep()
    assert room.since() == [("no rights", old.kafka_username), ("no login", old.kafka_username)]


@pytest.mark.parametrize("state", [State.REVOKED, State.ENDED, State.APPROVED])
async def test_no_right_stands_on_a_stream_that_is_not_there(room, state) -> None:
    agree(room, state)
    issued = await room.organisations.issue("stad-gent", ("agency",), by="t")
    assert rights(room.control.state, NOW) == {issued.kafka_username: frozenset()}


def fact(folded: ControlState, kind: FactType, aggregate: str, data: dict[str, Any]) -> bool:
    made = Fact(f"f{folded.epoch}", kind, aggregate, folded.version(aggregate), NOW, "t", data)
    return folded.apply(folded.epoch + 1, decode_fact(made.encode()))


def test_facts_of_before_expiry_fold_as_they_did() -> None:
    folded = ControlState()
    data = {"id": "c1", "organisation": "stad-gent", "sha256": "ab", "roles": ["agency"]}
    assert fact(folded, FactType.CREDENTIAL, "credential/c1", data)
    held = folded.credentials["c1"]
    assert (held.kafka_user, held.expires) == ("stad-gent", None)
    assert held.holds(datetime.max.replace(tzinfo=UTC))
    assert fact(folded, FactType.CREDENTIAL_REVOKED, "credential/c1", {"id": "c1"})
    assert folded.revoked_credentials == {"c1": replace(held, revoked=NOW)}


@pytest.mark.parametrize("wrong", [{"expires": "2026-01-01"}, {"expires": 5}, {"replaces": "c1", "until": "soon"}])
def test_a_damaged_fact_changes_nothing(wrong) -> None:
    folded = ControlState()
    data = {"id": "c1", "organisation": "stad-gent", "sha256": "ab", "roles": ["agency"]}
    assert fact(folded, FactType.CREDENTIAL, "credential/c1", data)
    assert not fact(folded, FactType.CREDENTIAL, "credential/c2", data | {"id": "c2"} | wrong)
    assert set(folded.credentials) == {"c1"}
    assert folded.credentials["c1"].expires is None
