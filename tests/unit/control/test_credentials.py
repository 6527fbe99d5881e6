"""Credentials over a log in memory: shown once, rotated with an overlap, expired by the clock, revoked with their offspring."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from broker.api.auth import credential_in
from broker.control.client_authority import local_authority
from broker.control.keys import FileKeyStore
from broker.control.logins import LoginKeeper, rights
from broker.errors import Conflict, Invalid, KafkaUnavailable, NotFound, Unauthenticated
from broker.model.agreement import State
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType, decode_fact
from broker.model.lifecycle import AgreementEntry
from tests.certificates import Pair, thumbprint_of
from tests.unit.control.room import NOW, Room, document, open_room

HOUR = timedelta(hours=1)
QUOTA = {"consumer_byte_rate": 5.0}
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
    assert room.since() == [FactType.CREDENTIAL_REVOKED, ("no rights", user), ("no login", user), ("no quota", user)]
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
    user = old.kafka_username
    assert room.since() == [("no rights", user), ("no login", user), ("no quota", user)]


@pytest.fixture
async def signing(room, tmp_path) -> Room:
    """A room that also signs certificates, and gives quotas."""
    room.organisations._authority = local_authority(FileKeyStore(tmp_path / "keys"), tmp_path / "ca.pem", NOW)
    room.organisations._quota = QUOTA
    return room


async def test_a_certificate_is_a_credential_of_its_own_form(signing) -> None:
    agree(signing)
    pair = Pair.made()
    issued = await signing.organisations.issue("stad-gent", ("agency",), by="t", lasting=HOUR, csr=pair.csr)
    user, digest = f"stad-gent~{issued.id}", thumbprint_of(issued.certificate)
    assert signing.since() == [FactType.CREDENTIAL, ("quota", user, 5.0), ("allow", user, TOPIC, TOPIC)]
    assert (issued.token, issued.kafka_username, issued.kafka_password) == ("", user, "")
    held = signing.control.state.credential_of_certificate(digest)
    assert (held.id, held.thumbprint, held.sha256, held.expires) == (issued.id, digest, "", NOW + HOUR)
    assert rights(signing.control.state, NOW) == {user: {TOPIC}}
    assert not lets_in(signing, f"dn_{issued.id}_", NOW)
    await signing.organisations.revoke(issued.id, by="t")
    assert signing.control.state.credential_of_certificate(digest) is None
    assert signing.since()[1:] == [("no rights", user), ("no login", user), ("no quota", user)]
    assert signing.kafka.quotas == {}


async def test_rotation_leads_from_either_form_to_the_other(signing) -> None:
    token = await signing.organisations.issue("stad-gent", ("agency",), by="t")
    pair = Pair.made()
    certificate = await signing.organisations.rotate(token.id, by="t", overlap=HOUR, lasting=9 * HOUR, csr=pair.csr)
    again = await signing.organisations.rotate(certificate.id, by="t", overlap=HOUR)
    assert (certificate.replaced_until, again.replaced_until) == (NOW + HOUR, NOW + HOUR)
    assert lets_in(signing, again.token, NOW)
    held = signing.control.state.credential_of_certificate(thumbprint_of(certificate.certificate))
    assert (held.replaces, held.expires) == (token.id, NOW + HOUR)


async def test_a_request_that_cannot_be_signed_leaves_nothing_behind(signing, room) -> None:
    for csr, lasting in (("no request", HOUR), (Pair.made().csr, None)):
        with pytest.raises(Invalid):
            await signing.organisations.issue("stad-gent", ("agency",), by="t", lasting=lasting, csr=csr)
    room.organisations._authority = None
    with pytest.raises(Invalid, match="no certificates"):
        await room.organisations.issue("stad-gent", ("agency",), by="t", lasting=HOUR, csr=Pair.made().csr)
    assert signing.since() == []


async def test_one_certificate_is_never_two_credentials() -> None:
    folded = ControlState()
    data = {"id": "c1", "organisation": "stad-gent", "x5t#S256": "abc", "roles": ["agency"]}
    assert fact(folded, FactType.CREDENTIAL, "credential/c1", data)
    assert not fact(folded, FactType.CREDENTIAL, "credential/c2", data | {"id": "c2", "organisation": "kbo"})
    assert fact(folded, FactType.CREDENTIAL_REVOKED, "credential/c1", {"id": "c1"})
    assert not fact(folded, FactType.CREDENTIAL, "credential/c3", data | {"id": "c3", "organisation": "kbo"})
    assert folded.credential_of_certificate("abc") is None
    assert not fact(folded, FactType.CREDENTIAL, "credential/c4", data | {"id": "c4", "x5t#S256": 7})


async def test_the_keeper_keeps_certificates_as_it_keeps_logins(signing) -> None:
    pair = Pair.made()
    issued = await signing.organisations.issue("stad-gent", ("agency",), by="t", lasting=HOUR, csr=pair.csr)
    other = await signing.organisations.issue("stad-gent", ("agency",), by="t")
    signing.kafka.quotas = {
        issued.kafka_username: {"consumer_byte_rate": 1.0},
        "stad-gent~gone": {"x": 1.0},
        "admin": {},
    }
    agree(signing)  # by another process, just before it heard of the users
    signing.since()
    keeper = LoginKeeper(signing.control, signing.kafka, now=lambda: signing.control.now, quota=QUOTA)
    await keeper.keep()
    told = signing.since()
    assert ("allow", issued.kafka_username, TOPIC, TOPIC) in told
    assert [what for what in told if what[0] == "quota"] == [
        ("quota", other.kafka_username, 5.0)
    ]  # one set by hand stays
    assert signing.kafka.quotas.keys() == {issued.kafka_username, other.kafka_username, "admin"}
    await keeper.keep()
    assert signing.since() == []
    signing.control.now = NOW + HOUR
    await keeper.keep()
    user = issued.kafka_username
    assert signing.since() == [("no rights", user), ("no login", user), ("no quota", user)]


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
