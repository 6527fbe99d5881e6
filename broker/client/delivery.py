"""What a subscriber gets: a delivery about one subject, or an event in the life of the agreement itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Item = Mapping[str, Any]
"""One item as the broker's HTTP interface writes it; every exit is read into this form first."""

LIFE_CYCLE = "life-cycle"
_FINAL = frozenset({"REVOKED", "ENDED"})
_OF_THE_WHOLE = _FINAL | {"SUSPENDED", "AMENDED"}


@dataclass(frozen=True, slots=True)
class Delivery(Generic[T]):
    """One release under one agreement. `data` may be about a person: it is left out of the representation.

    `id` is the same whenever and through whatever exit the release is read. `key` tells one subject from another within
    this agreement only. `data` is None where the subject left the population (`kind` is `left-population`, `reason`
    says why): what the agency holds of it on this agreement is to be ended. `time` is the commit time in whole seconds.
    `cursor` stands after the delivery.
    """

    id: str
    kind: str
    key: str
    time: datetime
    agreement: str
    agreement_version: int
    data: T | None = field(repr=False)
    reason: str | None
    traceparent: str
    cursor: str
    type: str
    pseudonym_epoch: int | None = None


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """Something about the agreement itself, by the control log's fact at `epoch`; `reason` says what.

    `AMENDED`, `SUSPENDED`, `REVOKED`, `ENDED`: lanes tell it one by one, with deliveries of the others between; it is
    handed over once, when the first one did. `REPLAY_BEGINS` and `REPLAY_ENDS` come from every lane (`key`) around its own.
    """

    id: str
    agreement: str
    reason: str
    epoch: int
    key: str
    text: str | None
    cursor: str | None

    @property
    def final(self) -> bool:
        """Whether the agreement ended with it."""
        return self.reason in _FINAL


def identity(item: Item) -> str:
    """What two items that tell the same share: the delivery id, or the fact (and, of a notice, the lane) of an event."""
    if item["kind"] != LIFE_CYCLE:
        return str(item["id"])
    told = f"{LIFE_CYCLE}/{item['epoch']}/{item['reason']}"
    return told if item["reason"] in _OF_THE_WHOLE else f"{told}/{item['key']}"


def life_cycle(agreement: str, item: Item) -> LifeCycle:
    """The event in an item of that kind."""
    return LifeCycle(
        identity(item),
        agreement,
        str(item["reason"]),
        int(item["epoch"]),
        str(item["key"]),
        item.get("text"),
        item["cursor"],
    )


def delivery(agreement: str, item: Item, typed: Callable[[Any], T]) -> Delivery[T]:
    """The delivery in an item, its data made by `typed`; raises what `typed` raises."""
    data = item.get("data")
    return Delivery(
        id=str(item["id"]),
        kind=str(item["kind"]),
        key=str(item["key"]),
        time=datetime.fromisoformat(item["time"]),
        agreement=agreement,
        agreement_version=int(item["agreementVersion"]),
        data=None if data is None else typed(data),
        reason=item.get("reason"),
        traceparent=str(item["traceparent"]),
        cursor=str(item["cursor"]),
        type=str(item["type"]),
        pseudonym_epoch=item.get("pseudonymEpoch"),
    )
