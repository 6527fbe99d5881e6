"""An agency's server, as good or as bad as a test needs it; it verifies with the public library of Standard Webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from standardwebhooks import Webhook

OK = b"HTTP/1.1 204 No Content\r\n\r\n"


def status(code: int, *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {code} X", *headers, "Content-Length: 0", "", "")
    return "\r\n".join(lines).encode()


@dataclass
class Receiver:
    """`calls` are verified events in the order they came, repetitions included, `raw` their bytes with all headers;
    `answer` makes each one's answer.

    An answer of None is none at all: the connection stays open. `drip` sends a good answer byte by byte, for ever.
    """

    port: int = 0
    secret: str = ""
    calls: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[int], bytes | None] = lambda _number: OK
    drip: bool = False
    paths: list[str] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    meanwhile: Callable[[], Any] | None = None
    _server: Any = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    @property
    def ids(self) -> list[str]:
        """Ids of what came, repetitions left out."""
        return list(dict.fromkeys(call["id"] for call in self.calls))

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self._take(reader, writer):
                pass
        self._writers.discard(writer)
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        event = Webhook(self.secret).verify(body, headers)
        assert json.loads(body) == event
        assert event["id"] == headers["webhook-id"]
        assert (event["specversion"], headers["content-type"]) == ("1.0", "application/cloudevents+json")
        self.raw.append(head + body)
        self.paths.append(first.split(" ")[1])
        self.calls.append(event)
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.drip:
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while True:
                writer.write(b"1\r\nx\r\n")
                await writer.drain()
                await asyncio.sleep(0.2)
        answer = self.answer(len(self.calls))
        if answer is None:
            await asyncio.Event().wait()
        writer.write(answer or b"")
        await writer.drain()
        return True


@asynccontextmanager
async def listening(**given: Any) -> AsyncIterator[Receiver]:
    made = Receiver(**given)
    await made.up()
    try:
        yield made
    finally:
        await made.down()
