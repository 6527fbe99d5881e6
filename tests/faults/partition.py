"""A way to Kafka for one process, on which what concerns one topic can be cut off: nothing is refused or reset, it does not come.

As behind a firewall that drops packets. Everything else goes on, so that the process is cut off from that topic alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

_ABOUT_RECORDS = frozenset({0, 1, 2})
"""API keys of Produce, Fetch and ListOffsets; metadata names topics that a connection never touches."""


@dataclass
class Way:
    """`address` is where the process finds Kafka; after `cut`, nothing about `topic` passes in either direction."""

    upstream: tuple[str, int]
    topic: bytes
    port: int = 0
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._open.set()

    @property
    def address(self) -> str:
        """As a bootstrap server."""
        return f"{self.upstream[0]}:{self.port}"

    def cut(self) -> None:
        """From now on, until `heal`."""
        self._open.clear()

    def heal(self) -> None:
        """Let pass what was held, and what comes."""
        self._open.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        there, back = await asyncio.open_connection(*self.upstream)
        concerned = asyncio.Event()
        pumps = [
            asyncio.create_task(self._pump(reader, back, concerned, asks=True)),
            asyncio.create_task(self._pump(there, writer, concerned, asks=False)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            back.close()
            writer.close()
            self._tasks.discard(task)

    async def close(self) -> None:
        """End every connection."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, concerned: asyncio.Event, *, asks: bool
    ) -> None:
        """Frame by frame: a connection that once asked for records of the topic is about the topic."""
        host, port = self.upstream
        told, instead = (host.encode() + number.to_bytes(4) for number in (port, self.port))
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                body = await source.readexactly(int.from_bytes(await source.readexactly(4)))
                if asks and int.from_bytes(body[:2]) in _ABOUT_RECORDS and self.topic in body:
                    concerned.set()
                if concerned.is_set():
                    await self._open.wait()
                if not asks:
                    body = body.replace(told, instead)  # Kafka tells its clients where to go: here again
                sink.write(len(body).to_bytes(4) + body)
                await sink.drain()


@asynccontextmanager
async def way_to(bootstrap: str, topic: str) -> AsyncIterator[Way]:
    """A way to the Kafka at `bootstrap` (one node, without TLS) until the block ends."""
    host, _, port = bootstrap.rpartition(":")
    way = Way((host, int(port)), topic.encode())
    server = await asyncio.start_server(way.serve, host)
    way.port = server.sockets[0].getsockname()[1]
    try:
        yield way
    finally:
        server.close()
        await way.close()
