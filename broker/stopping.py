"""Lets go of Kafka clients whose fate no longer matters."""

import asyncio
from typing import Any

_LONGEST_S = 5


async def stop_quietly(client: Any) -> None:
    """Stop a client; whatever comes of it, this returns within 5 s."""
    # Without Kafka a client's own stop ends as if it was cancelled: gathered, that is not taken for a cancellation of ours.
    await asyncio.gather(asyncio.wait_for(client.stop(), _LONGEST_S), return_exceptions=True)
