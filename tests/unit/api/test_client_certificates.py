"""A certificate as the caller's credential: found by its digest alone, from its own connection or a trusted proxy's word."""

import base64
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.control.client_authority import local_authority
from broker.control.keys import FileKeyStore
from broker.control.organisations import Organisations
from tests.certificates import Pair, first_of, issued_by, stranger
from tests.unit.api.office import Office, bearer
from tests.unit.control.room import NOW, Kafka

GENT = "/v1/organisations/stad-gent/credentials"
PROXY = "10.1.2.3"


@dataclass
class Door:
    """The application, and what the end of a connection would tell of it."""

    office: Office
    organisations: Organisations
    app: Any

    async def ask(
        self,
        path: str = GENT,
        *,
        shown: str | None = None,
        peer: str = "127.0.0.1",
        headers: Mapping[str, str] | list[tuple[str, str]] | None = None,
        method: str = "GET",
        body: Any = None,
    ) -> httpx.Response:
        async def told(scope: Any, receive: Any, send: Any) -> None:
            chain = [] if shown is None else [first_of(shown)]
            scope["extensions"] = {"tls": {"client_cert_chain": chain}, "peer": {"host": peer}}
            await self.app(scope, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(told), base_url="https://broker.test") as http:
            return await http.request(method, path, headers=headers, json=body)

    async def certificate(self, organisation: str = "stad-gent", **given: Any) -> Any:
        usual: dict[str, Any] = {"by": "t", "lasting": timedelta(days=9), "csr": Pair.made().csr}
        return await self.organisations.issue(organisation, ("agency",), **usual | given)


@pytest.fixture
async def door(tmp_path: Path) -> Door:
    office = Office()
    await office.open()
    authority = local_authority(FileKeyStore(tmp_path / "keys"), tmp_path / "ca.pem", NOW)
    organisations = Organisations(office.log, Kafka([]), authority=authority)
    unused: dict[str, Any] = dict.fromkeys(each.name for each in fields(Services))
    used = {"control": office.log, "credentials": organisations}
    proxies = [ip_network("10.1.2.0/24"), ip_network("fd00::/8")]
    return Door(office, organisations, create_app(Services(**unused | used), proxies=proxies))


def header(pem: str) -> dict[str, str]:
    """As a proxy states it (RFC 9440)."""
    der = ssl.PEM_cert_to_DER_cert(first_of(pem))
    return {"Client-Cert": f":{base64.b64encode(der).decode()}:"}


async def test_a_certificate_opens_what_its_organisation_may(door) -> None:
    own = await door.certificate()
    answer = await door.ask(shown=own.certificate)
    assert answer.status_code == 200
    listed = {each["id"]: each for each in answer.json()["items"]}
    assert listed[own.id]["thumbprint"] == door.office.log.state.credentials[own.id].thumbprint
    assert listed["c-stad-gent"]["thumbprint"] is None
    assert listed[own.id]["lastUsed"] is not None
    assert (await door.ask("/v1/organisations/kbo/credentials", shown=own.certificate)).status_code == 404


async def test_every_certificate_that_is_no_credential_now_is_refused_alike(door, tmp_path) -> None:
    own, expired = await door.certificate(), await door.certificate(lasting=timedelta(seconds=-1))
    revoked = await door.certificate()
    await door.organisations.revoke(revoked.id, by="t")
    same_name = issued_by(stranger(tmp_path), Pair.made(), f"stad-gent~{own.id}")
    same_authority = issued_by(door.organisations._authority, Pair.made(), f"stad-gent~{own.id}")
    answers = [
        await door.ask(shown=each) for each in (expired.certificate, revoked.certificate, same_name, same_authority)
    ]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert (await door.ask()).status_code == 401


async def test_a_token_beside_a_certificate_must_be_of_the_same_organisation(door) -> None:
    own = await door.certificate()
    assert (await door.ask(shown=own.certificate, headers=bearer("stad-gent"))).status_code == 200
    assert (await door.ask(shown=own.certificate, headers=bearer("kbo"))).status_code == 401
    for wrong in ({"Authorization": "Bearer dn_c-stad-gent_fout"}, {"Authorization": ""}):
        assert (await door.ask(shown=own.certificate, headers=wrong)).status_code == 401
    await door.organisations.revoke(own.id, by="t")
    assert (await door.ask(shown=own.certificate, headers=bearer("stad-gent"))).status_code == 401


@pytest.mark.parametrize(
    "secret", ["", "geheim", "None", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]
)
async def test_a_certificates_credential_is_no_bearer(door, secret) -> None:
    own = await door.certificate()
    answer = await door.ask(headers={"Authorization": f"Bearer dn_{own.id}_{secret}"})
    assert answer.status_code == 401


async def test_the_word_of_a_trusted_proxy_counts_and_nobody_elses(door) -> None:
    own = await door.certificate()
    said = header(own.certificate)
    for peer in (PROXY, "::ffff:10.1.2.3", "fd00::7"):
        assert (await door.ask(peer=peer, headers=said)).status_code == 200
    for peer in ("10.1.3.3", "127.0.0.1", "::1", "", "proxy"):
        assert (await door.ask(peer=peer, headers=said)).status_code == 401


async def test_what_a_stranger_writes_changes_nothing(door) -> None:
    own, other = await door.certificate(), await door.certificate("kbo")
    forged = {**header(other.certificate), "X-Forwarded-For": PROXY}
    for credential in ({"shown": own.certificate, "headers": forged}, {"headers": {**bearer("stad-gent"), **forged}}):
        assert (await door.ask(**credential)).status_code == 200


async def test_of_a_proxy_its_header_goes_before_its_own_certificate(door) -> None:
    own, proxys = await door.certificate(), await door.certificate("kbo")
    answer = await door.ask(peer=PROXY, shown=proxys.certificate, headers=header(own.certificate))
    assert answer.status_code == 200
    assert (await door.ask(peer=PROXY, headers=bearer("stad-gent"))).status_code == 200  # nobody behind it showed one


@pytest.mark.parametrize(
    "wrong", ["", ":", "::", ":AAAA", "AAAA", ":A:", ":AA!A:", ":AAAA:;a=1", ":AAAA:, :AAAA:", ":" + "A" * 20_000 + ":"]
)
async def test_a_proxys_header_that_cannot_be_read_is_refused(door, wrong) -> None:
    own = await door.certificate()
    for headers in ({"Client-Cert": wrong}, [*header(own.certificate).items(), ("Client-Cert", wrong)]):
        answer = await door.ask(peer=PROXY, headers=headers)
        assert answer.status_code == 401


async def test_a_certificate_gets_its_successor_and_falls_with_what_it_issued(door) -> None:
    own = await door.certificate()
    made = await door.ask(
        f"{GENT}/{own.id}/rotate", method="POST", shown=own.certificate, body={"csr": Pair.made().csr}
    )
    assert made.status_code == 201
    fresh = made.json()
    assert fresh["certificate"].startswith("-----BEGIN CERTIFICATE-----")
    assert fresh["kafka"] == {"username": f"stad-gent~{fresh['id']}"}
    assert "token" not in fresh
    assert made.headers["cache-control"] == "no-store"
    assert door.office.log.state.credentials[fresh["id"]].issued_with == own.id
    assert (await door.ask(shown=fresh["certificate"])).status_code == 200
    await door.organisations.compromised(own.id, NOW, by="t")
    assert (await door.ask(shown=fresh["certificate"])).status_code == 401


@pytest.mark.parametrize("csr", ["no request", "x" * 16_385])
async def test_a_request_that_cannot_be_signed_is_told_and_issues_nothing(door, csr) -> None:
    answer = await door.ask(method="POST", headers=bearer("stad-gent"), body={"csr": csr})
    assert (answer.status_code, answer.json()["code"]) == (400, "INVALID")
    assert csr not in answer.text
    assert door.office.log.written == []
