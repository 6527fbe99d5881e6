"""The command line over the application in memory: no socket, no process."""

import asyncio
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest

from broker.api.app import create_app
from broker.api.services import Services
from broker.cli import client
from broker.cli.datadir import Connection, DataDir, LocalCredential
from broker.cli.main import main
from tests.unit.api.conftest import TOKENS, World, token
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture
from tests.unit.api.office import ROLES
from tests.unit.api.office import token as office_token

Run = Callable[..., int]


@pytest.fixture
def run(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command line against the application, with every organisation's credential at hand."""
    home = DataDir(tmp_path / "data")
    home.make()
    home.save_connection(Connection("http://broker.test", "127.0.0.1:1", 1, 8))
    for who, (_, organisation, roles) in TOKENS.items():
        home.save_credential(LocalCredential(organisation, roles, token(who), organisation, "pw"))
    monkeypatch.setenv("DATANUTS_DATA_DIR", str(home.root))
    without_a_socket(world.http._transport.app, monkeypatch)
    return lambda *arguments: main(arguments)


@pytest.fixture
def home(tmp_path: Path) -> DataDir:
    """A data directory with the credentials of everybody in the office."""
    made = DataDir(tmp_path / "data")
    made.make()
    made.save_connection(Connection("http://broker.test", "kafka.test:9092", 1, 8))
    for name, roles in ROLES.items():
        made.save_credential(LocalCredential(name, roles, office_token(name), name, "pw"))
    return made


@pytest.fixture
def over(home: DataDir, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Makes a command line on `home` of an application over these services, by their names, and no others."""

    def made(**used: Any) -> Run:
        unused = dict.fromkeys(each.name for each in fields(Services))
        without_a_socket(create_app(Services(**{**unused, **used})), monkeypatch)
        return lambda *words: main([*words, "--data-dir", str(home.root)])

    return made


def without_a_socket(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the application answer every client of the command line."""

    def answer(request: httpx.Request) -> httpx.Response:
        async def ask() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
                answered = await http.send(
                    httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
                )
                return httpx.Response(answered.status_code, headers=answered.headers, content=answered.content)

        return asyncio.run(ask())

    made = client.Client.__init__
    monkeypatch.setattr(
        client.Client, "__init__", lambda self, url, key: made(self, url, key, transport=httpx.MockTransport(answer))
    )
