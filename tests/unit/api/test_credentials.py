"""Credentials over HTTP: who keeps whose, what is shown once, what a compromise takes away and tells."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.identity.door import Accepted, Standing
from broker.api.services import Services
from broker.control.organisations import Organisations
from broker.delivery.looks import Ends, Held
from broker.model.agreement import State
from broker.model.facts import FactType
from broker.model.lifecycle import AgreementEntry
from tests.unit.api.office import NOW, ROLES, Log, Office, agreement_document, bearer, token
from tests.unit.control.room import Kafka

GENT = "/v1/organisations/stad-gent/credentials"
LATER = datetime.now(UTC)


@dataclass
class Looks:
    """Four deliveries about three people, of which one since."""

    async def held(self, topic: str, since_ms: int) -> Held:
        assert topic == "delivery.stad-gent.inwoners-gent"
        assert since_ms
        return Held(4, 3, 1, 1, 2, whole=True)

    async def ends(self, topic: str) -> Ends:
        del topic
        return Ends(2, 9, 7, 5)


class Tokens:
    """An issuer's access token for each organisation: its name and a dot."""

    async def accept(self, token: str, _state: Any) -> Accepted:
        organisation = token.removesuffix(".")
        return Accepted(Standing(organisation, frozenset(ROLES[organisation])), states_purpose=False)


@dataclass
class Desk:
    log: Log
    kafka: Kafka
    http: httpx.AsyncClient

    async def ask(self, who: str, method: str, path: str, body: Any = None, *, expect: int = 200) -> dict[str, Any]:
        authorisation = {"Authorization": f"Bearer {who}"} if who.startswith("dn_") else bearer(who)
        answer = await self.http.request(method, path, json=body, headers=authorisation)
        assert answer.status_code == expect, answer.text
        return dict(answer.json())


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    office, kafka = Office(), Kafka([])
    await office.open({**ROLES, "lezer": ("auditor",)})
    unused: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services))
    used = {
        "control": office.log,
        "credentials": Organisations(office.log, kafka),
        "looks": Looks(),
        "tokens": Tokens(),
    }
    transport = httpx.ASGITransport(create_app(Services(**{**unused, **used})))
    entry = AgreementEntry("inwoners-gent", 1, State.ACTIVE, agreement_document(), None, NOW, 9, activated_at=NOW)
    office.log.state.agreements["inwoners-gent"] = entry
    async with httpx.AsyncClient(transport=transport, base_url="http://broker.test") as http:
        yield Desk(office.log, kafka, http)


async def test_an_agency_gets_a_token_and_a_kafka_user_shown_once(desk) -> None:
    made = await desk.ask("stad-gent", "POST", GENT, {"roles": ["agency"], "validDays": 30}, expect=201)
    user = made["kafka"]["username"]
    assert user == f"stad-gent~{made['id']}"
    assert ("allow", user, "delivery.stad-gent.inwoners-gent", "delivery.stad-gent.inwoners-gent") in desk.kafka.did
    listed = await desk.ask(made["token"], "GET", GENT)
    held = {each["id"]: each for each in listed["items"]}
    shown = held[made["id"]]
    assert (shown["roles"], shown["createdBy"], shown["createdWith"]) == (["agency"], "stad-gent", "c-stad-gent")
    assert shown["lastUsed"] == datetime.now(UTC).date().isoformat()
    assert timedelta(days=29) < datetime.fromisoformat(shown["expires"]) - LATER < timedelta(days=31)
    assert not {"token", "sha256", "kafka"} & set(shown)
    assert made["token"] not in str(listed)


async def test_a_source_gets_no_kafka_user(desk) -> None:
    made = await desk.ask("kbo", "POST", "/v1/organisations/kbo/credentials", expect=201)
    assert made["kafka"] is None
    assert desk.kafka.users == set()


@pytest.mark.parametrize("path", [GENT, f"{GENT}/c-stad-gent/rotate"])
async def test_an_access_token_gets_no_credential_that_would_outlive_it(desk, path) -> None:
    answer = await desk.http.post(path, headers={"Authorization": "Bearer stad-gent."})
    assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")
    assert desk.log.written == []
    by_operator = await desk.http.post(GENT, json={"roles": ["agency"]}, headers={"Authorization": "Bearer operator."})
    assert by_operator.status_code == 201


async def test_secrets_are_not_cached(desk) -> None:
    answer = await desk.http.post(GENT, headers=bearer("stad-gent"))
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("who", "method", "path", "status"),
    [
        ("kbo", "GET", GENT, 404),
        ("kbo", "POST", GENT, 404),
        ("kbo", "DELETE", f"{GENT}/c-stad-gent", 404),
        ("kbo", "DELETE", "/v1/organisations/kbo/credentials/c-stad-gent", 404),
        ("kbo", "POST", f"{GENT}/c-stad-gent/rotate", 404),
        ("kbo", "GET", "/v1/organisations/bestaat-niet/credentials", 404),
        ("operator", "GET", "/v1/organisations/bestaat-niet/credentials", 404),
        ("operator", "POST", GENT, 400),  # it names the roles
        ("lezer", "GET", "/v1/organisations/lezer/credentials", 403),
        ("lezer", "POST", "/v1/organisations/lezer/credentials", 403),
    ],
)
async def test_an_organisation_keeps_its_own_credentials_only(desk, who, method, path, status) -> None:
    await desk.ask(who, method, path, expect=status)
    assert desk.log.written == []


async def test_another_organisation_looks_like_one_that_does_not_exist(desk) -> None:
    for path in ("/v1/organisations/{}/credentials", "/v1/organisations/{}/credentials/c-stad-gent/compromised"):
        verb, body = ("POST", {"lastKnownGood": NOW.isoformat()}) if "compromised" in path else ("GET", None)
        theirs, nobodys = [
            await desk.ask("kbo", verb, path.format(name), body, expect=404) for name in ("stad-gent", "bestaat-niet")
        ]
        assert theirs == nobodys


@pytest.mark.parametrize(
    ("who", "roles", "path"),
    [
        ("statistiek-vlaanderen", ["source-owner"], "/v1/organisations/statistiek-vlaanderen/credentials"),
        ("stad-gent", ["operator"], GENT),
        ("operator", ["operator"], GENT),
    ],
)
async def test_no_credential_gives_more_than_its_maker_has(desk, who, roles, path) -> None:
    await desk.ask(who, "POST", path, {"roles": roles}, expect=403)
    assert desk.log.written == []


async def test_rotating_with_fewer_roles_gives_no_more(desk) -> None:
    narrow = await desk.ask("stad-gent", "POST", GENT, {"roles": ["source-owner"]}, expect=201)
    await desk.ask(narrow["token"], "POST", f"{GENT}/c-stad-gent/rotate", expect=403)


async def test_both_work_until_the_overlap_is_over(desk) -> None:
    old = await desk.ask("stad-gent", "POST", GENT, expect=201)
    new = await desk.ask(old["token"], "POST", f"{GENT}/{old['id']}/rotate", {"overlapHours": 1}, expect=201)
    until = datetime.fromisoformat(new["replacedUntil"])
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(hours=1)
    for each in (old, new):
        await desk.ask(each["token"], "GET", GENT)
    gone = await desk.ask(new["token"], "POST", f"{GENT}/{new['id']}/rotate", {"overlapHours": 0}, expect=201)
    await desk.ask(new["token"], "GET", GENT, expect=401)
    await desk.ask(gone["token"], "GET", GENT)
    await desk.ask(gone["token"], "POST", f"{GENT}/{new['id']}/rotate", expect=409)


async def test_the_operator_sees_all_and_an_organisation_its_own(desk) -> None:
    everyones = {each["organisation"] for each in (await desk.ask("operator", "GET", "/v1/credentials"))["items"]}
    assert everyones == {*ROLES, "lezer"}
    own = {each["organisation"] for each in (await desk.ask("stad-gent", "GET", "/v1/credentials"))["items"]}
    assert own == {"stad-gent"}


async def test_a_compromise_refuses_it_and_its_offspring_and_tells_what_could_be_read(desk) -> None:
    child = await desk.ask("stad-gent", "POST", GENT, expect=201)
    body = {"lastKnownGood": (NOW - timedelta(hours=1)).isoformat()}
    told = await desk.ask("operator", "POST", f"{GENT}/c-stad-gent/compromised", body)
    assert [each["id"] for each in told["revoked"]] == ["c-stad-gent", child["id"]]
    for secret in (token("stad-gent"), child["token"]):
        await desk.ask(secret, "GET", GENT, expect=401)
    assert ("no rights", f"stad-gent~{child['id']}") in desk.kafka.did
    assert desk.kafka.users == set()
    (stream,) = told["scope"]["agreements"]
    assert stream["deliveredSince"] == {"deliveries": 1, "subjects": 1}
    assert stream["readable"] == {"deliveries": 4, "subjects": 3}
    assert (stream["kafkaCommitted"], stream["end"], stream["pulled"], stream["removedBefore"]) == (7, 9, None, 2)
    assert {"path": "naam.achternaam", "as": "keep"} in stream["fields"]
    assert [kind for kind, *_ in desk.log.written].count(FactType.CREDENTIAL) == 1  # nothing new
    again = await desk.ask("operator", "POST", f"{GENT}/c-stad-gent/compromised", body)
    assert again["scope"] == told["scope"]


@pytest.mark.parametrize(
    "instant",
    [
        "2026-11-25T12:00:00",
        "gisteren",
        "2999-01-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        None,
    ],
)
async def test_the_last_good_use_is_an_instant_in_the_past(desk, instant) -> None:
    await desk.ask("operator", "POST", f"{GENT}/c-stad-gent/compromised", {"lastKnownGood": instant}, expect=400)
    assert desk.log.written == []


async def test_a_source_only_credential_could_read_no_stream(desk) -> None:
    body = {"lastKnownGood": NOW.isoformat()}
    told = await desk.ask("kbo", "POST", "/v1/organisations/kbo/credentials/c-kbo/compromised", body)
    assert told["scope"]["agreements"] == []
    await desk.ask("kbo", "GET", "/v1/agreements", expect=401)
