"""A server on loopback that hands out a sample, and has the bad days that servers have."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from types import TracebackType
from typing import Self
from urllib.parse import quote, unquote

from adapters.conformance.samples import Sample

_MEDIA = {
    ".csv": "text/csv; charset=utf-8",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".nq": "application/n-quads",
    ".nt": "application/n-triples",
    ".ttl": "text/turtle",
    ".xml": "application/xml",
}
_PIECE = 1 << 16
MOST_SENT = 192 << 20
"""Bytes after which the server gives up on a reader that knows no bound."""
_WAIT_S = 30.0
_TURNS = 8


class Mood(Enum):
    """How the server answers."""

    WELL = "well"
    ERROR = "error"
    TOO_MANY = "too-many"
    CUT_OFF = "cut-off"
    SILENT = "silent"
    ENDLESS = "endless"
    ELSEWHERE = "elsewhere"


@dataclass(slots=True)
class Seen:
    """What reached the server."""

    requests: int = 0
    sent: int = 0
    open: int = 0


class Server:
    """Serves `sample`: a file at its name, a folder's files below it; `url` is the file, or the first of the folder."""

    def __init__(self, sample: Sample) -> None:
        self.mood = Mood.WELL
        self.bad_answers: int | None = None
        """After so many answers in its mood it answers well; None: never."""
        self.seen = Seen()
        self.elsewhere = ""
        self._sample = sample
        self._listening: asyncio.Server | None = None
        self._origin = ""
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._origin = f"http://127.0.0.1:{self._listening.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hear nothing any more."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        await _some_turns()  # what was accepted becomes a connection
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await _some_turns()  # transports close themselves

    @property
    def url(self) -> str:
        """Address of the sample."""
        path = self._sample.path
        first = path.name if path.is_file() else self._sample.files[0].relative_to(path.parent).as_posix()
        return f"{self._origin}/{quote(first)}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        self.seen.open += 1
        try:
            # Cancelled only by `close`; the streams of Python 3.11 would report a task that ends that way as a failure.
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.CancelledError):
                async with asyncio.timeout(_WAIT_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    self.seen.requests += 1
                    await self._answer(head.split(b" ", 2)[1].decode("latin-1"), reader, writer)
                    writer.close()
        finally:
            self.seen.open -= 1
            if not writer.is_closing():
                writer.transport.abort()

    async def _answer(self, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mood = self._mood_now()
        found = self._document(target)
        if found is None:
            await self._send(writer, _head("404 Not Found", "Content-Length: 0"))
            return
        body, media = found
        match mood:
            case Mood.WELL:
                await self._send(
                    writer, _head("200 OK", f"Content-Type: {media}", f"Content-Length: {len(body)}"), body
                )
            case Mood.ERROR:
                await self._send(writer, _head("503 Service Unavailable", "Content-Length: 0"))
            case Mood.TOO_MANY:
                await self._send(writer, _head("429 Too Many Requests", "Retry-After: 2", "Content-Length: 0"))
            case Mood.ELSEWHERE:
                where = f"Location: {self.elsewhere}"
                await self._send(writer, _head("302 Found", where, "Content-Length: 0"))
            case Mood.CUT_OFF:
                head = _head("200 OK", f"Content-Type: {media}", f"Content-Length: {len(body)}")
                await self._send(writer, head, body[: len(body) // 2])
            case Mood.SILENT:
                await reader.read()  # until the other side hangs up
            case Mood.ENDLESS:
                await self._send(writer, _head("200 OK", f"Content-Type: {media}"), body)
                while self.seen.sent < MOST_SENT:
                    await self._send(writer, b" " * _PIECE)

    def _mood_now(self) -> Mood:
        if self.bad_answers is None:
            return self.mood
        self.bad_answers -= 1
        return self.mood if self.bad_answers >= 0 else Mood.WELL

    async def _send(self, writer: asyncio.StreamWriter, *parts: bytes) -> None:
        for part in parts:
            writer.write(part)
            self.seen.sent += len(part)
        await writer.drain()

    def _document(self, target: str) -> tuple[bytes, str] | None:
        named = unquote(target.partition("?")[0].lstrip("/"))
        home = self._sample.path.parent
        for file in self._sample.files:
            if file.relative_to(home).as_posix() == named:
                return file.read_bytes(), _MEDIA.get(file.suffix, "application/octet-stream")
        return None


async def _some_turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)


def _head(status: str, *lines: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", *lines, "Connection: close", "", "")).encode()
