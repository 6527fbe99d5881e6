"""A real Keycloak on loopback: fetched by Maven and built once into `.cache/`, its realm made over its own admin API."""

import asyncio
import os
import secrets
import shutil
import signal
import socket
import subprocess
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from broker.kafka.runtime import find_java
from broker.testing import wait_until
from tests.stage import ROOT

VERSION = "26.7.3"
REALM = "broker"
_HOME = ROOT / ".cache" / f"keycloak-{VERSION}"
_BOOT_S, _FETCH_S = 180.0, 400.0


def installed() -> Path:
    """Keycloak's folder, fetched and built at the first call."""
    home = _HOME / f"keycloak-{VERSION}"
    if not (_HOME / "complete").exists():
        maven = shutil.which("mvn")
        assert maven, "Maven is needed once, to fetch Keycloak (180 MB)"
        shutil.rmtree(_HOME, ignore_errors=True)
        _HOME.mkdir(parents=True)
        plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:unpack"
        artifact = f"-Dartifact=org.keycloak:keycloak-quarkus-dist:{VERSION}:zip"
        _run([maven, "-B", "-q", plugin, artifact, f"-DoutputDirectory={_HOME}", f"-DmarkersDirectory={_HOME}"], _HOME)
        for script in (home / "bin").glob("*.sh"):
            script.chmod(0o755)
        _run([str(home / "bin" / "kc.sh"), "build", "--db=dev-mem", "--health-enabled=true", "--cache=local"], home)
        (_HOME / "complete").touch()
    return home


def _run(command: Sequence[str], folder: Path) -> None:
    subprocess.run(
        command, check=True, cwd=folder, env=_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, timeout=_FETCH_S
    )  # fmt: skip


def _environment() -> dict[str, str]:
    return {
        **os.environ,
        "JAVA_HOME": str(find_java().resolve().parents[1]),
        "JAVA_OPTS_KC_HEAP": "-Xms128m -Xmx384m",
        "JAVA_OPTS_APPEND": "-XX:TieredStopAtLevel=1",
    }


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return int(trial.getsockname()[1])


@dataclass
class Keycloak:
    """A running one, with its administrator."""

    url: str
    http: httpx.AsyncClient
    password: str

    @property
    def issuer(self) -> str:
        """What its realm's tokens name in `iss`."""
        return f"{self.url}/realms/{REALM}"

    async def token(self, client: str, secret: str) -> str:
        """An access token by client credentials."""
        form = {"grant_type": "client_credentials"}
        answer = await self.http.post(
            f"{self.issuer}/protocol/openid-connect/token", data=form, auth=(client, secret), timeout=60
        )
        assert answer.is_success, answer.text
        return str(answer.json()["access_token"])

    async def admin(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """The admin API."""
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": self.password}
        granted = await self.http.post(f"{self.url}/realms/master/protocol/openid-connect/token", data=form, timeout=60)
        bearer = {"Authorization": f"Bearer {granted.json()['access_token']}"}
        answer = await self.http.request(
            method, f"{self.url}/admin/realms{path}", json=body, headers=bearer, timeout=60
        )
        assert answer.is_success, answer.text
        return answer

    async def signing_providers(self) -> list[dict[str, Any]]:
        """Components that sign access tokens."""
        held = (await self.admin("GET", f"/{REALM}/components?type=org.keycloak.keys.KeyProvider")).json()
        return [each for each in held if each["providerId"] == "rsa-generated"]

    async def new_key(self) -> None:
        """Sign with a new key from now on, and stop publishing the ones before."""
        before = await self.signing_providers()
        realm = (await self.admin("GET", f"/{REALM}")).json()["id"]
        provider = {
            "name": "next", "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider",
            "parentId": realm, "config": {"priority": ["200"], "keySize": ["2048"]},
        }  # fmt: skip
        await self.admin("POST", f"/{REALM}/components", provider)
        for each in before:
            await self.admin("DELETE", f"/{REALM}/components/{each['id']}")


def client(name: str, secret: str, audience: str, **attributes: str) -> dict[str, Any]:
    """A confidential client for machines whose tokens are for `audience` only (docs/identity.md)."""
    mapper = {
        "name": "audience", "protocol": "openid-connect", "protocolMapper": "oidc-audience-mapper",
        "config": {"included.custom.audience": audience, "access.token.claim": "true", "id.token.claim": "false"},
    }  # fmt: skip
    return {
        "clientId": name, "secret": secret, "protocol": "openid-connect", "publicClient": False,
        "serviceAccountsEnabled": True, "standardFlowEnabled": False, "fullScopeAllowed": False,
        "defaultClientScopes": ["basic"], "optionalClientScopes": [], "attributes": attributes, "protocolMappers": [mapper],
    }  # fmt: skip


@asynccontextmanager
async def keycloak(log: Path, clients: Sequence[dict[str, Any]]) -> AsyncIterator[Keycloak]:
    """A Keycloak with a realm of these clients, until the block ends."""
    home = await asyncio.to_thread(installed)
    port, management, password = free_port(), free_port(), secrets.token_urlsafe(16)
    environment = {
        **_environment(), "KC_BOOTSTRAP_ADMIN_USERNAME": "admin", "KC_BOOTSTRAP_ADMIN_PASSWORD": password,
    }  # fmt: skip
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            str(home / "bin" / "kc.sh"), "start", "--optimized", "--http-enabled=true", "--http-host=127.0.0.1",
            f"--http-port={port}", f"--http-management-port={management}", "--hostname-strict=false",
            env=environment, cwd=home, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            await wait_until(lambda: _ready(http, process, management), timeout=_BOOT_S, every=0.5)
            made = Keycloak(f"http://127.0.0.1:{port}", http, password)
            await made.admin("POST", "", {"realm": REALM, "enabled": True, "clients": list(clients)})
            yield made
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # a group of its own; it keeps nothing
        await process.wait()


async def _ready(http: httpx.AsyncClient, process: Process, port: int) -> bool:
    assert process.returncode is None, "Keycloak ended while starting: see its log"
    try:
        return (await http.get(f"http://127.0.0.1:{port}/health/ready", timeout=5)).is_success
    except httpx.HTTPError:
        return False
