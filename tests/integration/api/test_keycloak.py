"""Agencies that come with tokens of a real Keycloak reach exactly their own agreements, also after it changed its key."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.testing import wait_until
from tests.integration.api.keycloak import Keycloak, client, keycloak
from tests.stage import Stage, installation

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

AUDIENCE = "https://datanuts.example"
SECRET = "voor-een-test-op-loopback"
AGENCIES = ("gent-parkeren", "statistiek-vlaanderen")
_PAUSE_S = 60.0


@dataclass
class Realm:
    """Keycloak and an installation that trusts it."""

    idp: Keycloak
    stage: Stage
    http: httpx.AsyncClient
    agreements: dict[str, str]

    async def ask(self, method: str, path: str, token: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return await self.http.request(method, self.stage.stack.connection.api + path, headers=headers, json=body)

    async def listed(self, token: str) -> set[str]:
        """Agreements that the holder sees."""
        answer = await self.ask("GET", "/v1/agreements", token)
        assert answer.is_success, answer.text
        return {item["id"] for item in answer.json()["items"]}

    async def token_of(self, agency: str) -> str:
        return await self.idp.token(f"client-{agency}", SECRET)


@pytest.fixture(scope="module")
async def realm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Realm]:
    """One client per agency: the first with tokens of type at+jwt (RFC 9068), the second with Keycloak's usual type."""
    folder = tmp_path_factory.mktemp("keycloak")
    rfc9068 = {"access.token.header.type.rfc9068": "true"}
    clients = [
        client(f"client-{AGENCIES[0]}", SECRET, AUDIENCE, **rfc9068),
        client(f"client-{AGENCIES[1]}", SECRET, AUDIENCE),
    ]
    clients += [
        client("client-unbound", SECRET, AUDIENCE),
        client("client-elsewhere", SECRET, "https://elsewhere.example"),
    ]
    async with (
        keycloak(folder / "keycloak.log", clients) as idp,
        httpx.AsyncClient(trust_env=False, timeout=60) as http,
    ):
        trusted = _trust(folder, idp)
        async with installation(folder / "data", lanes=2, issuers=trusted) as stage:
            agreements = {
                AGENCIES[0]: await stage.agreement("parkeerboetes-gent"),
                AGENCIES[1]: await stage.agreement("statistiek-vlaanderen"),
            }
            made = Realm(idp, stage, http, agreements)
            operator = stage.stack.home.credential_of("operator").token
            for agency in (*AGENCIES, "elsewhere"):
                organisation = AGENCIES[0] if agency == "elsewhere" else agency
                bound = {
                    "issuer": idp.issuer,
                    "client": f"client-{agency}",
                    "organisation": organisation,
                    "roles": ["agency"],
                }
                assert (await made.ask("POST", "/v1/clients", operator, bound)).status_code == 201
            yield made


def _trust(folder: Path, idp: Keycloak) -> Path:
    path = folder / "issuers.yaml"
    path.write_text(
        f"issuers:\n  - {{name: keycloak, issuer: '{idp.issuer}', audience: '{AUDIENCE}', algorithm: RS256}}\n"
    )
    return path


async def test_each_agency_reaches_exactly_its_own_agreements(realm: Realm) -> None:
    for agency in AGENCIES:
        token = await realm.token_of(agency)
        assert await realm.listed(token) == {realm.agreements[agency]}
        for owner, agreement in realm.agreements.items():
            statuses = [
                (await realm.ask("GET", path, token)).status_code
                for path in (f"/v1/agreements/{agreement}", f"/v1/deliveries/{agreement}")
            ]
            assert statuses == ([200, 200] if owner == agency else [404, 404])


async def test_a_client_that_nobody_bound_and_a_token_for_elsewhere_open_nothing(realm: Realm) -> None:
    unbound = await realm.ask("GET", "/v1/agreements", await realm.idp.token("client-unbound", SECRET))
    elsewhere = await realm.ask("GET", "/v1/agreements", await realm.idp.token("client-elsewhere", SECRET))
    assert (unbound.status_code, elsewhere.status_code) == (403, 401)


async def test_a_new_key_is_followed_and_the_one_before_opens_nothing_any_more(realm: Realm) -> None:
    before = await realm.token_of(AGENCIES[0])
    assert await realm.listed(before) == {realm.agreements[AGENCIES[0]]}
    await realm.idp.new_key()
    after = await realm.token_of(AGENCIES[0])

    async def opens() -> bool:
        return (await realm.ask("GET", "/v1/agreements", after)).status_code == 200

    await wait_until(opens, timeout=_PAUSE_S, every=1.0)
    assert (await realm.ask("GET", "/v1/agreements", before)).status_code == 401
