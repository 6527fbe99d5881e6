"""Texts that are costly to make and the same for everybody: each is made once, for all who ask meanwhile and after."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any


class KeptTexts:
    """The last few texts by what they were made from; `most` of them."""

    def __init__(self, most: int = 8) -> None:
        self._most = most
        self._held: dict[Hashable, asyncio.Task[str]] = {}

    async def text(self, key: Hashable, make: Callable[[], Coroutine[Any, Any, str]]) -> str:
        """The text that `make` makes of what `key` stands for; raises what it raises, and tries again the next time."""
        task = self._held.pop(key, None)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.create_task(make(), name="kept-text")
        self._held[key] = task  # the last one asked for is the last to go
        while len(self._held) > self._most:
            del self._held[next(iter(self._held))]
        return await asyncio.shield(task)
