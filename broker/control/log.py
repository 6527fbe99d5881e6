"""The control log as every process sees it: replayed through the fold, read to its head on demand, appended to (design §8).

Freshness (R6): a worker that must not act on old policies writes a heartbeat into the log each second and is fresh while
it read one back that it wrote at most 3 s ago. Heartbeats are no facts: they move no epoch, and compaction trims them.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Protocol, Self

from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from broker.errors import Conflict, Invalid, KafkaUnavailable, Stale
from broker.model import topics
from broker.model.control_state import ControlState
from broker.model.facts import Fact, FactType, decode_fact
from broker.stopping import stop_quietly

FRESH_S = 3.0
_BEAT_S = 1.0
_HEAD_S = 3.0
_WRITE_S = 10.0
_HEARTBEAT = b"heartbeat/"


class Clients(Protocol):
    """Makes Kafka clients for the log; `broker.kafka.clients` behind it."""

    def consumer(self, group: str | None) -> Any:
        """Consumer that is read_committed and never resets its position by itself."""

    def producer(self) -> Any:
        """Idempotent producer."""


class ControlLog:
    """One process's view of the log; `start` returns once it is read to its head.

    With `beating` it proves its freshness; without, `fresh` is always false and nothing may be released on its word.
    `texts`: as in `ControlState`.
    """

    def __init__(
        self,
        clients: Clients,
        *,
        beating: bool = False,
        texts: bool = True,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        new_id: Callable[[], str] = lambda: secrets.token_hex(16),
        monotonic: Callable[[], float] = time.monotonic,
        topic: str = topics.CONTROL_LOG,
    ) -> None:
        self.state = ControlState(texts=texts)
        self._target = TopicPartition(topic, 0)
        self._tail, self._probe, self._producer = clients.consumer(None), clients.consumer(None), clients.producer()
        self._beating = beating
        self._now, self._new_id, self._monotonic = now, new_id, monotonic
        self._heartbeat = _HEARTBEAT + new_id().encode()
        self._sent: dict[bytes, float] = {}
        self._fresh_at = float("-inf")
        self._position = 0
        self._moved = asyncio.Condition()
        self._verdicts: dict[str, asyncio.Future[bool]] = {}
        self._wanted: set[TopicPartition] = set()
        self._coming: asyncio.Task[tuple[Mapping[TopicPartition, int], float]] | None = None
        self._under_way: asyncio.Task[tuple[Mapping[TopicPartition, int], float]] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Replay the log; raises `KafkaUnavailable` or `Stale` if that cannot be done."""
        try:
            for client in (self._tail, self._probe, self._producer):
                await client.start()
            self._tail.assign([self._target])
            await self._tail.seek_to_beginning(self._target)
        except KafkaError as error:
            raise KafkaUnavailable("the control log cannot be read", operator=type(error).__name__) from error
        self._tasks.append(asyncio.create_task(self._follow(), name="control-tail"))
        await self._reach(await self._head(), timeout=60.0)
        if self._beating:
            self._tasks.append(asyncio.create_task(self._beat(), name="control-heartbeat"))
            await self._until(self.fresh, timeout=_WRITE_S)

    async def stop(self) -> None:
        """Stop following; the heartbeat's key is deleted, so that the log does not keep dead workers."""
        tasks = [*self._tasks, *(asked for asked in (self._under_way, self._coming) if asked is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        with suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(1.0):
                if self._fresh_at > float("-inf"):  # one came back, so that there is one
                    await self._producer.send_and_wait(self._target.topic, key=self._heartbeat, partition=0)
        # All at once: where nobody answers each of them takes its time, and the process should be gone.
        await asyncio.gather(*map(stop_quietly, (self._producer, self._probe, self._tail)))

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.stop()

    def fresh(self) -> bool:
        """Whether a heartbeat of at most 3 s ago came back (R6)."""
        return self._monotonic() - self._fresh_at <= FRESH_S

    async def read_to_head(self) -> int:
        """Apply every fact that was in the log when this was called; returns the epoch. Raises `Stale`."""
        await self._reach(await self._head(), timeout=_HEAD_S)
        return self.state.epoch

    async def read_beside(self, target: TopicPartition) -> tuple[int, float]:
        """As `read_to_head`, with one question about another partition too: where that ended, and how long ago (s) it was asked."""
        ends, asked = await self._heads(self._target, target)
        await self._reach(ends[self._target], timeout=_HEAD_S)
        return ends[target], self._monotonic() - asked

    async def wait_for_change(self, epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Return true once a fact after `epoch` is applied, false after `timeout` seconds."""
        try:
            await self._until(lambda: self.state.epoch > epoch, timeout=timeout)
        except Stale:
            return False
        return True

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        """Write a fact that expects the aggregate as this process knows it now; returns its epoch once applied.

        Raises `Conflict` if another fact on the aggregate came first or the fold refused it, `KafkaUnavailable` if it
        is unknown whether it was written.
        """
        fact = Fact(self._new_id(), kind, aggregate, self.state.version(aggregate), self._now(), by, data)
        verdict = self._verdicts[fact.id] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(_WRITE_S):
                written = await self._producer.send_and_wait(
                    self._target.topic, fact.encode(), key=fact.id.encode(), partition=0
                )
                if not await verdict:
                    raise Conflict(f"{aggregate} changed meanwhile, or is not in a state for this step: read it again")
        except (KafkaError, TimeoutError) as error:
            raise KafkaUnavailable("the control log did not confirm a change", operator=type(error).__name__) from error
        finally:
            del self._verdicts[fact.id]
        return int(written.offset)

    async def _head(self) -> int:
        """Offset after the log's last record."""
        ends, _ = await self._heads(self._target)
        return ends[self._target]

    async def _heads(self, *targets: TopicPartition) -> tuple[Mapping[TopicPartition, int], float]:
        """Offsets after their last records, and the monotonic instant of the question; callers that wait together share one."""
        self._wanted.update(targets)
        if self._coming is None:
            self._coming = asyncio.create_task(self._ask(), name="control-heads")
            self._coming.add_done_callback(_noted)
        try:
            async with asyncio.timeout(_HEAD_S):
                return await asyncio.shield(self._coming)
        except (KafkaError, TimeoutError) as error:
            raise Stale("the control log's head cannot be read", operator=type(error).__name__) from error

    async def _ask(self) -> tuple[Mapping[TopicPartition, int], float]:
        """The question that everybody shares who asks before it is sent; one at a time is under way."""
        if self._under_way is not None and not self._under_way.done():
            await asyncio.wait([self._under_way])
        self._under_way, self._coming = self._coming, None
        wanted, self._wanted = list(self._wanted), set()
        asked = self._monotonic()
        async with asyncio.timeout(_HEAD_S):
            # On a connection of its own: behind a waiting fetch the answer would take as long as the fetch.
            ends: Mapping[TopicPartition, int] = await self._probe.end_offsets(wanted)
            return ends, asked

    async def _reach(self, position: int, *, timeout: float) -> None:  # noqa: ASYNC109 - as above
        if self._position < position:
            await self._until(lambda: self._position >= position, timeout=timeout)

    async def _until(self, holds: Callable[[], bool], *, timeout: float) -> None:  # noqa: ASYNC109 - as above
        try:
            async with asyncio.timeout(timeout), self._moved:
                await self._moved.wait_for(holds)
        except TimeoutError:
            raise Stale("the control log was not read in time") from None

    async def _follow(self) -> None:
        while True:
            try:
                polled = await self._tail.getmany(self._target, timeout_ms=1000)
            except KafkaError:
                await asyncio.sleep(0.1)  # freshness runs out by itself if this goes on
                continue
            for record in polled.get(self._target, ()):
                self._apply(record)
            self._position = max(self._position, await self._tail.position(self._target))
            async with self._moved:
                self._moved.notify_all()

    def _apply(self, record: Any) -> None:
        if record.key is not None and record.key.startswith(_HEARTBEAT):
            if record.key == self._heartbeat and record.value is not None:
                self._fresh_at = max(self._fresh_at, self._sent.pop(record.value, self._fresh_at))
            return
        try:
            fact = decode_fact(record.value or b"")
        except Invalid:
            return  # every reader passes over it alike, so that they still agree
        accepted = self.state.apply(record.offset, fact)
        verdict = self._verdicts.get(fact.id)
        if verdict is not None and not verdict.done():
            verdict.set_result(accepted)

    async def _beat(self) -> None:
        number = 0
        while True:
            number += 1
            value = b"%d" % number
            self._sent = {value: self._monotonic(), **dict(list(self._sent.items())[:4])}
            with suppress(KafkaError):
                await self._producer.send_and_wait(self._target.topic, value, key=self._heartbeat, partition=0)
            await asyncio.sleep(_BEAT_S)


def _noted(done: "asyncio.Task[Any]") -> None:
    """Everybody may have given up waiting for it."""
    if not done.cancelled():
        done.exception()
