"""An agency's end of a stream of server-sent events, for tests."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass
class Heard:
    """What came so far; `next` waits for one more event."""

    response: httpx.Response
    comments: int = 0
    last_id: str = ""
    _lines: AsyncIterator[str] = field(init=False)

    def __post_init__(self) -> None:
        self._lines = self.response.aiter_lines()

    async def next(self) -> tuple[str, dict[str, Any]] | None:
        """Name and data of the next event; None where the stream ended in order."""
        name, data = "message", ""
        async for line in self._lines:
            if line:
                label, _, value = line.partition(":")
                value = value.removeprefix(" ")
                if not label:
                    self.comments += 1
                elif label == "id":
                    self.last_id = value
                elif label == "event":
                    name = value
                elif label == "data":
                    data += value
            elif data:
                return name, json.loads(data)
            else:
                name = "message"
        return None

    async def take(self, number: int) -> list[dict[str, Any]]:
        """Data of the next events."""
        found = [await self.next() for _ in range(number)]
        return [event[1] for event in found if event is not None]

    async def rest(self) -> list[tuple[str, dict[str, Any]]]:
        """Every event until the stream ends."""
        found = []
        while (event := await self.next()) is not None:
            found.append(event)
        return found


@asynccontextmanager
async def listening(http: httpx.AsyncClient, url: str, **headers: str) -> AsyncIterator[Heard]:
    """Listen to the events at `url`."""
    async with http.stream("GET", url, headers=headers) as response:
        if response.status_code != httpx.codes.OK:
            await response.aread()
        yield Heard(response)
