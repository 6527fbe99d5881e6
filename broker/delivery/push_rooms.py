"""What the exits that bring deliveries somewhere need of the rooms around them, as small Protocols; composed in `broker.cli`."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from broker.control.keys import KeyStore
from broker.delivery.pull import Slice
from broker.delivery.push_circuit import Patience
from broker.delivery.streams import Egress
from broker.model.control_state import ControlState
from broker.model.facts import FactType


class Control(Protocol):
    """The replayed control log, and its writer."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head; raises `Stale`."""

    def fresh(self) -> bool:
        """Whether this process keeps up with the control log (design R6)."""

    async def wait_for_change(self, epoch: int, *, timeout: float) -> bool:  # noqa: ASYNC109 - a bound, not an error
        """Return once a fact after `epoch` is applied, or after `timeout` seconds."""

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        """Write a fact; raises `Conflict` if another came first."""


class Deliveries(Protocol):
    """Reader of delivery topics; `broker.delivery.pull` behind it."""

    async def read(self, topic: str, position: int | None, *, limit: int, wait_s: float = 0.0) -> Slice:
        """Committed records from `position` on (None: the oldest retained); raises `PositionExpired`, `Invalid`."""

    async def head(self, topic: str) -> int:
        """Position after the last committed record."""

    async def beyond(self, topic: str, position: int, *, wait_s: float) -> bool:
        """Whether the topic goes on from `position`, waiting up to `wait_s` for it."""


class Positions(Protocol):
    """Committed positions; `broker.kafka.positions` behind it."""

    async def load(self, group: str, topic: str) -> tuple[int, str] | None:
        """Position of a group, and the note beside it."""

    async def save(self, group: str, topic: str, offset: int, note: str) -> None:
        """Commit a position."""


@dataclass(frozen=True, slots=True)
class Rooms:
    """What every courier of a process shares; `by` is whose name a suspension bears."""

    control: Control
    deliveries: Deliveries
    positions: Positions
    keys: KeyStore
    egress: Egress
    patience: Patience
    now: Callable[[], datetime]
    random: Callable[[], float]
    by: str
    monotonic: Callable[[], float] = time.monotonic
