"""The public test kit: what a test of an adapter, an agreement or an exit needs; never imported by the broker itself."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def wait_until(probe: Callable[[], T | Awaitable[T]], *, timeout: float = 10.0, every: float = 0.02) -> T:  # noqa: ASYNC109
    """First truthy answer of `probe`, asked again and again; raises `TimeoutError` naming the probe after `timeout` s."""
    deadline = time.monotonic() + timeout
    while True:
        answer = probe()
        if inspect.isawaitable(answer):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise TimeoutError(f"still not true after {timeout} s: {getattr(probe, '__qualname__', probe)}")
        await asyncio.sleep(every)
