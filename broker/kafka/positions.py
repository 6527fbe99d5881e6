"""Committed positions of any number of consumer groups over one connection, each with a note; for groups without members.

aiokafka's consumer keeps its group for life and hides the note that Kafka stores beside an offset, so the two requests are
sent by its client directly. Positions of ours are commits of an ordinary group: stock tools show and reset them.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aiokafka.client import ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError, for_code
from aiokafka.protocol.commit import OffsetCommitRequest, OffsetFetchRequest

from broker.errors import KafkaUnavailable
from broker.kafka.clients import KafkaClients

_PATIENCE_S = 10.0
_AGAIN_S = 0.05
_NO_OFFSET = -1
_NO_MEMBER = ""


class GroupPositions:
    """Positions on one-partition topics; connects at the first use. Every method raises `KafkaUnavailable` after 10 s."""

    def __init__(self, clients: KafkaClients) -> None:
        self._clients = clients
        self._client: Any = None
        self._starting = asyncio.Lock()
        self._coordinators: dict[str, int] = {}

    async def load(self, group: str, topic: str) -> tuple[int, str] | None:
        """The group's position on `topic` and the note beside it; None where it has none."""
        answer = await self._asked(group, lambda: OffsetFetchRequest(group, [(topic, [0])]))
        ((_, ((_, offset, note, _),)),) = answer.topics
        return None if offset == _NO_OFFSET else (int(offset), str(note or ""))

    async def save(self, group: str, topic: str, offset: int, note: str) -> None:
        """Commit a position, with a note of at most some kilobytes."""
        await self._asked(
            group,
            lambda: OffsetCommitRequest(
                group,
                OffsetCommitRequest.DEFAULT_GENERATION_ID,
                _NO_MEMBER,
                OffsetCommitRequest.DEFAULT_RETENTION_TIME,
                [(topic, [(0, offset, note)])],
            ),
        )

    async def close(self) -> None:
        """Let go of the connection."""
        if self._client is not None:
            await self._client.close()

    async def _asked(self, group: str, request: Callable[[], Any]) -> Any:
        """The coordinator's answer without an error in it; what passes by itself is waited for."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                while True:
                    try:
                        return await self._answer(group, request())
                    except KafkaError as error:
                        self._coordinators.pop(group, None)
                        if not error.retriable:
                            raise
                    await asyncio.sleep(_AGAIN_S)
        except (KafkaError, TimeoutError, OSError) as error:
            raise KafkaUnavailable("Kafka did not confirm a position", operator=type(error).__name__) from error

    async def _answer(self, group: str, request: Any) -> Any:
        client = await self._started()
        if group not in self._coordinators:
            self._coordinators[group] = await client.coordinator_lookup(CoordinationType.GROUP, group)
        answer = await client.send(self._coordinators[group], request, group=ConnectionGroup.COORDINATION)
        ((_, ((*_, code),)),) = answer.topics
        for stated in (code, getattr(answer, "error_code", 0)):
            if stated:
                raise for_code(stated)
        return answer

    async def _started(self) -> Any:
        async with self._starting:
            if self._client is None:
                client = self._clients.requests()
                try:
                    await client.bootstrap()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client
