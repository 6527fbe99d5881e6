"""Raw sources, and the fold of their facts: which names a source's own programs may write to, before any mapping.

What lies in a raw topic has no schema, no classes and no agreement: only its writers write it, only the runner reads it.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from broker.errors import Invalid
from broker.model import topics


@dataclass(frozen=True, slots=True)
class RawSource:
    """One topic of a source as its own system states it; `declared` is in UTC. It is never taken away."""

    organisation: str
    name: str
    declared: datetime

    @property
    def topic(self) -> str:
        """Where it is written."""
        return topics.raw(self.organisation, self.name)


@dataclass(slots=True)
class RawBook:
    """All raw sources by organisation and name."""

    declared: dict[tuple[str, str], RawSource] = field(default_factory=dict)

    def declare(self, data: Mapping[str, Any], at: datetime, organisations: Container[str]) -> bool:
        """Take one in; False where it is there, of nobody known, or its name is none. Raises `KeyError`."""
        made = RawSource(str(data["organisation"]), str(data["name"]), at)
        key = (made.organisation, made.name)
        if made.organisation not in organisations or key in self.declared:
            return False
        try:
            topics.raw(*key)
        except Invalid:
            return False
        self.declared[key] = made
        return True
