"""A server on loopback that answers as a test says, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query))


@dataclass(frozen=True)
class Reply:
    """One answer; `cut` bytes less are sent than promised; `silent` means that nothing is."""

    body: Any = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    cut: int = 0
    silent: bool = False

    def bytes(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Answers = Callable[[Asked], Reply]


@dataclass
class Loopback:
    """`answers` can be replaced at any time."""

    answers: Answers
    asked: list[Asked] = field(default_factory=list)
    origin: str = ""

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            headers = {
                name.lower(): text.strip() for name, _, text in (line.partition(":") for line in head[1:] if line)
            }
            asked = Asked(method, target, headers, await reader.readexactly(int(headers.get("content-length", 0))))
            self.asked.append(asked)
            reply = self.answers(asked)
            if reply.silent:
                await reader.read()
            else:
                body = b"" if reply.status == 304 else reply.bytes()
                lines = [f"HTTP/1.1 {reply.status} x", f"content-length: {len(body)}", "connection: close"]
                lines += [f"{name}: {text}" for name, text in reply.headers.items()]
                writer.write("\r\n".join((*lines, "", "")).encode("latin-1") + body[: len(body) - reply.cut])
                await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(answers: Answers) -> AsyncIterator[Loopback]:
    """The server at a free port."""
    made = Loopback(answers)
    server = await asyncio.start_server(made.connected, "127.0.0.1", 0)
    made.origin = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()
        for _ in range(8):  # what is open hears that the other side hung up
            await asyncio.sleep(0)
