"""What a local stack runs beside itself: a server in this process, and supervised children that cannot outlive it."""

import asyncio
import os
import signal
import socket
import ssl
import subprocess
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from broker.errors import ConfigError, Fatal
from broker.kafka import leash

if TYPE_CHECKING:
    from fastapi import FastAPI

HOST = "127.0.0.1"
_STOP_S = 10.0
_FIRST_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 15.0
_SETTLED_S = 30.0
_READY_S = 20.0
STUCK_MS = 60_000
"""A peer that takes nothing for so long is let go with all that waits for it (Linux); closing alone would wait for ever."""


@asynccontextmanager
async def served(
    app: "FastAPI", port: int = 0, host: str = HOST, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serve `app` (port 0: any free one; loopback by default) and yield its URL; open requests get 2 s when it ends.

    With `tls` over HTTPS. Raises `ConfigError` if the port is taken.
    """
    # A router serves nothing: it starts sooner without these.
    import uvicorn  # noqa: PLC0415

    from broker.cli.peer_protocol import PeerProtocol  # noqa: PLC0415

    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, STUCK_MS)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"port {port} is in use: choose another with --ports {'api' if tls is None else 'https'}=…"
            ) from error
        config = uvicorn.Config(
            app,
            http=PeerProtocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            timeout_graceful_shutdown=2,
        )
        config.load()
        config.ssl = tls
        server = uvicorn.Server(config)
        running = asyncio.create_task(server._serve([listener]), name="http")  # noqa: SLF001 - `serve` takes over signals
        try:
            async with asyncio.timeout(_READY_S):
                while not server.started:
                    if running.done():
                        raise Fatal("the HTTP interface ended while starting")
                    await asyncio.sleep(0.01)
            yield f"{'http' if tls is None else 'https'}://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running


def usual_port(host: str, port: int) -> int:
    """`port` if nothing listens there now, else 0 (any free one)."""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return 0
    return port


class Supervised:
    """A child process that is started again, with growing pauses, whenever it ends; stopped with the block.

    Its output goes to `log`. The kernel ends it when this process dies, however that happens (Linux); `report` gets the
    exit code of each end that nobody asked for.
    """

    def __init__(
        self, command: Sequence[str], log: Path, *, report: Callable[[int], None] = lambda _code: None
    ) -> None:
        self._command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        self._log = log
        self._report = report
        self._process: Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return self._process.pid if self._process and self._process.returncode is None else None

    async def __aenter__(self) -> Self:
        self._process = await self._spawn()
        self._keeper = asyncio.create_task(self._keep(self._process), name="supervisor")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
        if (process := self._process) is None or process.returncode is not None:
            return
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)  # a stopped process would never hear of it
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _spawn(self) -> Process:
        # Spawned by the event loop's own thread: the leash ends the child with the thread that made it (prctl(2)).
        with self._log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                *self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # Ctrl-C reaches the stack only, which stops its parts in order
            )

    async def _keep(self, process: Process) -> None:
        loop, pause = asyncio.get_running_loop(), 0.0
        while True:
            began = loop.time()
            self._report(await process.wait())
            settled = loop.time() - began > _SETTLED_S
            pause = _FIRST_BACK_OFF_S if settled or not pause else min(pause * 2, _LONGEST_BACK_OFF_S)
            await asyncio.sleep(pause)
            process = self._process = await self._spawn()


@asynccontextmanager
async def stopping() -> AsyncIterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set, so that whatever runs inside can end in order."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        yield stop
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
