"""What an adapter yields, and what it promises: the contract between a source's reader and the runner.

An adapter module has a factory `build(source: str) -> Adapter`, where `source` is a path or a URL.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Change:
    """One complete state of one subject after a change, to be published.

    `source_id` identifies the statement within the source, the same on every reading; it can hold personal data (a
    file's name), so the runner stores it only as a keyed hash. `value` fits the product's Avro schema; None is a
    deletion, which needs `subject`, the canonical principal identifier (otherwise read from the value).
    """

    source_id: str
    product: str
    value: Mapping[str, Any] | None
    subject: str | None = None


@dataclass(frozen=True, slots=True)
class Ignored:
    """One item that holds nothing to publish; `reason` is a stable code (NO_PERSON, SERVICE_NOT_MAPPED, …).

    A stable code is made of capitals, digits and underscores; any other text is counted as REASON_NOT_STABLE.
    """

    source_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Broken:
    """One item for the quarantine: a stable code and the path of the element, never a value.

    `product` is the one it would have been published as, where that can be told; its owner reads that quarantine.
    """

    source_id: str
    reason: str
    path: str = ""
    product: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotBegins:
    """What follows, up to `SnapshotEnds`, is the whole population of `product`, each of it under a source id of its own.

    Until the end is reached every item's cursor stands before the snapshot: one that breaks off is read again whole.
    """

    product: str


@dataclass(frozen=True, slots=True)
class SnapshotEnds:
    """Who was published in an earlier snapshot of `product` and is not in this one is deleted by the runner.

    Not yielded for a snapshot of which an item could not be told by its source id: whoever it was is not gone. Where
    more than half of the known would be deleted the runner refuses, unless `shrink`.
    """

    product: str
    shrink: bool = False


Item = Change | Ignored | Broken | SnapshotBegins | SnapshotEnds


class Adapter(Protocol):
    """A reader of one source; reading has no effect on the source and can be repeated from any cursor it gave out."""

    @property
    def name(self) -> str:
        """Slug under which the runner keeps the cursor: two sources under one name would share it."""

    @property
    def sources(self) -> Mapping[str, str]:
        """Product → organisation that owns it: {"persoon.v1": "rijksregister"}."""

    def changes(self, cursor: str | None) -> AsyncIterator[tuple[Item, str]]:
        """Items after `cursor` (None: from the start), each with the cursor that stands after it.

        A cursor holds no personal data. Raises `Retriable` where the source cannot be read now.
        """
        ...


@runtime_checkable
class Announcing(Protocol):
    """An adapter whose source can say that there is something new, so that nobody has to wait for the next poll."""

    @property
    def announces(self) -> bool:
        """Whether this source does."""

    async def announced(self, within_s: float) -> None:
        """Return when there is something new, at the latest after `within_s` seconds; sooner is allowed.

        Raises `Retriable` where the source cannot be heard now; then it is polled.
        """


@runtime_checkable
class Observed(Protocol):
    """An adapter that knows figures about its source that whoever runs it should see."""

    @property
    def facts(self) -> Mapping[str, int]:
        """By name, of the last reading; none before one. No figure is about a person."""
