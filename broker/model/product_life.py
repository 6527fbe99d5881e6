"""Life cycle of a product version, and the fold of what its owner says of it.

    planned ▸ live ▸ deprecated (successor, sunset, reason) ▸ ended

A version that nothing was said of is live. Agreements are negotiated on a planned version, and published once it is live.
From the sunset on no agreement begins on it any more; those in force go on until they end, and only then can it be ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from broker.model.announcements import ProductName
from broker.model.instants import stated_instant
from broker.model.lifecycle import Step


class ProductState(StrEnum):
    """Where a product version stands."""

    PLANNED = "planned"
    LIVE = "live"
    DEPRECATED = "deprecated"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """What the owner announced: `since` when it holds, `sunset` from when nothing begins on the version any more.

    `notice_days` is how long before the sunset its agencies should have signed what follows; `successor` is another
    version of the same source, None where nothing follows; `epoch` the offset of the latest fact about it.
    """

    since: datetime
    sunset: datetime
    reason: str
    successor: str | None
    notice_days: int
    epoch: int


@dataclass(frozen=True, slots=True)
class Life:
    """One product version: its state, what was announced of it, and when it ended."""

    state: ProductState = ProductState.LIVE
    deprecation: Deprecation | None = None
    ended: datetime | None = None

    def past_sunset(self, at: datetime) -> bool:
        """Whether nothing begins on it any more at `at`."""
        return self.state is ProductState.ENDED or (self.deprecation is not None and at >= self.deprecation.sunset)

    def bars(self, step: Step, at: datetime) -> bool:
        """Whether an agreement on it that is not in force may not take this step at `at`."""
        if step is Step.REQUESTED:
            return self.past_sunset(at)
        return step in _BEGINS and (self.state is ProductState.PLANNED or self.past_sunset(at))


LIVE = Life()
"""What holds of a version that nothing was said of."""

_BEGINS = frozenset({Step.PUBLISHED, Step.ACTIVATED})


@dataclass(slots=True)
class LifeBook:
    """Lives of product versions by source and id; the methods are the only way to change it.

    Each returns whether it was possible, and raises `KeyError`, `TypeError` or `ValueError` for data that is not of its type.
    """

    lives: dict[ProductName, Life] = field(default_factory=dict)

    def of(self, source: str, product: str) -> Life:
        """The life of a version; `LIVE` where nothing was said of it."""
        return self.lives.get((source, product), LIVE)

    def plan(self, name: ProductName) -> bool:
        """Declared, but not live yet."""
        self.lives[name] = Life(ProductState.PLANNED)
        return True

    def launch(self, name: ProductName) -> bool:
        """Make a planned version live."""
        if self.of(*name).state is not ProductState.PLANNED:
            return False
        self.lives[name] = LIVE
        return True

    def deprecate(self, name: ProductName, data: Mapping[str, Any], at: datetime, epoch: int) -> bool:
        """Announce the sunset of a live version, or say it anew: then it never comes earlier than was announced."""
        held, sunset = self.of(*name), stated_instant(data["sunset"])
        before = held.deprecation
        if held.state not in {ProductState.LIVE, ProductState.DEPRECATED} or sunset <= at:
            return False
        if before is not None and (sunset < before.sunset or at >= before.sunset):
            return False
        successor = data.get("successor")
        told = Deprecation(
            since=at if before is None else before.since,
            sunset=sunset,
            reason=str(data["reason"]),
            successor=None if successor is None else str(successor),
            notice_days=int(data["notice_days"]),
            epoch=epoch,
        )
        self.lives[name] = Life(ProductState.DEPRECATED, told)
        return True

    def end(self, name: ProductName, at: datetime) -> bool:
        """End a deprecated version after its sunset; that no agreement is left on it is the caller's to look at."""
        held = self.of(*name)
        if held.state is not ProductState.DEPRECATED or not held.past_sunset(at):
            return False
        self.lives[name] = replace(held, state=ProductState.ENDED, ended=at)
        return True
