"""What a use-case sees of the control log: what is known, or also the way to add to it; `broker.control.log` behind both."""

from collections.abc import Mapping
from typing import Any, Protocol

from broker.model.control_state import ControlState
from broker.model.facts import FactType


class Replayed(Protocol):
    """The replayed control log."""

    @property
    def state(self) -> ControlState:
        """Everything known up to the last fact applied."""


class Control(Replayed, Protocol):
    """The replayed control log, and its writer."""

    async def read_to_head(self) -> int:
        """Apply all facts up to the log's present head."""

    async def append(self, kind: FactType, aggregate: str, data: Mapping[str, Any], *, by: str) -> int:
        """Write a fact; raises `Conflict` if another came first."""
