"""The whole local stack: Kafka and the HTTP interface in this process; routers, webhooks and drops as children it supervises."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from broker.api.services import Services
from broker.cli import figures, tls
from broker.cli.api import serving
from broker.cli.datadir import Connection, DataDir, LocalCredential
from broker.cli.installation import Installation
from broker.cli.processes import Supervised, usual_port
from broker.cli.site import Progress, Site, site
from broker.control.log import ControlLog
from broker.delivery.push_kinds import DROPS, WEBHOOKS, Kind
from broker.errors import ConfigError
from broker.model.registered import Organisation
from broker.settings import Settings
from broker.telemetry import Event, log


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports that someone asked for; None takes the usual one, or any free one."""

    api: int | None = None
    kafka: int | None = None
    https: int | None = None
    kafka_tls: int | None = None


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack."""

    home: DataDir
    connection: Connection
    site: Site
    installation: Installation
    services: Services
    routers: tuple[Supervised, ...]

    def counts(self) -> dict[str, Any]:
        """What the routers did since the stack started, as `Counts.as_json`; at most half a second old."""
        return figures.collected(self.home)

    async def organisation(self, identifier: str, name: str, roles: tuple[str, ...]) -> LocalCredential:
        """Register an organisation once and return its credential, kept in the data directory."""
        await self.installation.organisations.register(Organisation(identifier, name), by="operator")
        return await self.installation.credential(identifier, roles)


@asynccontextmanager
async def running(
    home: DataDir,
    settings: Settings,
    *,
    ports: Ports = Ports(),
    routers: int = 1,
    pushing: bool = True,
    progress: Progress = lambda _line: None,
) -> AsyncIterator[Stack]:
    """Start everything on `home`, in order, and stop it in the opposite order; raises `ConfigError` if one runs there."""
    home.make()
    if _alive(home):
        raise ConfigError(f"a broker runs on {home.root} already: stop it, or choose another --data-dir")
    async with AsyncExitStack() as held:
        progress("starting Kafka")
        here = await held.enter_async_context(
            site(
                home,
                settings,
                beating=True,
                kafka_port=ports.kafka,
                kafka_tls_port=ports.kafka_tls,
                progress=progress,
            )
        )
        installation = Installation.of(here)
        progress("bringing policies and schemas into force")
        await installation.set_up()
        await installation.issue_credentials()
        services = await held.enter_async_context(installation.services())
        host, context = settings.api_host, tls.server_context(home, settings, here.keys, own=True)
        wanted = (ports.api or usual_port(host, settings.api_port), ports.https or usual_port(host, settings.tls_port))
        api, https = await held.enter_async_context(serving(services, settings, wanted, context))
        connection = Connection(api, here.access.bootstrap, os.getpid(), here.lanes, https, here.kafka_tls)
        home.save_connection(connection)
        held.callback(home.forget_connection)
        figures.forget(home)
        progress(f"starting {routers} router(s)")
        command = [sys.executable, "-m", "broker.cli.main", "router", "--data-dir", str(home.root)]
        children = []
        for number in range(1, routers + 1):
            child = Supervised(
                command,
                home.logs / f"router-{number}.log",
                report=lambda code, number=number: log(Event.CHILD_ENDED, router=number, code=code),  # type: ignore[misc]
            )
            children.append(await held.enter_async_context(child))
        for kind in (WEBHOOKS, DROPS) if pushing else ():
            command = [sys.executable, "-m", "broker.cli.main", kind.workers, "--data-dir", str(home.root)]
            log_file = home.logs / f"{kind.workers}.log"
            sender = Supervised(command, log_file, report=lambda code: log(Event.CHILD_ENDED, code=code))
            await held.enter_async_context(once_wanted(here.control, sender, kind))
        yield Stack(home, connection, here, installation, services, tuple(children))


@asynccontextmanager
async def once_wanted(control: ControlLog, sender: Supervised, kind: Kind[Any]) -> AsyncIterator[None]:
    """Start the process that serves a kind when the first agency has one of it: most installations never need it."""

    async def started() -> None:
        while not kind.book(control.state).live:
            await control.wait_for_change(control.state.epoch, timeout=60.0)
        async with sender:
            await asyncio.Event().wait()

    task = asyncio.create_task(started(), name=kind.workers)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _alive(home: DataDir) -> bool:
    """Whether the stack that left its connection here still runs."""
    if not home.stack_file.exists():
        return False
    try:
        os.kill(home.connection().pid, 0)
    except OSError:
        home.forget_connection()
        return False
    return True
