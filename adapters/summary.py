"""What a run did with the items it read: counts by outcome, whose sum is always what was read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self


@dataclass(slots=True)
class Summary:
    """Additive counters; `ignored` and `quarantined` are by stable reason.

    `read == published + duplicate + sum(ignored) + sum(quarantined)`; `deleted` counts the deletions that were derived
    from whom a snapshot lacks, which nothing was read for.
    """

    read: int = 0
    published: int = 0
    duplicate: int = 0
    ignored: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    deleted: int = 0

    def plus(self, other: "Summary") -> "Summary":
        """The sum of both."""
        return Summary(
            self.read + other.read,
            self.published + other.published,
            self.duplicate + other.duplicate,
            self.ignored + other.ignored,
            self.quarantined + other.quarantined,
            self.deleted + other.deleted,
        )

    def as_json(self) -> dict[str, Any]:
        """JSON object `{read, published, duplicate, deleted, ignored: {reason: n}, quarantined: {reason: n}}`."""
        return {
            "read": self.read,
            "published": self.published,
            "duplicate": self.duplicate,
            "deleted": self.deleted,
            "ignored": dict(sorted(self.ignored.items())),
            "quarantined": dict(sorted(self.quarantined.items())),
        }

    @classmethod
    def of_json(cls, stated: Mapping[str, Any]) -> Self:
        """The summary that `as_json` wrote."""
        return cls(
            stated["read"],
            stated["published"],
            stated["duplicate"],
            Counter(stated["ignored"]),
            Counter(stated["quarantined"]),
            stated.get("deleted", 0),
        )
