"""One installation for the folder; deliveries are written as a router would, and a worker runs in this process or as a child."""

import json
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from broker.cli.drops import send
from broker.delivery.drop_courier import MOST_ITEMS
from broker.delivery.drop_subscriptions import Drops
from broker.delivery.push_subscriptions import Standing, Start
from broker.model.drop_book import Destination, Drop
from broker.model.file_format import FileFormat
from broker.testing import wait_until
from tests.integration.drops.sftp import USER, Server, listening
from tests.integration.webhooks.conftest import Agency as Subscriber
from tests.integration.webhooks.conftest import sending
from tests.stage import Stage, installation

PATIENCE = 60.0


class Agency(Subscriber):
    """An agency with one agreement of its own, and a drop instead of a webhook."""

    @property
    def drops(self) -> Drops:
        assert self.stage.stack.services.drops is not None
        return self.stage.stack.services.drops

    async def put_to(self, server: Server, start: Start = Start.OLDEST, **changes: Any) -> None:
        """Register the server, which admits the broker."""
        to = Destination("127.0.0.1", server.port, USER, "in", FileFormat.NDJSON, server.host_key, timedelta(seconds=1))
        made, _ = await self.drops.set(self.agreement, self.name, replace(to, **changes), start=start)
        server.admit(self.drops.public_key(made))

    async def fares(self) -> Standing[Drop]:
        return await self.drops.standing(self.agreement, self.name)

    async def failed_as(self, failure: str) -> None:
        """Return once the last failure was of this class."""

        async def seen() -> bool:
            return (await self.fares()).health.failure == failure

        await wait_until(seen, timeout=PATIENCE)

    async def stopped(self) -> str | None:
        return (await self.fares()).subscription.suspended

    async def up_to_date(self) -> None:
        async def nothing_left() -> bool:
            return (await self.fares()).lag == 0

        await wait_until(nothing_left, timeout=PATIENCE)


def items(server: Server) -> list[dict[str, Any]]:
    """Items of every file that is there under its name, in the order of the names."""
    return [json.loads(line) for name in server.files(".ndjson") for line in server.read(name).splitlines()]


def ids(server: Server) -> list[str]:
    """Of the deliveries among them."""
    return [item["id"] for item in items(server) if item["kind"] != "life-cycle"]


async def received(server: Server, wanted: list[str]) -> None:
    await wait_until(lambda: set(wanted) <= set(ids(server)), timeout=PATIENCE)


@pytest.fixture(scope="session")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    given = {"drop_allow": "127.0.0.1", "drop_timeout_s": 2}
    async with installation(tmp_path_factory.mktemp("drops"), lanes=4, **given) as made:
        yield made


@pytest.fixture
async def agency(stage: Stage) -> AsyncIterator[Agency]:
    async with agreed(stage, "inwoners-gent") as made:
        yield made


@pytest.fixture
async def other(stage: Stage) -> AsyncIterator[Agency]:
    async with agreed(stage, "inwoners-leuven") as made:
        yield made


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with listening(tmp_path / "server") as made:
        yield made


@asynccontextmanager
async def agreed(stage: Stage, template: str) -> AsyncIterator[Agency]:
    """An agency whose drop is removed behind it: other tests' workers have nothing to do with it."""
    made = Agency(stage, await stage.agreement(template))
    yield made
    if made.agreement in stage.stack.site.control.state.drops.live:
        await made.drops.remove(made.agreement, made.name)


def dropping(stage: Stage, most: int = MOST_ITEMS, **settings: Any) -> AbstractAsyncContextManager[None]:
    """A worker in this process until the block ends."""
    return sending(stage, partial(send, most=most), **settings)
