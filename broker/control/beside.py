"""Work that goes on beside the rest of a process for as long as a block runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def beside(run: Callable[[], Coroutine[Any, Any, None]], name: str) -> AsyncIterator[None]:
    """Have `run` go on until the block ends; it is cancelled then, and whatever it raised is its own to have told."""
    task = asyncio.create_task(run(), name=name)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
