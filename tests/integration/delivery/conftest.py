"""One installation on a node of its own for this folder, and the broker's HTTP interface over it."""

import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest

from broker.api.app import create_app
from broker.cli.processes import served
from broker.model.registered import Organisation
from tests.integration.routing.conftest import Opened, World, installed


@pytest.fixture(scope="session")
async def opened(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Opened]:
    async with installed(tmp_path_factory.mktemp("delivery")) as made:
        yield made


@pytest.fixture(scope="session")
async def url(opened: Opened) -> AsyncIterator[str]:
    """Where the HTTP interface answers."""
    app = create_app(opened.services)
    async with served(app) as address:
        yield address
        app.state.open_answers.end()


@asynccontextmanager
async def staged(opened: Opened, suffix: str) -> AsyncIterator[World]:
    """The installation with a new source of persons; routers that are left open are closed."""
    producer = opened.site.clients.producer()
    await producer.start()
    async with AsyncExitStack() as held:
        held.push_async_callback(producer.stop)
        made = World(opened.site, opened.installation, opened.services, suffix, producer, held, random.Random(suffix))
        await made.declare()
        try:
            yield made
        finally:
            for router in made._routers:
                await router.close()


@pytest.fixture
async def world(opened: Opened, unique: Callable[[str], str]) -> AsyncIterator[World]:
    async with staged(opened, unique("d")) as made:
        yield made


@asynccontextmanager
async def agency_of(world: World, agreement: str, url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a credential of the agreement's agency."""
    agency = world.agency(agreement)
    await world.installation.organisations.register(Organisation(agency, "Afnemer"), by="test")
    issued = await world.installation.organisations.issue(agency, ("agency",), by="test")
    headers = {"Authorization": f"Bearer {issued.token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30, trust_env=False) as http:
        yield http
