"""Letting go of a client disturbs nobody."""

import asyncio

import pytest
from aiokafka.errors import KafkaError

from broker.stopping import stop_quietly


class Client:
    def __init__(self, ends: BaseException | None) -> None:
        self.ends, self.stopped = ends, False

    async def stop(self) -> None:
        self.stopped = True
        if self.ends is not None:
            raise self.ends


@pytest.mark.parametrize("ends", [None, asyncio.CancelledError(), KafkaError(), TimeoutError(), OSError()])
async def test_however_a_client_ends_its_stop_is_not_taken_for_ours(ends: BaseException | None) -> None:
    client = Client(ends)
    await stop_quietly(client)
    assert client.stopped
