"""Fold of what sources did about their quarantined records: whose bytes they opened and why, and which are to be retried."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from broker.model import topics


class Outcome(StrEnum):
    """What closes a quarantined record: it was routed after all, or its subject was further already."""

    ROUTED = "ROUTED"
    SUPERSEDED = "SUPERSEDED"


class Place(NamedTuple):
    """Where a source record lies: its product, and partition and offset in the product's topic."""

    source: str
    product: str
    lane: int
    offset: int

    @property
    def topic(self) -> str:
        """Its topic."""
        return topics.source(self.source, self.product)


@dataclass(frozen=True, slots=True)
class Opening:
    """Somebody of the source read the bytes of a record; `credential` is the id of the one that was shown, if ours."""

    by: str
    credential: str | None
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Retry:
    """A request to look at a quarantined record again; `epoch` is the offset of its fact and the number of its run (R4)."""

    place: Place
    epoch: int


@dataclass(slots=True)
class QuarantineBook:
    """Openings by place, and retries by topic and lane in the order in which they were asked for."""

    openings: dict[Place, tuple[Opening, ...]] = field(default_factory=dict)
    _retries: dict[tuple[str, int], list[Retry]] = field(default_factory=dict)

    def open(self, data: Mapping[str, Any], by: str, at: datetime) -> bool:
        """Note that the bytes of a record were opened."""
        place, why, credential = place_of(data), str(data["why"]), data.get("credential")
        opening = Opening(by, None if credential is None else str(credential), why, at)
        self.openings[place] = (*self.openings.get(place, ()), opening)
        return True

    def retry(self, data: Mapping[str, Any], epoch: int) -> bool:
        """Note that a record is to be looked at again."""
        place = place_of(data)
        self._retries.setdefault((place.topic, place.lane), []).append(Retry(place, epoch))
        return True

    def retries(self, topic: str, lane: int, *, after: int) -> Sequence[Retry]:
        """Retries in one lane of a topic that were asked for after an epoch."""
        return [retry for retry in self._retries.get((topic, lane), ()) if retry.epoch > after]

    def latest_retry(self, place: Place) -> Retry | None:
        """The last retry of one record."""
        own = (each for each in reversed(self._retries.get((place.topic, place.lane), ())) if each.place == place)
        return next(own, None)


def place_of(data: Mapping[str, Any]) -> Place:
    """Place that a fact names; raises `KeyError`, `TypeError` or `ValueError`."""
    place = Place(str(data["source"]), str(data["product"]), int(data["lane"]), int(data["offset"]))
    if min(place.lane, place.offset) < 0:
        raise ValueError
    return place
