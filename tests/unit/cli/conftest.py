"""The command line over the application in memory: no socket, no process."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from broker.cli import client
from broker.cli.datadir import Connection, DataDir, LocalCredential
from broker.cli.main import main
from tests.unit.api.conftest import TOKENS, World, token
from tests.unit.api.conftest import world as world  # noqa: PLC0414 - the same fixture

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
    app = world.http._transport.app

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
    return lambda *arguments: main(arguments)
