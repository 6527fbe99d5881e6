"""`datanuts api`: the HTTP interface of an installation; sets the installation up where that is still to be done."""

import argparse
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from broker.api.app import create_app
from broker.api.services import Services
from broker.cli import datadir, tls
from broker.cli.installation import Installation
from broker.cli.output import machine, say
from broker.cli.processes import served, stopping
from broker.cli.site import site
from broker.settings import Settings, load_settings
from broker.telemetry import Event, configure, log

_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def register(commands: Any) -> None:
    """Add the command to the root parser's subparsers."""
    parser = commands.add_parser("api", help="serve the HTTP interface of an installation")
    datadir.add_option(parser)
    parser.add_argument("--port", type=int, metavar="N", help="default: DATANUTS_API_PORT, else 8080; 0: any free one")
    parser.add_argument("--json", action="store_true", help="print the ready line as JSON")
    parser.set_defaults(run=_run)


async def _run(given: argparse.Namespace) -> None:
    settings = load_settings(data_dir=given.data_dir, api_port=given.port)
    home = datadir.DataDir(settings.data_dir)
    configure("api", settings)
    async with stopping() as stop, site(home, settings, beating=True) as here:
        installation = Installation.of(here)
        await installation.set_up()
        await installation.issue_credentials()
        context = tls.server_context(home, settings, here.keys, own=False)
        ports = (settings.api_port, settings.tls_port)
        async with installation.services() as services, serving(services, settings, ports, context) as urls:
            told = {name: url for name, url in zip(("api", "https"), urls, strict=True) if url is not None}
            machine(told) if given.json else say(f"ready: {', '.join(told.values())}")
            await stop.wait()


@asynccontextmanager
async def serving(
    services: Services, settings: Settings, ports: tuple[int, int], context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, str | None]]:
    """Serve the HTTP interface over `services`, with a `context` over HTTPS too, and yield both URLs.

    From then on it issues access tokens, if it may.
    """
    app = create_app(
        services,
        report=lambda error: log(Event.HTTP_UNEXPECTED, error=error),
        requests_per_second=settings.requests_per_second,
        proxies=settings.proxies,
    )
    host = settings.api_host
    async with AsyncExitStack() as held:
        url = await held.enter_async_context(served(app, ports[0], host))
        https = None if context is None else await held.enter_async_context(served(app, ports[1], host, tls=context))
        reached = settings.public_url or (url if settings.api_host in _LOOPBACK else None)
        if services.issuer is not None and reached is not None:
            services.issuer.reached_at(reached)
        try:
            yield url, https
        finally:
            app.state.open_answers.end()  # the server waits 2 s for answers that are under way
