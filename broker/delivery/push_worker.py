"""Shares registrations out among workers, and keeps one courier per registration that is this worker's.

An ordinary consumer group assigns the partitions of an empty topic, as it assigns lanes (design §4); a registration belongs to
the partition that its agreement's name falls on. At a hand-over a call or a file may be repeated, under the same id.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic

from aiokafka.abc import ConsumerRebalanceListener
from aiokafka.structs import TopicPartition

from broker.delivery.courier import Courier
from broker.delivery.push_kinds import Kind
from broker.delivery.push_rooms import Control
from broker.errors import Retriable, Stale
from broker.model import topics
from broker.model.push_book import R
from broker.telemetry import log

OpenCourier = Callable[[R], AbstractAsyncContextManager[Courier[R]]]
"""Makes a courier with a receiver of its own, which is closed behind it."""

_POLL_MS = 250
"""The membership consumer must poll, or the client leaves the group; as often it is looked at what has changed."""

_BACK_OFF_S = 0.5
_LONGEST_BACK_OFF_S = 15.0
_SETTLED_S = 60.0


@dataclass(slots=True)
class _Running:
    epoch: int
    task: asyncio.Task[None]


class PushWorker(ConsumerRebalanceListener, Generic[R]):  # type: ignore[misc]  # aiokafka is untyped
    """One membership; `slots` is the number of partitions of the topic that is shared out."""

    def __init__(
        self, kind: Kind[R], membership: Any, control: Control, open_courier: OpenCourier[R], slots: int
    ) -> None:
        self._kind = kind
        self._membership = membership
        self._control = control
        self._open_courier = open_courier
        self._slots = slots
        self._owned: set[int] = set()
        self._running: dict[str, _Running] = {}

    async def run(self) -> None:
        """Take part until cancelled."""
        self._membership.subscribe([topics.LANES], listener=self)
        try:
            while True:
                await self._membership.getmany(timeout_ms=_POLL_MS)
                await self._reconcile()
        finally:
            await self._stop(list(self._running))

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """End the couriers before somebody else begins theirs."""
        self._owned.difference_update(target.partition for target in revoked)
        await self._stop([name for name in self._running if not self._is_ours(name)])

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Couriers begin with the next look at what has changed."""
        self._owned.update(target.partition for target in assigned)

    def _is_ours(self, agreement: str) -> bool:
        return slot_of(agreement, self._slots) in self._owned

    async def _reconcile(self) -> None:
        wanted = {
            name: registration
            for name, registration in self._kind.book(self._control.state).live.items()
            if registration.suspended is None and self._is_ours(name)
        }
        await self._stop(
            [
                name
                for name, running in self._running.items()
                if running.task.done() or name not in wanted or wanted[name].epoch != running.epoch
            ]
        )
        for name, registration in wanted.items():
            if name not in self._running:
                task = asyncio.create_task(self._keep(registration), name=f"{self._kind.name}-{name}")
                self._running[name] = _Running(registration.epoch, task)

    async def _keep(self, registration: R) -> None:
        """Run a courier until it is over; what goes wrong for one agency is no trouble for another."""
        loop, pause = asyncio.get_running_loop(), _BACK_OFF_S
        while True:
            began = loop.time()
            try:
                async with self._open_courier(registration) as courier:
                    return await courier.run()
            except (Retriable, Stale) as trouble:
                log(self._kind.trouble, agreement=registration.agreement, error=trouble)
            except Exception as error:  # noqa: BLE001 - a fault that one registration meets must not stop the others
                log(self._kind.unexpected, agreement=registration.agreement, error=error)
            settled = loop.time() - began > _SETTLED_S
            pause = _BACK_OFF_S if settled else min(pause * 2, _LONGEST_BACK_OFF_S)
            await asyncio.sleep(pause)

    async def _stop(self, names: Iterable[str]) -> None:
        ending = [self._running.pop(name).task for name in names]
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)


def slot_of(agreement: str, slots: int) -> int:
    """Partition whose owner serves an agreement's registration."""
    return int.from_bytes(blake2b(agreement.encode(), digest_size=4).digest()) % slots
